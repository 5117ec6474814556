"""A learned scale of each feature."""

from typing import Literal

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.kernels import parametric as kernels
from ensemble_pipe.nn.layers.base import Binding, Layer, RateFactor
from ensemble_pipe.nn.layers.contiguous import Contiguous
from ensemble_pipe.nn.layout import Parameter


@settings
class FeatureScale(Layer):
    """y = s x, with a learned scale s (M, C) of each feature or channel that starts at 1.

    In front of a network it chooses features softly: weight decay shrinks the scale of those that
    do not help. Holzmueller, Grinsztajn & Steinwart 2024, "Better by default", section 3.2.

    Attributes:
        rate: factor of the learning rate of the scales.
    """

    name: Literal["feature_scale"] = "feature_scale"
    rate: RateFactor = 1.0

    shares_inputs = True
    row_wise = True

    def parameters(self, input_shape: tuple[int, ...]) -> tuple[Parameter, ...]:
        size = input_shape[-1:]
        return (
            Parameter("scale", size, "ones", decays=True, rate_factor=self.rate, begins_alike=True),
        )

    def bind(self, binding: Binding) -> "BoundFeatureScale":
        return BoundFeatureScale(binding)


class BoundFeatureScale:
    """Scales with the inputs of the last batch."""

    outputs_may_change = True

    def __init__(self, binding: Binding) -> None:
        self.scale = Contiguous(binding.tensors["scale"])
        self.outputs = binding.buffer(*binding.input_shape)
        self.flat = self.outputs.reshape(binding.learners, -1, binding.input_shape[-1])
        self.input_gradient = binding.input_gradient
        if binding.gradients is not None:
            self.scale_gradient = Contiguous(binding.gradients["scale"])

    def forward(self, inputs: Floats, step: int) -> Floats:
        self.inputs = inputs.reshape(len(inputs), *self.flat.shape[1:])
        kernels.scale_features(self.inputs, self.scale.read(), self.flat)
        return self.outputs

    def backward(self, gradient: Floats) -> Floats | None:
        flat = gradient.reshape(self.flat.shape)
        kernels.scale_features_backward(
            flat, self.inputs, self.scale.array, self.scale_gradient.array
        )
        self.scale_gradient.write()
        return gradient if self.input_gradient else None
