"""The journal: whole lines only, and what a resume drops."""

import math
from pathlib import Path

import pytest

from ensemble_pipe.errors import CorruptFileError
from ensemble_pipe.tracking.journal import Entry, Journal, read_entries, rewind


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def entries(path: Path) -> list[Entry]:
    return [entry for entry, _ in read_entries(path)]


def write(path: Path) -> None:
    journal = Journal(path)
    journal.append("started", run_id="x")
    for learner in (0, 1):
        for epoch in (1, 2, 3):
            facts = {"learner": learner, "epoch": epoch, "step": 10 * epoch}
            journal.append("epoch", **facts, metrics={"train/loss": 1.0 / epoch})
    journal.append("ended", status="KILLED")
    journal.close()


def test_entries_come_back_in_order_with_their_time(path: Path) -> None:
    write(path)
    found = entries(path)
    assert [entry["kind"] for entry in found] == ["started", *["epoch"] * 6, "ended"]
    times = [entry["time_ms"] for entry in found]
    assert times == sorted(times)


def test_reading_goes_on_at_an_offset(path: Path) -> None:
    write(path)
    offsets = [offset for _, offset in read_entries(path)]
    assert offsets[-1] == path.stat().st_size
    assert [e["kind"] for e, _ in read_entries(path, offsets[-2])] == ["ended"]
    assert list(read_entries(path, offsets[-1])) == []


def test_a_torn_line_is_left_out(path: Path) -> None:
    write(path)
    with open(path, "a") as stream:
        stream.write('{"kind": "epoch", "learner": 1, "ep')
    assert len(entries(path)) == 8


def test_a_damaged_line_is_not_passed_over(path: Path) -> None:
    write(path)
    content = path.read_bytes().replace(b'"KILLED"', b'"KILLED')
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match=r"journal\.jsonl: the line before byte"):
        entries(path)


def test_numbers_that_are_not_finite_become_null(path: Path) -> None:
    journal = Journal(path)
    journal.append("result", metrics={"nll": math.inf, "list": [math.nan, 1.0]})
    journal.close()
    assert entries(path)[0]["metrics"] == {"nll": None, "list": [None, 1.0]}


def test_a_rewind_drops_what_lies_past_the_checkpoints(path: Path) -> None:
    write(path)
    with open(path, "a") as stream:
        stream.write('{"torn')
    rewind(path, {0: 20, 1: 0}, train=True)
    assert [(e["kind"], e.get("learner"), e.get("epoch")) for e in entries(path)] == [
        ("started", None, None),
        ("epoch", 0, 1),
        ("epoch", 0, 2),
    ]


def test_a_rewind_changes_nothing_the_second_time(path: Path) -> None:
    write(path)
    rewind(path, {0: 20, 1: 30}, train=True)
    once = path.read_bytes()
    rewind(path, {0: 20, 1: 30}, train=True)
    assert path.read_bytes() == once


def test_a_journal_opened_again_cuts_off_a_torn_line(path: Path) -> None:
    write(path)
    with open(path, "a") as stream:
        stream.write('{"torn')
    journal = Journal(path)
    journal.append("resumed")
    journal.close()
    assert [entry["kind"] for entry in entries(path)][-2:] == ["ended", "resumed"]


@pytest.mark.parametrize(("train", "kept"), [(True, []), (False, ["failed"])])
def test_a_rewind_drops_what_the_run_will_say_again(
    path: Path, train: bool, kept: list[str]
) -> None:
    journal = Journal(path)
    for kind in ("started", "learner", "member", "ensemble", "failed", "finished", "result"):
        journal.append(kind, learner=0, step=1)
    journal.close()
    rewind(path, {0: 1}, train=train)
    assert [entry["kind"] for entry in entries(path)] == ["started", "learner", *kept]
