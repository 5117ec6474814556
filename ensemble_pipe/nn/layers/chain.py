"""Sequential layers over one set of tensors: a whole network, or a branch of one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from math import prod
from typing import TypeVar

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.own_code import is_own, require_shape
from ensemble_pipe.nn.layers.base import Binding, BoundLayer, Layer
from ensemble_pipe.nn.layers.checked import bind_checked
from ensemble_pipe.nn.layout import Parameter

T = TypeVar("T")


class Chain:
    """Named layers with the shapes between them.

    A layer is named by its kind and its place among those of its kind: dense1, dense2, ...

    Attributes:
        names, layers: of each layer, in order.
        shapes: of one row before each layer, and after the last.
    """

    def __init__(self, input_shape: tuple[int, ...], layers: Sequence[Layer]) -> None:
        """Infer every shape.

        Args:
            input_shape: of one row.
            layers: in order.

        Raises:
            ConfigError: a layer cannot take what the one before it gives.
        """
        self.layers = tuple(layers)
        self.names: list[str] = []
        self.shapes = [input_shape]
        counts: dict[str, int] = {}
        for layer in self.layers:
            counts[layer.name] = counts.get(layer.name, 0) + 1
            self.names.append(f"{layer.name}{counts[layer.name]}")
            self.shapes.append(_shape_after(layer, self.names[-1], self.shapes[-1]))

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.shapes[-1]

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return tuple(
            replace(parameter, name=f"{name}/{parameter.name}")
            for name, layer, shape in self._placed()
            for parameter in layer.parameters(shape)
        )

    @property
    def values(self) -> dict[str, float]:
        """The numbers that may differ between learners of a stack, as "layer/field"."""
        return {
            f"{name}/{field}": value
            for name, layer, shape in self._placed()
            for field, value in layer.values(shape).items()
        }

    def normalized_over(self, batch_rows: int) -> dict[str, int]:
        """Return over how many values each layer that normalizes takes mean and variance."""
        return {
            f"{name}/{inner}" if inner else name: count
            for name, layer, shape in self._placed()
            for inner, count in layer.normalized_over(shape, batch_rows).items()
        }

    @property
    def members(self) -> int:
        """K, how many rows of outputs there are for each row of inputs."""
        return prod(layer.spreads_to for layer in self.layers)

    @property
    def test_draws(self) -> int:
        return max((layer.test_draws for layer in self.layers), default=1)

    @property
    def drops(self) -> bool:
        return any(layer.drops for layer in self.layers)

    @property
    def has_own(self) -> bool:
        return any(layer.has_own for layer in self.layers)

    def bind(self, binding: Binding) -> "BoundChain":
        """Bind every layer; those that others absorb are bound with them.

        Args:
            binding: of the whole, with all names as "layer/name".
        """
        bound: list[BoundLayer] = []
        shares: list[bool] = []
        names: list[str] = []
        input_gradient, batch_rows = binding.input_gradient, binding.batch_rows
        index = 0
        while index < len(self.layers):
            layer, shape = self.layers[index], self.shapes[index]
            count = self._absorbed_by(index)
            own = self._binding(index, binding)
            absorbed = range(index + 1, index + 1 + count)
            moving = [p.name for p in layer.parameters(shape) if p.trainable]
            still = frozenset(n for n in moving if f"{self.names[index]}/{n}" in binding.still)
            own = replace(
                own,
                batch_rows=batch_rows,
                input_gradient=input_gradient,
                still=still,
                frozen=bool(moving) and len(still) == len(moving),
                may_overwrite_inputs=bool(bound) and bound[-1].outputs_may_change,
                absorbed=tuple(
                    (self.layers[i], self._binding(i, binding).values) for i in absorbed
                ),
            )
            checks = is_own(type(layer))
            output_shape = self.shapes[index + 1 + count]
            bound.append(bind_checked(layer, own, output_shape) if checks else layer.bind(own))
            shares.append(layer.shares_inputs)
            names.append(self.names[index + count])
            input_gradient = input_gradient or len(still) < len(moving)
            batch_rows *= layer.spreads_to
            index += 1 + count
        return BoundChain(bound, shares, names, binding.learners)

    @property
    def fits(self) -> bool:
        return any(layer.fits for layer in self.layers)

    def fit(self, binding: Binding, inputs: Floats) -> Floats:
        """Let each layer write what follows from its inputs, and return the outputs (1, N, ...).

        Args:
            binding: of one learner, without gradients; its draws are for the start.
            inputs: (1, N, ...).
        """
        for index, layer in enumerate(self.layers):
            own = replace(self._binding(index, binding), batch_rows=inputs.shape[1])
            if layer.fits:
                layer.fit(own, inputs)
            inputs = layer.bind(replace(own, draws=None)).forward(inputs, 0)
        return inputs

    def _absorbed_by(self, index: int) -> int:
        """Return how many layers after it a layer computes; never one of a caller's own."""
        following = takewhile(lambda layer: not is_own(type(layer)), self.layers[index + 1 :])
        return self.layers[index].absorbs(tuple(following), self.shapes[index])

    def _placed(self) -> Iterator[tuple[str, Layer, tuple[int, ...]]]:
        return zip(self.names, self.layers, self.shapes[:-1], strict=True)

    def _binding(self, index: int, whole: Binding) -> Binding:
        name = self.names[index]
        gradients = None if whole.gradients is None else within(name, whole.gradients)
        return replace(
            whole,
            name=f"{whole.name}/{name}" if whole.name else name,
            input_shape=self.shapes[index],
            tensors=within(name, whole.tensors),
            gradients=gradients,
            values=within(name, whole.values),
        )


class BoundChain:
    """The bound layers of a chain, run one after another.

    Inputs (1, N, ...) that all learners share stay so up to the first layer that computes, or needs
    one copy for each learner.
    """

    def __init__(
        self,
        layers: Sequence[BoundLayer],
        shares: Sequence[bool],
        names: Sequence[str],
        learners: int,
    ) -> None:
        """Args: the layers, whether each takes shared inputs, their names, and M.

        A layer has the name of the last one that it absorbs.
        """
        self.layers = tuple(layers)
        self.shares = tuple(shares)
        self.names = tuple(names)
        self.learners = learners
        self.copies: Floats | None = None

    def forward(self, inputs: Floats, step: int) -> Floats:
        values = inputs
        for _, values in self.walk(inputs, step):  # noqa: B007
            pass
        return values

    def walk(self, inputs: Floats, step: int) -> Iterator[tuple[str, Floats]]:
        """Yield the name of each layer with its outputs, which are valid until the next."""
        values = inputs
        for name, layer, shares in zip(self.names, self.layers, self.shares, strict=True):
            if len(values) < self.learners and not shares:
                values = self._copied(values)
            values = layer.forward(values, step)
            yield name, values

    def _copied(self, shared: Floats) -> Floats:
        if self.copies is None:
            self.copies = np.zeros((self.learners, *shared.shape[1:]), shared.dtype)
        self.copies[...] = shared
        return self.copies

    def backward(self, gradient: Floats) -> Floats | None:
        below: Floats | None = gradient
        for layer in reversed(self.layers):
            if below is None:
                return None
            below = layer.backward(below)
        return below

    @property
    def outputs_may_change(self) -> bool:
        return bool(self.layers) and self.layers[-1].outputs_may_change


def _shape_after(layer: Layer, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    try:
        after = layer.output_shape(shape)
        return require_shape(after, "output_shape") if is_own(type(layer)) else after
    except (ValueError, ConfigError) as error:  # a residual's own chain has raised the latter
        reason = str(error).removeprefix("network: ")
    raise ConfigError(f"network: layer {name} cannot take rows of shape {shape}: {reason}")


def within(name: str, values: Mapping[str, T]) -> dict[str, T]:
    """Return what stands below "name/", without that prefix."""
    prefix = f"{name}/"
    return {key.removeprefix(prefix): v for key, v in values.items() if key.startswith(prefix)}
