"""Writers killed at each system call that they make in the run directory; strace steps them."""

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from fault_cases import Case
from fault_runs import no_pictures, write_pipeline

import ensemble_pipe
from ensemble_pipe.core.storage import RunPaths, read_manifest
from ensemble_pipe.report.drawing import load_drawing
from ensemble_pipe.report.writing import write_report
from ensemble_pipe.serving.artifact import read_artifact, write_artifact
from ensemble_pipe.tracking.journal import Journal, read_entries
from ensemble_pipe.tracking.kinds import FinishedEntry
from ensemble_pipe.training.checkpoints import (
    list_checkpoints,
    load_state,
    remove_leftovers,
    save_checkpoint,
)
from ensemble_pipe.training.events import Checkpoint

_CALL = re.compile(r"^(\w+)\(")
_CHANGES = re.compile(r"O_WRONLY|O_RDWR|^mkdir|^unlink|^rename")
_processes = get_context("forkserver")
_processes.set_forkserver_preload(["fault_writes"])
_STATE = "the old or the new state, whole"


@dataclass(frozen=True)
class Writer:
    """Something that is written to a run directory.

    Attributes:
        write: writes it, from the run directory of another run.
        read: returns what there is, as anything that can be compared.
        go_on: what a resumed run does next; must succeed whatever a kill left.
    """

    write: Callable[[RunPaths, RunPaths], object]
    read: Callable[[RunPaths], Any]
    go_on: Callable[[RunPaths, RunPaths], object]


def _write_checkpoint(paths: RunPaths, other: RunPaths) -> None:
    (saved,) = list_checkpoints(other, 0)
    state = replace(load_state(other, 0, saved.step), step=saved.step + 4)
    checkpoint = Checkpoint(0, saved.epoch + 1, state.step, state.step + 4, state)
    save_checkpoint(paths, checkpoint, read_manifest(paths).run_id)


def _read_checkpoint(paths: RunPaths) -> tuple[int, bytes]:
    *_, last = list_checkpoints(paths, 0, read_manifest(paths).run_id)
    return last.step, load_state(paths, 0, last.step).row.tobytes()


def _write_journal(paths: RunPaths, other: RunPaths) -> None:
    journal = Journal(paths.journal)
    journal.append(FinishedEntry(0, time_ms=1))
    journal.close()


def _write_model(paths: RunPaths, other: RunPaths) -> None:
    write_artifact(paths.model, read_artifact(other.model))


def _read_model(paths: RunPaths) -> list[bytes]:
    members: Any = read_artifact(paths.model).members
    return [member.row.tobytes() for member in members]


def _write_report(paths: RunPaths, other: RunPaths) -> None:
    with no_pictures():
        write_report(paths, "KILLED")


def _read_report(paths: RunPaths) -> str:
    return paths.report.read_text().replace(str(paths.root), "")


WRITERS = {
    "checkpoint": Writer(
        _write_checkpoint, _read_checkpoint, lambda paths, other: remove_leftovers(paths)
    ),
    "journal": Writer(
        _write_journal, lambda paths: list(read_entries(paths.journal)), _write_journal
    ),
    "model": Writer(_write_model, _read_model, _write_model),
    "report": Writer(_write_report, _read_report, _write_report),
}


class Stepped:
    """A writer whose system calls are counted, and which is killed at one of them."""

    def __init__(self, kind: str, folder: Path) -> None:
        self._kind, self._folder = kind, folder
        self._writer = WRITERS[kind]
        self._runs = [RunPaths(folder / name) for name in ("first", "second")]

    def prepare(self) -> None:
        """Make two runs of different seeds."""
        pipeline = write_pipeline(self._folder)
        for seed, paths in enumerate(self._runs):
            with no_pictures():
                result = ensemble_pipe.run(
                    str(pipeline), output=str(self._folder / "runs"), inline=True, seed=seed
                )
            Path(result.run_dir).rename(paths.root)

    def calls(self) -> list[tuple[str, int]]:
        """Return each system call in the run directory: its name, and which of that name it is.

        Those before the first that changes anything are left out.
        """
        counted, found, begun = Counter[str](), [], False
        paths = self._copy("counted")
        for line in self._write(paths):
            if call := _CALL.match(line):
                counted[call[1]] += 1
                is_here = str(paths.root) in line
                begun |= is_here and _CHANGES.search(line) is not None
                if is_here and begun:
                    found.append((call[1], counted[call[1]]))
        shutil.rmtree(paths.root)
        return found

    def killed_at(self, name: str, number: int) -> str:
        """Kill the writer at a system call; what is there must be old or new, and can go on."""
        paths, other = self._copy(f"{name}-{number}"), self._runs[1]
        old = self._writer.read(paths)
        lines = self._write(paths, f"trace={name}", f"inject={name}:signal=KILL:when={number}")
        assert "killed by SIGKILL" in lines[-1], lines[-1]
        left = self._writer.read(paths)
        if left != old:
            whole = self._copy("whole")
            self._writer.write(whole, other)
            assert left == self._writer.read(whole), "neither the old nor the new state"
            shutil.rmtree(whole.root)
        self._writer.go_on(paths, other)
        self._writer.read(paths)
        shutil.rmtree(paths.root)
        return _STATE

    def _copy(self, name: str) -> RunPaths:
        shutil.copytree(self._runs[0].root, self._folder / "copies" / name)
        return RunPaths(self._folder / "copies" / name)

    def _write(self, paths: RunPaths, *expressions: str) -> list[str]:
        """Write in a process of its own under strace; return what that says, line by line."""
        start, wait = _processes.Pipe()
        process = _processes.Process(target=_begin, args=(wait, self._kind, paths, self._runs[1]))
        process.start()
        start.recv()  # it makes no more calls of its own
        log = self._folder / "strace"
        options = [part for one in expressions for part in ("-e", one)]  # which calls, and a fault
        command = ["strace", "-y", "-s", "0", "-o", str(log), *options, "-p", str(process.pid)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
            assert strace.stderr is not None
            assert "attached" in strace.stderr.readline()
            start.send(None)
            process.join()
        return log.read_text().splitlines()


def _begin(wait: Any, kind: str, paths: RunPaths, other: RunPaths) -> None:
    if kind == "report":
        load_drawing()  # thousands of system calls, none of them in a run directory
    wait.send(None)
    wait.recv()
    WRITERS[kind].write(paths, other)


def killed(kind: str, folder: Path, small: bool) -> Iterator[Case]:
    stepped = Stepped(kind, folder)
    stepped.prepare()
    calls = stepped.calls()
    for name, number in calls[:: max(1, len(calls) // 4)] if small else calls:
        yield Case(f"{name} {number}", partial(stepped.killed_at, name, number))
