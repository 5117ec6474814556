"""A Ray that stays: runs find it, borrow its trainers, and leave nothing in it."""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from ray_processes import processes_below

from ensemble_pipe.cluster import standing
from ensemble_pipe.cluster.standing import Standing
from ensemble_pipe.core.errors import ClusterError

PIPELINE = """
name: small
network: {hidden: [16]}
training: {epochs: 3}
ensemble: {learners: 2}
tracking: {mlflow: false}
"""


def described(**changes: object) -> Standing:
    """Return the description of a Ray that this process keeps."""
    process = psutil.Process()
    known = {
        "address": "127.0.0.1:1", "session": "s", "pid": process.pid,
        "began": process.create_time(), "port": 1, "key": "00", "trainers": 2,
        "versions": standing.versions(),
    }  # fmt: skip
    return Standing(**{**known, **changes})


@pytest.fixture
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return standing.state_file()


@pytest.mark.usefixtures("own_state")
def test_where_no_ray_stays_none_is_found_and_none_is_stopped() -> None:
    assert standing.find() is None
    assert standing.down() == (None, [])


def test_the_file_can_be_read_by_the_user_alone(own_state: Path) -> None:
    standing.write_state(described())
    assert own_state.stat().st_mode & 0o777 == 0o600
    assert standing.find() == described()


@pytest.mark.parametrize("changes", [{"pid": 2**22 - 1}, {"began": 1.0}], ids=["ended", "another"])
def test_a_file_that_a_crash_or_restart_left_is_removed_and_nobody_is_killed(
    own_state: Path, changes: dict[str, float]
) -> None:
    standing.write_state(described(**changes))
    assert standing.down() == (None, [])
    assert not own_state.exists()
    own_state.write_text("no JSON")
    assert standing.find() is None
    assert standing.down() == (None, [])
    assert not own_state.exists()


def test_a_ray_of_other_sources_or_versions_is_not_used() -> None:
    versions = standing.versions()
    assert described().differences() == []
    for name in ("ray", "numba", "Python", "ensemble_pipe"):
        (why,) = described(versions={**versions, name: "other"}).differences()
        assert why == f"{name} is {versions[name]} here and other there"


@pytest.mark.usefixtures("own_state")
def test_up_refuses_to_pass_over_a_ray_that_was_started_otherwise() -> None:
    standing.write_state(described(trainers=2))
    with pytest.raises(ClusterError, match=r"has 2 trainers, not 3; stop it first, with `ensemble"):
        standing.up(3)
    assert standing.up(2) == (described(trainers=2), False)


class Place:
    """A folder with a pipeline and a state of its own, where commands are called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state")}
        (folder / "p.yaml").write_text(PIPELINE)

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        code = "from ensemble_pipe.cli import app; app()"
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def call(self, *arguments: str) -> str:
        process = self.begin(*arguments)
        output, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
        return output + errors

    def standing(self) -> Standing:
        path = self.folder / "state" / "ensemble_pipe" / f"ray-{platform.node()}.json"
        return Standing(**json.loads(path.read_text()))

    def trainers(self) -> set[int]:
        pid = self.standing().pid
        return {process.pid for process in processes_below(pid, "ray::Trainer")}

    def runs(self) -> set[Path]:
        return set(self.folder.glob("runs/*"))

    def begin_training(self, *settings: str) -> subprocess.Popen[str]:
        """Begin a run of many epochs; return when both of its learners are trained."""
        known = self.runs()
        more = ["training.epochs=100000", "cluster.stack=1", *settings]
        run = self.begin("run", "p.yaml", *(part for each in more for part in ("--set", each)))
        deadline = time.monotonic() + 120
        while sum(len(list(path.glob("learners/*/*.json"))) for path in self.runs() - known) < 2:
            assert run.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        return run

    def weights(self) -> list[bytes]:
        """Return the final weights of the last run."""
        run = max(self.runs(), key=lambda path: path.stat().st_mtime)
        return [path.read_bytes() for path in sorted(run.glob("model/*.safetensors"))]


def wait_until(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("place"))
    assert "stays now" in made.call("up", "--trainers", "2")
    yield made
    keeper = psutil.Process(made.standing().pid)
    processes = [keeper, *keeper.children(recursive=True)]
    assert "stopped the Ray at" in made.call("down")
    assert psutil.wait_procs(processes, timeout=10)[1] == []
    assert "no Ray that stays" in made.call("down")


@pytest.mark.slow
def test_runs_use_it_say_so_and_leave_nothing_in_it(place: Place) -> None:
    assert "stays already" in place.call("up")
    before = place.trainers()
    assert "using the Ray that stays" in place.call("run", "p.yaml")
    first = place.weights()
    assert "using the Ray that stays" in place.call("run", "p.yaml")
    assert place.weights() == first
    place.call("run", "p.yaml", "--inline")
    assert place.weights() == first
    assert place.trainers() == before
    processes = len(psutil.Process(place.standing().pid).children(recursive=True))
    held = [psutil.Process(pid).memory_info().rss for pid in before]
    for _ in range(3):
        place.call("run", "p.yaml")
    assert place.trainers() == before
    assert len(psutil.Process(place.standing().pid).children(recursive=True)) <= processes
    grown = [psutil.Process(pid).memory_info().rss for pid in before]
    assert sum(grown) < sum(held) + (20 << 20)


@pytest.mark.slow
def test_a_killed_run_gives_its_trainers_back_within_seconds(place: Place) -> None:
    before = place.trainers()
    run = place.begin_training()
    run.kill()
    run.wait()
    wait_until(lambda: not before & place.trainers(), 10)
    assert "using the Ray that stays" in place.call("run", "p.yaml")
    assert len(place.trainers()) == 2


@pytest.mark.slow
def test_a_trainer_that_dies_in_a_run_is_replaced_in_it_and_after_it(place: Place) -> None:
    before = place.trainers()
    run = place.begin_training("training.epochs=300")
    psutil.Process(min(before)).kill()
    _, errors = run.communicate(timeout=240)
    assert run.returncode == 0, errors
    wait_until(lambda: len(place.trainers()) == 2)
    assert min(before) not in place.trainers()
    assert "using the Ray that stays" in place.call("run", "p.yaml")


@pytest.mark.slow
def test_of_two_runs_at_once_one_waits_for_the_other(place: Place) -> None:
    first = place.begin_training("training.epochs=2000")
    second = place.call("run", "p.yaml")
    assert f"all trainers are lent to other runs (process {first.pid})" in second
    _, errors = first.communicate(timeout=240)
    assert first.returncode == 0, errors


@pytest.mark.slow
def test_a_keeper_that_is_killed_leaves_no_process_and_up_starts_anew(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.call("up", "--trainers", "1")
    keeper = psutil.Process(place.standing().pid)
    below = keeper.children(recursive=True)
    keeper.kill()
    assert psutil.wait_procs(below, timeout=300)[1] == []
    assert "starting Ray" in place.call("run", "p.yaml")
    assert "stays now" in place.call("up", "--trainers", "1")
    assert "stopped the Ray" in place.call("down")
