"""Ray starts in the background: a run that ends meanwhile waits for no Ray, and leaves none."""

import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from ray_processes import processes_below

from ensemble_pipe.cluster.ray import RayExecutor
from ensemble_pipe.core.errors import ClusterError
from ensemble_pipe.core.timeline import Timeline

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_ray_cluster")]

PIPELINE = """
data: {source: table, path: DATA, label: y}
tracking: {mlflow: false}
"""
CODE = "from ensemble_pipe.cli import app; app()"


def start_of_ray(timeline: Timeline | None = None, address: str = "local") -> RayExecutor:
    return RayExecutor(
        address, trainers=None, cpus_per_trainer=1, retries=0, ahead=2, timeline=timeline
    )


def begin(folder: Path, data: str) -> subprocess.Popen[str]:
    """Begin a run that reads a file."""
    (folder / "p.yaml").write_text(PIPELINE.replace("DATA", data))
    command = [sys.executable, "-c", CODE, "run", "p.yaml"]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)


@pytest.mark.alone
@pytest.mark.parametrize("after_s", [0.0, 0.5, 1.5])
def test_a_start_is_given_up_within_a_second_and_leaves_no_process(after_s: float) -> None:
    executor = start_of_ray()
    time.sleep(after_s)
    below = psutil.Process().children(recursive=True)
    began = time.monotonic()
    executor.close()
    assert time.monotonic() - began < 1.0
    assert_ended(below)
    assert psutil.Process().children() == []


def assert_ended(processes: list[psutil.Process]) -> None:
    """Check that processes have ended, or are about to."""
    deadline = time.monotonic() + 5
    while any(is_alive(process) for process in processes):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_ray_can_be_started_again_after_a_start_was_given_up() -> None:
    start_of_ray().close()
    timeline = Timeline()
    with closing(start_of_ray(timeline)) as executor:
        assert executor.trainers >= 1
        assert "Ray" in [stage.name for stage in timeline.stages]
        below = psutil.Process().children(recursive=True)
    assert psutil.wait_procs(below, timeout=10)[1] == []


def test_an_address_without_a_cluster_is_reported_where_the_cluster_is_needed() -> None:
    refused = pytest.raises(ClusterError, match="nothing answers there")
    with closing(start_of_ray(address="127.0.0.1:1")) as executor, refused:
        _ = executor.trainers


def test_data_that_are_wrong_end_a_run_before_ray_is_there(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("x,y\n1,a\n2,\n")
    run = begin(tmp_path, "bad.csv")
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 2
    assert "bad.csv" in errors.splitlines()[-1]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_while_ray_starts(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    rows = "".join(f"{index % 7},{index % 3}\n" for index in range(3000))
    (tmp_path / "good.csv").write_text("x,y\n" + rows)
    run = begin(tmp_path, "good.csv")
    while not processes_below(run.pid, "gcs_server"):
        assert run.poll() is None
        time.sleep(0.01)
    below = psutil.Process(run.pid).children(recursive=True)
    run.send_signal(number)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == status
    assert errors.count("stopped") == 1
    assert "Traceback" not in errors
    assert_ended(below)
