"""From stored rows to those of another scale: what a schema of that scale would have stored."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fitted_schemas import ROLES, ROWS, TRAIN, images, mixed, place, table
from tables_as_rows import batch_of, image_table, rows_of

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.errors import ConfigError, CorruptFileError
from ensemble_pipe.data.rescaling import rescaling_of
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.tables.columns import Roles
from ensemble_pipe.data.tables.scaling import (
    Pca,
    Quantile,
    RangeScale,
    RobustClip,
    Scale,
    Standardize,
)
from ensemble_pipe.data.tables.side_columns import read_targets

FURTHER: list[Scale] = [Standardize(), RangeScale(), RobustClip(), Quantile()]
WANTED: list[Scale] = [*FURTHER, RangeScale(low=-1.0, high=2.0)]
STORED: list[Scale] = [Standardize(), RangeScale(low=-2.0, high=5.0)]


def fit(values: Any, roles: Roles, stored: Scale, further: list[Scale]) -> Schema:
    rows = rows_of(values)
    targets = read_targets(rows, roles)
    return Schema.fit(rows, roles, "regression", TRAIN, stored, targets, further=further)


def rescaled(schema: Schema, scale: Scale, rows: Floats) -> Floats:
    rescaling, out = rescaling_of(schema, scale), np.empty_like(rows)
    assert rescaling is not None
    rescaling.apply(rows, out)
    return out


@pytest.mark.parametrize("wanted", WANTED, ids=repr)
@pytest.mark.parametrize("stored", STORED, ids=repr)
def test_rows_are_those_of_a_schema_of_the_other_scale(stored: Scale, wanted: Scale) -> None:
    values, roles = mixed(ROWS)
    block = batch_of(values)
    schema = fit(values, roles, stored, FURTHER)
    rows = schema.encode_inputs(block, place)
    expected = fit(values, roles, wanted, []).encode_inputs(block, place)
    found = rescaled(schema, wanted, rows)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-5)
    others = np.setdiff1d(np.arange(rows.shape[1]), schema.number_places)
    assert len(others) == 7
    assert np.array_equal(found[:, others], expected[:, others])


@pytest.mark.parametrize("wanted", WANTED, ids=repr)
@pytest.mark.parametrize("stored", STORED, ids=repr)
def test_constant_columns_and_rows_far_away_are_scaled_too(stored: Scale, wanted: Scale) -> None:
    values = table(np.random.default_rng(3).normal(size=ROWS))  # c is 7, later rows lie far away
    block = batch_of(values)
    schema = fit(values, ROLES, stored, FURTHER)
    expected = fit(values, ROLES, wanted, []).encode_inputs(block, place)
    found = rescaled(schema, wanted, schema.encode_inputs(block, place))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-5)
    assert np.array_equal(found[:, 2], expected[:, 2])


@pytest.mark.parametrize("wanted", WANTED, ids=repr)
def test_a_row_has_the_same_bits_among_any_others(wanted: Scale) -> None:
    values, roles = mixed(ROWS)
    schema = fit(values, roles, Standardize(), FURTHER)
    rows = schema.encode_inputs(batch_of(values), place)
    whole = rescaled(schema, wanted, rows)
    alone = [rescaled(schema, wanted, rows[n : n + 1])[0] for n in range(ROWS)]
    assert np.array_equal(whole, alone)
    stacked = rescaled(schema, wanted, np.stack([rows[::-1], rows]))
    assert np.array_equal(stacked, np.stack([whole[::-1], whole]))


@pytest.mark.parametrize("wanted", [Standardize(), RangeScale(), RangeScale(low=-1.0)], ids=repr)
def test_images_are_scaled_by_channel(wanted: Scale) -> None:
    def scaled(pixels: Array, schema: Schema) -> Floats:
        scale, shift = schema.input_scale()
        return pixels * scale + shift

    pixels, roles = images(3), Roles(("image",), "y")
    values = image_table(pixels, y=np.random.default_rng(5).normal(size=ROWS))
    schema = fit(values, roles, Standardize(), [Standardize(), RangeScale()])
    expected = scaled(pixels, fit(values, roles, wanted, []))
    found = rescaled(schema, wanted, scaled(pixels, schema))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_the_largest_numbers_stay_finite() -> None:
    values, roles = mixed(ROWS)
    schema = fit(values, roles, RangeScale(), FURTHER)
    largest = np.full((2, *schema.input_shape), np.finfo(np.float32).max, np.float32)
    largest[1] *= -1
    for wanted in WANTED:
        assert np.isfinite(rescaled(schema, wanted, largest)).all()


def test_without_a_scale_of_its_own_there_is_nothing_to_do() -> None:
    values, roles = mixed(ROWS)
    assert rescaling_of(fit(values, roles, Standardize(), []), None) is None


def test_where_there_is_no_way_is_said() -> None:
    values, roles = mixed(ROWS)
    schema = fit(values, roles, Standardize(), [RangeScale()])
    with pytest.raises(ConfigError, match="has quantile of its own, but the rows have standardize"):
        rescaling_of(schema, Quantile())
    bent = fit(values, roles, Quantile(), [RangeScale()])
    with pytest.raises(ConfigError, match="has range of its own, but the rows have quantile"):
        rescaling_of(bent, RangeScale())
    with pytest.raises(ConfigError, match="has pca of its own"):
        rescaling_of(schema, Pca())


def test_further_scalings_are_kept_and_checked() -> None:
    values, roles = mixed(ROWS)
    schema = fit(values, roles, Standardize(), FURTHER)
    kept = json.loads(json.dumps(schema.to_json(), allow_nan=False))
    assert Schema.from_json(kept, "s.json") == schema
    kept["further_scalings"][3]["quantiles"].pop()
    with pytest.raises(CorruptFileError, match="do not agree"):
        Schema.from_json(kept, "s.json")
    earlier = replace(schema, further_scalings=()).to_json()
    del earlier["further_scalings"]  # as earlier versions wrote it
    assert Schema.from_json(earlier, "s.json").further_scalings == ()
