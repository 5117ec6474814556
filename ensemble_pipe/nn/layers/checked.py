"""A bound layer of a caller's own, whose arrays are checked before compiled kernels read them."""

from collections.abc import Mapping

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.errors import InputError
from ensemble_pipe.core.messages import list_names
from ensemble_pipe.core.own_code import describe, mark_unwritten, require_array, require_written
from ensemble_pipe.nn.layers.base import Binding, BoundLayer, Layer

_MEMBERS = ("forward", "backward", "outputs_may_change")


def bind_checked(layer: Layer, binding: Binding, output_shape: tuple[int, ...]) -> "CheckedLayer":
    """Bind a layer of a caller's own, and check all that it returns from now on.

    Args:
        layer, binding: as `Layer.bind` takes them.
        output_shape: of one row.

    Raises:
        InputError: `bind` returned nothing that can be trained.
    """
    lent = LentArrays.of(layer, binding)
    bound = layer.bind(binding)
    lacking = [name for name in _MEMBERS if not hasattr(bound, name)]
    if lacking:
        raise InputError(
            f"layer {layer.name!r}: bind returned {describe(bound)}, which lacks "
            f"{list_names(lacking)}"
        )
    return CheckedLayer(layer, bound, binding, output_shape, lent)


class LentArrays:
    """The arrays that a layer was given, which it has to write into and must not replace."""

    def __init__(
        self, what: str, places: Mapping[str, dict[str, Floats]], moving: Mapping[str, Floats]
    ) -> None:
        """Args: the layer, its arrays by name and dictionary, the gradients it must write."""
        self.what = what
        self.places = {name: (arrays, dict(arrays)) for name, arrays in places.items()}
        self.moving = moving

    @classmethod
    def of(cls, layer: Layer, binding: Binding) -> "LentArrays":
        gradients = binding.gradients or {}
        places = {"binding.tensors": binding.tensors, "binding.gradients": gradients}
        moving = {name: gradients[name] for name in gradients if name not in binding.still}
        return cls(f"layer {layer.name!r}", places, moving)

    def require_kept(self, method: str) -> None:
        """Raise InputError where a method has put another array in the place of a given one."""
        for place, (arrays, given) in self.places.items():
            for name, array in given.items():
                if arrays.get(name) is not array:
                    raise InputError(
                        f"{self.what}: {method} put another array in the place of "
                        f"{place}[{name!r}]; write into the given one: "
                        f"{place}[{name!r}][...] = values"
                    )

    def mark(self) -> None:
        for array in self.moving.values():
            mark_unwritten(array)

    def require_written(self) -> None:
        for name, array in self.moving.items():
            require_written(array, f"{self.what}: backward", f"gradients[{name!r}]")


class CheckedLayer:
    """A bound layer that raises InputError where own code breaks the contract of `BoundLayer`.

    Type and shape must be right; an array that is not C-contiguous or cannot be written is copied.
    Whether the gradients of all parameters are written is looked at once, in the first `backward`.
    """

    def __init__(
        self,
        layer: Layer,
        bound: BoundLayer,
        binding: Binding,
        output_shape: tuple[int, ...],
        lent: LentArrays,
    ) -> None:
        self.layer, self.bound, self.lent = layer, bound, lent
        self.lead = (binding.learners, binding.batch_rows)
        self.shapes = (binding.input_shape, output_shape)
        self.dtype = binding.dtype
        self.input_gradient = binding.input_gradient
        self.went_back = False

    @property
    def outputs_may_change(self) -> bool:
        return bool(self.bound.outputs_may_change)

    def forward(self, inputs: Floats, step: int) -> Floats:
        """See `BoundLayer`; what all learners share may stay shared."""
        shared = len(inputs) < self.lead[0]
        outputs: object = self.bound.forward(inputs, step)
        self.lent.require_kept("forward")
        learners, rows = self.lead
        if shared and getattr(outputs, "shape", ())[:1] == inputs.shape[:1]:
            learners = len(inputs)
        return self._array(outputs, "forward", (learners, rows, *self.shapes[1]))

    def backward(self, gradient: Floats) -> Floats | None:
        """See `BoundLayer`; a gradient that nobody wants is dropped."""
        if not self.went_back:
            self.lent.mark()
        below: object = self.bound.backward(gradient)
        self.lent.require_kept("backward")
        if not self.went_back:
            self.lent.require_written()
            self.went_back = True
        if not self.input_gradient:
            return None
        return self._array(below, "backward", (*self.lead, *self.shapes[0]))

    def _array(self, values: object, method: str, shape: tuple[int, ...]) -> Floats:
        return require_array(values, f"layer {self.layer.name!r}: {method}", self.dtype, shape)
