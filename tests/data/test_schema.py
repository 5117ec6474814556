"""The schema: fitted to the training rows alone, however files are divided; and in JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from tables_as_rows import batch_of, fitted, image_table, rows_of, table_of

from ensemble_pipe.arrays import Array
from ensemble_pipe.data.schema import Schema, Task
from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.data.tables.columns import CategoryRule, DateRule, NumberRule, Roles
from ensemble_pipe.data.tables.scaling import Pca, RangeScale, Scale, Standardize, Zca
from ensemble_pipe.data.tables.side_columns import read_targets
from ensemble_pipe.data.tables.targets import Targets
from ensemble_pipe.errors import ConfigError, CorruptFileError, DataError

ROWS = 60
TRAIN = np.arange(ROWS) < 40
SCALES: list[Scale] = [Standardize(), RangeScale(), Pca(), Zca()]
ROLES = Roles(("a", "b", "c"), "y")


def table(targets: Any = None) -> pa.Table:
    """Return a table whose rows beyond the training part lie far away from it."""
    inputs = np.random.default_rng(0).normal([5.0, -3.0, 0.0], [2.0, 0.1, 1.0], (ROWS, 3))
    inputs[~TRAIN] += 1000
    inputs[:, 2] = 7.0
    labels = np.arange(ROWS) % 3 if targets is None else targets
    return table_of(a=inputs[:, 0], b=inputs[:, 1], c=inputs[:, 2], y=labels)


def mixed(rows: int, seed: int = 0) -> tuple[pa.Table, Roles]:
    """Return a table of every kind of column, with missing values, and its roles."""
    random = np.random.default_rng(seed)

    def holes(values: Array) -> pa.Array:
        return pa.array(values, mask=random.random(rows) < 0.1)

    days = np.datetime64("2020-01-01") + random.integers(0, 3000, rows)
    values = table_of(
        plain=random.normal(1e6, 1.0, rows).astype(np.float32),
        mean=holes(random.normal(size=rows)),
        median=holes(random.exponential(size=rows)),
        when=holes(days),
        place=holes(random.choice(["north", "south", "east"], rows)),
        grade=random.integers(0, 12, rows),
        y=random.normal(size=rows),
    )
    rules: dict[str, NumberRule | DateRule | CategoryRule] = {
        "mean": NumberRule(missing="mean"),
        "median": NumberRule(missing="median", indicator=True),
        "when": DateRule(missing=0.0, indicator=True),
        "place": CategoryRule(missing="category"),
        "grade": CategoryRule(encode="code"),
    }
    return values, Roles(tuple(values.column_names[:-1]), "y", rules=rules)


def images(channels: int) -> Array:
    found = np.random.default_rng(1).integers(0, 256, (ROWS, 4, 5, channels)).astype(np.uint8)
    found[~TRAIN] = 255
    return found


def fit(
    values: pa.Table,
    task: Task = "classification",
    roles: Roles = ROLES,
    scale: Scale = Standardize(),  # noqa: B008 -- it is frozen
) -> Schema:
    return fitted(rows_of(values), roles, task, TRAIN, scale)


def fit_images(values: Array, scale: Scale) -> Schema:
    rows = rows_of(image_table(values, label=np.arange(ROWS) % 2))
    return fitted(rows, Roles(("image",), "label"), "classification", TRAIN, scale)


def place(row: int) -> str:
    return f"new.csv: row {row + 1}"


# Tables


def test_features_are_standardised_over_the_training_rows_only() -> None:
    encoded = fit(table()).encode_inputs(batch_of(table()), place)
    assert encoded.dtype == np.float32
    assert encoded.flags.c_contiguous
    assert encoded[TRAIN, :2].mean(0) == pytest.approx(0, abs=1e-5)
    assert encoded[TRAIN, :2].std(0) == pytest.approx(1, abs=1e-5)
    assert encoded[~TRAIN, 0].min() > 100


@pytest.mark.parametrize("scale", SCALES, ids=lambda scale: scale.name)
def test_other_rows_do_not_touch_what_is_fitted(scale: Scale) -> None:
    values, roles = mixed(ROWS)
    other = pa.concat_tables([values.slice(0, 40), mixed(ROWS, seed=1)[0].slice(40)])
    targets = values.column("y")
    other = other.set_column(other.column_names.index("y"), "y", targets)
    assert fit(values, "regression", roles, scale) == fit(other, "regression", roles, scale)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e9, 1 / 3])
@pytest.mark.parametrize("scale", [Standardize(), RangeScale()], ids=lambda scale: scale.name)
def test_a_constant_becomes_zero_though_its_mean_is_rounded(value: float, scale: Scale) -> None:
    values = table_of(x=np.full(101, value), y=np.arange(101) % 2)
    every = np.ones(101, bool)
    schema = fitted(rows_of(values), Roles(("x",), "y"), "classification", every, scale)
    assert schema.scaling.units == (1.0,)
    assert schema.encode_inputs(batch_of(values), place) == pytest.approx(0, abs=1e-5)


def test_the_moments_are_those_of_the_whole_in_numpy() -> None:
    random = np.random.default_rng(3)
    values = random.normal([1e6, -3.0, 0.0], [1.0, 1e-6, 1e4], (30_000, 3))
    train = random.random(len(values)) < 0.7
    columns = table_of(a=values[:, 0], b=values[:, 1], c=values[:, 2], y=np.arange(30_000) % 2)
    schema = fitted(rows_of(columns), ROLES, "classification", train, Standardize())
    kept = values[train]
    assert schema.scaling.centers == pytest.approx(kept.mean(0), rel=1e-12)
    assert schema.scaling.units == pytest.approx(kept.std(0), rel=1e-9)
    assert schema.scaling.units[2] == pytest.approx(kept[:, 2].std(), rel=1e-12)
    ranged = fitted(rows_of(columns), ROLES, "classification", train, RangeScale())
    assert ranged.scaling.centers == tuple(kept.min(0))


@pytest.mark.parametrize("scale", SCALES, ids=lambda scale: scale.name)
def test_the_division_of_files_changes_no_bit(scale: Scale, tmp_path: Path) -> None:
    values, roles = mixed(10_000)
    train = np.arange(10_000) % 5 > 0
    expected = fitted(rows_of(values), roles, "regression", train, scale)
    for groups in (70, 4096, 10_000):
        path = tmp_path / f"{groups}.parquet"
        parquet.write_table(values, path, row_group_size=groups)
        found = fitted(parquet_rows(path), roles, "regression", train, scale)
        assert found == expected


def parquet_rows(path: Path) -> Rows:
    file = parquet.ParquetFile(path)

    def read(names: Sequence[str]) -> Any:
        return file.iter_batches(batch_size=1000, columns=list(names))

    return Rows(str(path), file.metadata.num_rows, file.schema_arrow, read, place)


@pytest.mark.parametrize("scale", SCALES, ids=lambda scale: scale.name)
def test_a_row_is_encoded_to_the_same_bits_in_any_block(scale: Scale) -> None:
    values, roles = mixed(1000)
    schema = fitted(rows_of(values), roles, "regression", np.ones(1000, bool), scale)
    whole = schema.encode_inputs(batch_of(values), place)
    for start, length in [(0, 1), (999, 1), (3, 256), (500, 257), (10, 0)]:
        part = schema.encode_inputs(batch_of(values.slice(start, length)), place)
        assert np.array_equal(part, whole[start : start + length])


def test_the_order_of_the_columns_and_further_ones_do_not_matter() -> None:
    schema = fit(table())
    values = table()
    other = values.select(["y", "c", "a", "b"]).append_column("new", pa.array(["?"] * ROWS))
    expected = schema.encode_inputs(batch_of(values), place)
    assert np.array_equal(schema.encode_inputs(batch_of(other), place), expected)


def test_a_missing_column_is_named_with_what_is_needed() -> None:
    message = r"^new\.csv: row 1: has no column 'b'; its columns are: a, c, y$"
    with pytest.raises(DataError, match=message):
        fit(table()).encode_inputs(batch_of(table().drop_columns(["b"])), place)
    with pytest.raises(DataError, match=r"^t\.csv: has no column 'b'"):
        fit(table().drop_columns(["b"]))
    with pytest.raises(DataError, match=r"^f: has no column 'c'; its columns are: a, b$"):
        fit(table()).require_columns(["a", "b"], "f")
    with pytest.raises(DataError, match=r"^f: has no columns b, c; its columns are: a, d$"):
        fit(table()).require_columns(["a", "d"], "f")
    twice = pa.RecordBatch.from_arrays([pa.array([1.0])] * 4, names=["a", "b", "c", "a"])
    with pytest.raises(DataError, match="column 'a' stands there more than once"):
        fit(table()).encode_inputs(twice, place)


def test_names_and_spans_say_what_each_feature_is() -> None:
    values, roles = mixed(ROWS)
    schema = fit(values, "regression", roles, RangeScale())
    assert schema.feature_names == ("plain", "mean", "median", "when", "place", "grade")
    assert schema.encoded_names == (
        *("plain", "mean", "median", "median missing", "when", "when missing"),
        *("place=east", "place=north", "place=south", "place missing", "grade"),
    )
    assert [(s.start, s.stop, s.kind) for s in schema.spans] == [
        (0, 1, "number"), (1, 2, "number"), (2, 4, "number"), (4, 6, "number"),
        (6, 10, "one_hot"), (10, 11, "code"),
    ]  # fmt: skip
    encoded = schema.encode_inputs(batch_of(values), place)[TRAIN].astype(np.float64)
    for span in schema.spans[:4]:
        assert span.mean == pytest.approx(encoded[:, span.start].mean(), abs=1e-4)
        assert span.deviation == pytest.approx(encoded[:, span.start].std(), abs=1e-4)


def test_mixed_numbers_come_first_and_the_rest_in_order() -> None:
    values, roles = mixed(ROWS)
    rest = ("median missing", "when missing", "place=east", "place=north", "place=south")
    schema = fit(values, "regression", roles, Pca(components=2))
    names = ("component 1", "component 2", *rest, "place missing", "grade")
    assert schema.encoded_names == names
    assert [(s.start, s.stop, s.kind) for s in schema.spans] == [
        (0, 1, "number"), (1, 2, "number"), (2, 3, "one_hot"), (3, 4, "one_hot"),
        (4, 8, "one_hot"), (8, 9, "code"),
    ]  # fmt: skip
    whitened = fit(values, "regression", roles, Zca())
    assert whitened.encoded_names == (*values.column_names[:4], *names[2:])


def test_encoded_tables_are_not_scaled_again() -> None:
    scale, shift = fit(table()).input_scale()
    assert np.array_equal(scale, np.ones(3))
    assert np.array_equal(shift, np.zeros(3))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (table().slice(0, 0), r"^t\.csv: has no rows$"),
        (table().select(["y"]), r"^t\.csv: has no columns a, b, c; its columns are: y"),
    ],
)
def test_what_cannot_be_fitted_is_refused(rows: pa.Table, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fit(rows)
    with pytest.raises(DataError, match="the training part has no rows"):
        fitted(rows_of(table()), ROLES, "classification", ~TRAIN & TRAIN, Standardize())


# Images


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


@pytest.mark.parametrize("scale", [Pca(), Zca()], ids=lambda scale: scale.name)
def test_whitening_is_not_for_images(scale: Scale) -> None:
    with pytest.raises(ConfigError, match=f"scale: {scale.name} is for tables; images take"):
        fit_images(images(1), scale)


def test_other_images_are_refused() -> None:
    schema = fit_images(images(1), Standardize())
    turned = np.ones((2, 5, 4, 1), np.uint8)
    message = r"^new\.csv: row 1: images of shape \(5, 4, 1\), but the training data has \(4, 5, 1"
    with pytest.raises(DataError, match=message):
        schema.encode_inputs(batch_of(image_table(turned)), place)
    floats = batch_of(image_table(np.ones((2, 4, 5, 1))))
    with pytest.raises(DataError, match=r"images of .*double.*; uint8 is needed"):
        schema.encode_inputs(floats, place)
    with pytest.raises(DataError, match="has no column 'image'"):
        schema.encode_inputs(batch_of(table()), place)


# Classes


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (["b", "a", "c"], ("a", "b", "c")),
        ([7, -1, 3], (-1, 3, 7)),
        ([2.0, 0.0, 1.0], (0, 1, 2)),
        ([True, False, True], (0, 1)),
        (["1", "2", "10"], ("1", "10", "2")),
    ],
)
def test_classes_are_sorted_and_numbered(names: list[Any], classes: tuple[Any, ...]) -> None:
    values = table(names * (ROWS // 3))
    schema = fit(values)
    assert schema.classes == classes
    encoded = schema.encode_targets(read_targets(rows_of(values), ROLES), place)
    assert encoded.dtype == np.int32
    assert [classes[code] for code in encoded] == names * (ROWS // 3)


@pytest.mark.parametrize(
    ("classes", "values"), [(["1", "2"], [2, 1]), (["1", "2"], [2.0, 1.0]), ([1, 2], ["2", "1"])]
)
def test_labels_are_known_whatever_type_another_file_has(classes: Any, values: Any) -> None:
    targets = read_targets(rows_of(table_of(y=values)), Roles((), "y"))
    assert fit(table(classes * 30)).encode_targets(targets, place).tolist() == [1, 0]


def test_a_label_beyond_the_training_classes_is_named() -> None:
    schema = fit(table(["a", "b"] * 30))
    message = r"^new\.csv: row 3: label 'z' is no class .* its classes are: a, b$"
    with pytest.raises(DataError, match=message):
        schema.encode_targets(Targets(np.arange(3, dtype=np.int32), ("a", "b", "z")), place)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([1] * ROWS, "t.csv: all 60 rows have the one class 1; a classifier needs at least two"),
        (range(ROWS), "60 classes for 60 rows; for a numeric target set `task: regression`"),
        ([0.0, 1.0, 0.5] * 20, r"row 3, column 'y': label 0.5 is not a class; for a numeric"),
        ([0.0, 1.0, np.inf] * 20, r"row 3, column 'y': label inf is not a class"),
        ([0.0, 1.0, 1e300] * 20, r"row 3, column 'y': label 1e\+300 is not a class"),
        (["a"] * 40 + ["b"] * 20, "class 'b' has no row in the training part; make the other"),
    ],
)
def test_targets_that_make_no_classes_are_refused(targets: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fit(table(list(targets)))


# Numbers


def numbers() -> Array:
    return np.concatenate([np.linspace(10, 20, 40), np.full(20, 1e6)])


def test_a_regression_target_is_standardised_over_the_training_rows_only() -> None:
    schema = fit(table(numbers()), "regression")
    encoded = schema.encode_targets(Targets(numbers()), place)
    assert encoded.dtype == np.float32
    assert encoded[TRAIN].mean() == pytest.approx(0, abs=1e-5)
    assert encoded[TRAIN].std() == pytest.approx(1, abs=1e-5)
    assert schema.classes == ()
    assert schema.decode_targets(encoded)[:, 0] == pytest.approx(numbers(), rel=1e-5)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (
            ["low", "high"] * 30,
            r"row 1, column 'y': target 'low' is not a number; for classes set `task: cl",
        ),
        ([3.0] * 40 + [4.0] * 20, "every training row has the same target, 3.0, in column 'y'"),
        ([1.0, 1e300] * 30, "the target 'y' has values too far apart to be standardised"),
        ([1.0, np.inf] * 30, r"row 2, column 'y': the target is inf; remove such rows"),
    ],
)
def test_targets_that_are_no_numbers_are_refused(targets: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fit(table(targets), "regression")


def test_a_target_too_large_for_float32_is_named() -> None:
    schema = fit(table(numbers()), "regression")
    with pytest.raises(DataError, match=r"new\.csv: row 2: the target 1e\+300 is too large"):
        schema.encode_targets(Targets(np.array([0.0, 1e300])), place)


# JSON


FITTED: dict[str, Schema] = {
    "numbered classes": fit(table()),
    "named classes": fit(table(["x", "y"] * 30)),
    "images": fit_images(images(3), Standardize()),
    **{scale.name: fit(mixed(ROWS)[0], "regression", mixed(ROWS)[1], scale) for scale in SCALES},
}


@pytest.mark.parametrize("schema", FITTED.values(), ids=FITTED)
def test_a_schema_survives_json_exactly(schema: Schema) -> None:
    text = json.dumps(schema.to_json(), allow_nan=False)
    found = Schema.from_json(json.loads(text), "schema.json")
    assert found == schema
    if not schema.is_image and schema.task == "regression":
        block = batch_of(mixed(ROWS)[0])
        expected = schema.encode_inputs(block, place)
        assert np.array_equal(found.encode_inputs(block, place), expected)


@pytest.mark.parametrize("value", [{"colour": "red"}, {"task": "classification"}, [], None, 3])
def test_what_is_no_schema_is_refused(value: Any) -> None:
    with pytest.raises(CorruptFileError, match=r"^s\.json: not a schema of this version \("):
        Schema.from_json(value, "s.json")


@pytest.mark.parametrize("schema", FITTED.values(), ids=FITTED)
@pytest.mark.parametrize("field", ["centers", "units", "means", "deviations", "matrix"])
def test_a_schema_whose_parts_do_not_agree_is_refused(schema: Schema, field: str) -> None:
    value = schema.to_json()
    if not value["scaling"][field]:
        return
    value["scaling"][field] = value["scaling"][field][1:]
    with pytest.raises(CorruptFileError, match=r"^s\.json: .* do not agree$"):
        Schema.from_json(value, "s.json")
