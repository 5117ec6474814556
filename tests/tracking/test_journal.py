"""The journal: whole lines only, and what a resume drops."""

import errno
import json
import math
import os
import re
from pathlib import Path

import pytest
from journal_entries import EXAMPLES, PLAN, STARTED

from ensemble_pipe.core.errors import CorruptFileError, StorageError
from ensemble_pipe.tracking.journal import Journal, read_entries, read_lines
from ensemble_pipe.tracking.kinds import (
    EndedEntry,
    Entry,
    EpochEntry,
    LearnerEntry,
    ResultEntry,
    ResumedEntry,
)
from ensemble_pipe.tracking.rewinding import rewind


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def entries(path: Path) -> list[Entry]:
    return list(read_entries(path))


def kinds(path: Path) -> list[str]:
    return [entry.kind for entry in read_entries(path)]


def write(path: Path) -> None:
    journal = Journal(path)
    journal.append(STARTED)
    for learner in (0, 1):
        for epoch in (1, 2, 3):
            journal.append(EpochEntry(learner, epoch, 10 * epoch, {"train/loss": 1.0 / epoch}))
    journal.append(EndedEntry("KILLED"))
    journal.close()


def test_entries_come_back_in_order_with_their_time(path: Path) -> None:
    write(path)
    assert kinds(path) == ["started", *["epoch"] * 6, "ended"]
    times = [entry.time_ms for entry in entries(path)]
    assert times == sorted(times)


def test_reading_goes_on_at_an_offset(path: Path) -> None:
    write(path)
    offsets = [line.end for line in read_lines(path)]
    assert offsets[-1] == path.stat().st_size
    assert [line.entry.kind for line in read_lines(path, offsets[-2])] == ["ended"]
    assert list(read_lines(path, offsets[-1])) == []


def test_a_torn_line_is_left_out(path: Path) -> None:
    write(path)
    with open(path, "a") as stream:
        stream.write('{"kind": "epoch", "learner": 1, "ep')
    assert len(entries(path)) == 8


def test_a_last_line_whose_end_was_changed_is_no_torn_line(path: Path) -> None:
    write(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert len(entries(path)) == 7
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(CorruptFileError, match="its last line has another end than the one that"):
        entries(path)


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
    values = [line.values for line in read_lines(path)]
    path.write_text("".join(json.dumps(one) + "\n" for one in values))
    assert entries(path) == found
    Journal(path).append(ResumedEntry())
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
        (
            '{"kind": "learner", "time_ms": 1, "learner": 0, "plan": {}}',
            "plan: value error, names no",
        ),
        (
            '{"kind": "learner", "time_ms": 1, "learner": 0, "plan": {"network": {}}}',
            "lacks plan.network.name",
        ),
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
        list(read_lines(path, start))


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
        with pytest.raises(StorageError, match=r"jsonl: cannot be written \(No space"):
            journal.append(ResumedEntry())
    journal.append(EndedEntry("FAILED"))
    journal.close()
    assert kinds(path)[-2:] == ["ended", "ended"]


def test_numbers_that_are_not_finite_become_null(path: Path) -> None:
    journal = Journal(path)
    journal.append(ResultEntry({"nll": math.inf}, 1, True))
    plan = {**PLAN, "others": [math.nan, 1.0]}
    journal.append(LearnerEntry(0, plan))
    journal.close()
    result, learner = (line.values for line in read_lines(path))
    assert result["metrics"] == {"nll": None}
    assert learner["plan"]["others"] == [None, 1.0]


def test_a_rewind_drops_what_lies_past_the_checkpoints(path: Path) -> None:
    write(path)
    with open(path, "a") as stream:
        stream.write('{"torn')
    rewind(path, {0: 20, 1: 0}, train=True)
    found = [line.values for line in read_lines(path)]
    assert [(one["kind"], one.get("learner"), one.get("epoch")) for one in found] == [
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
    journal.append(ResumedEntry())
    journal.close()
    assert kinds(path)[-2:] == ["ended", "resumed"]


@pytest.mark.parametrize(("train", "kept"), [(True, []), (False, ["failed"])])
def test_a_rewind_drops_what_the_run_will_say_again(
    path: Path, train: bool, kept: list[str]
) -> None:
    journal = Journal(path)
    for entry in EXAMPLES:
        journal.append(entry)
    journal.close()
    rewind(path, {0: 1}, train=train)
    always = ["started", "learner", "grown", "resumed", "accepted", "cost"]
    assert kinds(path) == [*always, *kept, "checked", "timeline"]
