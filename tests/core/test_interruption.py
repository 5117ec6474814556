"""Signals end a run once, in order, with its journal whole; afterwards all is as it was."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from ensemble_pipe.core import interruption
from ensemble_pipe.core.interruption import (
    check_interruption,
    handle_signals,
    interruptible,
    preserve_handlers,
)
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.run import display as display_module
from ensemble_pipe.run.display import Silent
from ensemble_pipe.tracking.journal import read_entries
from ensemble_pipe.tracking.kinds import EndedEntry

PIPELINE = """
name: small
network: {hidden: [8]}
training: {epochs: 3, batch_size: 64}
ensemble: {learners: 2}
cluster: {stack: 1}
tracking: {mlflow: false}
"""
NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def _same_handlers() -> Iterator[None]:
    before = [signal.getsignal(number) for number in NUMBERS]
    yield
    assert [signal.getsignal(number) for number in NUMBERS] == before


@pytest.mark.parametrize("number", NUMBERS)
def test_the_first_signal_stops_and_says_so_in_the_status(number: int) -> None:
    with handle_signals() as signals:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        assert signals.status == 128 + number


def test_a_signal_waits_where_nothing_may_stop() -> None:
    with handle_signals():
        with interruptible():
            pass
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt), interruptible():
            pytest.fail("the signal came first")
        signal.raise_signal(signal.SIGTERM)


class Finalized:
    """Receives a signal where Python drops the error that it raises."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def wait_after(what: Callable[[], object]) -> None:
    with interruptible():
        what()
        time.sleep(5)


def test_a_stop_that_python_drops_comes_again() -> None:
    before = sys.unraisablehook
    with handle_signals() as signals:
        with pytest.raises(KeyboardInterrupt):
            wait_after(Finalized)
        assert signals.status == 130
        signal.raise_signal(signal.SIGINT)  # the second one, so it waits
    assert sys.unraisablehook is before


def drop_a_stop() -> None:
    """Receive a signal where a library drops the error that it raises, without a word."""
    with suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_stop_that_a_library_drops_is_raised_where_it_is_looked_for() -> None:
    with handle_signals() as signals:
        drop_a_stop()
        with pytest.raises(KeyboardInterrupt):
            signals.check()


def test_a_stop_that_a_library_drops_is_raised_at_the_end_of_the_block() -> None:
    with handle_signals():
        with pytest.raises(KeyboardInterrupt), interruptible():
            drop_a_stop()
        with interruptible():
            check_interruption()  # it was raised once, and that is enough


def test_an_import_is_not_broken_by_a_stop() -> None:
    frame = SimpleNamespace(f_code=SimpleNamespace(co_filename="<frozen importlib._bootstrap>"))
    with handle_signals() as signals, pytest.raises(KeyboardInterrupt):
        wait_after(lambda: signals.receive(signal.SIGINT, cast(FrameType, frame)))


def test_the_third_ends_at_once_with_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[object] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    with handle_signals(exits=True) as signals:
        signals.last_words = lambda: ended.append("last words")
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert ended == []
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert ended == ["last words", 143]


def test_a_caller_that_handles_a_signal_receives_it_afterwards() -> None:
    received: list[int] = []
    with preserve_handlers():
        signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
        with pytest.raises(KeyboardInterrupt), handle_signals():
            signal.raise_signal(signal.SIGTERM)
    assert received == [signal.SIGTERM]


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    with preserve_handlers():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with handle_signals() as signals:
            signal.raise_signal(signal.SIGHUP)
        assert signals.first is None


class SignalsAt(Silent):
    """Sends a signal some times at one moment of a run."""

    def __init__(self, number: int, times: int, moment: str) -> None:
        self.number, self.left, self.moment = number, times, moment

    def _send(self, moment: str) -> None:
        if moment == self.moment and self.left:
            self.left -= 1
            signal.raise_signal(self.number)

    def begin(self, networks: Sequence[Any], others: Sequence[Any]) -> None:
        self._send("begin")

    def event(self, event: Any) -> None:
        if event.learner == 1:  # learner 0 is a member
            self._send("event")
            with suppress(KeyboardInterrupt):
                self._send("event, dropped")

    def message(self, text: str) -> None:
        # The second one hits while the ensemble of finished members is being written.
        for start in ("run directory", "combining", "stopping: writing"):
            if text.startswith(start):
                self._send(start if start != "stopping: writing" else self.moment)


@pytest.mark.parametrize(
    ("number", "times", "moment"),
    [
        (signal.SIGTERM, 1, "run directory"),
        (signal.SIGHUP, 1, "begin"),
        (signal.SIGINT, 1, "event"),
        (signal.SIGINT, 1, "event, dropped"),
        (signal.SIGTERM, 2, "event"),
        (signal.SIGINT, 1, "combining"),
    ],
)
def test_signals_at_every_stage_leave_a_run_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, times: int, moment: str
) -> None:
    (tmp_path / "p.yaml").write_text(PIPELINE)
    display = SignalsAt(number, times, moment)
    monkeypatch.setattr(display_module, "make_display", lambda: display)
    arguments = ["run", str(tmp_path / "p.yaml"), "--output", str(tmp_path), "--inline"]
    done = CliRunner().invoke(_app(), arguments)
    assert done.exit_code == 128 + number
    (run_dir,) = tmp_path.glob("small-*")
    told = f"stopped; `ensemble-pipe resume {run_dir}` goes on"
    if (run_dir / "model").exists():  # of the learners under way
        told += f"; `ensemble-pipe predict {run_dir} ...` takes the ensemble so far"
    events = moment in ("event", "event, dropped")
    assert (run_dir / "model").exists() == (number == signal.SIGINT and events)
    assert done.output == f"{told}\n"
    assert endings(run_dir) == ["KILLED"]
    assert (run_dir / "model").exists() == (events and times == 1)
    monkeypatch.undo()
    done = CliRunner().invoke(_app(), ["resume", str(run_dir), "--inline"])
    assert done.exit_code == 0, done.output
    assert endings(run_dir) == ["FINISHED"]


@pytest.mark.parametrize("times", [1, 2])
def test_signals_while_mlflow_is_waited_for_do_not_take_it_for_done(
    tmp_path: Path, times: int
) -> None:
    from ensemble_pipe.tracking.companion import Assignment
    from ensemble_pipe.tracking.tracker import MlflowTracker, Patience

    assignment = Assignment(str(tmp_path), "sqlite://", "waits", None, False)
    tracker = MlflowTracker(RunPaths(tmp_path), assignment, "fake_companion")
    tracker.start()
    with handle_signals():
        for number in NUMBERS[:times]:
            timer = threading.Timer(0.2, os.kill, (os.getpid(), number))
            timer.start()
            with pytest.raises(KeyboardInterrupt), interruptible():
                tracker.finish(Patience(10.0), lambda _: None)
            timer.join()
        tracker.finish(Patience(0.0), lambda _: None)
        assert tracker.problem is not None


def test_an_ended_program_ignores_further_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    last: list[Any] = []
    monkeypatch.setattr("atexit.register", last.append)
    with handle_signals(exits=True):
        pass
    assert last == []
    with pytest.raises(KeyboardInterrupt), handle_signals(exits=True):
        signal.raise_signal(signal.SIGINT)
    with preserve_handlers():
        last[0]()
        for number in NUMBERS:
            signal.raise_signal(number)


def test_a_run_in_another_thread_leaves_signals_alone(tmp_path: Path) -> None:
    from ensemble_pipe.run.pipeline import run

    (tmp_path / "p.yaml").write_text(PIPELINE)
    found: list[Any] = []

    def target() -> None:
        found.append(run(tmp_path / "p.yaml", output=tmp_path, inline=True))

    thread = threading.Thread(target=target)
    thread.start()
    thread.join(60)
    assert found[0].members == 2
    assert interruption._current is None


def endings(run_dir: Path) -> list[str]:
    entries = read_entries(RunPaths(run_dir).journal)
    return [entry.status for entry in entries if isinstance(entry, EndedEntry)]


def _app() -> Any:
    from ensemble_pipe.cli import app

    return app
