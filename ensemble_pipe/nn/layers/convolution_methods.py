"""Algorithms of convolution (im2col, direct, Winograd), and the choice between them.

The choice depends on shapes alone, so that a learner's bits do not depend on its company.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.nn.kernels import convolution, direct, winograd
from ensemble_pipe.nn.kernels.patches import make_patch, make_sums
from ensemble_pipe.nn.kernels.window import SlidingWindow

# Up to so many channels, sums in registers are faster than products of gathered columns.
FEW_CHANNELS = 4


@dataclass(frozen=True)
class ConvolutionProblem:
    """What a convolution has to compute.

    Attributes:
        window: how it walks.
        kernel: its shape (kh, kw, C, O).
        width: of the output, OW.
        dtype: of all arrays.
        row_products: as in `Binding`.
    """

    window: SlidingWindow
    kernel: tuple[int, int, int, int]
    width: int
    dtype: np.dtype[np.floating]
    row_products: bool = False


class Gradients(NamedTuple):
    """The gradients of a convolution.

    Attributes:
        y: (M, N, OH, OW, O), given.
        kernel: (M, kh, kw, C, O), written.
        x: (M, N, H, W, C), written, or None where it is not needed.
    """

    y: Floats
    kernel: Floats
    x: Floats | None


class Method(Protocol):
    """Works on x (A, N, H, W, C), kernels (M, kh, kw, C, O) and y (M, N, OH, OW, O)."""

    def convolve(self, x: Floats, kernel: Floats, y: Floats) -> None: ...

    def gradients(self, x: Floats, kernel: Floats, by: Gradients) -> None:
        """Write the gradients with respect to the kernel and x, from that with respect to y."""
        ...


def choose(problem: ConvolutionProblem) -> Method:
    """Return the fastest method for a problem."""
    kernel_height, kernel_width, channels, filters = problem.kernel
    whole = channels % winograd.CHANNELS == 0 and filters % winograd.CHANNELS == 0
    fits = whole and channels * filters <= winograd.LARGEST_KERNEL
    if (kernel_height, kernel_width) == (3, 3) and problem.window.stride == 1 and fits:
        return Winograd(problem)
    return Direct(problem) if channels <= FEW_CHANNELS else ColumnProducts(problem)


class ColumnProducts:
    """Products of gathered columns: any convolution."""

    def __init__(self, problem: ConvolutionProblem) -> None:
        self.window = problem.window
        pointwise = problem.kernel[:2] == (1, 1) and problem.window == SlidingWindow(1, 0, 0)
        self.work = convolution.columns_work(
            problem.kernel, problem.width, pointwise, problem.row_products, problem.dtype
        )

    def convolve(self, x: Floats, kernel: Floats, y: Floats) -> None:
        convolution.convolve(x, kernel, self.window, y, self.work)

    def gradients(self, x: Floats, kernel: Floats, by: Gradients) -> None:
        convolution.kernel_gradient(x, self.window, by.y, by.kernel, self.work)
        if by.x is not None:
            convolution.input_gradient(kernel, self.window, by.y, by.x, self.work)


class Direct:
    """Sums in registers; the gradient of x, which a first layer does not need, by columns."""

    def __init__(self, problem: ConvolutionProblem) -> None:
        self.window = problem.window
        height, width, channels, filters = problem.kernel
        stride, dtype = problem.window.stride, problem.dtype
        self.patch = make_patch((height, width), problem.width, stride, channels, dtype)
        self.sums = make_sums(height * width * channels, filters, dtype)
        self.columns = ColumnProducts(problem)

    def convolve(self, x: Floats, kernel: Floats, y: Floats) -> None:
        direct.convolve(x, kernel, self.window, y, self.patch)

    def gradients(self, x: Floats, kernel: Floats, by: Gradients) -> None:
        direct.kernel_gradient(x, self.window, by.y, by.kernel, self.patch, self.sums)
        if by.x is not None:
            convolution.input_gradient(kernel, self.window, by.y, by.x, self.columns.work)


class Winograd:
    """Winograd's F(2x2, 3x3)."""

    def __init__(self, problem: ConvolutionProblem) -> None:
        self.window = problem.window
        self.nothing = np.empty((0,) * 5, problem.dtype)
        self.work = winograd.winograd_work(
            problem.width, *problem.kernel[2:], problem.row_products, problem.dtype
        )

    def convolve(self, x: Floats, kernel: Floats, y: Floats) -> None:
        winograd.convolve(x, kernel, self.window, y, self.work)

    def gradients(self, x: Floats, kernel: Floats, by: Gradients) -> None:
        x_gradient = self.nothing if by.x is None else by.x
        winograd.gradients(x, kernel, self.window, by.y, by.kernel, x_gradient, self.work)
