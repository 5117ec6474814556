"""Fits that return only at their end report from a thread, and end where nobody waits for them."""

import time

import pytest

from ensemble_pipe.training import reports
from ensemble_pipe.training.events import Progress
from ensemble_pipe.training.reports import Report, reported


def test_progress_comes_before_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "REPORT_EVERY_S", 0.0)

    def fit(report: Report) -> str:
        for step in (1, 2):
            report(step, 2, 0.5 / step)
        return "fitted"

    fitting = reported(7, fit)
    assert [next(fitting), next(fitting)] == [Progress(7, 1, 2, 0.5), Progress(7, 2, 2, 0.25)]
    with pytest.raises(StopIteration) as end:
        next(fitting)
    assert end.value.value == ("fitted", True)


def test_a_fit_that_is_halted_returns_what_it_has() -> None:
    def fit(report: Report) -> int:
        return next(step for step in range(1, 100) if report(step, 100, None))

    looks = iter([False, False, True])
    with pytest.raises(StopIteration) as end:
        next(reported(0, fit, lambda: next(looks)))
    assert end.value.value == (3, False)


def test_an_error_is_raised_where_it_is_waited_for() -> None:
    def fit(report: Report) -> None:
        raise ValueError("all of one class")

    with pytest.raises(ValueError, match="all of one class"):
        next(reported(0, fit))


def test_a_fit_ends_where_nobody_waits_for_it() -> None:
    def fit(report: Report) -> None:
        for step in range(100_000):
            report(step, 100_000, 0.0)
            time.sleep(0.001)

    fitting = reported(0, fit)
    next(fitting)
    began = time.monotonic()
    fitting.close()
    assert time.monotonic() - began < 30
