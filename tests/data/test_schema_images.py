"""The schema of images, which stay bytes until they are read."""

import numpy as np
import pytest
from fitted_schemas import TRAIN, fit_images, images, place, table
from tables_as_rows import batch_of, image_table

from ensemble_pipe.core.errors import ConfigError, DataError
from ensemble_pipe.data.tables.scaling import (
    Pca,
    Quantile,
    RangeScale,
    RobustClip,
    Scale,
    Standardize,
    Zca,
)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", [Standardize(), RangeScale(low=-1, high=1)])
def test_images_stay_bytes_and_are_scaled_per_channel_when_read(
    channels: int, scale: Scale
) -> None:
    values = images(channels)
    schema = fit_images(values, scale)
    encoded = schema.encode_inputs(batch_of(image_table(values)), place)
    assert encoded.dtype == np.uint8
    assert np.array_equal(encoded, values)
    factor, shift = schema.input_scale()
    assert factor.shape == shift.shape == (4, 5, channels)
    assert factor.dtype == shift.dtype == np.float32
    scaled = encoded * factor + shift
    if isinstance(scale, RangeScale):
        assert scaled == pytest.approx(values / 127.5 - 1, abs=1e-6)
    else:
        assert scaled[TRAIN].mean((0, 1, 2)) == pytest.approx(0, abs=1e-4)
        assert scaled[TRAIN].std((0, 1, 2)) == pytest.approx(1, abs=1e-4)
    assert (schema.spans, schema.encoded_names, schema.feature_names) == ((), (), ())


def test_images_are_not_copied() -> None:
    block = batch_of(image_table(images(3)))
    encoded = fit_images(images(3), Standardize()).encode_inputs(block, place)
    assert np.shares_memory(encoded, block.column(0).to_numpy_ndarray())


@pytest.mark.parametrize(
    "scale", [Pca(), Zca(), RobustClip(), Quantile()], ids=lambda scale: scale.name
)
def test_what_mixes_or_bends_columns_is_not_for_images(scale: Scale) -> None:
    with pytest.raises(ConfigError, match=f"scale: {scale.name} is for tables; images take"):
        fit_images(images(1), scale)


def test_other_images_are_refused() -> None:
    schema = fit_images(images(1), Standardize())
    turned = np.ones((2, 5, 4, 1), np.uint8)
    message = r"^new\.csv: row 0 .*: images of shape \(5, 4, 1\), but the training data has \(4, 5,"
    with pytest.raises(DataError, match=message):
        schema.encode_inputs(batch_of(image_table(turned)), place)
    floats = batch_of(image_table(np.ones((2, 4, 5, 1))))
    with pytest.raises(DataError, match=r"images of .*double.*; uint8 is needed"):
        schema.encode_inputs(floats, place)
    with pytest.raises(DataError, match="has no column 'image'"):
        schema.encode_inputs(batch_of(table()), place)
