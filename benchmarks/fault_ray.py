"""Processes of Ray, and the driver that uses them, killed in a run; and calls between them fail."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path

import psutil
from fault_cases import SAME, Case
from fault_runs import (
    PIPELINE,
    checkpoints_in,
    require_same,
    resume_here,
    run_dir_in,
    started,
    undisturbed,
    wait_until,
    write_pipeline,
)

# A lost process of Ray is noticed, and the run ends with its message.
ENDS_WITHIN_S = 90.0
EPOCHS = 200
# Wide enough for its checkpoints to lie in Ray's object store.
NETWORK = {"hidden": [256]}


class Runs:
    """Runs by the command, each on a Ray of its own, long enough to be killed in its middle."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        training = {**PIPELINE["training"], "epochs": EPOCHS}
        cluster = {"trainers": 2, "stack": 1}
        self._pipeline = write_pipeline(folder, network=NETWORK, training=training, cluster=cluster)

    @cached_property
    def expected(self) -> str:
        """The sum of what the undisturbed run comes to."""
        return undisturbed(self._pipeline)

    def killed(self, title: str, after: int) -> str:
        """Kill a process by its title ("" is the driver), after so many epochs."""
        expected, folder = self.expected, self._folder / f"{title.replace('/', '-')} {after}"
        status, errors = self._kill(folder, title, after)
        if status == 0:
            require_same(run_dir_in(folder), expected)
            return SAME
        if title:
            _require_message(status, errors)
        resume_here(run_dir_in(folder), expected)
        return f"{SAME} after {'the message and ' if title else ''}`resume`"

    def killed_in_long_run(self, title: str) -> str:
        """Kill a process in a run that would take hours; it must end soon, and say so."""
        folder = self._folder / f"{title.replace('/', '-')} long"
        _require_message(*self._kill(folder, title, 2, "--set", "training.epochs=1000000"))
        return f"a message within {ENDS_WITHIN_S:.0f} s"

    def _kill(self, folder: Path, title: str, after: int, *options: str) -> tuple[int, str]:
        """Begin a run, kill a process of it, and return its status and what it says."""
        folder.mkdir()
        arguments = ("run", self._pipeline, "--address", "local", *options)
        with started(*arguments, cwd=folder) as run:
            wait_until(lambda: checkpoints_in(folder) >= after or run.poll() is not None)
            assert run.poll() is None, "it ended too early"
            others = psutil.Process(run.pid).children(recursive=True)
            for process in _titled(others, title) if title else [psutil.Process(run.pid)]:
                process.kill()
            _, errors = run.communicate(timeout=ENDS_WITHIN_S)
        _, alive = psutil.wait_procs(others, timeout=ENDS_WITHIN_S)
        assert alive == [], f"still there: {[process.name() for process in alive]}"
        assert "Traceback" not in errors, errors
        return run.returncode, errors

    def with_chaos(self, percent: int, number: int) -> str:
        """Run while calls between processes of Ray fail, half of them before they arrive."""
        expected, folder = self.expected, self._folder / str(number)
        folder.mkdir()
        half = percent / 2
        failing = {"num_failures": -1, "req_failure_prob": half, "resp_failure_prob": half}
        environment = {
            **os.environ,
            "RAY_testing_rpc_failure": json.dumps({"*": failing}),
            "RAY_testing_rpc_failure_avoid_intra_node_failures": "0",
        }
        with started("run", self._pipeline, cwd=folder, env=environment) as run:
            _, errors = run.communicate(timeout=240)
        assert "Traceback" not in errors, errors
        if run.returncode == 0:
            require_same(run_dir_in(folder), expected)
            return SAME
        assert run.returncode == 1, errors
        last = errors.splitlines()[-1]
        assert "ensemble-pipe resume" in last or "--inline" in last, errors
        resume_here(run_dir_in(folder), expected)
        return f"{SAME} after the message and `resume`"


def _titled(processes: list[psutil.Process], title: str) -> list[psutil.Process]:
    found = []
    for process in processes:
        with suppress(psutil.Error):
            if title in " ".join(process.cmdline()):
                found.append(process)
    assert found, f"no process {title}"
    return found


def _require_message(status: int, errors: str) -> None:
    assert status == 1, errors
    assert "error: Ray" in errors.splitlines()[-1], errors
    assert "ensemble-pipe resume" in errors.splitlines()[-1], errors


def process_killed(title: str, folder: Path, small: bool) -> Iterator[Case]:
    runs = Runs(folder)
    for after in (2,) if small else (1, 40, 200):
        yield Case(f"after {after} epochs", partial(runs.killed, title, after))
    if title and not small:
        yield Case("in a long run", partial(runs.killed_in_long_run, title))


def driver_killed(folder: Path, small: bool) -> Iterator[Case]:
    yield from process_killed("", folder, small)


def calls_fail(percent: int, folder: Path, small: bool) -> Iterator[Case]:
    runs = Runs(folder)
    for number in range(1 if small else 2):
        yield Case(f"run {number}", partial(runs.with_chaos, percent, number))
