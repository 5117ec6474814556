"""A search has one result: through kills at any moment, on one trainer or two, in stacks or not."""

from pathlib import Path
from random import Random
from typing import Any

import psutil
import pytest
from killed_searches import go_on, run_dirs_in
from ray_processes import processes_below
from small_pipelines import small_settings
from test_search import GRID, SPACE, bits, search_here
from test_shared_trials import SPACE as SHARED_SPACE

from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.run.display import Silent
from ensemble_pipe.search.pipeline import search
from ensemble_pipe.search.results import read_trials
from ensemble_pipe.training.events import Checkpoint, Event

pytestmark = pytest.mark.slow

SEARCHES: dict[str, dict[str, Any]] = {
    "grid": {"space": GRID, "driver": "grid"},
    "random": {"trials": 6},
    "tpe": {"driver": "tpe", "trials": 13, "batch": 2},
    "shared": {"trials": 4, "space": SHARED_SPACE},
    "hyperband": {"trials": 9, "pruning": "hyperband"},
}


def config_of(kind: str, **cluster: Any) -> Pipeline:
    """Return a small search on the wines."""
    shared = {"ensemble": {"strategy": "shared"}} if kind == "shared" else {}
    settings = small_settings(
        hidden=4, epochs=9, batch_size=16, data={"source": "bundled", "set": "wine"},
        search={"space": SPACE, "top": 2, **SEARCHES[kind]}, cluster=cluster, **shared,
    )  # fmt: skip
    return Pipeline.model_validate(settings)


def result_in(run_dir: Path) -> tuple[Any, list[bytes]]:
    """Return the trials of a search, the winner first, and the bits of its ensemble."""
    return read_trials(RunPaths(run_dir)), bits(run_dir)


@pytest.mark.parametrize("kind", SEARCHES)
def test_five_kills_change_no_bit(kind: str, tmp_path: Path) -> None:
    config, random = config_of(kind), Random(kind)
    calls = go_on(config, tmp_path / "whole").calls
    lengths = {
        "start-up": calls["training"] - calls["start-up"],
        "training": calls["combining"] - calls["training"],
        "combining": calls["all"] - calls["combining"],
    }
    stages = ["start-up", "training", "training", "training", "combining"]
    for stage in stages:
        # At most a third of the training each time, so that some is left for the next.
        share = random.random() * (0.3 if stage == "training" else 0.95)
        moment = stage, int(share * lengths[stage])
        assert go_on(config, tmp_path / "killed", moment).killed, moment
    if kind == "tpe":
        assert go_on(config, tmp_path / "killed", ("between batches", 100)).killed
    assert not go_on(config, tmp_path / "killed").killed
    (whole,), (killed,) = (run_dirs_in(tmp_path / name) for name in ("whole", "killed"))
    assert result_in(killed) == result_in(whole)


@pytest.mark.parametrize("kind", ["tpe", "hyperband"])
def test_trials_one_by_one_have_the_bits_of_stacks(kind: str, tmp_path: Path) -> None:
    stacks, alone = (search_here(tmp_path, config_of(kind, stack=width)) for width in (None, 1))
    assert result_in(Path(alone.run.run_dir)) == result_in(Path(stacks.run.run_dir))


class KillsATrainer(Silent):
    """Kills a trainer on Ray, once, after some epochs of trials."""

    def __init__(self, epochs: int) -> None:
        self.left = epochs
        self.killed: list[psutil.Process] = []

    def event(self, event: Event) -> None:
        self.left -= isinstance(event, Checkpoint)
        if self.left <= 0 and not self.killed:
            self.killed = processes_below(None, "ray::Trainer")[:1]
            for process in self.killed:
                process.kill()


@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize("kind", ["grid", "hyperband"])
def test_one_trainer_and_two_of_which_one_is_killed_have_the_same_bits(
    kind: str, tmp_path: Path
) -> None:
    here = search_here(tmp_path, config_of(kind, stack=2))
    kills = KillsATrainer(epochs=7)
    for trainers, display in ((1, Silent()), (2, kills)):
        config = config_of(kind, trainers=trainers, stack=2)
        there = search(config, output=tmp_path, address="local", display=display)
        assert result_in(Path(there.run.run_dir)) == result_in(Path(here.run.run_dir))
    assert len(kills.killed) == 1
