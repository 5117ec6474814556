"""`ls`: the runs and searches in a folder, one row each, whatever state they are in."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import StopAt
from filelock import FileLock
from small_pipelines import SPLITS, small_settings
from typer.testing import CliRunner, Result

import ensemble_pipe
from ensemble_pipe import list_runs
from ensemble_pipe.cli import app
from ensemble_pipe.comparison.runs import driven_seconds
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.errors import InputError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.run.pipeline import RunResult, run
from ensemble_pipe.tracking.journal import read_entries
from ensemble_pipe.tracking.kinds import EpochEntry, UnknownEntry


def pipeline(**sections: Any) -> Pipeline:
    settings = small_settings(hidden=4, epochs=3, splits=SPLITS, name="small")
    return Pipeline.model_validate(settings | {"ensemble": {"learners": 2}} | sections)


def searched(**sections: Any) -> Pipeline:
    rate = {"training.optimizer.learning_rate": {"log_uniform": [0.001, 0.1]}}
    return Pipeline.model_validate(
        small_settings(hidden=4, epochs=3, splits=SPLITS, name="tried")
        | {"search": {"space": rate, "trials": 3, "top": 2, **sections}}
    )


def call(*arguments: Any) -> Result:
    return CliRunner().invoke(app, ["ls", *map(str, arguments)])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return run(pipeline(), output=tmp_path_factory.mktemp("runs"), inline=True)


@pytest.fixture
def folder(finished: RunResult, tmp_path: Path) -> Path:
    """A folder with one finished run."""
    runs = tmp_path / "runs"
    shutil.copytree(finished.run_dir, runs / finished.run_id)
    return runs


def test_a_finished_run_has_its_test_metric_and_time(folder: Path, finished: RunResult) -> None:
    (row,) = list_runs(folder)
    assert (row.name, row.kind, row.status) == (finished.run_id, "run", "finished")
    assert (row.done, row.total, row.failed) == (2, 2, 0)
    assert (row.metric, row.score) == ("test/accuracy", finished.metrics["test/accuracy"])
    assert 0 <= row.seconds <= finished.seconds + 0.1
    assert list_runs(row.run_dir) == [row]  # a run directory itself is a row


def test_a_combined_run_has_its_own_time_and_names_its_source(folder: Path) -> None:
    (source,) = list_runs(folder)
    changed: dict[str, Any] = {"ensemble.combine.method": "mean_logit"}
    made = ensemble_pipe.combine(source.run_dir, **changed)
    new = next(one for one in list_runs(folder) if one.run_dir == made.run_dir)
    assert (new.combined_from, new.done, new.total) == (source.name, 2, 2)
    copied = driven_seconds(list(read_entries(RunPaths(Path(made.run_dir)).journal)))
    assert 0 < new.seconds < copied
    assert new.seconds <= made.seconds + 1
    said = call(folder).stdout
    assert f"{new.name}: combines the members of {source.name}; its time is without" in said


def test_the_metric_that_a_run_aims_at_is_its_score(tmp_path: Path) -> None:
    how = {"method": "greedy", "metric": "f1"}
    aimed = pipeline(ensemble={"learners": 2, "combine": how})
    result = run(aimed, output=tmp_path, inline=True)
    (row,) = list_runs(tmp_path)
    assert (row.metric, row.score) == ("test/f1", result.metrics["test/f1"])


def test_numbers_are_scored_by_their_rmse(tmp_path: Path) -> None:
    numbers = {"task": "regression", "data": {"source": "bundled", "set": "diabetes"}}
    result = run(pipeline(**numbers), output=tmp_path, inline=True)
    (row,) = list_runs(tmp_path)
    assert (row.metric, row.score) == ("test/rmse", result.metrics["test/rmse"])


def test_a_search_has_its_trials_and_the_best_score(tmp_path: Path) -> None:
    result = ensemble_pipe.search(searched(), output=tmp_path, inline=True)
    (row,) = list_runs(tmp_path)
    assert (row.kind, row.status, row.done, row.total) == ("search", "finished", 3, 3)
    assert (row.metric, row.score) == ("validation/nll", result.trials[0].score)


def test_a_search_that_was_stopped_says_how_many_trials_have_ended(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        ensemble_pipe.search(searched(), output=tmp_path, inline=True, display=StopAt(2))
    (row,) = list_runs(tmp_path)
    assert (row.kind, row.status, row.total) == ("search", "interrupted", 3)
    assert row.done < 3


def test_a_run_that_was_killed_can_go_on(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(pipeline(), output=tmp_path, inline=True, display=StopAt(2))
    (row,) = list_runs(tmp_path)
    assert (row.status, row.total) == ("interrupted", 2)
    done = call(tmp_path)
    assert f"resume {row.run_dir}" in done.stderr


def test_a_run_that_a_time_limit_ended_says_so(tmp_path: Path) -> None:
    endless = pipeline(training={"epochs": 100_000, "batch_size": 32})
    result = run(endless, output=tmp_path, inline=True, time_limit=6)
    (row,) = list_runs(tmp_path)
    assert row.status == "time limit"
    assert row.done < row.total
    assert row.score == result.metrics["test/accuracy"]


def test_a_run_that_a_process_drives_is_running(folder: Path) -> None:
    (root,) = folder.iterdir()
    paths = RunPaths(root)
    lines = paths.journal.read_bytes().splitlines(keepends=True)
    paths.journal.write_bytes(b"".join(lines[:-1]))
    assert [row.status for row in list_runs(folder)] == ["interrupted"]
    with FileLock(paths.lock):
        assert [row.status for row in list_runs(folder)] == ["running"]
        paths.manifest.unlink()  # as while its data is being prepared
        paths.journal.unlink()
        assert [(row.kind, row.status) for row in list_runs(folder)] == [(None, "running")]
    (row,) = list_runs(folder)
    assert row.status == "damaged"
    assert "it has no manifest.json" in row.damage


def test_a_damaged_directory_is_a_row_that_says_so(folder: Path) -> None:
    (root,) = folder.iterdir()
    shutil.copytree(root, folder / "torn")
    journal = folder / "torn" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"epoch"', b'"epoxh"', 1))
    shutil.copytree(root, folder / "lost")
    (folder / "lost" / "journal.jsonl").unlink()
    (folder / "notes").mkdir()
    (folder / "notes.txt").write_text("no run")
    rows = {row.name: row for row in list_runs(folder)}
    assert set(rows) == {root.name, "torn", "lost"}
    assert rows[root.name].status == "finished"
    assert "is damaged" in rows["torn"].damage
    assert "has lost its journal.jsonl" in rows["lost"].damage
    done = call(folder)
    assert done.exit_code == 0, done.stderr
    assert "lost: " in done.stdout
    assert "Traceback" not in done.output


def test_the_newest_come_first(folder: Path) -> None:
    (root,) = folder.iterdir()
    time.sleep(0.01)
    later = run(pipeline(), output=folder, inline=True)
    assert [row.name for row in list_runs(folder)] == [later.run_id, root.name]


def test_the_table_and_json_show_the_same_runs(folder: Path) -> None:
    shown = call(folder, "--json")
    (row,) = json.loads(shown.stdout)["runs"]
    (root,) = folder.iterdir()
    assert (row["name"], row["status"], row["done"]) == (root.name, "finished", 2)
    assert f"report {root}" in shown.stderr
    table = call(folder).stdout.splitlines()
    assert table[0].split() == ["name", "kind", "status", "done", "score", "time", "begun"]
    assert f"2 of 2 learners  accuracy {row['score']:.4g}" in table[1]


def test_an_empty_folder_has_no_rows_and_one_that_is_absent_is_refused(tmp_path: Path) -> None:
    assert call(tmp_path).stdout == f"no runs in {tmp_path}\n"
    assert json.loads(call(tmp_path, "--json").stdout) == {"runs": []}
    absent = call(tmp_path / "absent")
    assert absent.exit_code == 2
    assert absent.stderr.startswith(f"error: {tmp_path / 'absent'}: no such folder")
    (tmp_path / "p.yaml").write_text("seed: 1\n")
    with pytest.raises(InputError, match="is a pipeline file, not a folder of run directories"):
        list_runs(tmp_path / "p.yaml")


def test_epochs_are_not_read_but_their_sums_are(finished: RunResult, tmp_path: Path) -> None:
    journal = RunPaths(Path(finished.run_dir)).journal
    whole, brief = list(read_entries(journal)), list(read_entries(journal, unread=("epoch",)))
    assert [entry.time_ms for entry in brief] == [entry.time_ms for entry in whole]
    unread = [entry for entry in brief if isinstance(entry, UnknownEntry)]
    assert len(unread) == sum(isinstance(entry, EpochEntry) for entry in whole) > 0
