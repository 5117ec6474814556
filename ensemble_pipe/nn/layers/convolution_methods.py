"""Ways to compute a convolution, and the choice between them.

The choice depends on shapes alone, so that a learner's bits do not depend on its company.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.nn.kernels import convolution, direct, winograd
from ensemble_pipe.nn.kernels.patches import make_patch, make_sums
from ensemble_pipe.nn.kernels.window import Window

# Up to so many channels, sums in registers are faster than products of gathered columns.
FEW_CHANNELS = 4


@dataclass(frozen=True)
class Problem:
    """The shapes of a convolution: window, kernel (kh, kw, C, O), output width OW, and dtype."""

    window: Window
    kernel: tuple[int, int, int, int]
    width: int
    dtype: np.dtype[np.floating]


class Method(Protocol):
    """Works on x (A, N, H, W, C), kernels (M, kh, kw, C, O) and y (M, N, OH, OW, O)."""

    def convolve(self, x: Floats, kernel: Floats, y: Floats) -> None: ...

    def gradients(
        self,
        x: Floats,
        kernel: Floats,
        gradient: Floats,
        kernel_gradient: Floats,
        x_gradient: Floats | None,
    ) -> None:
        """Write the kernel's gradient and, unless None, x's from that with respect to y."""
        ...


def choose(problem: Problem) -> Method:
    """Return the method that is fastest for a problem."""
    kernel_height, kernel_width, channels, filters = problem.kernel
    whole = channels % winograd.CHANNELS == 0 and filters % winograd.CHANNELS == 0
    fits = whole and channels * filters <= winograd.LARGEST_KERNEL
    if (kernel_height, kernel_width) == (3, 3) and problem.window.stride == 1 and fits:
        return Winograd(problem)
    return Direct(problem) if channels <= FEW_CHANNELS else Columns(problem)


class Columns:
    """Products of gathered columns: any convolution."""

    def __init__(self, problem: Problem) -> None:
        self.window = problem.window
        pointwise = problem.kernel[:2] == (1, 1) and problem.window == Window(1, 0, 0)
        self.work = convolution.columns_work(
            problem.kernel, problem.width, pointwise, problem.dtype
        )

    def convolve(self, x: Floats, kernel: Floats, y: Floats) -> None:
        convolution.convolve(x, kernel, self.window, y, self.work)

    def gradients(
        self,
        x: Floats,
        kernel: Floats,
        gradient: Floats,
        kernel_gradient: Floats,
        x_gradient: Floats | None,
    ) -> None:
        convolution.kernel_gradient(x, self.window, gradient, kernel_gradient, self.work)
        if x_gradient is not None:
            convolution.input_gradient(kernel, self.window, gradient, x_gradient, self.work)


class Direct:
    """Sums in registers; the gradient of x, which a first layer does not need, by columns."""

    def __init__(self, problem: Problem) -> None:
        self.window = problem.window
        height, width, channels, filters = problem.kernel
        stride, dtype = problem.window.stride, problem.dtype
        self.patch = make_patch((height, width), problem.width, stride, channels, dtype)
        self.sums = make_sums(height * width * channels, filters, dtype)
        self.columns = Columns(problem)

    def convolve(self, x: Floats, kernel: Floats, y: Floats) -> None:
        direct.convolve(x, kernel, self.window, y, self.patch)

    def gradients(
        self,
        x: Floats,
        kernel: Floats,
        gradient: Floats,
        kernel_gradient: Floats,
        x_gradient: Floats | None,
    ) -> None:
        direct.kernel_gradient(x, self.window, gradient, kernel_gradient, self.patch, self.sums)
        if x_gradient is not None:
            work = self.columns.work
            convolution.input_gradient(kernel, self.window, gradient, x_gradient, work)


class Winograd:
    """Winograd's F(2x2, 3x3)."""

    def __init__(self, problem: Problem) -> None:
        self.window = problem.window
        self.nothing = np.empty((0,) * 5, problem.dtype)
        self.work = winograd.winograd_work(problem.width, *problem.kernel[2:], problem.dtype)

    def convolve(self, x: Floats, kernel: Floats, y: Floats) -> None:
        winograd.convolve(x, kernel, self.window, y, self.work)

    def gradients(
        self,
        x: Floats,
        kernel: Floats,
        gradient: Floats,
        kernel_gradient: Floats,
        x_gradient: Floats | None,
    ) -> None:
        below = self.nothing if x_gradient is None else x_gradient
        winograd.gradients(x, kernel, self.window, gradient, kernel_gradient, below, self.work)
