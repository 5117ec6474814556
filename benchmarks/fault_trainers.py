"""Trainers on Ray that are killed or stopped, at steps that are chosen."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
import ray
from fault_cases import SAME, Case
from fault_runs import (
    PIPELINE,
    Fault,
    no_pictures,
    require_same,
    resume_here,
    undisturbed,
    with_faults,
    write_pipeline,
)

import ensemble_pipe
from ensemble_pipe.cluster import ray as cluster_ray
from ensemble_pipe.core.errors import ClusterError
from ensemble_pipe.run import pipeline
from ensemble_pipe.run.display import Silent
from ensemble_pipe.training.events import Checkpoint, Event

STEPS = 11  # of the small pipeline


class KillService(Silent):
    """Kills the service of augmented shards after so many checkpoints."""

    def __init__(self, after: int) -> None:
        self._left, self.killed = after, False

    def event(self, event: Event) -> None:
        self._left -= isinstance(event, Checkpoint)
        if self._left == 0 and not self.killed:
            for process in psutil.Process().children(recursive=True):
                if "ray::ShardService" in " ".join(process.cmdline()):
                    process.kill()
                    self.killed = True


class Trainings:
    """Runs of one pipeline on one Ray, each with faults of its own."""

    def __init__(self, folder: Path, **sections: Any) -> None:
        self.agenda = folder / "agenda"
        self.pipeline = write_pipeline(folder, network=with_faults(self.agenda), **sections)

    @cached_property
    def expected(self) -> str:
        """The sum of what the undisturbed run comes to."""
        return undisturbed(self.pipeline, components=[Fault])

    def run(self, faults: Sequence[str], retries: int) -> str:
        """Run with faults, such as "7.KILL"; return how it ended."""
        expected = self.expected
        _require_ray()
        for name in faults:
            (self.agenda / name).touch()
        output = self.agenda.parent / f"runs-{'-'.join(faults[:2])}-{len(faults)}-{retries}"
        cluster: dict[str, Any] = {"cluster.retries": retries, "cluster.trainers": 2}
        cluster["cluster.stack"] = 1
        how, message = SAME, ""
        try:
            with no_pictures():
                ensemble_pipe.run(
                    str(self.pipeline), output=str(output), components=[Fault], **cluster
                )
        except ClusterError as error:
            message = str(error)
        finally:
            self._end_stopped()
        left = [path.name for path in self.agenda.iterdir()]
        for name in left:
            (self.agenda / name).unlink()
        (run_dir,) = output.iterdir()
        if message:
            assert "lost its trainer" in message, message
            assert "ensemble-pipe resume" in message, message
            how = f"{SAME} after the message and `resume`"
            resume_here(run_dir, expected, components=[Fault])
        else:
            assert left == [], f"did not happen: {left}"
            require_same(run_dir, expected)
        return how

    def without_service(self, after: int) -> str:
        """Run with a service of augmented shards, which is killed after so many checkpoints."""
        expected, output = self.expected, self.agenda.parent / f"runs-{after}"
        _require_ray()
        display, cluster = KillService(after), dict[str, Any]()
        cluster |= {"cluster.trainers": 2, "cluster.stack": 1}
        with no_pictures(), mock.patch.object(cluster_ray, "SHARED_BYTES", 0):
            pipeline.run(
                str(self.pipeline), output=str(output), components=[Fault], display=display,
                **cluster,
            )  # fmt: skip
        assert display.killed
        (run_dir,) = output.iterdir()
        require_same(run_dir, expected)
        return SAME

    def _end_stopped(self) -> None:
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if process.status() == psutil.STATUS_STOPPED:
                    process.kill()


def _require_ray() -> None:
    """Start one Ray for all these cases."""
    if not ray.is_initialized():
        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)


def killed_at_each_step(folder: Path, small: bool) -> Iterator[Case]:
    trainings = Trainings(folder)
    for step in (5,) if small else range(STEPS):
        yield Case(f"step {step}", partial(trainings.run, [f"{step}.KILL"], retries=2))


def killed_twenty_times(folder: Path, small: bool) -> Iterator[Case]:
    training = {**PIPELINE["training"], "epochs": 3 if small else 6}
    trainings = Trainings(folder, training=training)
    faults = [f"{step}.KILL" for step in range(4 if small else 20)]
    yield Case("allowed so often", partial(trainings.run, faults, retries=20))
    yield Case("allowed twice", partial(trainings.run, faults, retries=2))


def stopped(folder: Path, small: bool) -> Iterator[Case]:
    trainings = Trainings(folder)
    for step in (5,) if small else (0, 5, 10):
        yield Case(f"step {step}", partial(trainings.run, [f"{step}.STOP"], retries=2))


def shard_service_killed(folder: Path, small: bool) -> Iterator[Case]:
    trainings = Trainings(folder, augment=[{"name": "shift_crop"}])
    for after in (2,) if small else (1, 2, 3, 4):
        yield Case(f"after {after} checkpoints", partial(trainings.without_service, after))
