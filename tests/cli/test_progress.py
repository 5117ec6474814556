"""Progress of a computation of many steps: a bar on a terminal, lines elsewhere."""

import sys

import pytest

from ensemble_pipe.cli import progress as module
from ensemble_pipe.cli.progress import progress
from ensemble_pipe.run import bars


def test_lines_say_how_far_it_is_and_what_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "LINE_EVERY_S", -1.0)
    with progress("importance") as advance:
        advance(1, 3)
        advance(3, 3)
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.splitlines() == [
        "importance: 1 of 3 predictions, left ?", "importance: 3 of 3 predictions, left 0:00:00"
    ]  # fmt: skip


def test_lines_are_few(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("importance") as advance:
        for done in range(1, 101):
            advance(done, 100)
    assert capsys.readouterr().err == ""


def test_a_terminal_has_a_bar_that_goes_when_it_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(bars, "moves_cursor", lambda: True)
    with progress("importance") as advance:
        advance(1, 2)
    assert "predictions, left" not in capsys.readouterr().err
