"""What MLflow lacks of a run is the last line of its command, with the command that sends it."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from journal_entries import EXAMPLES

from ensemble_pipe.cli.outcome import show_result
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.run.lifecycle import RunResult
from ensemble_pipe.tracking import kinds
from ensemble_pipe.tracking.cursor import Cursor
from ensemble_pipe.tracking.journal import Journal, read_lines
from ensemble_pipe.tracking.lacking import what_mlflow_lacks
from ensemble_pipe.tracking.refusals import Problem

DOWN = Problem("cannot reach http://h", "start the tracking server and try again")


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    """A run of two learners, with entries of each kind."""
    found = RunPaths(tmp_path)
    journal = Journal(found.journal)
    for entry in [
        *EXAMPLES[:2],
        kinds.LearnerEntry(1, {"network": {"name": "mlp"}}),
        *EXAMPLES[2:],
    ]:
        journal.append(entry)
    journal.close()
    return found


def lacks(paths: RunPaths, problem: Problem | None = DOWN, left_out: str = "") -> str:
    tracker: Any = SimpleNamespace(problem=problem, left_out=left_out)
    return what_mlflow_lacks(paths, tracker)


def sent_up_to(paths: RunPaths, kind: str) -> None:
    """Save the cursor of a run that was sent up to the first entry of a kind."""
    before = next(line for line in read_lines(paths.journal) if line.entry.kind == kind)
    Cursor(offset=before.end, parent="a").save(paths.cursor)


def test_a_complete_run_lacks_nothing(paths: RunPaths) -> None:
    assert lacks(paths, problem=None) == ""
    refused = lacks(paths, problem=None, left_out="param seed: no")
    assert refused == "MLflow has this run, but for what cannot be sent (param seed: no)"


def test_a_run_that_never_arrived_lacks_all(paths: RunPaths) -> None:
    assert lacks(paths) == (
        "MLflow lacks this run (cannot reach http://h); start the tracking server and try again "
        f"with `ensemble-pipe sync {paths.root}`"
    )


@pytest.mark.parametrize(("kind", "what"), [
    ("started", "entries of 2 of 2 learners, the model"),
    ("grown", "entries of 1 of 2 learners, the model"),
    ("pictures", "the model"),
    ("model", "the end of this run"),
])  # fmt: skip
def test_what_follows_the_cursor_is_lacking(kind: str, what: str, paths: RunPaths) -> None:
    sent_up_to(paths, kind)
    assert lacks(paths).startswith(f"MLflow lacks {what} (cannot reach")


@pytest.mark.parametrize("as_json", [False, True])
def test_it_is_the_last_line_of_the_command(
    as_json: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "MLflow lacks this run (x); try again with `ensemble-pipe sync runs/a`"
    metrics = {
        f"{who}test/{name}": 0.5
        for who in ("", "member_mean/", "member_best/")
        for name in ("nll",)
    }
    result = RunResult("a", str(tmp_path), None, None, metrics, 1.0, 2, mlflow_lacks=line)
    show_result(result, as_json)
    shown = capsys.readouterr()
    assert shown.err.splitlines()[-1] == line
    assert line not in shown.err.splitlines()[:-1]
    if as_json:
        assert json.loads(shown.out.splitlines()[-1])["mlflow_lacks"] == line
