"""The schema: fitted to the training rows alone, and the same again after JSON."""

import json
from typing import Any

import numpy as np
import pytest

from ensemble_pipe.arrays import Array
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.sources import Raw
from ensemble_pipe.errors import CorruptFileError, DataError

ROWS = 60
TRAIN = np.arange(40)


def table(targets: Any = None, seed: int = 0) -> Raw:
    """Return a table whose rows beyond the training part lie far away from it."""
    random = np.random.default_rng(seed)
    inputs = random.normal([5.0, -3.0, 0.0], [2.0, 0.1, 1.0], (ROWS, 3))
    inputs[len(TRAIN) :] += 1000
    inputs[:, 2] = 7.0
    labels = np.arange(ROWS) % 3 if targets is None else np.asarray(targets)
    return Raw("t.csv", inputs, labels, ("a", "b", "c"), "y", header_lines=1)


def images(channels: int) -> Raw:
    random = np.random.default_rng(1)
    inputs = random.integers(0, 256, (ROWS, 4, 5, channels)).astype(np.uint8)
    inputs[len(TRAIN) :] = 255
    return Raw("images", inputs, np.arange(ROWS) % 2, target_name="label")


def fit(raw: Raw, task: Any = "classification") -> Schema:
    return Schema.fit(raw, task, TRAIN)


# Inputs


def test_features_are_standardised_over_the_training_rows_only() -> None:
    encoded = fit(table()).encode_inputs(table())
    assert encoded.dtype == np.float32
    assert encoded[TRAIN, :2].mean(0) == pytest.approx(0, abs=1e-5)
    assert encoded[TRAIN, :2].std(0) == pytest.approx(1, abs=1e-5)
    assert encoded[len(TRAIN) :, 0].min() > 100


def test_other_rows_do_not_touch_the_scaling() -> None:
    raw = table()
    other = table()
    other.inputs[len(TRAIN) :] = -1.0
    assert fit(raw) == fit(other)


def test_a_constant_feature_becomes_zero() -> None:
    encoded = fit(table()).encode_inputs(table())
    assert np.array_equal(encoded[TRAIN, 2], np.zeros(len(TRAIN)))


@pytest.mark.parametrize("value", [0.0, 0.1, -1e9, 1 / 3])
def test_a_constant_is_known_as_one_though_its_mean_is_rounded(value: float) -> None:
    raw = Raw("rows.csv", np.full((101, 1), value), np.arange(101) % 2, ("x",))
    schema = Schema.fit(raw, "classification", np.arange(101))
    assert schema.deviations == (1.0,)


def test_a_target_too_large_for_float32_is_named() -> None:
    inputs = np.arange(4.0)[:, None]
    schema = Schema.fit(Raw("rows.csv", inputs, np.arange(4.0), ("x",)), "regression", np.arange(4))
    large = Raw("new.csv", inputs, np.array([0.0, 1e300, 2.0, 3.0]), ("x",))
    with pytest.raises(DataError, match=r"new\.csv: row 2: the target 1e\+300 is too large"):
        schema.encode_targets(large)


def test_standardised_features_are_not_scaled_again() -> None:
    scale, shift = fit(table()).input_scale()
    assert np.array_equal(scale, np.ones(3))
    assert np.array_equal(shift, np.zeros(3))


@pytest.mark.parametrize("channels", [1, 3])
def test_images_stay_bytes_and_are_standardised_per_channel_when_read(channels: int) -> None:
    raw = images(channels)
    schema = fit(raw)
    encoded = schema.encode_inputs(raw)
    assert encoded.dtype == np.uint8
    assert np.array_equal(encoded, raw.inputs)
    scale, shift = schema.input_scale()
    assert scale.shape == shift.shape == (4, 5, channels)
    scaled = encoded[TRAIN] * scale + shift
    assert scaled.mean((0, 1, 2)) == pytest.approx(0, abs=1e-4)
    assert scaled.std((0, 1, 2)) == pytest.approx(1, abs=1e-4)


def test_another_shape_is_refused() -> None:
    schema = fit(table())
    with pytest.raises(
        DataError, match=r"^new: rows of shape \(2,\), but the training data has \("
    ):
        schema.encode_inputs(Raw("new", np.ones((4, 2)), None))
    schema = fit(images(1))
    with pytest.raises(DataError, match=r"^new: images of shape \(5, 4, 1\), but .* \(4, 5, 1\)$"):
        schema.encode_inputs(Raw("new", np.ones((2, 5, 4, 1), np.uint8), None))


def test_images_of_other_numbers_are_refused() -> None:
    with pytest.raises(DataError, match="images of float64; uint8 is needed"):
        fit(images(1)).encode_inputs(Raw("new", np.ones((2, 4, 5, 1)), None))


# Classes


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (["b", "a", "c"], ("a", "b", "c")),
        ([7, -1, 3], (-1, 3, 7)),
        ([2.0, 0.0, 1.0], (0, 1, 2)),
    ],
)
def test_classes_are_sorted_and_numbered(names: list[Any], classes: tuple[Any, ...]) -> None:
    raw = table(names * (ROWS // 3))
    schema = fit(raw)
    assert schema.classes == classes
    encoded = schema.encode_targets(raw)
    assert encoded.dtype == np.int32
    assert [classes[code] for code in encoded] == names * (ROWS // 3)


def test_a_label_beyond_the_training_classes_is_named() -> None:
    schema = fit(table(["a", "b"] * 30))
    later = table(["a", "b", "z"] * 20)
    message = r"^t\.csv: row 3 \(line 4\): label 'z' is no class .* its classes are: a, b$"
    with pytest.raises(DataError, match=message):
        schema.encode_targets(later)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([1] * ROWS, "t.csv: all 60 rows have the one class 1; a classifier needs at least two"),
        (range(ROWS), "60 classes for 60 rows; for a numeric target set `task: regression`"),
        ([0.0, 1.0, 0.5] * 20, r"row 3 \(line 4\): label 0.5 is not a class; for a numeric"),
        ([0.0, 1.0, np.inf] * 20, r"row 3 \(line 4\): label inf is not a class"),
        (["a"] * 40 + ["b"] * 20, "class 'b' has no row in the training part; make the other"),
    ],
)
def test_targets_that_make_no_classes_are_refused(targets: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fit(table(list(targets)))


def test_rows_without_targets_cannot_be_fitted() -> None:
    with pytest.raises(DataError, match="f: has no labels"):
        fit(Raw("f", np.ones((ROWS, 2)), None, ("a", "b")))


# Numbers


def numbers() -> Array:
    return np.concatenate([np.linspace(10, 20, len(TRAIN)), np.full(ROWS - len(TRAIN), 1e6)])


def test_a_regression_target_is_standardised_over_the_training_rows_only() -> None:
    schema = fit(table(numbers()), "regression")
    encoded = schema.encode_targets(table(numbers()))
    assert encoded.dtype == np.float32
    assert encoded[TRAIN].mean() == pytest.approx(0, abs=1e-5)
    assert encoded[TRAIN].std() == pytest.approx(1, abs=1e-5)
    assert schema.classes == ()
    back = encoded * schema.target_deviation + schema.target_mean
    assert back == pytest.approx(numbers(), rel=1e-5)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (["low", "high"] * 30, "target 'low' is not a number; for classes set `task: classific"),
        ([3.0] * 40 + [4.0] * 20, "every training row has the same target, 3.0"),
        ([1.0, np.inf] * 30, r"row 2 \(line 3\): the target is inf; remove such rows"),
    ],
)
def test_targets_that_are_no_numbers_are_refused(targets: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fit(table(targets), "regression")


# JSON


@pytest.mark.parametrize(
    "schema",
    [
        fit(table()),
        fit(table(["x", "y"] * 30)),
        fit(table(numbers()), "regression"),
        fit(images(3)),
    ],
    ids=["numbered classes", "named classes", "regression", "images"],
)
def test_a_schema_survives_json_exactly(schema: Schema) -> None:
    text = json.dumps(schema.to_json(), allow_nan=False)
    assert Schema.from_json(json.loads(text), "schema.json") == schema


@pytest.mark.parametrize("value", [{"colour": "red"}, {"task": "classification"}, [], None, 3])
def test_what_is_no_schema_is_refused(value: Any) -> None:
    with pytest.raises(CorruptFileError, match=r"^s\.json: not a schema of this version \("):
        Schema.from_json(value, "s.json")
