"""A journal that has lost its start, its end or a line between is refused by every command."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from earlier_runs import FOLDER, VERSIONS, copy_of
from typer.testing import CliRunner

from ensemble_pipe.cli import app
from ensemble_pipe.config.reading import load_pipeline
from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.core.storage import RunPaths, write_json
from ensemble_pipe.run import run_sink
from ensemble_pipe.run.pipeline import resume, run, sync
from ensemble_pipe.tracking.completeness import complete_entries
from ensemble_pipe.tracking.cursor import Cursor
from ensemble_pipe.tracking.journal import Journal
from ensemble_pipe.tracking.kinds import EpochEntry, KnownEntry
from ensemble_pipe.training.checkpoints import save_checkpoint
from ensemble_pipe.training.events import Checkpoint

RESUME = ("resume", "--inline", "--accept-changes")


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return copy_of(VERSIONS[-1], "finished", tmp_path)


def kinds(paths: RunPaths) -> list[str]:
    return [json.loads(line)["kind"] for line in paths.journal.read_text().splitlines()]


def keep(paths: RunPaths, wanted: Callable[[int, dict[str, Any]], bool]) -> None:
    """Keep the lines of a journal that are wanted, given their number and entry."""
    lines = paths.journal.read_text().splitlines(keepends=True)
    kept = [line for number, line in enumerate(lines) if wanted(number, json.loads(line))]
    assert len(kept) < len(lines)
    paths.journal.write_text("".join(kept))


def refusals(paths: RunPaths, *commands: tuple[str, ...]) -> str:
    """Return what several commands say, which refuse a run with the same message."""
    found = set()
    for name, *options in commands:
        before = paths.journal.read_bytes()
        done = CliRunner().invoke(app, [name, str(paths.root), *options])
        assert done.exit_code == 2, done.output
        assert "Traceback" not in done.stderr
        assert paths.journal.read_bytes() == before
        found.add(done.stderr.split("; restore")[0])
    (message,) = found
    return message.removeprefix(f"error: {paths.journal}: ")


def test_a_whole_journal_is_complete(paths: RunPaths) -> None:
    assert [entry.kind for entry in complete_entries(paths)] == kinds(paths)


def test_one_that_is_empty_is_refused(paths: RunPaths) -> None:
    paths.journal.write_text("")
    message = refusals(paths, RESUME, ("report",), ("compare",))
    assert message == "does not say how the run began: it has lost its start"


def test_one_without_its_first_line_is_refused(paths: RunPaths) -> None:
    keep(paths, lambda number, entry: number > 0)
    message = refusals(paths, RESUME, ("report",), ("compare",))
    assert message.startswith("does not say how the run began")


@pytest.mark.parametrize("learner", [0, 1, 2])
def test_one_without_the_plan_of_a_learner_is_refused(paths: RunPaths, learner: int) -> None:
    keep(paths, lambda _, entry: entry["kind"] != "learner" or entry["learner"] != learner)
    message = refusals(paths, RESUME, ("report",), ("compare",))
    assert message == f"has an entry of learner {learner} but not its plan"


def test_one_that_ends_before_all_plans_is_refused(paths: RunPaths) -> None:
    keep(paths, lambda number, entry: number < 2)
    message = refusals(paths, RESUME, ("report",), ("compare",))
    assert message == "has the plans of 1 of the run's 3 learners"


def test_that_of_another_run_is_refused(paths: RunPaths) -> None:
    text = paths.journal.read_text()
    (paths.journal).write_text(text.replace(json.loads(text.split("\n")[0])["run_id"], "other"))
    assert refusals(paths, RESUME, ("report",)).startswith("is that of run other, not of small-")


def test_one_that_has_lost_its_end_is_refused(paths: RunPaths) -> None:
    epochs = [number for number, kind in enumerate(kinds(paths)) if kind == "epoch"]
    keep(paths, lambda number, entry: number < epochs[-3])
    message = refusals(paths, RESUME)
    assert message.startswith("has lost epochs that its learners have trained: ")
    shown = CliRunner().invoke(app, ["report", str(paths.root)])  # what there is, and what is not
    assert shown.exit_code == 0
    assert "has lost epochs that its learners have trained" in paths.report.read_text()


def test_one_that_has_lost_an_epoch_between_is_refused(paths: RunPaths) -> None:
    keep(paths, lambda _, entry: (entry["kind"], entry.get("epoch")) != ("epoch", 3))
    message = refusals(paths, RESUME, ("compare",))
    assert message.endswith("have trained: 1 of 6 of 0, 1 of 6 of 1")


def test_what_follows_from_checkpoints_is_told_again(paths: RunPaths) -> None:
    before = kinds(paths)
    keep(paths, lambda _, entry: entry["kind"] in ("started", "learner", "epoch", "resumed"))
    resume(paths.root, inline=True, accept_changes=True)
    told = kinds(paths)
    # Earlier versions have measured no importance, and are accepted as such.
    of_processes = ("resumed", "accepted", "timeline", "importance")
    assert sorted(kind for kind in told if kind not in of_processes) == sorted(
        kind for kind in before if kind not in of_processes
    )


def test_a_note_of_more_than_there_is_was_of_another_journal(paths: RunPaths) -> None:
    text = paths.pipeline.read_text()
    paths.pipeline.write_text(text.replace("mlflow: false", "mlflow: true"))
    size = paths.journal.stat().st_size
    for offset in (size + 1, size - 1, 7):
        write_json(paths.cursor, {"offset": offset})
        with pytest.raises(CorruptFileError, match=rf"no entry ends at byte {offset}.*resume"):
            sync(paths.root, timeout_s=1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "is no JSON object"),
        ("", "not valid JSON"),
        ('{"offset": "x"}', "offset: input should be a valid integer"),
        ('{"offset": -1}', "offset: input should be greater"),
        ('{"children": {"0": null}}', "children.0: input should be a valid string"),
        ('{"epochs": {"0": "x"}}', "epochs.0"),
        ('{"once": 1}', "once"),
        ("[" * 100_000, "nested more than 64 deep"),
    ],
)
def test_a_damaged_note_of_what_was_shipped_may_be_removed(
    tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "mlflow.json"
    path.write_text(content)
    with pytest.raises(CorruptFileError, match=rf"{message}.*or remove it to send all anew"):
        Cursor.load(path)


def test_the_journal_is_on_the_disk_before_a_checkpoint_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    appended: list[tuple[int, int]] = []
    on_disk: set[tuple[int, int]] = set()
    were_there: list[bool] = []
    append, save, to_disk = Journal.append, save_checkpoint, Journal.sync

    def appending(journal: Journal, entry: KnownEntry) -> None:
        append(journal, entry)
        if isinstance(entry, EpochEntry):
            appended.append((entry.learner, entry.epoch))

    def saving(paths: RunPaths, checkpoint: Checkpoint, run_id: str) -> None:
        were_there.append((checkpoint.learner, checkpoint.epoch) in on_disk)
        save(paths, checkpoint, run_id)

    def synchronising(journal: Journal) -> None:
        known = set(appended)
        to_disk(journal)
        on_disk.update(known)

    monkeypatch.setattr(Journal, "append", appending)
    monkeypatch.setattr(Journal, "sync", synchronising)
    monkeypatch.setattr(run_sink, "save_checkpoint", saving)
    source = copy_of(VERSIONS[-1], "finished", tmp_path)
    monkeypatch.chdir(FOLDER / VERSIONS[-1])
    run(load_pipeline(source.pipeline)[0], output=tmp_path / "runs", inline=True)
    assert were_there == [True] * 12
