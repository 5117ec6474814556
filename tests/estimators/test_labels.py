"""Labels of a classifier: what it takes, every reader of its model finds again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from estimator_data import QUICK, X
from pyarrow import csv, parquet
from scipy import sparse

import ensemble_pipe
from ensemble_pipe import EnsembleClassifier, EnsembleRegressor
from ensemble_pipe.evaluation.labelled import evaluate
from ensemble_pipe.serving.inputs import open_input


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (np.array([True, False]), (0, 1)),
        (np.array([1.0, 2.0]), (1, 2)),
        (np.array([-1.0, 1.0], np.float32), (-1, 1)),
        (pd.array([1, 2], dtype="Int64"), (1, 2)),
        (pd.array([True, False], dtype="boolean"), (0, 1)),
        (np.array([2**62, 1], np.uint64), (1, 2**62)),
        (np.array(["01", "1"]), ("01", "1")),
        (np.array(["True", "true"]), ("True", "true")),
        (pd.array(["NA", "b"], dtype="string"), ("NA", "b")),
    ],
    ids=lambda value: str(value).replace("\n", " "),
)
def test_what_fit_takes_as_a_label_every_reader_finds_again(
    labels: Any, names: tuple[int | str, ...], tmp_path: Path
) -> None:
    places = (X[:, 0] > 0).astype(int)
    y = labels.take(places)
    fitted = EnsembleClassifier(learners=1, hidden=(4,), epochs=2).fit(X, y)
    fitted.save(tmp_path / "model")
    model = ensemble_pipe.load(tmp_path / "model")
    assert model.schema.classes == names
    rows = pd.DataFrame(X, columns=[f"x{index}" for index in range(4)]).assign(y=y)
    table = pa.Table.from_pandas(rows, preserve_index=False)
    rows.to_csv(tmp_path / "pandas.csv", index=False)
    csv.write_csv(table, tmp_path / "arrow.csv")
    parquet.write_table(table, tmp_path / "t.parquet")
    for name in ("pandas.csv", "arrow.csv", "t.parquet"):
        opened = open_input(str(tmp_path / name), model.schema)
        assert evaluate(model, opened).metrics["accuracy"] == fitted.score(X, y)
    assert (model.predict(X) == fitted.predict(X)).all()


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (["", "b"], "a label is empty text, which means a missing one"),
        (["  ", "b"], "a label is empty text"),
        (["a" * 20_000, "b"], "has 20000 bytes; the name of a class has at most 10000"),
        (["a\ud800", "b"], "is no text in UTF-8"),
        (["a\0", "a"], "ends in a zero byte"),
        (np.array(["2020-01-01", "2021-01-01"], "M8[ns]"), "labels are dates or times"),
        (np.array([2**63 + 1, 2], np.uint64), "too large for a 64-bit integer"),
        ([0, 0], r"^y: all rows have the one class 0; at least two are needed$"),
        ([True, True], r"^y: all rows have the one class True; at least two are needed$"),
        (["a", "a"], r"^y: all rows have the one class 'a'; at least two are needed$"),
    ],
    ids=lambda value: str(value)[:30].encode("ascii", "replace").decode(),
)
def test_what_no_reader_could_find_again_is_refused(labels: Any, problem: str) -> None:
    objects = isinstance(labels[0], str) and not isinstance(labels, np.ndarray)
    y = np.array(labels, object if objects else None)[(X[:, 0] > 0).astype(int)]
    with pytest.raises(ValueError, match=problem):
        EnsembleClassifier(**QUICK).fit(X, y)


YES = (X[:, 0] > 0).astype(int)
HALVES = np.array(["no", "yes"])[YES]
CONTAINERS: dict[str, Callable[[Any], Any]] = {
    "list": list,
    "Series": lambda y: pd.Series(y, index=range(900, 900 - len(y), -1)),
    "Categorical": lambda y: pd.Series(y, dtype="category"),
    "text": lambda y: pd.Series(y, dtype="string"),
    "objects": lambda y: np.array(y, object),
    "polars": pl.Series,
    "Arrow": pa.array,
    "chunks": lambda y: pa.chunked_array([y[:20], y[20:]]),
    "frame": lambda y: pd.DataFrame({"y": y}),
}


@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
def test_labels_come_in_any_container(name: str) -> None:
    made = CONTAINERS[name]
    expected = EnsembleClassifier(**QUICK).fit(X, HALVES)
    model = EnsembleClassifier(**QUICK).fit(X, made(HALVES.tolist()))
    assert model.classes_.tolist() == ["no", "yes"]
    assert model.predict(X).tolist() == expected.predict(X).tolist()
    numbers = EnsembleRegressor(**QUICK).fit(X, X[:, 0])
    if name not in ("Categorical", "text"):
        other = EnsembleRegressor(**QUICK).fit(X, made(X[:, 0].tolist()))
        np.testing.assert_array_equal(other.predict(X), numbers.predict(X))


MISSING = [
    *((EnsembleClassifier, value) for value in (None, np.nan, pd.NA)),
    *((EnsembleRegressor, value) for value in (None, np.nan)),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "missing", "name"), [
    (kind, missing, name) for name in CONTAINERS for kind, missing in MISSING
    # These have None alone for what is missing.
    if missing is None or name not in ("polars", "Arrow", "chunks")
])  # fmt: skip
def test_a_missing_label_is_named(kind: Any, missing: Any, name: str) -> None:
    y: list[Any] = HALVES.tolist() if kind is EnsembleClassifier else X[:, 0].tolist()
    y[16] = missing
    with pytest.raises(ValueError, match=r"y: (column 'y': )?row 16 .* has none; remove such rows"):
        kind(**QUICK).fit(X, CONTAINERS[name](y))


@pytest.mark.parametrize(("y", "message"), [
    (pd.Series(HALVES), "y: row 0 .from 0.: '(no|yes)' is no number; for classes there is Ens"),
    (pd.Series(pd.date_range("2020", periods=150)), "y: targets are dates or times"),
    (sparse.csr_array(X), r"y: is sparse; pass y.toarray\(\)"),
    (pd.DataFrame(X, columns=list("abcd")).replace(X[3, 2], np.nan), "y: column 'c': row 3 "),
    (np.where(X[3, 2] == X, np.nan, X), "y: column 3: row 3 .from 0. has none"),
    (None, "requires y to be passed"),
])  # fmt: skip
def test_targets_that_are_none_are_refused(y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EnsembleRegressor(**QUICK).fit(X, y)


def test_labels_of_several_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="y: values of several kinds, int and str"):
        EnsembleClassifier(**QUICK).fit(X, np.array(["a", 1] * 75, object))


def test_the_model_has_the_names_of_the_targets() -> None:
    named = EnsembleClassifier(**QUICK).fit(X, pd.Series(HALVES, name="bought"))
    assert named.model_.schema.target_names == ("bought",)
    both = EnsembleRegressor(**QUICK).fit(X, pd.DataFrame({"a": X[:, 0], "b": X[:, 1]}))
    assert both.model_.schema.target_names == ("a", "b")
    frame = pd.DataFrame(X, columns=list("abcd"))
    clash = EnsembleRegressor(**QUICK).fit(frame, pd.Series(X[:, 0], name="a"))
    assert clash.model_.schema.target_names == ("y",)
