"""Ray's own processes: where they listen, and how a run ends when they or the driver are killed."""

import ipaddress
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import psutil
import pytest
from ray_processes import processes_below

from ensemble_pipe.tracking.journal import read_entries
from ensemble_pipe.tracking.kinds import EndedEntry, EpochEntry, FinishedEntry

pytestmark = pytest.mark.slow
T = TypeVar("T")

# Wide enough for its checkpoints to lie in Ray's object store, whose end ends the driver.
PIPELINE = """
name: long
network: {hidden: [256]}
training: {epochs: 100000, batch_size: 32}
ensemble: {learners: 3}
augment: [{name: shift_crop}]
cluster: {trainers: 2, retries: 3}
"""


class Run:
    """A run on a Ray of its own, in its training."""

    def __init__(self, folder: Path, address: str = "local", *settings: str) -> None:
        (folder / "p.yaml").write_text(PIPELINE)
        code = "from ensemble_pipe.cli import app; app()"
        arguments = [argument for setting in settings for argument in ("--set", setting)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, "run", "p.yaml", "--address", address, *arguments],
            cwd=folder,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.folder = folder
        self.wait_for_checkpoints(2)

    def wait_for_checkpoints(self, count: int) -> None:
        deadline = time.monotonic() + 180
        while len(self.entries(EpochEntry)) < count:
            assert time.monotonic() < deadline
            assert self.process.poll() is None
            time.sleep(0.2)

    def entries(self, kind: type[T]) -> list[T]:
        journals = list(self.folder.glob("runs/*/journal.jsonl"))
        found = [entry for path in journals for entry in read_entries(path)]
        return [entry for entry in found if isinstance(entry, kind)]

    def processes(self, name: str = "") -> list[psutil.Process]:
        return processes_below(self.process.pid, name)

    def statuses(self) -> set[str]:
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=f"sqlite:///{self.folder / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("ensemble_pipe").experiment_id
        return {run.info.status for run in client.search_runs([experiment])}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Run]:
    made = Run(tmp_path)
    yield made
    made.process.kill()
    made.process.wait()


def test_local_ray_listens_on_loopback_alone_and_ends_with_a_terminated_run(running: Run) -> None:
    started = [psutil.Process(running.process.pid), *running.processes()]
    listening = [
        (" ".join(process.cmdline())[:80], connection.laddr.ip)
        for process in started
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) > 5
    open_to_others = [place for place in listening if not is_loopback(place[1])]
    assert open_to_others == []

    running.process.send_signal(signal.SIGTERM)
    _, errors = running.process.communicate(timeout=90)
    assert running.process.returncode == 143
    assert errors.count("stopped") == 1
    assert "SIGTERM received" not in errors
    assert [entry.status for entry in running.entries(EndedEntry)] == ["KILLED"]
    assert running.statuses() == {"KILLED"}
    _, alive = psutil.wait_procs(started[1:], timeout=10)
    assert alive == []


def is_loopback(address: str) -> bool:
    ip = ipaddress.ip_address(address)
    return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback


def test_a_raylet_that_dies_ends_the_run_with_a_message(running: Run) -> None:
    (raylet,) = running.processes("raylet/raylet")
    raylet.kill()
    _, errors = running.process.communicate(timeout=90)
    assert running.process.returncode == 1
    assert "error: Ray" in errors.splitlines()[-1]
    assert "ensemble-pipe resume" in errors.splitlines()[-1]
    assert [entry.status for entry in running.entries(EndedEntry)] == ["FAILED"]
    assert running.statuses() == {"FAILED"}


def test_a_lost_node_leaves_its_learners_to_the_other(tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    try:
        lost = cluster.add_node(num_cpus=1)
        settings = ["cluster.stack=1", "cluster.trainers=2", "training.epochs=25"]
        run = Run(tmp_path, cluster.address, *settings)
        while {entry.learner for entry in run.entries(EpochEntry)} < {0, 1}:
            time.sleep(0.2)
        cluster.remove_node(lost, allow_graceful=False)
        assert run.process.wait(timeout=100) == 0
        assert len(run.entries(FinishedEntry)) == 3
    finally:
        cluster.shutdown()
