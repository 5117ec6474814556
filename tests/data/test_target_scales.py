"""Scales of the targets of a regression: transformations, their choice, and bounds."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables_as_rows import fitted, image_table, rows_of, table_of

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.errors import CorruptFileError, DataError
from ensemble_pipe.core.messages import row_name
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.tables import target_choice
from ensemble_pipe.data.tables.columns import Roles
from ensemble_pipe.data.tables.scaling import Standardize
from ensemble_pipe.data.tables.target_choice import POWERS, best_power, choose_transform
from ensemble_pipe.data.tables.target_scaling import (
    BOUND_MARGIN,
    TargetScale,
)
from ensemble_pipe.data.tables.target_transforms import IDENTITY, LOG, TargetTransform
from ensemble_pipe.data.tables.targets import Targets
from ensemble_pipe.nn.blas import one_thread

TRANSFORMS = [IDENTITY, LOG, *POWERS]
every_transform = pytest.mark.parametrize(
    "transform", TRANSFORMS, ids=lambda one: f"{one.name} {one.exponent}"
)
ROWS = 300


@pytest.fixture(autouse=True, scope="module")
def one_blas_thread() -> Iterator[None]:
    with one_thread():
        yield


def inputs(rows: int = ROWS, seed: int = 0) -> Floats:
    values: Floats = np.random.default_rng(seed).normal(size=(rows, 3))
    return values


def linear(x: Floats, noise: float = 0.3) -> Floats:
    """Return numbers around 0 that depend on the inputs, with noise."""
    values: Floats = x @ [0.6, -0.4, 0.2] + noise * np.random.default_rng(9).normal(size=len(x))
    return values


def schema_of(scale: TargetScale, train: Any = None, **targets: Any) -> Schema:
    """Return the schema of a table with three features."""
    count = len(next(iter(targets.values())))
    x = inputs(count)
    values = table_of(a=x[:, 0], b=x[:, 1], c=x[:, 2], **targets)
    names = tuple(targets)
    roles = Roles(("a", "b", "c"), names[0] if len(names) == 1 else names)
    every = np.ones(count, bool) if train is None else train
    return fitted(rows_of(values), roles, "regression", every, Standardize(), scale)


def names_of(schema: Schema) -> list[str]:
    return [one.transform.name for one in schema.fitted_targets]


# Transformations


@every_transform
@settings(max_examples=30, deadline=None)
@given(st.floats(1e-30, 1e30))
def test_the_inverse_takes_back_what_the_transformation_does(
    transform: TargetTransform, number: float
) -> None:
    value = np.array([number])
    assert transform.inverse(transform.forward(value)) == pytest.approx(value, rel=1e-12)


@every_transform
def test_it_grows_by_its_slope(transform: TargetTransform) -> None:
    numbers = np.geomspace(1e-3, 1e5, 50)
    step = numbers * 1e-6
    slopes = (transform.forward(numbers + step) - transform.forward(numbers - step)) / (2 * step)
    assert (slopes > 0).all()
    assert np.exp(transform.log_slope(numbers)) == pytest.approx(slopes, rel=1e-6)


@every_transform
def test_what_lies_below_every_target_is_0_where_targets_are_above_it(
    transform: TargetTransform,
) -> None:
    lowest = transform.inverse(np.array([-np.inf, np.inf]))
    assert lowest.tolist() == [-np.inf if transform.is_identity else 0.0, np.inf]


@pytest.mark.parametrize(("name", "exponent"), [("log", 0.5), ("power", 0.0), ("power", 1.0)])
def test_another_exponent_is_refused(name: Any, exponent: float) -> None:
    with pytest.raises(ValueError, match=f"exponent {exponent} is none of {name}"):
        TargetTransform(name, exponent)


# The choice


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e9])
def test_a_skewed_positive_target_is_trained_on_as_its_logarithm(unit: float) -> None:
    assert names_of(schema_of("auto", y=unit * np.exp(linear(inputs())))) == ["log"]


def test_a_target_with_noise_alike_everywhere_stays_as_it_is() -> None:
    assert names_of(schema_of("auto", y=20 + linear(inputs()))) == ["standardize"]


def test_a_power_is_taken_where_it_is_better_than_the_logarithm() -> None:
    y = np.maximum(2.5 + linear(inputs(3000), 0.5), 0.01) ** 2
    (found,) = schema_of("auto", y=y).target_transforms
    assert found.name == "power"
    assert found.exponent == pytest.approx(0.5, abs=0.13)


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_a_target_that_is_not_above_0_in_some_row_is_never_transformed(low: float) -> None:
    y = np.exp(linear(inputs()))
    y[-1] = low  # a row of another part
    train = np.arange(ROWS) < 250
    assert names_of(schema_of("auto", train, y=y)) == ["standardize"]


def test_each_of_several_targets_is_chosen_by_itself() -> None:
    value = linear(inputs())
    schema = schema_of("auto", p=np.exp(value), q=value, r=30 + value)
    assert names_of(schema) == ["log", "standardize", "standardize"]
    encoded = schema.encode_targets(Targets(np.array([[2.0, -1.0, 31.0]])), str)
    assert schema.decode_targets(encoded) == pytest.approx(np.array([[2.0, -1.0, 31.0]]))
    assert encoded[0, 0] == pytest.approx((np.log(2.0) - value.mean()) / value.std(), abs=1e-5)


def test_chance_alone_takes_no_transformation() -> None:
    found = [
        choose_transform(inputs(100, seed), 5 + np.random.default_rng(seed).normal(size=100))
        for seed in range(10)
    ]
    assert found.count(IDENTITY) >= 9


@pytest.mark.parametrize("targets", [np.exp(linear(inputs(40))), np.full(100, 3.0)])
def test_few_rows_and_equal_targets_are_no_reason_to_transform(targets: Floats) -> None:
    assert choose_transform(inputs(len(targets)), targets) == IDENTITY


def test_numbers_of_any_size_are_chosen_for_without_a_warning() -> None:
    for size in (1e-150, 1e150):
        assert choose_transform(inputs(), size * np.exp(linear(inputs()))) in (IDENTITY, LOG)


def test_inputs_without_any_variation_still_allow_a_choice() -> None:
    spread = np.exp(2 * np.random.default_rng(0).normal(size=500))
    assert choose_transform(np.ones((500, 2)), spread) == LOG


def test_the_choice_reads_a_bounded_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_choice, "MOST_ROWS", 100)
    train = np.arange(ROWS) % 2 == 0
    assert target_choice.rows_to_choose_by(train, 3).sum() == 75  # each second of 150
    assert target_choice.rows_to_choose_by(train, 1 << 24).sum() == target_choice.FEWEST_ROWS
    assert not (target_choice.rows_to_choose_by(train, 3) & ~train).any()
    assert names_of(schema_of("auto", train, y=np.exp(3 * linear(inputs())))) == ["log"]


def test_numbers_that_belong_to_images_are_chosen_for_too() -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (200, 4, 4, 1)).astype(np.uint8)
    y = np.exp(images[:, 0, 0, 0] / 64 + 0.3 * random.normal(size=200))
    rows = rows_of(image_table(images, y=y))
    every = np.ones(200, bool)
    schema = fitted(rows, Roles(("image",), "y"), "regression", every, Standardize(), "auto")
    assert names_of(schema) == ["log"]


def test_files_divided_in_another_way_give_the_same_schema() -> None:
    x, y = inputs(5000), np.exp(linear(inputs(5000)))
    values = table_of(a=x[:, 0], b=x[:, 1], c=x[:, 2], y=y)
    roles, every = Roles(("a", "b", "c"), "y"), np.ones(5000, bool)
    found = [
        fitted(rows_of(values, batch), roles, "regression", every, Standardize(), "auto")
        for batch in (170, 5000)
    ]
    assert found[0] == found[1]


# A stated scale


def test_a_stated_scale_is_taken() -> None:
    y = 20 + linear(inputs())
    assert names_of(schema_of("log", y=y)) == ["log"]
    assert names_of(schema_of("power", y=y)) == ["power"]
    assert names_of(schema_of("standardize", y=np.exp(y))) == ["standardize"]
    assert best_power(inputs(10), np.arange(10) + 1.0).exponent == 0.5


@pytest.mark.parametrize("scale", ["log", "power"])
@pytest.mark.parametrize("value", [0.0, -3.5])
def test_a_stated_scale_needs_targets_above_0(scale: Any, value: float) -> None:
    y = np.exp(linear(inputs()))
    y[7] = value
    message = rf"row 7 .*, column 'y': the target {value} is not above 0, as `target: {{scale: "
    with pytest.raises(DataError, match=message):
        schema_of(scale, y=y)


def test_labelled_rows_that_have_no_logarithm_are_named() -> None:
    schema = schema_of("log", y=np.exp(linear(inputs())))
    message = r"^row 1 .*: the target 0.0 is not above 0, .* `target: \{scale: standardize\}`$"
    with pytest.raises(DataError, match=message):
        schema.encode_targets(Targets(np.array([1.0, 0.0])), row_name)


def test_equal_targets_are_refused_by_their_own_value() -> None:
    with pytest.raises(DataError, match=r"every training row has the same target, 7\.0"):
        schema_of("log", y=np.full(60, 7.0))


# Bounds


@pytest.mark.parametrize("scale", ["standardize", "log"])
def test_bounds_lie_a_tenth_of_the_range_beyond_the_training_targets(scale: Any) -> None:
    y = np.exp(linear(inputs()))
    train = np.arange(ROWS) < 200
    y[~train] = 1e6
    schema = schema_of(scale, train, y=y)
    (one,) = schema.fitted_targets
    values = one.transform.forward(y[train])
    margin = BOUND_MARGIN * np.ptp(values)
    ends = np.array([values.min() - margin, values.max() + margin])
    assert np.array(one.bounds) == pytest.approx((ends - one.mean) / one.deviation)
    assert one.own_bounds == pytest.approx(one.transform.inverse(ends))


# In files


@pytest.mark.parametrize("scale", ["standardize", "log", "power"])
def test_the_scale_of_a_target_survives_json(scale: Any) -> None:
    schema = schema_of(scale, y=np.exp(linear(inputs())), z=3 + linear(inputs()) ** 2)
    text = json.dumps(schema.to_json(), allow_nan=False)
    assert Schema.from_json(json.loads(text), "schema.json") == schema


def test_a_schema_of_an_earlier_version_has_neither_transformation_nor_bounds() -> None:
    value = schema_of("standardize", y=np.exp(linear(inputs()))).to_json()
    del value["target_transforms"], value["target_bounds"]
    schema = Schema.from_json(json.loads(json.dumps(value)), "schema.json")
    (one,) = schema.fitted_targets
    assert one.transform == IDENTITY
    assert one.own_bounds == (-np.inf, np.inf)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("target_transforms", []),
        ("target_bounds", [[1.0, -1.0]]),
        ("target_bounds", [[0.0, 1.0], [0.0, 1.0]]),
        ("target_transforms", [{"name": "log", "exponent": 0.0}] * 2),
        ("target_transforms", [{"name": "log", "exponent": 0.3}]),
    ],
)
def test_fields_that_do_not_fit_are_refused(field: str, value: Any) -> None:
    schema = schema_of("log", y=np.exp(linear(inputs()))).to_json()
    schema[field] = value
    if value == []:  # then the target is not transformed, which the file cannot tell from a mistake
        assert names_of(Schema.from_json(schema, "s.json")) == ["standardize"]
        return
    with pytest.raises(CorruptFileError):
        Schema.from_json(schema, "s.json")


def test_decoded_columns_do_not_depend_on_how_they_lie_in_memory() -> None:
    schema = schema_of("log", p=np.exp(linear(inputs())), q=np.exp(-linear(inputs())))
    values = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    whole = schema.decode_targets(values)
    assert np.array_equal(schema.decode_targets(np.asfortranarray(values)), whole)
    for row in range(50):
        assert np.array_equal(schema.decode_targets(values[row : row + 1])[0], whole[row])
