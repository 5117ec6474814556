"""The kinds of journal entries: each is written and read, and has a place in every reader."""

import ast
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from journal_entries import EXAMPLES, STARTED

import ensemble_pipe
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.tracking import kinds
from ensemble_pipe.tracking.completeness import take_learner
from ensemble_pipe.tracking.cursor import Cursor
from ensemble_pipe.tracking.endings import endings
from ensemble_pipe.tracking.entry import OfLearner
from ensemble_pipe.tracking.journal import Journal, line_of, read_entries, read_lines
from ensemble_pipe.tracking.kinds import Entry, KnownEntry, UnknownEntry
from ensemble_pipe.tracking.rewinding import stays
from ensemble_pipe.tracking.run_summary import RunSummary, add
from ensemble_pipe.tracking.shipping import Shipper

PACKAGE = Path(ensemble_pipe.__file__).parent


def ship(entry: Entry, folder: Path) -> None:
    """Ship an entry to an MLflow that takes everything."""
    paths = RunPaths(folder)
    paths.journal.write_bytes(line_of({"kind": STARTED.kind, **asdict(STARTED)}))
    shipper = Shipper(paths, "unused", "test", lambda *_: "models:/none")
    shipper._sender = MagicMock()
    shipper._sender.client.search_runs.return_value.token = None  # one page
    shipper._address = shipper._experiment_id = "unused"
    shipper.cursor = Cursor(parent="1", children={"0": "2"})
    shipper.take(entry)


def summarize(entry: Entry, folder: Path) -> None:
    add(RunSummary("x", "RUNNING", 0, 0, dict(STARTED.pipeline), dict(STARTED.rows)), entry)


READERS: dict[str, Callable[[Any, Path], object]] = {
    "shipping": ship,
    "run_summary": summarize,
    "rewinding": lambda entry, _: stays(entry, {0: 10}, train=True),
    "endings": lambda entry, _: endings([entry]),
    "completeness": lambda entry, folder: take_learner(entry, {0}, folder / "journal.jsonl"),
}


@dataclass(frozen=True)
class NewEntry(OfLearner):
    """A kind that no reader knows of."""

    kind = "new"


def test_there_is_an_example_of_every_kind() -> None:
    assert {example.kind: type(example) for example in EXAMPLES} == kinds.KINDS


@pytest.mark.parametrize("reader", READERS)
def test_every_kind_has_a_place_in_every_reader(reader: str, tmp_path: Path) -> None:
    for entry in (*EXAMPLES, UnknownEntry("of_a_later_version", 1)):
        READERS[reader](entry, tmp_path)
    with pytest.raises(AssertionError, match="NewEntry"):
        READERS[reader](NewEntry(0), tmp_path)


def test_all_that_match_on_kinds_are_among_the_readers() -> None:
    found = {
        path.stem
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Match) and "StartedEntry" in ast.unparse(node)
    }
    assert found == READERS.keys()


def test_every_kind_is_written_somewhere() -> None:
    written = {
        name
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        for name in ast.unparse(node.func).split(".")  # as `CombinedEntry.of` too
    }
    assert {kind.__name__ for kind in kinds.KINDS.values()} - written == set()


@pytest.mark.parametrize("entry", EXAMPLES, ids=lambda entry: entry.kind)
def test_what_was_written_is_read(entry: KnownEntry, tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.append(entry)
    journal.close()
    assert list(read_entries(path)) == [entry]


def test_further_fields_of_a_later_version_are_kept_on_the_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    values = {"kind": "finished", "time_ms": 1, "learner": 0, "why": "done"}
    path.write_bytes(line_of(values))
    (line,) = read_lines(path)
    assert line.entry == kinds.FinishedEntry(0, time_ms=1)
    assert line.values == values


def test_documents_within_an_entry_are_kept_whole(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    plan = {"network": {"name": "mlp", "of_a_later_version": [1]}, "epochs": 3}
    path.write_bytes(line_of({"kind": "learner", "time_ms": 1, "learner": 0, "plan": plan}))
    assert list(read_entries(path)) == [kinds.LearnerEntry(0, plan, time_ms=1)]


LINES = [
    (kinds.EpochEntry(1, 2, 30, {"train/loss": 0.5}, 0.25, time_ms=7),
     b'{"kind": "epoch", "time_ms": 7, "learner": 1, "epoch": 2, "step": 30, '
     b'"metrics": {"train/loss": 0.5}, "waited_s": 0.25, "crc": '),
    (kinds.CostEntry(1, 2, 0.5, time_ms=7),
     b'{"kind": "cost", "time_ms": 7, "learner": 1, "number": 2, "ms": 0.5, "crc": '),
    (kinds.MemberEntry(1, 2, 30, {}, time_ms=7),
     b'{"kind": "member", "time_ms": 7, "learner": 1, "number": 2, "step": 30, "metrics": {}, "'),
    (kinds.ResultEntry({}, 1, True, time_ms=7),
     b'{"kind": "result", "time_ms": 7, "metrics": {}, "members": 1, "equal": true, '
     b'"unfinished": [], "under_way": [], "not_refitted": [], "limit_s": null, '
     b'"unmeasured": [], "further": [], "crc": '),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "start"), LINES, ids=lambda value: getattr(value, "kind", ""))
def test_the_order_of_fields_on_a_line_stays(
    entry: KnownEntry, start: bytes, tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append(entry)
    journal.close()
    assert (tmp_path / "journal.jsonl").read_bytes().startswith(start)
