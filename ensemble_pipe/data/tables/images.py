"""Images as inputs: the scaling of their channels, fitted, and their encoding."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ensemble_pipe.core.errors import ConfigError, DataError
from ensemble_pipe.data.sources.rows import IMAGE, Place, Rows
from ensemble_pipe.data.tables.encoding import require_block
from ensemble_pipe.data.tables.scale_fitting import fit_pixels
from ensemble_pipe.data.tables.scaling import Pca, Quantile, RobustClip, Scale, Scaling, Zca
from ensemble_pipe.data.tables.training_rows import Train, training_blocks

_PIXELS = 1 << 20  # summed up at a time


def fit_images(
    rows: Rows, train: Train, scales: Sequence[Scale]
) -> tuple[tuple[int, ...], tuple[Scaling, ...]]:
    """Return the shape (H, W, C) of the images, and each scaling of their channels.

    Raises:
        ConfigError: the scale is not for images.
        DataError: the pixels are not uint8.
    """
    for scale in scales:
        if isinstance(scale, Pca | Zca | RobustClip | Quantile):
            raise ConfigError(
                f"scale: {scale.name} is for tables; images take standardize or range"
            )
    kind = rows.schema.field(IMAGE).type
    if kind.value_type != pa.uint8() or len(kind.shape) != 3:
        raise DataError(
            f"{rows.where}: images of {kind.value_type} and shape {tuple(kind.shape)}; uint8 "
            "(height, width, channels) is needed"
        )
    shape = tuple(int(length) for length in kind.shape)
    sums, squares = np.zeros(shape[2], np.int64), np.zeros(shape[2], np.int64)
    for block, kept, place in training_blocks(rows, (IMAGE,), train):
        pixels = images_of(block, place)[kept].reshape(-1, shape[2])
        for start in range(0, len(pixels), _PIXELS):
            part = pixels[start : start + _PIXELS]
            for channel in range(shape[2]):
                counts = np.bincount(part[:, channel], minlength=256)
                sums[channel] += counts @ np.arange(256)
                squares[channel] += counts @ np.arange(256) ** 2
    count = int(train.sum()) * shape[0] * shape[1]
    return shape, tuple(fit_pixels(scale, sums, squares, count) for scale in scales)


def images_of(block: pa.RecordBatch, place: Place) -> npt.NDArray[np.uint8]:
    """Return the images (n, H, W, C) of a block, without a copy.

    Raises:
        DataError: an image is missing.
    """
    column = block.column(IMAGE)
    if column.null_count:
        row = int(column.is_null().to_numpy(zero_copy_only=False).argmax())
        raise DataError(f"{place(row)}: the image is missing; remove such rows")
    images: npt.NDArray[np.uint8] = column.to_numpy_ndarray()
    return images


def require_images(kind: pa.DataType, shape: Sequence[int], where: str) -> None:
    """Check that images are uint8 of the shape (H, W, C) of the training data.

    Raises:
        DataError: names the type or the shape.
    """
    if not isinstance(kind, pa.FixedShapeTensorType) or kind.value_type != pa.uint8():
        raise DataError(f"{where}: images of {kind}; uint8 is needed")
    if tuple(kind.shape) != tuple(shape):
        raise DataError(
            f"{where}: images of shape {tuple(kind.shape)}, "
            f"but the training data has {tuple(shape)}"
        )


def encode_images(
    block: pa.RecordBatch, shape: Sequence[int], place: Place
) -> npt.NDArray[np.uint8]:
    """Return the images (n, H, W, C) of a block, not copied and not scaled.

    Raises:
        DataError: they are of another shape than (H, W, C), or one is missing.
    """
    require_block(block, (IMAGE,), place)
    kind = block.schema.field(IMAGE).type
    if kind != pa.fixed_shape_tensor(pa.uint8(), shape):
        require_images(kind, shape, place(0))
    return np.ascontiguousarray(images_of(block, place))
