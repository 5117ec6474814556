"""MLflow's server, which goes away, hangs, or comes back with an older store."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from fault_cases import Case
from fault_runs import no_pictures, wait_until, write_pipeline

from ensemble_pipe.core.addresses import sqlite_address
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.run.display import Silent
from ensemble_pipe.run.news import Stage
from ensemble_pipe.run.pipeline import RunResult, run, sync
from ensemble_pipe.tracking.journal import read_lines
from ensemble_pipe.tracking.shipping import Shipper
from ensemble_pipe.training.events import Checkpoint, Event

EXPERIMENT = "ensemble_pipe"
DOWN_S = 60.0
MOST_AFTER_TRAINING_S = 15.0
# A process is started, and what it wrote is read, beside other work.
ALLOWANCE_S = 3.0


class Server:
    """An MLflow server on a store of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self._port}"
        self._folder, self._store = folder, folder / "server.db"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        store, files = sqlite_address(self._store), self._folder / "artifacts"
        command = [
            sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store,
            "--workers", "1", "--host", "127.0.0.1", "--port", str(self._port),
            "--artifacts-destination", str(files),
        ]  # fmt: skip
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(
            command,
            stdout=quiet,
            stderr=quiet,
            start_new_session=True,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        )
        wait_until(self._answers)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def stop(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self.signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def keep_copy(self) -> None:
        self.stop()
        shutil.copy(self._store, self._folder / "older.db")
        self.start()

    def restore_copy(self) -> None:
        self.stop()
        for path in self._folder.glob("server.db*"):
            path.unlink()
        shutil.copy(self._folder / "older.db", self._store)
        self.start()

    def _answers(self) -> bool:
        with suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
            return bool(answer.status == 200)
        return False


class Script(Silent):
    """Does things at checkpoints of a run, by their number; notes when training had ended."""

    def __init__(self, acts: Mapping[int, Callable[[], object]]) -> None:
        self._acts, self._count, self.shipping_s = acts, 0, 0.0

    def event(self, event: Event) -> None:
        if isinstance(event, Checkpoint):
            self._count += 1
            self._acts.get(self._count, lambda: None)()

    def note(self, news: Any) -> None:
        if isinstance(news, Stage) and news.name == "shipping":
            self.shipping_s = -time.monotonic()

    def ended(self) -> float:
        """Return the seconds since the run had nothing to do but to ship."""
        return self.shipping_s + time.monotonic()


@contextmanager
def served(folder: Path) -> Iterator[Server]:
    server = Server(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def run_with(server: Server, folder: Path, acts: Mapping[int, Callable[[], object]]) -> RunResult:
    """Run with things done at checkpoints; a server that is gone may not hold it up."""
    path = write_pipeline(folder, tracking={"uri": server.uri})
    display = Script(acts)
    with no_pictures():
        result = run(path, output=folder / "runs", inline=True, display=display)
    if result.mlflow_lacks:
        seconds = display.ended()
        most_s = MOST_AFTER_TRAINING_S + ALLOWANCE_S
        assert seconds <= most_s, f"a dead server cost {seconds:.0f} s"
        assert "ensemble-pipe sync" in result.mlflow_lacks, result.mlflow_lacks
    return result


def sync_all(result: RunResult) -> None:
    problem = sync(result.run_dir, timeout_s=60).problem
    assert problem is None, f"`sync`: {problem}; the run: {result.mlflow_lacks}"


def seen(uri: str) -> dict[str, Any]:
    """Return what a store has of each run, by its key; a metric's history as it is."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    found = {}
    for one in client.search_runs([experiment], max_results=1000):
        history = {
            name: [
                (metric.step, metric.timestamp, str(metric.value))
                for metric in client.get_metric_history(one.info.run_id, name)
            ]
            for name in sorted(one.data.metrics)
        }
        key = one.data.tags["ensemble_pipe.key"]
        assert key not in found, f"two runs {key}"
        found[key] = one.info.status, one.data.params, history
    return found


def expected_of(result: RunResult, folder: Path) -> dict[str, Any]:
    """Return what MLflow must have of a run: its journal, sent at once to an empty store."""
    root = Path(result.run_dir)
    paths = RunPaths(shutil.copytree(root, folder / "again" / root.name))
    paths.cursor.unlink(missing_ok=True)
    store = sqlite_address(folder / "again.db")
    shipper = Shipper(paths, store, EXPERIMENT, lambda *_: "models:/none")
    lines = list(read_lines(paths.journal))
    shipper.ship([line.entry for line in lines], lines[-1].end)
    return seen(store)


def require_all(server: Server, result: RunResult, folder: Path) -> None:
    """Require that the server has all of a run, nothing twice, and one model."""
    from mlflow import MlflowClient

    found, expected = seen(server.uri), expected_of(result, folder)
    assert found.keys() == expected.keys(), f"runs {sorted(found)}, not {sorted(expected)}"
    for key, (status, params, history) in expected.items():
        assert found[key][0] == status, f"{key}: {found[key][0]}, not {status}"
        assert found[key][1] == params, f"{key}: other parameters"
        for name, values in history.items():
            assert found[key][2].get(name) == values, f"{key}: {name}: {found[key][2].get(name)}"
    client = MlflowClient(tracking_uri=server.uri)
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    models = client.search_logged_models([experiment])
    assert len(models) == 1, f"{len(models)} models"


def _down_for_a_minute(server: Server) -> None:
    server.stop()
    time.sleep(DOWN_S)
    server.start()


def _hangs_for_a_minute(server: Server) -> None:
    server.signal(signal.SIGSTOP)
    time.sleep(DOWN_S)
    server.signal(signal.SIGCONT)


def _ready(server: Server) -> None:
    """Wait until the companion has sent something."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=server.uri)
    wait_until(lambda: client.get_experiment_by_name(EXPERIMENT))
    wait_until(lambda: len(seen(server.uri)) > 1)


# What happens to the server from the second checkpoint on, and whether the run ends without it.
OUTAGES: dict[str, tuple[list[Callable[[Server], object]], bool]] = {
    "down for 60 s": ([_ready, _down_for_a_minute], False),
    "hanging for 60 s": ([_ready, _hangs_for_a_minute], False),
    "down for good": ([_ready, Server.stop], True),
    "hanging for good": ([_ready, lambda server: server.signal(signal.SIGSTOP)], True),
    "restarted from an older copy": (
        [_ready, Server.keep_copy, lambda _: time.sleep(15), Server.restore_copy], False,
    ),
    "restarted from a copy before the run": (
        [Server.keep_copy, _ready, Server.restore_copy], False,
    ),
}  # fmt: skip


def outage(name: str, parent: Path) -> str:
    """Run with an outage; at the end, or after `sync`, MLflow must have all."""
    happenings, is_gone = OUTAGES[name]
    (folder := parent / name).mkdir()
    with served(folder) as server:
        acts = {number: partial(act, server) for number, act in enumerate(happenings, 2)}
        result = run_with(server, folder, acts)
        how = "MLflow has all at the end"
        if is_gone:
            assert result.mlflow_lacks, "it was not noticed"
            server.stop()
            server.start()
        if result.mlflow_lacks:
            sync_all(result)
            how = "a message, and MLflow has all after `sync`"
        require_all(server, result, folder)
    return how


def older_after_the_end(parent: Path) -> str:
    """Restore an older copy after a run has ended; `sync` must send what is lacking."""
    (folder := parent / "after the end").mkdir()
    with served(folder) as server:
        result = run_with(server, folder, {2: partial(_ready, server), 3: server.keep_copy})
        assert not result.mlflow_lacks, result.mlflow_lacks
        server.restore_copy()
        sync_all(result)
        require_all(server, result, folder)
    return "MLflow has all after `sync`"


def outages(folder: Path, small: bool) -> Iterator[Case]:
    for name in list(OUTAGES)[2:3] if small else OUTAGES:
        yield Case(name, partial(outage, name, folder))
    if not small:
        yield Case("an older copy after the end", partial(older_after_the_end, folder))
