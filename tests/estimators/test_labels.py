"""Labels of a classifier: what it takes, every reader of its model finds again."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from estimator_data import QUICK, X
from pyarrow import csv, parquet

import ensemble_pipe
from ensemble_pipe import EnsembleClassifier
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
