"""Losses: the mean over a batch, and its gradient with respect to the outputs.

Every loss has the form loss(outputs, targets, gradient, losses): it writes the gradient
(M, N, O) and each learner's loss (M,) in float64, and allocates nothing.

- `cross_entropy`: -log softmax(z)_y, in nats (Goodfellow, Bengio & Courville 2016, 6.2.2.3);
  targets are class numbers (M, N).
- `squared_error`: half the squared difference, summed over outputs (Bishop 2006, eq. 5.11);
  targets are numbers (M, N), for networks with O = 1.
"""

from collections.abc import Callable

from ensemble_pipe.arrays import Array, Floats
from ensemble_pipe.nn.kernels import losses as kernels

Loss = Callable[[Floats, Array, Floats, Floats], None]

LOSSES: dict[str, Loss] = {
    "cross_entropy": kernels.softmax_cross_entropy,
    "squared_error": kernels.squared_error,
}
