"""What trees see of an encoded row: the columns of the table as it is."""

import numpy as np
import pytest
from fitted_schemas import fit, fit_images, images, mixed, place, table
from tables_as_rows import batch_of, fitted, rows_of, table_of

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.tables.columns import CategoryRule, DateRule, NumberRule, Roles
from ensemble_pipe.data.tables.scaling import Pca, Standardize, Zca


def seen(schema: Schema, **columns: object) -> Floats:
    encoded = schema.encode_inputs(batch_of(table_of(**columns)), place)
    return schema.source_view.read(encoded)


@pytest.fixture(scope="module")
def schema() -> Schema:
    values, roles = mixed(60)
    return fit(values, "regression", roles)


def test_there_is_one_column_for_each_source_column_categories_first(schema: Schema) -> None:
    view = schema.source_view
    assert len(view.categories) == 2
    assert view.width == len(schema.columns) < len(schema.encoded_names)


@pytest.mark.parametrize("encode", ["one_hot", "code"])
def test_categories_are_numbered_and_unknown_ones_are_missing(encode: str) -> None:
    rules = {"c": CategoryRule(encode=encode, missing="category")}  # type: ignore[arg-type]
    values = table_of(c=["b", "a", None, "c"] * 15, y=np.arange(60.0))
    schema = fit(values, "regression", Roles(("c",), "y", rules=rules))
    found = seen(schema, c=["a", "c", "never met", None, "b"])
    assert np.array_equal(found[:, 0], [0, 2, np.nan, 3, 1], equal_nan=True)


def test_a_missing_number_is_missing_again_where_an_indicator_says_so() -> None:
    rules = {
        "told": NumberRule(missing="mean", indicator=True),
        "filled": NumberRule(missing="mean", indicator=False),
    }
    column = [1.0, None, 3.0] * 20
    values = table_of(told=column, filled=column, y=np.arange(60.0))
    schema = fit(values, "regression", Roles(("told", "filled"), "y", rules=rules))
    found = seen(schema, told=[None, 5.0], filled=[None, 5.0])
    assert np.isnan(found).tolist() == [[True, False], [False, False]]
    assert found[1, 0] > 0 == found[0, 1]


def test_features_of_frequent_values_are_left_out() -> None:
    values = table_of(x=[0.0, 1.0, 2.0] * 20, y=np.arange(60.0))
    schema = fit(values, "regression", Roles(("x",), "y"))
    assert seen(schema, x=[0.0, 2.0]).shape == (2, 1)


def test_a_date_is_seen_by_its_ordered_parts() -> None:
    days = np.datetime64("2020-01-01T00:00:00") + np.arange(60) * np.timedelta64(111_600, "s")
    values = table_of(when=days, y=np.arange(60.0))
    schema = fit(values, "regression", Roles(("when",), "y", rules={"when": DateRule()}))
    (column,) = schema.columns
    assert schema.source_view.width == 1 + len(getattr(column, "parts", ()))
    rising = seen(schema, when=days)[:, 0]
    assert (np.diff(rising) > 0).all()


@pytest.mark.parametrize("scale", [Pca(), Zca()], ids=lambda scale: scale.name)
def test_mixed_numbers_are_seen_as_they_are_beside_their_indicators(scale: Pca | Zca) -> None:
    values, roles = mixed(60)
    schema = fitted(rows_of(values), roles, "regression", np.ones(60, bool), scale)
    encoded = schema.encode_inputs(batch_of(values), place)
    found = schema.source_view.read(encoded)
    assert not np.isnan(found[:, 2:]).any()
    assert np.array_equal(found[:, 2], encoded[:, 0])


def test_images_are_seen_pixel_by_pixel() -> None:
    view = fit_images(images(1), Standardize()).source_view
    assert (view.categories, view.numbers) == ((), tuple(range(20)))
    rows = np.random.default_rng(0).normal(size=(3, 20)).astype(np.float32)
    assert np.array_equal(view.read(rows), rows)


def test_numbers_are_seen_as_encoded() -> None:
    schema = fit(table())
    encoded = schema.encode_inputs(batch_of(table()), place)
    assert np.array_equal(schema.source_view.read(encoded), encoded)


def test_of_many_categories_that_are_numbers_the_order_is_seen() -> None:
    amounts = [str(100 * (n % 40)) for n in range(60)]
    values = table_of(amount=amounts, y=np.arange(60.0))
    rules = {"amount": CategoryRule(encode="code")}
    schema = fit(values, "regression", Roles(("amount",), "y", rules=rules))
    assert schema.source_view.categories == ()
    found = seen(schema, amount=["300", "3900", "77", "0"])[:, 0]
    assert np.array_equal(found, [3, 39, np.nan, 0], equal_nan=True)
