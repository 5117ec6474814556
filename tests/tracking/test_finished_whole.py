"""How a run ended, by its journal."""

import pytest

from ensemble_pipe.tracking.endings import nothing_to_train
from ensemble_pipe.tracking.kinds import (
    EndedEntry,
    Entry,
    FailedEntry,
    GrownEntry,
    ResultEntry,
    StartedEntry,
)

STARTED, RESULT, END = (
    StartedEntry("x", {}, {}, {}),
    ResultEntry({}, 2, True),
    EndedEntry("FINISHED"),
)


@pytest.mark.parametrize(("entries", "expected"), [
    ([STARTED, RESULT, END], True),
    ([STARTED, RESULT, EndedEntry("KILLED")], False),
    ([STARTED, RESULT, END, GrownEntry(1, {})], False),
    ([STARTED, FailedEntry(0, "why"), RESULT, END], False),
    ([STARTED, ResultEntry({}, 2, True, unfinished=[1]), END], False),
    ([STARTED, ResultEntry({}, 2, True, not_refitted=[1]), END], False),
    ([STARTED], False),
])  # fmt: skip
def test_a_run_has_nothing_to_train_once_it_has_finished_whole(
    entries: list[Entry], expected: bool
) -> None:
    assert nothing_to_train(entries) is expected
