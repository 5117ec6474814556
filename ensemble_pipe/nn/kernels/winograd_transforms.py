"""The linear maps of Winograd's F(2x2, 3x3), each for one row of tiles; see `winograd`.

Transforms are planes (16, T, channels): plane 4 i + j holds place (i, j) of each tile. All work on
whole vectors of channels.
"""

from typing import Any

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.compilation import kernel as compiled
from ensemble_pipe.nn.kernels.lanes import clear, copy, lane_count, load, store, zero_lanes


@compiled
def _bt(a: Any, b: Any, c: Any, d: Any) -> tuple[Any, Any, Any, Any]:
    return a - c, b + c, c - b, d - b


@compiled
def _b(a: Any, b: Any, c: Any, d: Any) -> tuple[Any, Any, Any, Any]:
    return a, (b - c) - d, (b + c) - a, d


@compiled
def _at(a: Any, b: Any, c: Any, d: Any) -> tuple[Any, Any]:
    return (a + b) + c, (b - c) + d


@compiled
def _a(a: Any, b: Any) -> tuple[Any, Any, Any, Any]:
    return a, a + b, a - b, b


@compiled
def _load_four(array: Floats, at: int, step: int) -> tuple[Any, Any, Any, Any]:
    return (
        load(array, at),
        load(array, at + step),
        load(array, at + 2 * step),
        load(array, at + 3 * step),
    )


@compiled
def _store_four(array: Floats, to: int, step: int, values: tuple[Any, Any, Any, Any]) -> None:
    store(array, to, values[0])
    store(array, to + step, values[1])
    store(array, to + 2 * step, values[2])
    store(array, to + 3 * step, values[3])


@compiled
def _add_four(array: Floats, to: int, step: int, values: tuple[Any, Any, Any, Any]) -> None:
    old = _load_four(array, to, step)
    store(array, to, old[0] + values[0])
    store(array, to + step, old[1] + values[1])
    store(array, to + 2 * step, old[2] + values[2])
    store(array, to + 3 * step, old[3] + values[3])


@compiled
def kernel(weights: Floats, out: Floats) -> None:
    """out (16, C, O) = G g G^T for a kernel g (3, 3, C, O)."""
    half = out.dtype.type(0.5)
    for c in range(out.shape[1]):
        for o in range(out.shape[2]):
            for j in range(3):
                g0, g1, g2 = weights[0, j, c, o], weights[1, j, c, o], weights[2, j, c, o]
                out[j, c, o] = g0
                out[4 + j, c, o] = ((g0 + g2) + g1) * half
                out[8 + j, c, o] = ((g0 + g2) - g1) * half
                out[12 + j, c, o] = g2
    for i in range(0, 16, 4):
        for c in range(out.shape[1]):
            for o in range(out.shape[2]):
                g0, g1, g2 = out[i, c, o], out[i + 1, c, o], out[i + 2, c, o]
                out[i + 1, c, o] = ((g0 + g2) + g1) * half
                out[i + 2, c, o] = ((g0 + g2) - g1) * half
                out[i + 3, c, o] = g2


@compiled
def kernel_gradient(products: Floats, out: Floats) -> None:
    """out (3, 3, C, O) = G^T p G for the gradient p (16, C, O) of a transformed kernel.

    The products are overwritten.
    """
    half = out.dtype.type(0.5)
    for i in range(0, 16, 4):
        for c in range(out.shape[2]):
            for o in range(out.shape[3]):
                p1, p2 = products[i + 1, c, o], products[i + 2, c, o]
                products[i, c, o] += (p1 + p2) * half
                products[i + 1, c, o] = (p1 - p2) * half
                products[i + 2, c, o] = products[i + 3, c, o] + (p1 + p2) * half
    for c in range(out.shape[2]):
        for o in range(out.shape[3]):
            for j in range(3):
                p1, p2 = products[4 + j, c, o], products[8 + j, c, o]
                out[0, j, c, o] = products[j, c, o] + (p1 + p2) * half
                out[1, j, c, o] = (p1 - p2) * half
                out[2, j, c, o] = products[12 + j, c, o] + (p1 + p2) * half


@compiled
def inputs(patch: Floats, out: Floats, first: int) -> None:
    """out[:, first + t] (16, ..., C) = B^T d B for the tiles t of a patch (4, columns, C)."""
    channels = patch.shape[2]
    row, plane = patch.shape[1] * channels, out.shape[1] * channels
    for t in range((patch.shape[1] - 2) // 2):
        for c in range(0, channels, lane_count(patch)):
            at, to = 2 * t * channels + c, (first + t) * channels + c
            d0 = _bt(*_load_four(patch, at, row))
            d1 = _bt(*_load_four(patch, at + channels, row))
            d2 = _bt(*_load_four(patch, at + 2 * channels, row))
            d3 = _bt(*_load_four(patch, at + 3 * channels, row))
            for i in range(4):
                _store_four(out, to + 4 * i * plane, plane, _bt(d0[i], d1[i], d2[i], d3[i]))


@compiled
def outputs(products: Floats, first: int, image: Floats, top: int) -> None:
    """Rows top and top + 1 of an image (OH, OW, O) = A^T p A of products (16, ..., O)."""
    height, width, channels = image.shape
    row, plane = width * channels, products.shape[1] * channels
    for t in range((width + 1) // 2):
        for c in range(0, channels, lane_count(image)):
            at, to = (first + t) * channels + c, (top * width + 2 * t) * channels + c
            p0 = _at(*_load_four(products, at, 4 * plane))
            p1 = _at(*_load_four(products, at + plane, 4 * plane))
            p2 = _at(*_load_four(products, at + 2 * plane, 4 * plane))
            p3 = _at(*_load_four(products, at + 3 * plane, 4 * plane))
            upper, lower = _at(p0[0], p1[0], p2[0], p3[0]), _at(p0[1], p1[1], p2[1], p3[1])
            store(image, to, upper[0])
            if 2 * t + 1 < width:
                store(image, to + channels, upper[1])
            if top + 1 < height:
                store(image, to + row, lower[0])
                if 2 * t + 1 < width:
                    store(image, to + row + channels, lower[1])


@compiled
def gradients(image: Floats, top: int, out: Floats, first: int) -> None:
    """out[:, first + t] (16, ..., O) = A g A^T for the tiles t of rows top and top + 1."""
    height, width, channels = image.shape
    row, plane = width * channels, out.shape[1] * channels
    zero = zero_lanes(image)
    below = top + 1 < height
    for t in range((width + 1) // 2):
        right = 2 * t + 1 < width
        for c in range(0, channels, lane_count(image)):
            at, to = (top * width + 2 * t) * channels + c, (first + t) * channels + c
            g00 = load(image, at)
            g01 = load(image, at + channels) if right else zero
            g10 = load(image, at + row) if below else zero
            g11 = load(image, at + row + channels) if right and below else zero
            g0, g1 = _a(g00, g10), _a(g01, g11)
            for i in range(4):
                _store_four(out, to + 4 * i * plane, plane, _a(g0[i], g1[i]))


@compiled
def add_input_gradients(products: Floats, first: int, patch: Floats) -> None:
    """Add B p B^T of products (16, ..., C) to the tiles of a patch (4, columns, C)."""
    channels = patch.shape[2]
    row, plane = patch.shape[1] * channels, products.shape[1] * channels
    for t in range((patch.shape[1] - 2) // 2):
        for c in range(0, channels, lane_count(patch)):
            at, to = (first + t) * channels + c, 2 * t * channels + c
            p0 = _b(*_load_four(products, at, 4 * plane))
            p1 = _b(*_load_four(products, at + plane, 4 * plane))
            p2 = _b(*_load_four(products, at + 2 * plane, 4 * plane))
            p3 = _b(*_load_four(products, at + 3 * plane, 4 * plane))
            for i in range(4):
                _add_four(patch, to + i * row, channels, _b(p0[i], p1[i], p2[i], p3[i]))


@compiled
def carry(patch: Floats, fresh: bool) -> None:
    """Move the lower half of a patch up, or clear it for a fresh image; clear the lower half."""
    half = patch.size // 2
    if fresh:
        clear(patch, 0, half)
    else:
        copy(patch, 0, patch, half, half)
    clear(patch, half, half)


@compiled
def write_rows(patch: Floats, count: int, image: Floats, top: int, left: int) -> None:
    """Copy the first rows of a patch to rows `top` on of an image (H, W, C), where there are."""
    height, width, channels = image.shape
    for k in range(count):
        if 0 <= top + k < height:
            at = (k * patch.shape[1] + left) * channels
            copy(image, (top + k) * width * channels, patch, at, width * channels)
