"""`evaluate --importance`: source columns as a person has them, by every way rows come in."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from typer.testing import CliRunner

import ensemble_pipe
from ensemble_pipe.cli import app
from ensemble_pipe.config.reading import Pipeline
from ensemble_pipe.core.errors import DataError, InputError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.data.base import open_base
from ensemble_pipe.ensemble.importance import Importance, Values, permutation_importance
from ensemble_pipe.ensemble.members import NetworkMember
from ensemble_pipe.evaluation import importance as module
from ensemble_pipe.run import measuring
from ensemble_pipe.run.measuring import products_of, rows_and_repeats
from ensemble_pipe.run.pipeline import resume, run
from ensemble_pipe.serving.model import Ensemble
from ensemble_pipe.tracking.journal import read_entries
from ensemble_pipe.tracking.kinds import ImportanceEntry, ResultEntry

COLUMNS = ["size", "place", "nothing"]
PLACES = ["north", "south", "west", "far away"]


def frame(rows: int, seed: int) -> pd.DataFrame:
    """Return rows whose label depends on a number with holes and on a category, not on the rest."""
    random = np.random.default_rng(seed)
    size, place = random.normal(size=rows), random.integers(0, 4, rows)
    score = 2 * size + 3 * (place % 2) - 1.5 + random.normal(0, 0.5, rows)
    table = pd.DataFrame({"size": size, "place": np.array(PLACES)[place]})
    table["nothing"] = random.normal(size=rows)
    table.loc[::17, "size"] = np.nan
    return table.assign(kind=np.where(score > 0, "up", "down"), y=100 * score)


def run_of(folder: Path, task: str, **sections: Any) -> Path:
    """Run a pipeline on rows of a table; return its directory."""
    frame(1200, 0).to_csv(folder / "train.csv", index=False)
    label, other = ("kind", "y") if task == "classification" else ("y", "kind")
    rules = {"place": {"kind": "category"}, "size": {"kind": "number", "missing": "median"}}
    data = {
        "source": "table", "path": str(folder / "train.csv"), "label": label, "ignore": [other],
        "columns": rules,
    }  # fmt: skip
    config = {
        "task": task, "data": data, "network": {"hidden": [16]},
        "training": {"epochs": 15, "optimizer": {"learning_rate": 0.01}},
        "ensemble": {"learners": 2}, "tracking": {"mlflow": False}, **sections,
    }  # fmt: skip
    return Path(run(Pipeline.model_validate(config), output=folder, inline=True).run_dir)


def importance_in(run_dir: Path) -> ImportanceEntry:
    entries = read_entries(RunPaths(run_dir).journal)
    (entry,) = (entry for entry in entries if isinstance(entry, ImportanceEntry))
    return entry


@pytest.fixture(scope="module", params=["classification", "regression"])
def run_dir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    splits = {"validation": 0.2, "stop": 0.1}
    return run_of(tmp_path_factory.mktemp(request.param), request.param, splits=splits)


@pytest.fixture
def model(run_dir: Path) -> Ensemble:
    return ensemble_pipe.load(run_dir)


def test_a_column_that_the_label_does_not_depend_on_is_within_noise(model: Ensemble) -> None:
    found = {one.name: one for one in ensemble_pipe.importance(model, frame(800, 1)).columns}
    nothing = found["nothing"].nll
    assert nothing.low <= 0 <= nothing.high
    for name in ("size", "place"):
        assert found[name].nll.low > 10 * nothing.high
        assert found[name].score.low > 0


def test_a_column_counts_once_however_many_features_it_becomes(model: Ensemble) -> None:
    assert len(model.schema.encoded_names) > len(COLUMNS)
    found = ensemble_pipe.importance(model, frame(200, 1))
    assert sorted(one.name for one in found.columns) == sorted(COLUMNS)


def test_rows_come_by_every_way_with_the_same_bits(model: Ensemble, tmp_path: Path) -> None:
    rows = frame(300, 1)
    rows.to_csv(tmp_path / "rows.csv", index=False)
    rows.to_parquet(tmp_path / "rows.parquet", index=False)
    label = model.schema.target_names[0]
    expected = ensemble_pipe.importance(model, str(tmp_path / "rows.csv"))
    shuffled = rows.set_index(rows.index[::-1] + 7)[[label, *reversed(COLUMNS)]]
    ways: list[tuple[Any, Any]] = [
        (tmp_path / "rows.parquet", None),
        (shuffled, None),
        (pl.from_pandas(rows), None),
        (pa.Table.from_pandas(rows), None),
        (rows.to_dict("list"), None),
        (rows[COLUMNS], rows[label]),
        (rows[COLUMNS], list(rows[label])),
        (rows[COLUMNS], rows[[label]]),
        (rows[COLUMNS].to_numpy(object), rows[label].to_numpy()),
    ]
    for inputs, targets in ways:
        assert ensemble_pipe.importance(model, inputs, targets) == expected


def test_the_verb_shows_a_table_with_bars_and_prints_the_numbers(
    run_dir: Path, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    frame(300, 1).to_csv(path, index=False)
    arguments = ["evaluate", str(run_dir), str(path), "--importance", "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    expected = ensemble_pipe.importance(str(run_dir), str(path))
    assert json.loads(done.stdout.splitlines()[-1])["importance"] == expected.to_dict()
    lines = [line.split() for line in done.stderr.splitlines() if line.startswith(tuple(COLUMNS))]
    assert [line[0] for line in lines] == [one.name for one in expected.columns]
    assert lines[0][-1] == "#" * 30
    assert lines[-1][-2:] == ["within", "noise"]


def test_without_the_option_nothing_is_permuted(run_dir: Path, tmp_path: Path) -> None:
    frame(50, 1).to_csv(tmp_path / "rows.csv", index=False)
    done = CliRunner().invoke(app, ["evaluate", str(run_dir), str(tmp_path / "rows.csv"), "--json"])
    assert "importance" not in json.loads(done.stdout.splitlines()[-1])


def test_of_many_rows_a_draw_is_used_always_the_same(model: Ensemble) -> None:
    rows = frame(500, 1)
    first, again = (ensemble_pipe.importance(model, rows, rows=120) for _ in range(2))
    assert first == again
    assert first.rows == 120
    assert first != ensemble_pipe.importance(model, rows)


def test_the_run_measures_it_on_its_validation_part(run_dir: Path, model: Ensemble) -> None:
    """Encoded rows are permuted there, to the same bits as the rows themselves."""
    paths, entry = RunPaths(run_dir), importance_in(run_dir)
    numbers = open_base(paths.part("validation")).read_column("row")
    rows = frame(1200, 0).iloc[numbers]
    expected = ensemble_pipe.importance(model, rows, repeats=entry.repeats)
    assert (entry.rows, entry.measure) == (expected.rows, expected.measure)
    assert [(one.name, one.nll, one.score) for one in entry.columns] == [
        (one.name, one.nll, one.score) for one in expected.columns
    ]
    assert paths.picture("importance.svg").is_file()


@pytest.mark.parametrize("splits", [{"folds": 2}, {"validation": 0.2, "stop": 0.1}])
def test_members_predict_rows_that_they_have_not_seen(
    splits: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a column is permuted, the loss is the run's own, on held-out rows or out of fold."""
    plain: list[float] = []

    def noted(columns: Sequence[str], rows: int, values: Values, repeats: int) -> Importance:
        plain.append(values(None, np.arange(rows))["nll"].over())
        return permutation_importance(columns, rows, values, repeats=repeats)

    monkeypatch.setattr(measuring, "permutation_importance", noted)
    made = run_of(tmp_path, "regression", splits=splits, ensemble={"learners": 4})
    entries = read_entries(RunPaths(made).journal)
    (result,) = (entry for entry in entries if isinstance(entry, ResultEntry))
    assert plain == [pytest.approx(result.metrics["validation/nll"], rel=1e-12)]
    rises = {one.name: np.array(one.nll, float) for one in importance_in(made).columns}
    assert rises["size"][1] > 0.3
    assert rises["nothing"][1] <= 0 <= rises["nothing"][2]


def test_a_run_leaves_out_what_would_take_long(model: Ensemble) -> None:
    products = products_of(model.members, model.schema)
    assert products == sum(
        member.row.size for member in model.members if isinstance(member, NetworkMember)
    )
    assert rows_and_repeats(300, 3, products) == (300, 3)
    assert rows_and_repeats(5000, 3, products) == (2000, 3)
    assert rows_and_repeats(5000, 3, 10_000_000) == (666, 1)
    assert rows_and_repeats(300, 3, 10_000_000) == (300, 2)
    assert rows_and_repeats(5000, 3, 80_000_000) == (0, 0)
    assert rows_and_repeats(50, 3, 80_000_000) == (50, 1)
    assert rows_and_repeats(5000, 0, products) == (0, 0)


@pytest.mark.parametrize(
    ("inputs", "targets", "message"),
    [
        (frame(20, 1)[COLUMNS], None, "has no column"),
        (frame(20, 1)[COLUMNS], np.zeros(19), r"shape \(19,\)"),
        (frame(20, 1)[COLUMNS].to_numpy(object), None, "an array has no labels"),
        (frame(20, 1)[["size", "place", "kind", "y"]], None, "nothing"),
        (frame(1, 1), None, "at least 2 rows"),
        (frame(0, 1), None, "no rows"),
    ],
)
def test_rows_that_cannot_be_measured_are_refused(
    model: Ensemble, inputs: Any, targets: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        ensemble_pipe.importance(model, inputs, targets)


def test_a_missing_label_is_named_by_its_row_in_the_file(model: Ensemble, tmp_path: Path) -> None:
    rows = frame(400, 1)
    label = model.schema.target_names[0]
    rows[label] = rows[label].astype(object)
    rows.loc[211, label] = None
    rows.to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(DataError, match=r"row 211 \(from 0, line 213\)"):
        ensemble_pipe.importance(model, str(tmp_path / "rows.csv"))


def test_images_have_no_columns(monkeypatch: pytest.MonkeyPatch, model: Ensemble) -> None:
    monkeypatch.setattr(type(model.schema), "is_image", True)
    with pytest.raises(InputError, match="this model is for images"):
        module.importance(model, frame(20, 1))


def test_a_resumed_run_measures_the_same(run_dir: Path, tmp_path: Path) -> None:
    copied = RunPaths(Path(shutil.copytree(run_dir, tmp_path / run_dir.name)))
    before, after = (measured_by(copied, again) for again in (False, True))
    assert before == after


def measured_by(paths: RunPaths, again: bool) -> list[Any]:
    """Return the result and the importance in a journal, without their moments."""
    if again:
        resume(paths.root, inline=True)
    entries = list(read_entries(paths.journal))
    (result,) = (entry for entry in entries if isinstance(entry, ResultEntry))
    (importance,) = (entry for entry in entries if isinstance(entry, ImportanceEntry))
    assert "baseline_linear/test/nll" in result.metrics
    return [replace(entry, time_ms=0) for entry in (result, importance)]
