"""Baselines: by hand, against scikit-learn, codes as categories, within bounds, repeatable."""

from math import e, log, pi
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, r2_score

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.data.base import shard_table
from ensemble_pipe.data.schema import Schema, Task
from ensemble_pipe.data.shard_view import ShardView
from ensemble_pipe.data.sources.rows import image_array, rows_of
from ensemble_pipe.data.tables.columns import CategoryRule, Roles
from ensemble_pipe.data.tables.scaling import Standardize
from ensemble_pipe.data.tables.side_columns import read_targets
from ensemble_pipe.ensemble import baselines
from ensemble_pipe.ensemble.baselines import measure_baselines, rows_for
from ensemble_pipe.ensemble.metrics.row_values import class_values

CODES = {"c": CategoryRule(encode="code")}


def table_of(**columns: Any) -> pa.Table:
    return pa.table({name: pa.array(values) for name, values in columns.items()})


def fitted(table: pa.Table, roles: Roles, task: Task, train: Array) -> Schema:
    rows = rows_of("t.csv", table)
    return Schema.fit(rows, roles, task, train, Standardize(), read_targets(rows, roles))


def view_of(schema: Schema, table: pa.Table) -> ShardView:
    """Return a table as the rows of a part of the data."""
    rows = rows_of("t.csv", table)
    ((_, block),) = rows.blocks(schema.source_columns)
    inputs = schema.encode_inputs(block, rows.place)
    targets = schema.encode_targets(read_targets(rows, schema.roles), rows.place)
    return ShardView([shard_table(inputs, targets, np.arange(len(inputs)))], *schema.input_scale())


def parts_of(table: pa.Table, roles: Roles, task: Task) -> tuple[Schema, ShardView, ShardView]:
    """Return the schema of a table, its first half for training, and the rest."""
    half = table.num_rows // 2
    schema = fitted(table, roles, task, np.arange(table.num_rows) < half)
    return schema, view_of(schema, table.slice(0, half)), view_of(schema, table.slice(half))


def numbers(rows: int = 400) -> Floats:
    return np.random.default_rng(0).normal([3.0, -1.0], [2.0, 0.5], (rows, 2))


def classes_of(inputs: Floats) -> Array:
    noise = np.random.default_rng(1).logistic(size=len(inputs))
    return np.where(inputs[:, 0] - 2 * inputs[:, 1] + noise > 5, "up", "down")


def test_the_constant_of_classes_is_their_shares() -> None:
    labels = ["a", "a", "a", "b", "a", "b", "b", "b"]  # 3 : 1 in training, 1 : 3 in the test part
    table = table_of(x=np.arange(8.0), y=labels)
    schema, train, test = parts_of(table, Roles(("x",), "y"), "classification")
    found = measure_baselines(schema, train, {"test": test}, seed=1)
    assert found["baseline_constant/test/accuracy"] == 0.25
    assert found["baseline_constant/test/nll"] == pytest.approx(
        -0.25 * log(0.75) - 0.75 * log(0.25)
    )
    assert found["baseline_constant/test/auroc"] == 0.5


def test_the_constant_of_numbers_is_the_gaussian_of_the_training_part() -> None:
    table = table_of(x=np.arange(4.0), y=[100.0, 300.0, 200.0, 400.0])
    schema, train, test = parts_of(table, Roles(("x",), "y"), "regression")
    found = measure_baselines(schema, train, {"test": test}, seed=1)
    assert found["baseline_constant/test/rmse"] == pytest.approx(20_000**0.5)
    assert found["baseline_constant/test/nll"] == pytest.approx(0.5 * log(2 * pi * 100**2) + 1)
    assert found["baseline_constant/test/r2"] == pytest.approx(1 - 20_000 / 10_000)


def test_the_linear_model_of_classes_is_scikit_learns_logistic_regression() -> None:
    inputs = numbers()
    table = table_of(a=inputs[:, 0], b=inputs[:, 1], y=classes_of(inputs))
    schema, train, test = parts_of(table, Roles(("a", "b"), "y"), "classification")
    found = measure_baselines(schema, train, {"test": test}, seed=1)
    scaled = (inputs - inputs[:200].mean(axis=0)) / inputs[:200].std(axis=0)
    model = LogisticRegression().fit(scaled[:200], classes_of(inputs)[:200])
    expected = log_loss(classes_of(inputs)[200:], model.predict_proba(scaled[200:]))
    assert found["baseline_linear/test/nll"] == pytest.approx(expected, abs=1e-4)
    assert found["baseline_linear/test/nll"] < found["baseline_constant/test/nll"]


def test_the_linear_model_of_numbers_is_scikit_learns_ridge_with_the_noise_it_leaves() -> None:
    inputs = numbers()
    noise = np.random.default_rng(2).normal(0, 30.0, len(inputs))
    targets = 1000 + 100 * inputs[:, 0] + noise
    table = table_of(a=inputs[:, 0], b=inputs[:, 1], y=targets)
    schema, train, test = parts_of(table, Roles(("a", "b"), "y"), "regression")
    found = measure_baselines(schema, train, {"test": test}, seed=1)
    scaled = (inputs - inputs[:200].mean(axis=0)) / inputs[:200].std(axis=0)
    predicted = Ridge().fit(scaled[:200], targets[:200]).predict(scaled[200:])
    expected = r2_score(targets[200:], predicted)
    assert found["baseline_linear/test/r2"] == pytest.approx(expected, abs=1e-4)
    entropy = 0.5 * log(2 * pi * e * 30.0**2)  # of the noise: no predictor is better on average
    assert found["baseline_linear/test/nll"] == pytest.approx(entropy, abs=0.1)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_codes_are_categories_and_no_numbers(task: Task) -> None:
    """The middle one of three codes stands for the other class: no line through them says that."""
    places = np.random.default_rng(0).integers(0, 3, 300)
    names = np.array(["north", "east", "south"])[places]
    targets = (places == 1).astype(float) if task == "regression" else (places == 1).astype(int)
    table = table_of(c=names, y=targets)
    schema, train, test = parts_of(table, Roles(("c",), "y", rules=CODES), task)
    found = measure_baselines(schema, train, {"test": test}, seed=1)
    if task == "classification":
        assert found["baseline_linear/test/accuracy"] == 1.0
    else:
        assert found["baseline_linear/test/r2"] > 0.99


def test_a_code_that_training_has_not_seen_is_predicted_too() -> None:
    names = ["a", "b"] * 20 + ["unseen"] * 40
    table = table_of(c=names, y=([0, 1] * 40))
    schema, train, test = parts_of(table, Roles(("c",), "y", rules=CODES), "classification")
    assert 0 < measure_baselines(schema, train, {"test": test}, 1)["baseline_linear/test/nll"] < 2


def test_gains_of_an_ensemble_over_each_baseline_have_intervals() -> None:
    inputs = numbers()
    table = table_of(a=inputs[:, 0], b=inputs[:, 1], y=classes_of(inputs))
    schema, train, test = parts_of(table, Roles(("a", "b"), "y"), "classification")
    perfect = np.eye(2)[test.targets] * 0.98 + 0.01
    own = {"test": class_values(perfect, test.targets)}
    found = measure_baselines(schema, train, {"validation": train, "test": test}, 1, own)
    for name in ("baseline_constant", "baseline_linear"):
        low, gain, high = (
            found[f"{name}/test/{one}/accuracy"] for one in ("gain_low", "gain", "gain_high")
        )
        assert gain == pytest.approx(1 - found[f"{name}/test/accuracy"])
        assert 0 < low < gain < high
    assert not [name for name in found if "validation/gain" in name]


def test_several_targets_have_a_baseline_each() -> None:
    inputs = numbers()
    values = {"p": inputs[:, 0], "q": 1e6 * inputs[:, 1] + 5e6}
    table = table_of(a=inputs[:, 0], b=inputs[:, 1], **values)
    schema, train, test = parts_of(table, Roles(("a", "b"), ("p", "q")), "regression")
    found = measure_baselines(schema, train, {"test": test}, seed=1)
    for name in values:
        assert found[f"baseline_linear/test/r2/{name}"] > 0.999
        assert abs(found[f"baseline_constant/test/r2/{name}"]) < 0.1


def test_images_have_the_constant_alone() -> None:
    images = image_array(np.zeros((8, 2, 2, 1), np.uint8))
    table = pa.table({"image": images, "y": [0, 1] * 4})
    schema = fitted(table, Roles(("image",), "y"), "classification", np.ones(8, bool))
    view = view_of(schema, table)
    found = measure_baselines(schema, view, {"validation": view, "test": view}, seed=1)
    assert {name.rsplit("/", 1)[0] for name in found} == {
        "baseline_constant/validation", "baseline_constant/test"
    }  # fmt: skip


def test_the_rows_of_the_linear_model_are_bounded_and_drawn_by_the_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert rows_for(10, 2) == 20_000
    assert rows_for(1000, 10) == 1677
    assert rows_for(10_000, 100) == 0
    monkeypatch.setattr(baselines, "MOST_ROWS", 50)
    inputs = numbers()
    table = table_of(a=inputs[:, 0], b=inputs[:, 1], y=classes_of(inputs))
    schema, train, test = parts_of(table, Roles(("a", "b"), "y"), "classification")
    first, again, other = (
        measure_baselines(schema, train, {"test": test}, seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first["baseline_linear/test/nll"] != other["baseline_linear/test/nll"]
    assert first["baseline_constant/test/nll"] == other["baseline_constant/test/nll"]


def test_a_class_that_no_drawn_row_has_keeps_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "MOST_ROWS", 60)
    labels = np.array(["a", "b"] * 200)
    labels[[7, 399]] = "c"
    table = table_of(x=np.arange(400.0) % 2, y=labels)
    schema, train, test = parts_of(table, Roles(("x",), "y"), "classification")
    rare = schema.classes.index("c")
    assert rare not in train.targets[baselines.drawn_rows(schema, train.rows, seed=3)]
    found = measure_baselines(schema, train, {"test": test}, seed=3)
    # One row of the rare class has -log(1 / 200); without its share it would have 36.
    assert found["baseline_linear/test/nll"] == pytest.approx(log(200) / 200, abs=0.1)
