"""The journal: whole lines only, and what a resume drops."""

import errno
import json
import math
import os
import re
from pathlib import Path
from typing import Any

import pytest

from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.tracking.journal import Entry, Journal, read_entries, rewind


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


PIPELINE = {
    "name": "x",
    "task": "classification",
    "seed": 1,
    "data": {},
    "augment": {"policy": []},
    "network": {"name": "mlp"},
    "training": {
        "epochs": 3,
        "batch_size": 32,
        "optimizer": {"name": "adam"},
        "schedule": {"name": "constant"},
    },
    "ensemble": {
        "strategy": "independent",
        "learners": 2,
        "pool": None,
        "combine": {"method": "choose"},
    },
    "view": {"bootstrap": False, "folds": None, "balance_classes": False, "features": 1.0},
}
# What an entry of each kind needs.
FACTS: dict[str, dict[str, Any]] = {
    "started": {
        "run_id": "x",
        "pipeline": PIPELINE,
        "rows": {"train": 6, "stop": 2, "validation": 2, "test": 2},
        "data_sums": {},
    },
    "learner": {"learner": 0, "plan": {"network": {"name": "mlp"}}},
    "member": {"learner": 0, "number": 0, "step": 1, "metrics": {}},
    "ensemble": {"members": 1, "metrics": {}},
    "failed": {"learner": 0, "reason": "why"},
    "finished": {"learner": 0},
    "result": {"metrics": {}, "members": 1, "equal": True, "unfinished": []},
}


def entries(path: Path) -> list[Entry]:
    return [entry for entry, _ in read_entries(path)]


def write(path: Path) -> None:
    journal = Journal(path)
    journal.append("started", **FACTS["started"])
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
    with pytest.raises(CorruptFileError, match=r"the line before byte \d+ is damaged"):
        entries(path)


@pytest.mark.parametrize("place", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_flipped_bit_is_noticed_though_the_line_still_reads_well(
    path: Path, place: float
) -> None:
    write(path)
    content = bytearray(path.read_bytes())
    start = int(place * len(content))
    where = next(i for i in range(start, len(content)) if chr(content[i]) in "02468")
    content[where] ^= 1  # a digit becomes another
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match="does not match its sum"):
        entries(path)


def test_lines_of_earlier_versions_have_no_sums(path: Path) -> None:
    write(path)
    found = entries(path)
    path.write_text("".join(json.dumps(entry) + "\n" for entry in found))
    assert entries(path) == found
    Journal(path).append("resumed")
    assert entries(path)[:-1] == found


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[]", "is no JSON object"),
        ("{}", "lacks kind, time_ms"),
        ("[" * 100_000, "nested more than 64 deep"),
        ('{"kind": "epoch", "time_ms": 1}', "lacks learner, epoch, step, metrics"),
        ('{"kind": "epocj", "time_ms": 1}', "kind: unknown 'epocj'"),
        ('{"kind": "resumed", "time_ms": "soon"}', "time_ms: input should be a valid integer"),
        ('{"kind": "resumed", "time_ms": 1e99}', "time_ms: input should be a valid integer"),
        ('{"kind": "resumed", "time_ms": 1, "kind": "ended"}', "'kind' stands there twice"),
        ('{"kind": "failed", "time_ms": 1, "learner": true, "reason": ""}', "learner: input"),
        ('{"kind": "cost", "time_ms": 1, "learner": 0, "number": 0, "ms": NaN}', "NaN is no"),
    ],
)
def test_a_line_of_a_wrong_shape_is_refused(path: Path, line: str, message: str) -> None:
    path.write_text(line + "\n")
    with pytest.raises(CorruptFileError, match=re.escape(message)):
        entries(path)


@pytest.mark.parametrize("start", [5, 10**9])
def test_a_place_where_no_entry_ends_is_no_place_to_go_on_from(path: Path, start: int) -> None:
    write(path)
    with pytest.raises(CorruptFileError, match=f"no entry ends at byte {start}"):
        list(read_entries(path, start))


def test_a_full_disk_leaves_no_half_line_behind(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path)
    journal, whole = Journal(path), os.write

    def half(file: int, content: bytes) -> int:
        if len(content) < 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return whole(file, content[:15])

    with monkeypatch.context() as full:
        full.setattr(os, "write", half)
        with pytest.raises(OSError, match="No space"):
            journal.append("resumed")
    journal.append("ended", status="FAILED")
    journal.close()
    assert [entry["kind"] for entry in entries(path)][-2:] == ["ended", "ended"]


def test_numbers_that_are_not_finite_become_null(path: Path) -> None:
    journal = Journal(path)
    facts = {**FACTS["result"], "metrics": {"nll": math.inf}, "others": [math.nan, 1.0]}
    journal.append("result", **facts)
    journal.close()
    assert entries(path)[0]["metrics"] == {"nll": None}
    assert entries(path)[0]["others"] == [None, 1.0]


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
    for kind, facts in FACTS.items():
        journal.append(kind, **facts)
    journal.close()
    rewind(path, {0: 1}, train=train)
    assert [entry["kind"] for entry in entries(path)] == ["started", "learner", *kept]
