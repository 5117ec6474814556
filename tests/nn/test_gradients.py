"""Every gradient against finite differences, in float64, by random projection.

Two evaluations of a loss along a random direction give the slope that gradient . direction must
equal, for all parameters at once; each learner's loss is compared on its own. A checker that
passes everything proves nothing, so gradients that are wrong on purpose must be refused.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ensemble_pipe.arrays import Array, Floats
from ensemble_pipe.nn import losses
from ensemble_pipe.nn.layers import (
    ACTIVATIONS,
    Chain,
    Dense,
    Flatten,
    Layer,
    ReLU,
    Tanh,
)
from ensemble_pipe.nn.layers.base import Binding
from ensemble_pipe.nn.layout import Layout
from ensemble_pipe.nn.losses import LOSSES
from ensemble_pipe.nn.network import Network
from ensemble_pipe.nn.networks import Mlp
from ensemble_pipe.seeds import Draws, Purpose

STEP = 1e-6
DIRECTIONS = 3

# Each case is a layer with those that it may absorb, and the shape of one row.
LAYERS: dict[str, tuple[list[Layer], tuple[int, ...]]] = {
    "flatten": ([Flatten()], (4, 3, 2)),
    "flatten-flat": ([Flatten()], (5,)),
    "dense": ([Dense(units=3)], (5,)),
    "dense-relu": ([Dense(units=7), ReLU()], (5,)),
    "dense-tanh": ([Dense(units=4), Tanh()], (5,)),
    "dense-one-input": ([Dense(units=6), Tanh()], (1,)),
    "dense-one-unit": ([Dense(units=1)], (6,)),
    **{f"{name}-flat": ([kind()], (5,)) for name, kind in ACTIVATIONS.items()},
    **{f"{name}-image": ([kind()], (4, 3, 2)) for name, kind in ACTIVATIONS.items()},
}

NETWORKS: dict[str, tuple[Mlp, tuple[int, ...]]] = {
    "linear-model": (Mlp(hidden=()), (5,)),
    "relu-flat": (Mlp(hidden=(7,), activation="relu"), (5,)),
    "tanh-flat": (Mlp(hidden=(7,), activation="tanh"), (5,)),
    "relu-deep": (Mlp(hidden=(9, 5, 3), activation="relu"), (5,)),
    "relu-image": (Mlp(hidden=(7,), activation="relu"), (4, 3, 2)),
    "tanh-image-deep": (Mlp(hidden=(5, 3), activation="tanh"), (4, 3, 2)),
}

stacks = pytest.mark.parametrize("learners", [1, 3])
inputs_of_learners = pytest.mark.parametrize("shared", [False, True], ids=["own", "shared"])


def check_gradient(loss: Callable[[Floats], Floats], point: Floats, gradient: Floats) -> None:
    """Refuse a gradient that is not the slope of the loss along random directions.

    Args:
        loss: each learner's loss (M,) at a point.
        point: (M, ...), or (...) shared by all learners.
        gradient: (M, ...).
    """
    random = np.random.default_rng(99)
    for _ in range(DIRECTIONS):
        direction = random.standard_normal(point.shape)
        ahead, behind = loss(point + STEP * direction), loss(point - STEP * direction)
        along = (gradient * direction).reshape(len(gradient), -1).sum(axis=1)
        np.testing.assert_allclose((ahead - behind) / (2 * STEP), along, rtol=1e-6, atol=1e-8)


def draw(*shape: int) -> Floats:
    return np.random.default_rng(sum(shape)).standard_normal(shape)


class LayerCase:
    """Layers bound to M rows, and the loss sum(weights * outputs) of each learner."""

    def __init__(self, layers: list[Layer], inputs: Floats, learners: int) -> None:
        self.chain = Chain(inputs.shape[2:], layers)
        self.layout = Layout(self.chain.parameters)
        self.inputs = inputs
        self.rows = draw(learners, self.layout.size)
        self.learners = learners

    def run(self, rows: Floats, inputs: Floats) -> tuple[Floats, Floats, Floats | None]:
        """Return losses (M,), parameter gradients (M, T) and the input's gradient."""
        gradients = np.full((self.learners, self.layout.trainable), np.nan)
        rows = rows.copy()  # statistics move
        binding = Binding(
            name="",
            input_shape=self.chain.shapes[0],
            learners=self.learners,
            batch_rows=inputs.shape[1],
            dtype=rows.dtype,
            tensors=self.layout.views(rows),
            gradients=self.layout.gradient_views(gradients),
            values={k: np.full(self.learners, v) for k, v in self.chain.values.items()},
            draws=Draws(1, Purpose.LAYER, range(self.learners)),
        )
        bound = self.chain.bind(binding)
        outputs = np.broadcast_to(
            bound.forward(inputs.copy(), 0),
            (self.learners, inputs.shape[1], *self.chain.output_shape),
        )
        weights = np.cos(np.arange(outputs.size, dtype=np.float64)).reshape(outputs.shape)
        values = (weights * outputs).reshape(self.learners, -1).sum(axis=1)
        below = bound.backward(weights)
        return values, gradients, below

    def check(self) -> None:
        _, gradients, below = self.run(self.rows, self.inputs)
        assert below is not None

        def loss_of(trainable: Floats) -> Floats:
            rows = self.rows.copy()
            rows[:, : self.layout.trainable] = trainable
            return self.run(rows, self.inputs)[0]

        check_gradient(loss_of, self.rows[:, : self.layout.trainable], gradients)
        check_gradient(lambda inputs: self.run(self.rows, inputs)[0], self.inputs, below)


class NetworkCase:
    """A network with a loss on a batch."""

    def __init__(
        self, network: Network, loss: str, learners: int = 3, *, shared: bool = False
    ) -> None:
        self.network = network
        self.loss = LOSSES[loss]
        lead = (8,) if shared else (learners, 8)
        self.inputs = draw(*lead, *network.input_shape)
        self.targets = targets_of(loss, learners, 8, network.outputs)
        self.rows = np.stack([network.initialize(3, m, np.float64) for m in range(learners)])
        self.rows += 0.1 * draw(*self.rows.shape)  # biases start at zero

    def run(self, rows: Floats) -> tuple[Floats, Floats]:
        """Return losses (M,) and gradients (M, P)."""
        rows = rows.copy()  # statistics move
        gradients = np.full((len(rows), self.network.layout.trainable), np.nan)
        draws = Draws(1, Purpose.LAYER, range(len(rows)))
        bound = self.network.bind(rows, 8, gradients, draws=draws)
        outputs = bound.forward(self.inputs)
        output_gradient = np.full_like(outputs, np.nan)
        values = np.empty(len(rows))
        self.loss(outputs, self.targets, output_gradient, values)
        bound.backward(output_gradient)
        return values, gradients

    def check(self, spoil: Callable[[Floats], Floats] = lambda gradients: gradients) -> None:
        _, gradients = self.run(self.rows)
        trainable = self.network.layout.trainable

        def loss_of(moving: Floats) -> Floats:
            rows = self.rows.copy()
            rows[:, :trainable] = moving
            return self.run(rows)[0]

        check_gradient(loss_of, self.rows[:, :trainable], spoil(gradients))


def targets_of(loss: str, learners: int, rows: int, outputs: int) -> Array:
    if loss == "squared_error":
        return draw(learners, rows)
    return np.random.default_rng(1).integers(0, outputs, (learners, rows)).astype(np.int32)


def outputs_for(loss: str) -> int:
    return 1 if loss == "squared_error" else 4


@stacks
@inputs_of_learners
@pytest.mark.parametrize("name", LAYERS)
def test_gradient_of_layer(name: str, learners: int, shared: bool) -> None:
    layers, shape = LAYERS[name]
    if shared and not layers[0].shares_inputs:
        pytest.skip("takes each learner's own input only")
    lead = (1, 6) if shared else (learners, 6)
    LayerCase(layers, draw(*lead, *shape), learners).check()


@stacks
@pytest.mark.parametrize("name", LOSSES)
def test_gradient_of_loss(name: str, learners: int) -> None:
    outputs = 2.0 * draw(learners, 7, outputs_for(name))
    targets = targets_of(name, learners, 7, outputs_for(name))

    def loss(point: Floats) -> Floats:
        values = np.empty(learners)
        LOSSES[name](point, targets, np.empty_like(point), values)
        return values

    gradient = np.full_like(outputs, np.nan)
    LOSSES[name](outputs, targets, gradient, np.empty(learners))
    check_gradient(loss, outputs, gradient)


@stacks
@inputs_of_learners
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", NETWORKS)
def test_gradient_of_network(name: str, loss: str, learners: int, shared: bool) -> None:
    mlp, input_shape = NETWORKS[name]
    NetworkCase(mlp.build(input_shape, outputs_for(loss)), loss, learners, shared=shared).check()


def nudge_one_entry(gradients: Floats) -> Floats:
    wrong = gradients.copy()
    place = np.unravel_index(np.abs(wrong).argmax(), wrong.shape)
    wrong[place] *= 1.001
    return wrong


def drop_the_last_bias(gradients: Floats) -> Floats:
    wrong = gradients.copy()
    wrong[:, -1] = 0.0
    return wrong


SPOILED: dict[str, Callable[[Floats], Floats]] = {
    "one entry off by a thousandth": nudge_one_entry,
    "one bias forgotten": drop_the_last_bias,
    "sum for mean": lambda gradients: 8.0 * gradients,
    "wrong sign": lambda gradients: -gradients,
    "learners exchanged": lambda gradients: gradients[::-1].copy(),
    "shifted by one place": lambda gradients: np.roll(gradients, 1, axis=1),
    "all zero": np.zeros_like,
    "not a number": lambda gradients: np.full_like(gradients, np.nan),
    "in half precision": lambda gradients: gradients.astype(np.float16).astype(np.float64),
}


@pytest.mark.parametrize("name", SPOILED)
def test_checker_refuses_a_spoiled_gradient(name: str) -> None:
    case = NetworkCase(Mlp(hidden=(7,)).build((5,), 4), "cross_entropy")
    case.check()
    with pytest.raises(AssertionError):
        case.check(SPOILED[name])


def unmasked(gradient: Floats, outputs: Floats, bias_gradient: Floats) -> None:
    bias_gradient[:] = gradient.sum(axis=1)


def unsquared(gradient: Floats, outputs: Floats, bias_gradient: Floats) -> None:
    gradient *= 1.0 - outputs
    bias_gradient[:] = gradient.sum(axis=1)


def biasless(gradient: Floats, outputs: Floats, bias_gradient: Floats) -> None:
    gradient *= outputs > 0
    bias_gradient[:] = 0.0


def averaged_bias(gradient: Floats, outputs: Floats, bias_gradient: Floats) -> None:
    gradient *= outputs > 0
    bias_gradient[:] = gradient.mean(axis=1)


@pytest.mark.parametrize(
    ("activation", "wrong"),
    [("relu", unmasked), ("tanh", unsquared), ("relu", biasless), ("relu", averaged_bias)],
)
def test_checker_refuses_a_wrong_backward_kernel(
    monkeypatch: pytest.MonkeyPatch, activation: Any, wrong: Callable[..., None]
) -> None:
    kind = ACTIVATIONS[activation]
    monkeypatch.setattr(kind, "backward_kernel", staticmethod(wrong))
    with pytest.raises(AssertionError):
        LayerCase([Dense(units=7), kind()], draw(3, 6, 5), 3).check()
    network = Mlp(hidden=(7,), activation=activation).build((5,), 4)
    with pytest.raises(AssertionError):
        NetworkCase(network, "cross_entropy").check()


def test_checker_refuses_a_loss_gradient_without_its_labels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = LOSSES["cross_entropy"]

    def wrong(outputs: Floats, targets: Array, gradient: Floats, values: Floats) -> None:
        right(outputs, targets, gradient, values)
        np.put_along_axis(gradient, targets[..., None], 0.0, axis=-1)

    monkeypatch.setitem(losses.LOSSES, "cross_entropy", wrong)
    with pytest.raises(AssertionError):
        NetworkCase(Mlp(hidden=(7,)).build((5,), 4), "cross_entropy").check()


def test_checker_refuses_a_gradient_of_another_point() -> None:
    case = NetworkCase(Mlp(hidden=(7,)).build((5,), 4), "cross_entropy")
    _, stale = case.run(case.rows + 1e-3)
    with pytest.raises(AssertionError):
        case.check(lambda gradients: stale)
