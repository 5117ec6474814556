"""The MLflow UI on the store of a folder of runs."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
import webbrowser
from collections.abc import Callable
from pathlib import Path

from ensemble_pipe.core.addresses import is_server, mask_secrets, sqlite_path
from ensemble_pipe.core.errors import EnsemblePipeError, InputError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.tracking.companion import BUSY_S
from ensemble_pipe.tracking.cursor import Cursor
from ensemble_pipe.tracking.store import quiet_mlflow
from ensemble_pipe.tracking.tracker import default_uri

PORTS_TRIED = 20
START_TIMEOUT_S = 120.0
# Of the UI's two kinds of pages the one for models that are trained; the other is the default.
_WORKFLOW = "machine_learning"
# Without it the server starts eight processes more, which judge answers of language models.
_SPARING = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def serve_ui(output: Path, port: int, say: Callable[[str], None], opens: bool = True) -> None:
    """Serve the MLflow UI on loopback until interrupted, and open it in the browser.

    Args:
        output: folder of the run directories; the store lies beside it.
        port: first port to try.
        say: prints a line.
        opens: whether to open the browser, where there is a display.

    Raises:
        InputError: there is no such folder, or no store yet.
        EnsemblePipeError: no port is free, or the server does not start.
    """
    if output.is_file():
        raise InputError(f"{output}: is a file; name the folder of the run directories")
    if RunPaths(output).journal.is_file():
        raise InputError(f"{output}: is a run directory; name its folder, --output {output.parent}")
    uri = default_uri(output)
    if is_server(uri):
        say(f"the tracking server is at {mask_secrets(uri)}")
        return
    path = sqlite_path(uri)
    if path is not None and not path.is_file():
        raise InputError(f"{path}: no MLflow store yet; run a pipeline first")
    if not output.is_dir():
        raise InputError(f"{output}: no such folder; name the folder of the run directories")
    port = _free_port(port)
    command = [
        sys.executable, "-m", "mlflow", "server",
        "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
    ]  # fmt: skip
    quiet_mlflow()
    log = subprocess.DEVNULL
    environment = {**_SPARING, **os.environ}
    # Keeps files of the current directory from being imported.
    # The address may hold a password, and arguments are visible to every user.
    environment |= {"PYTHONSAFEPATH": "1", "MLFLOW_BACKEND_STORE_URI": uri}
    process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        _wait_for(process, port)
        root = f"http://127.0.0.1:{port}"
        address = root + _runs_page(root, output)
        say(f"MLflow UI of {mask_secrets(uri)} at {address} (Ctrl-C ends it)")
        if opens and _has_display():
            webbrowser.open(address)
        process.wait()
    finally:
        process.terminate()
        process.wait()


def _has_display() -> bool:
    """Return whether a browser has a window to open in; one of text would take the terminal."""
    if sys.platform in ("darwin", "win32"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def _runs_page(address: str, output: Path) -> str:
    """Return the path of the page of the newest run's experiment; "" where no run is there."""
    run = _newest(output)
    if run is None:
        return ""
    wanted = f"{address}/api/2.0/mlflow/runs/get?run_id={run}"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(wanted, timeout=BUSY_S) as answer:
            experiment = json.load(answer)["run"]["info"]["experiment_id"]
    except OSError:
        return ""  # that run is in another store, or was deleted
    return f"/#/experiments/{experiment}/runs?workflowType={_WORKFLOW}"


def _newest(output: Path) -> str | None:
    """Return the MLflow run of the run directory that was shipped last; None for none."""
    cursors = [path for path in output.glob("*/mlflow.json") if path.is_file()]
    if not cursors:
        return None
    return Cursor.load(max(cursors, key=lambda path: path.stat().st_mtime)).parent


def _free_port(first: int) -> int:
    for port in range(first, first + PORTS_TRIED):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise EnsemblePipeError(
        f"ports {first} to {first + PORTS_TRIED - 1} are all in use; name another"
    )


def _wait_for(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise EnsemblePipeError(
                f"the MLflow server ended with status {process.returncode}; what it wrote above "
                "says why"
            )
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise EnsemblePipeError(
        f"the MLflow server did not start within {START_TIMEOUT_S:.0f} s; the machine may be busy, "
        "so try again"
    )
