"""The companion as the driver of a run has it: started, heard, waited for, and never left behind.

Most of these companions are fakes, which import no MLflow; see `fake_companion`.
"""

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.tracking.companion import Assignment
from ensemble_pipe.tracking.cursor import Cursor
from ensemble_pipe.tracking.tracker import MlflowTracker, Patience

ENOUGH = Patience(most_s=30.0)


class Tracked(MlflowTracker):
    """A tracker of a run without entries, whose companion is a fake."""

    def __init__(self, folder: Path, kind: str, uri: str = "sqlite://") -> None:
        self.folder, self.shown = folder, list[str]()
        assignment = Assignment(str(folder), uri, kind, None, False)
        super().__init__(RunPaths(folder), assignment, "fake_companion")

    def end(self, patience: Patience = ENOUGH) -> None:
        self.finish(patience, self.shown.append)

    @property
    def started(self) -> list[int]:
        """Return the processes that were started, in order."""
        path = self.folder / "started"
        return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def track(tmp_path: Path) -> Callable[..., Tracked]:
    def make(kind: str, **facts: str) -> Tracked:
        tracker = Tracked(tmp_path, kind, **facts)
        tracker.start()
        return tracker

    return make


def wait_until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    return bool(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)


def test_one_that_ships_all_leaves_no_problem_and_no_process(track: Callable[..., Tracked]) -> None:
    tracker = track("ships all")
    tracker.end()
    assert tracker.problem is None
    (pid,) = tracker.started
    assert not is_alive(pid)
    tracker.close()  # again


def test_one_that_is_killed_once_is_started_again(track: Callable[..., Tracked]) -> None:
    tracker = track("is killed once")
    tracker.end()
    assert tracker.problem is None
    assert len(tracker.started) == 2


def test_one_that_is_killed_again_is_a_problem(track: Callable[..., Tracked]) -> None:
    tracker = track("is killed")
    tracker.end()
    assert str(tracker.problem) == "its process ended too early: signal 9"
    assert len(tracker.started) == 2


def test_one_that_cannot_run_says_why(track: Callable[..., Tracked], tmp_path: Path) -> None:
    tracker = track("breaks")
    tracker.end()
    assert str(tracker.problem) == "its process ended too early: no module named mlflow"
    unknown = MlflowTracker(
        RunPaths(tmp_path), Assignment(str(tmp_path), "", "", None, False), "no.such"
    )
    unknown.start()
    unknown.finish(ENOUGH, lambda _: None)
    assert "No module named" in str(unknown.problem)


def test_one_that_is_silent_for_too_long_is_given_up(track: Callable[..., Tracked]) -> None:
    tracker = track("is silent")
    wait_until(lambda: tracker.started)
    began = time.monotonic()
    tracker.end()
    assert str(tracker.problem).startswith("no answer for ")
    assert time.monotonic() - began < 10
    assert not any(is_alive(pid) for pid in tracker.started)


@pytest.mark.parametrize(("patience", "problem"), [
    (Patience(most_s=0.6), "it took longer than 1 s"),
    (Patience(most_s=9.0, limit_s=0.0), "there was no time left for it"),
    (Patience(most_s=0.5, each_s=1.0), None),
])  # fmt: skip
def test_the_limit_grows_with_the_runs_that_there_are_to_send(
    patience: Patience, problem: str | None, track: Callable[..., Tracked]
) -> None:
    tracker = track("is slow")
    wait_until(lambda: tracker.started)
    tracker.end(patience)
    assert (tracker.problem and str(tracker.problem)) == problem


def test_how_far_it_is_is_shown_while_it_is_waited_for(
    track: Callable[..., Tracked], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ensemble_pipe.tracking.tracker.SHOWN_EVERY_S", 0.1)
    tracker = track("is slow")
    tracker.end()
    assert "sending to MLflow: 3 of 6 runs so far" in tracker.shown
    assert len(set(tracker.shown)) == len(tracker.shown)


def test_an_interruption_goes_through_and_the_companion_ends(
    track: Callable[..., Tracked], monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = track("waits")
    wait_until(lambda: tracker.started)

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tracker._companion, "wait_for_news", interrupt)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            tracker.end()
    tracker.close()
    assert not any(is_alive(pid) for pid in tracker.started)
    assert len(tracker.started) == 1


def test_no_secret_is_among_the_arguments_of_a_process(track: Callable[..., Tracked]) -> None:
    tracker = track("waits", uri="http://ann:SECRET@host")
    wait_until(lambda: tracker.started)
    assert "SECRET" not in " ".join(psutil.Process(tracker.started[0]).cmdline())
    tracker.close()


def test_it_ends_with_its_driver(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from test_companion import Tracked\n"
        "tracker = Tracked(Path(sys.argv[1]), 'ships', 'http://127.0.0.1:9'); tracker.start()\n"
        "while tracker._companion.heard[1].silence_s > 15: time.sleep(0.05)\n"
        "print('it ships', flush=True); time.sleep(600)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    driver = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], env=environment, stdout=subprocess.PIPE
    )
    assert driver.stdout is not None
    assert driver.stdout.readline() == b"it ships\n"
    pid = int((tmp_path / "started").read_text())
    assert is_alive(pid)
    driver.kill()
    driver.communicate()
    wait_until(lambda: not is_alive(pid), seconds=5.0)


def test_without_limit_it_may_take_as_long_as_it_answers(track: Callable[..., Tracked]) -> None:
    tracker = track("is slow")
    tracker.end(Patience(most_s=math.inf, retry_s=0.1))
    assert tracker.problem is None


def test_a_rewound_cursor_sends_all_again_but_for_the_ends_of_trained_learners(
    tmp_path: Path,
) -> None:
    Cursor(offset=9, parent="a", ended={"0": "FINISHED", "1": "FAILED"}).save(
        tmp_path / "mlflow.json"
    )
    Tracked(tmp_path, "unused").ship_again()
    found = Cursor.load(tmp_path / "mlflow.json")
    assert (found.offset, found.parent, found.ended) == (0, "a", {"0": "FINISHED"})
