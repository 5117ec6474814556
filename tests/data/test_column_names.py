"""Names of columns: those without one, those that were renamed, and all that need a rule."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ensemble_pipe.config.reading import Pipeline
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.inspection.advice import decisions_of, pipeline_of
from ensemble_pipe.data.inspection.inspect import inspect
from ensemble_pipe.data.inspection.listing import report_table
from ensemble_pipe.data.sources.files import open_rows
from ensemble_pipe.data.sources.paths import require_columns
from ensemble_pipe.run.preparation import Prepared, prepare

ROWS = 80


def frame() -> pd.DataFrame:
    random = np.random.default_rng(0)
    values = {"age": random.normal(size=ROWS), "y": np.arange(ROWS) // (ROWS // 2)}
    return pd.DataFrame(values)


def prepared(path: Path, **data: Any) -> Prepared:
    table = {"source": "table", "path": str(path), "label": "y", **data}
    return prepare(Pipeline.model_validate({"data": table, "task": "classification"}))


def written(folder: Path, kind: str) -> tuple[Path, str]:
    """Write rows with their numbers, as pandas does without being asked; return also the name."""
    if kind == "csv":
        frame().to_csv(folder / "t.csv")
        return folder / "t.csv", ""
    if kind == "csv again":
        frame().to_csv(folder / "t.csv")
        pd.read_csv(folder / "t.csv").to_csv(folder / "t.csv", index=False)
        return folder / "t.csv", "Unnamed: 0"
    frame().sample(frac=1, random_state=0).to_parquet(folder / "t.parquet")
    return folder / "t.parquet", "__index_level_0__"


@pytest.mark.parametrize("kind", ["csv", "csv again", "parquet"])
def test_row_numbers_without_a_name_are_left_out(kind: str, tmp_path: Path) -> None:
    path, name = written(tmp_path, kind)
    found = prepared(path)
    assert (found.warning, found.schema.feature_names) == (None, ("age",))
    decision = {decision.name: decision for decision in found.schema.decisions}[name]
    why = {"parquet": "distinct in every row, and without a name of its own; columns: "
           "{__index_level_0__: {kind: number}} keeps it"}  # fmt: skip
    treatment = why.get(kind, "counts the rows, as an identifier does")
    assert (decision.kind, decision.treatment) == ("left out", treatment)
    assert prepared(path, ignore=[name]).schema.feature_names == ("age",)


@pytest.mark.parametrize("kind", ["csv", "csv again", "parquet"])
def test_row_numbers_that_a_rule_keeps_are_warned_of(kind: str, tmp_path: Path) -> None:
    path, name = written(tmp_path, kind)
    warning = prepared(path, columns={"*": {"kind": "number"}}).warning
    assert warning is not None
    assert warning.startswith(f"warning: {path}: column {name!r} has no name of its own")
    assert warning.endswith(f"leave them out with ignore: [{name!r}]")


@pytest.mark.parametrize("kind", ["csv", "csv again", "parquet"])
def test_inspecting_a_file_leaves_row_numbers_out(kind: str, tmp_path: Path) -> None:
    path, name = written(tmp_path, kind)
    rows = open_rows(str(path))
    report = inspect(rows)
    assert [d.name for d in decisions_of(rows, report) if d.kind == "left out"] == [name]
    pipeline = pipeline_of(report, str(path))
    assert pipeline is not None
    assert pipeline["data"] == {"source": "table", "path": str(path), "label": "y"}
    assert prepare(Pipeline.model_validate(pipeline)).warning is None


def test_a_file_with_names_is_not_warned_of(tmp_path: Path) -> None:
    frame().to_csv(tmp_path / "t.csv", index=False)
    assert prepared(tmp_path / "t.csv").warning is None
    assert "no name" not in report_table(inspect(open_rows(str(tmp_path / "t.csv"))), None)


@pytest.mark.parametrize(
    ("wanted", "there", "question"),
    [
        (["age"], ["Age", "city"], "'Age'"),
        (["age"], [" age", "city"], "' age'"),
        (["hours-per-week"], ["hours_per_week", "hours"], "'hours_per_week'"),
        (["education", "education-num"], ["edu", "education-num"], "'edu'"),
        (["age"], ["age_in_years"], "'age_in_years'"),
        (["age", "city", "job"], ["AGE", "City", "job"], "'AGE' for 'age', 'City' for 'city'"),
    ],
    ids=str,
)
def test_a_renamed_column_is_asked_for(wanted: list[str], there: list[str], question: str) -> None:
    with pytest.raises(DataError) as refused:
        require_columns("t", wanted, there)
    assert f"; did you mean {question}? its columns are: " in str(refused.value)


def test_a_column_of_the_model_is_no_other_ones_new_name() -> None:
    with pytest.raises(DataError, match=r"has no column 'ab1'; its columns are: ab2, c"):
        require_columns("t", ["ab1", "ab2"], ["ab2", "c"])


def test_the_one_new_column_is_taken_for_the_one_that_is_not_there(tmp_path: Path) -> None:
    frame().to_csv(tmp_path / "t.csv", index=False)
    schema = prepared(tmp_path / "t.csv").schema
    with pytest.raises(DataError, match=r"no column 'age'; did you mean 'years'\? its columns"):
        schema.require_columns(["years", "y"], "t")
    with pytest.raises(DataError, match=r"no column 'age'; its columns are: y$"):
        schema.require_columns(["y"], "t")


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_all_columns_of_text_are_named_at_once(ending: str, tmp_path: Path) -> None:
    rows = frame().assign(job="clerk", day="2026-02-28", n="7", city="Rome")
    rows["late"] = ["3"] * (ROWS - 1) + ["three"]
    path = tmp_path / f"t.{ending}"
    rows.to_csv(path, index=False) if ending == "csv" else rows.to_parquet(path)
    rules = {"*": {"kind": "number"}, "city": {"kind": "category"}}
    with pytest.raises(DataError) as refused:
        prepared(path, columns=rules)
    where = "row 0 (from 0, line 2)" if ending == "csv" else "row 0 (from 0)"
    assert str(refused.value) == (
        f"{path}: {where}, column 'job': 'clerk' is not a number; declare it by `columns: {{job: "
        "{kind: category}}`, or leave its rule out; 'day', 'late' hold text too"
    )
