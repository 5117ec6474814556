"""A Ray that stays: how it is started, found and stopped.

Its process (`cluster.keeper`) is described by a file that only the user can read. Whoever knows the
key in it may connect to that process, and holds trainers for as long as the connection lasts: so
what a killed run held is free again at once.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import psutil
from filelock import FileLock

from ensemble_pipe.cluster.lease import ASK_EVERY_S, Lease
from ensemble_pipe.core.documents import read_json
from ensemble_pipe.core.errors import ClusterError, CorruptFileError
from ensemble_pipe.core.storage import atomic_file, write_json

KEEPER = "ensemble_pipe.cluster.keeper"
NAMESPACE = "ensemble_pipe"
# Until a start was measured here.
START_S = 8.0
BORROW_S = 0.5
STOP_TIMEOUT_S = 30.0
CHILD_TIMEOUT_S = 5.0
# Linux tells when a process began by a clock that may be set meanwhile.
CLOCK_S = 2.0


@dataclass(frozen=True)
class Standing:
    """The contents of the file.

    Attributes:
        address: of Ray.
        session: its folder of logs.
        pid, began: the process that keeps it, and when that began, in seconds since 1970.
        port, key: where that process listens, and the key to it, as hexadecimal digits.
        trainers: how many it keeps.
        versions: of all that must be the same in a run.
    """

    address: str
    session: str
    pid: int
    began: float
    port: int
    key: str
    trainers: int
    versions: dict[str, str]

    @property
    def process(self) -> psutil.Process | None:
        """The process that keeps it; None where it has ended, whoever has its number now."""
        with suppress(psutil.Error):
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.began) < CLOCK_S and _lives(process):
                return process
        return None

    def differences(self) -> list[str]:
        """Return why a run of this process cannot use it."""
        own = versions()
        return [
            f"{name} is {own[name]} here and {self.versions.get(name)} there"
            for name in own
            if own[name] != self.versions.get(name)
        ]


def state_file() -> Path:
    """Return the path of the file, of which there is one for each user and machine."""
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "ensemble_pipe" / f"ray-{platform.node()}.json"


def versions() -> dict[str, str]:
    """Return what must be the same in a run and in the trainers that it borrows."""
    package = Path(__file__).parents[1]
    total = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        total.update(path.read_bytes())
    libraries = ("ray", "numpy", "scipy", "numba", "pyarrow", "scikit-learn")
    return {
        **{name: version(name) for name in libraries},
        "Python": f"{platform.python_version()} ({sys.prefix})",
        "ensemble_pipe": f"{package} ({total.hexdigest()[:8]})",
    }


def write_state(standing: Standing) -> None:
    with atomic_file(state_file()) as beside:
        beside.touch(mode=0o600)
        beside.write_text(json.dumps(asdict(standing)), encoding="utf-8")


def remove_state() -> None:
    state_file().unlink(missing_ok=True)


def read_start_seconds(stays: bool) -> float:
    """Return how long a Ray takes until it trains: the last one that was started here, as measured.

    Args:
        stays: whether it is there already.
    """
    if stays:
        return BORROW_S
    try:
        return read_json(_start_file(), _Start).seconds
    except (OSError, CorruptFileError):
        return START_S


def write_start_seconds(seconds: float) -> None:
    """Keep how long the start of a Ray has taken."""
    with suppress(OSError):
        write_json(_start_file(), asdict(_Start(round(seconds, 1))))


@dataclass(frozen=True)
class _Start:
    """The contents of the file."""

    seconds: float


def _start_file() -> Path:
    return state_file().with_name("ray-start.json")


def find() -> Standing | None:
    """Return the Ray that stays; None for none, be it that a crash or restart left its file."""
    path = state_file()
    try:
        found = read_json(path, Standing) if path.exists() else None
    except CorruptFileError:
        return None
    return None if found is None or found.process is None else found


def up(trainers: int | None) -> tuple[Standing, bool]:
    """Start a Ray that stays, where there is none; return it, and whether it was started.

    Args:
        trainers: how many are warm; None for one for each CPU.

    Raises:
        ClusterError: there is one that was started otherwise, or none can be started.
    """
    path = state_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        found = find()
        if found is not None:
            _require_same(found, trainers)
            return found, False
        remove_state()
        return _start(trainers, path.with_suffix(".log")), True


def down() -> tuple[Standing | None, list[int]]:
    """Stop the Ray that stays; return it, None where there is none, and the runs that used it."""
    found = find()
    if found is None or found.process is None:
        remove_state()
        return None, []
    process, borrowers = found.process, []
    raylets = process.children(recursive=True)
    try:
        lease = Lease(found.address, found.port, found.key)
        borrowers = lease.stop()
        process.wait(STOP_TIMEOUT_S)
    except (ClusterError, psutil.TimeoutExpired):
        process.kill()
    for child in psutil.wait_procs(raylets, CHILD_TIMEOUT_S)[1]:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    remove_state()
    return found, borrowers


def _kill_family(parent: psutil.Process) -> None:
    """Kill a process that starts Ray, and all that it has started, until no new one appears."""
    with suppress(psutil.NoSuchProcess):
        parent.suspend()  # so that it starts nothing more
        while family := [one for one in parent.children(recursive=True) if _lives(one)]:
            for one in family:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
        parent.kill()


def _lives(process: psutil.Process) -> bool:
    """Return whether a process runs; one whose end only its parent has not noticed does not."""
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def _require_same(found: Standing, trainers: int | None) -> None:
    why = found.differences()
    if trainers not in (None, found.trainers):
        why.append(f"it has {found.trainers} trainers, not {trainers}")
    if why:
        raise ClusterError(
            f"a Ray that stays is there already, but {'; '.join(why)}; stop it first, with "
            "`ensemble-pipe down`"
        )


def _start(trainers: int | None, log: Path) -> Standing:
    arguments = [] if trainers is None else [str(trainers)]
    # The package is found as it was here, wherever that process works.
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    with open(log, "w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", KEEPER, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            cwd=Path.home(),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            start_new_session=True,
        )
    try:
        while process.poll() is None:
            found = find()
            if found is not None:
                return found
            time.sleep(ASK_EVERY_S)
    except BaseException:
        _kill_family(psutil.Process(process.pid))
        process.wait()
        raise
    last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    raise ClusterError(f"{last[-1] if last else 'Ray ended'} ({log})")
