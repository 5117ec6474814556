"""Convolutions against their definition, for every way to compute one.

A convolution is linear in its input and in its kernel, so its gradients must satisfy
<g, x * k'> = <k_gradient, k'> and <g, x' * k> = <x_gradient, x'> for any x' and k'.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.signal import correlate

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.nn.kernels import depthwise
from ensemble_pipe.nn.kernels.patches import make_patch, make_sums
from ensemble_pipe.nn.kernels.window import Padding, SlidingWindow, along
from ensemble_pipe.nn.layers.convolution_methods import (
    ColumnProducts,
    ConvolutionProblem,
    Direct,
    Gradients,
    Method,
    Winograd,
    choose,
)

HEIGHT, WIDTH, IMAGES = 7, 10, 3


class Depthwise:
    """Depthwise kernels in the form of the other methods: x and y have as many channels."""

    def __init__(self, problem: ConvolutionProblem) -> None:
        size, channels = problem.kernel[:2], problem.kernel[2]
        stride, dtype = problem.window.stride, problem.dtype
        self.window = problem.window
        self.patch = make_patch(size, problem.width, stride, channels, dtype)
        self.sums = make_sums(size[0] * size[1], channels, dtype)
        self.gradient_patch = make_patch(size, WIDTH, 1, channels, dtype)

    def convolve(self, x: Floats, kernel: Floats, y: Floats) -> None:
        depthwise.convolve(x, kernel, self.window, y, self.patch)

    def gradients(self, x: Floats, kernel: Floats, by: Gradients) -> None:
        depthwise.kernel_gradient(x, self.window, by.y, by.kernel, self.patch, self.sums)
        if by.x is not None:
            depthwise.input_gradient(kernel, self.window, by.y, by.x, self.gradient_patch)


@dataclass(frozen=True)
class Case:
    """A method and a kernel (kh, kw, C, O) that it is for; O is 0 for depthwise ones."""

    method: Callable[[ConvolutionProblem], Method]
    kernel: tuple[int, int, int, int]
    stride: int
    padding: Padding

    def __str__(self) -> str:
        size = "x".join(str(length) for length in self.kernel)
        return f"{self.method.__name__}-{size}-stride{self.stride}-{self.padding}"

    @property
    def walk(self) -> tuple[SlidingWindow, int, int]:
        rows, top = along(HEIGHT, self.kernel[0], self.stride, self.padding)
        columns, left = along(WIDTH, self.kernel[1], self.stride, self.padding)
        return SlidingWindow(self.stride, top, left), rows, columns

    @property
    def depthwise(self) -> bool:
        return self.method is Depthwise


METHODS: list[
    tuple[Callable[[ConvolutionProblem], Method], list[tuple[int, int, int, int]], list[int]]
] = [
    (ColumnProducts, [(1, 1, 5, 4), (2, 3, 3, 4), (3, 3, 8, 5), (5, 5, 3, 20)], [1, 2, 3]),
    (Direct, [(1, 1, 1, 4), (2, 3, 3, 17), (3, 3, 1, 16), (5, 5, 2, 5)], [1, 2, 3]),
    (Winograd, [(3, 3, 16, 32), (3, 3, 32, 16)], [1]),
    (Depthwise, [(1, 1, 5, 0), (2, 3, 3, 0), (3, 3, 20, 0), (5, 5, 16, 0)], [1, 2, 3]),
]
PADDINGS: list[Padding] = ["same", "valid"]
CASES = [
    Case(method, kernel, stride, padding)
    for method, kernels, strides in METHODS
    for kernel in kernels
    for stride in strides
    for padding in PADDINGS
]
every_case = pytest.mark.parametrize("case", CASES, ids=str)


@dataclass(frozen=True)
class Arrays:
    x: Floats
    kernel: Floats
    gradient: Floats


def draw(case: Case, learners: int, *, shared: bool = False, dtype: type = np.float64) -> Arrays:
    random = np.random.default_rng(learners)
    height, width, channels, filters = case.kernel
    _, rows, columns = case.walk
    shapes = (
        (1 if shared else learners, IMAGES, HEIGHT, WIDTH, channels),
        (learners, height, width, channels) + (() if case.depthwise else (filters,)),
        (learners, IMAGES, rows, columns, channels if case.depthwise else filters),
    )
    return Arrays(*(random.standard_normal(shape).astype(dtype) for shape in shapes))


def bind(case: Case, arrays: Arrays, *, row_products: bool = False) -> Method:
    window, _, columns = case.walk
    return case.method(
        ConvolutionProblem(window, case.kernel, columns, arrays.x.dtype, row_products)
    )


def forward(case: Case, arrays: Arrays, *, row_products: bool = False) -> Floats:
    y = np.full_like(arrays.gradient, np.nan)
    bind(case, arrays, row_products=row_products).convolve(arrays.x, arrays.kernel, y)
    return y


def gradients(case: Case, arrays: Arrays) -> tuple[Floats, Floats]:
    kernel, x = np.full_like(arrays.kernel, np.nan), np.full_like(arrays.x, np.nan)
    by = Gradients(arrays.gradient, kernel, x)
    bind(case, arrays).gradients(arrays.x, arrays.kernel, by)
    return kernel, x


def reference(case: Case, x: Floats, kernel: Floats) -> Floats:
    """y by its definition, from windows of the padded image."""
    window, rows, columns = case.walk
    height, width = case.kernel[:2]
    below = max((rows - 1) * case.stride + height - HEIGHT - window.top, 0)
    right = max((columns - 1) * case.stride + width - WIDTH - window.left, 0)
    padded = np.pad(x, ((0, 0), (0, 0), (window.top, below), (window.left, right), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
    windows = windows[:, :, :: case.stride, :: case.stride]
    formula = "mnhwcij,mijc->mnhwc" if case.depthwise else "mnhwcij,mijco->mnhwo"
    own = np.broadcast_to(windows, (len(kernel), *windows.shape[1:]))
    return np.asarray(np.einsum(formula, own, kernel))


@every_case
@pytest.mark.parametrize("learners", [1, 3])
def test_follows_the_definition(case: Case, learners: int) -> None:
    arrays = draw(case, learners)
    expected = reference(case, arrays.x, arrays.kernel)
    for row_products in (False, True):
        y = forward(case, arrays, row_products=row_products)
        np.testing.assert_allclose(y, expected, atol=1e-12)


@every_case
@pytest.mark.parametrize("learners", [1, 3])
def test_gradients_are_those_of_the_definition(case: Case, learners: int) -> None:
    arrays, other = draw(case, learners), draw(case, learners + 1)
    kernel_gradient, x_gradient = gradients(case, arrays)
    kernel, x = other.kernel[:learners], other.x[:learners]
    axes = (1, 2, 3, 4)
    slope = (arrays.gradient * reference(case, arrays.x, kernel)).sum(axes)
    along_kernel = (kernel_gradient * kernel).reshape(learners, -1).sum(1)
    np.testing.assert_allclose(along_kernel, slope, atol=1e-10)
    slope = (arrays.gradient * reference(case, x, arrays.kernel)).sum(axes)
    np.testing.assert_allclose((x_gradient * x).sum(axes), slope, atol=1e-10)


@every_case
def test_a_learner_of_three_is_bitwise_the_one_alone(case: Case) -> None:
    arrays = draw(case, 3, dtype=np.float32)
    together = (forward(case, arrays), *gradients(case, arrays))
    for m in range(3):
        own = slice(m, m + 1)
        one = Arrays(arrays.x[own].copy(), arrays.kernel[own].copy(), arrays.gradient[own].copy())
        alone = (forward(case, one), *gradients(case, one))
        for stacked, single in zip(together, alone, strict=True):
            assert stacked[m].tobytes() == single[0].tobytes()


@every_case
def test_a_shared_input_gives_what_copies_of_it_give(case: Case) -> None:
    shared = draw(case, 3, shared=True, dtype=np.float32)
    copies = Arrays(np.repeat(shared.x, 3, axis=0), shared.kernel, shared.gradient)
    assert forward(case, shared).tobytes() == forward(case, copies).tobytes()
    kernel_gradient = np.full_like(shared.kernel, np.nan)
    method = bind(case, shared)
    by = Gradients(shared.gradient, kernel_gradient, None)
    method.gradients(shared.x, shared.kernel, by)
    assert kernel_gradient.tobytes() == gradients(case, copies)[0].tobytes()


@pytest.mark.parametrize("case", [c for c in CASES if c.stride == 1], ids=str)
def test_float32_is_as_exact_as_sums_in_order(case: Case) -> None:
    arrays = draw(case, 1, dtype=np.float32)
    exact = reference(case, arrays.x.astype(np.float64), arrays.kernel.astype(np.float64))
    terms = case.kernel[0] * case.kernel[1] * (1 if case.depthwise else case.kernel[2])
    tolerance = 4 * np.finfo(np.float32).eps * np.sqrt(terms) * np.abs(exact).max()
    assert np.abs(forward(case, arrays) - exact).max() < tolerance


# An even kernel is left out: scipy puts its odd zero before the image.
ODD_CASES = [c for c in CASES if c.stride == 1 and not c.depthwise and c.kernel[0] % 2 == 1]


@pytest.mark.parametrize("case", ODD_CASES, ids=str)
def test_agrees_with_scipy(case: Case) -> None:
    arrays = draw(case, 1)
    image, kernel = arrays.x[0, 0], arrays.kernel[0, ..., 0]
    want = sum(
        correlate(image[..., c], kernel[..., c], mode=case.padding) for c in range(case.kernel[2])
    )
    np.testing.assert_allclose(forward(case, arrays)[0, 0, ..., 0], want, atol=1e-12)


@pytest.mark.parametrize(
    ("kernel", "stride", "method"),
    [
        ((3, 3, 32, 64), 1, Winograd),
        ((3, 3, 32, 64), 2, ColumnProducts),
        ((3, 3, 24, 64), 1, ColumnProducts),
        ((3, 3, 256, 256), 1, ColumnProducts),
        ((1, 1, 32, 64), 1, ColumnProducts),
        ((5, 5, 3, 32), 1, Direct),
    ],
)
def test_shapes_choose_the_method(
    kernel: tuple[int, int, int, int], stride: int, method: type
) -> None:
    window = SlidingWindow(stride, 0, 0)
    assert type(choose(ConvolutionProblem(window, kernel, 14, np.dtype(np.float32)))) is method


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "outputs", "before"),
    [
        (28, 3, 1, "same", 28, 1),
        (28, 3, 2, "same", 14, 0),  # one zero in all: it goes after
        (7, 3, 2, "same", 4, 1),
        (7, 2, 1, "same", 7, 0),
        (7, 5, 3, "valid", 1, 0),
        (7, 1, 3, "same", 3, 0),
        (2, 3, 1, "valid", 0, 0),
    ],
)
def test_same_padding_puts_an_odd_zero_after(
    size: int, kernel: int, stride: int, padding: Padding, outputs: int, before: int
) -> None:
    assert along(size, kernel, stride, padding) == (outputs, before)
