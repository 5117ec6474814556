"""The sliding window of a kernel over an image: stride and padding."""

from typing import Literal, NamedTuple

Padding = Literal["same", "valid"]


class SlidingWindow(NamedTuple):
    """Output pixel (i, j) covers the inputs from row i stride - top and column j stride - left on.

    Attributes:
        stride: inputs from one output to the next.
        top, left: rows and columns of zeros before the first.
    """

    stride: int
    top: int
    left: int


def along(size: int, kernel: int, stride: int, padding: Padding) -> tuple[int, int]:
    """Return the number of outputs along one axis, and of zeros before its first input.

    "valid" uses no zeros; "same" gives ceil(size / stride) outputs, and an odd zero goes after
    (as TensorFlow does). The number of outputs is below 1 where the kernel does not fit.
    """
    if padding == "valid":
        return (size - kernel) // stride + 1, 0
    outputs = -(-size // stride)
    return outputs, max((outputs - 1) * stride + kernel - size, 0) // 2
