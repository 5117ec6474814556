"""The service of augmented shards may forget, die or be slow: no bit of a result changes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from conftest import Prepared
from ray_processes import processes_below

from ensemble_pipe.cluster.inline import InlineExecutor
from ensemble_pipe.cluster.ray import RayExecutor
from ensemble_pipe.data.local_base import BaseSource
from ensemble_pipe.data.shard_service import ShardService
from ensemble_pipe.data.shards import ShardRequest
from ensemble_pipe.training.events import Checkpoint, Event
from ensemble_pipe.training.stacks import Stack, make_stacks

pytestmark = pytest.mark.usefixtures("ray_cluster")

POLICY = [{"name": "shift_crop", "pixels": 3}, {"name": "horizontal_flip"}]
ROWS = 6000  # of 784 bytes: an epoch of augmented shards is 4 MB


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("images") / "images.npz"
    pixels = random.integers(0, 256, (ROWS, 28, 28), np.uint8)
    np.savez(path, image=pixels, label=random.integers(0, 4, ROWS))
    return path


@pytest.fixture(autouse=True)
def _always_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Share shards in however small a training."""
    monkeypatch.setattr("ensemble_pipe.cluster.ray.SHARED_BYTES", 0)


@pytest.fixture
def prepare_images(prepare: Callable[..., Prepared], images: Path) -> Callable[..., Prepared]:
    def make(learners: int = 2, **augment: Any) -> Prepared:
        return prepare(
            data={"source": "table", "path": str(images), "label": "label"},
            augment={"policy": POLICY, **augment},
            network={"name": "linear"},
            ensemble={"learners": learners},
            splits={"train": 5000, "stop": 300, "validation": 300, "test": 400},
            training={"epochs": 6, "batch_size": 50},
            window_rows=1000,
        )

    return make


def stacks_of(prepared: Prepared) -> list[Stack]:
    return make_stacks(prepared.plans, {}, size=1, trainers=2, width=1)


def rows_of(events: list[Event]) -> dict[int, bytes]:
    return {
        e.learner: e.state.row.tobytes() for e in events if isinstance(e, Checkpoint) and e.finished
    }


def inline_rows(prepared: Prepared) -> dict[int, bytes]:
    executor = InlineExecutor()
    return rows_of(list(executor.run(stacks_of(prepared), prepared.recipe, prepared.schema)))


def on_ray(prepared: Prepared) -> tuple[RayExecutor, Iterator[Event]]:
    executor = RayExecutor("local", trainers=2, cpus_per_trainer=1, retries=0)
    return executor, executor.run(stacks_of(prepared), prepared.recipe, prepared.schema)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["ShardService", "ShardMaker"])
def test_a_killed_service_or_maker_changes_no_bit(
    prepare_images: Callable[..., Prepared], victim: str
) -> None:
    prepared = prepare_images()
    executor, stream = on_ray(prepared)
    found: list[Event] = []
    killed = 0
    for event in stream:
        found.append(event)
        if isinstance(event, Checkpoint) and event.epoch in (1, 3) and killed < event.epoch:
            for process in processes_below(None, f"ray::{victim}"):
                process.kill()
                killed += 1
    executor.close()
    assert killed >= 2
    assert rows_of(found) == inline_rows(prepared)


@pytest.mark.slow
def test_a_service_that_is_gone_for_good_is_done_without(
    prepare_images: Callable[..., Prepared],
) -> None:
    prepared = prepare_images()
    executor, stream = on_ray(prepared)
    found = [next(stream)]
    ray.kill(executor.service, no_restart=True)
    found += list(stream)
    executor.close()
    assert rows_of(found) == inline_rows(prepared)


@pytest.mark.slow
@pytest.mark.parametrize("share", ["all", "per_learner"])
def test_shards_forgotten_at_a_quarter_of_the_memory_change_no_bit(
    prepare_images: Callable[..., Prepared], share: str
) -> None:
    prepared = prepare_images(memory_mb=1, share=share)
    executor, stream = on_ray(prepared)
    kept = []
    found: list[Event] = []
    for event in stream:
        found.append(event)
        kept.append(ray.get(executor.service.kept_bytes.remote()))
    executor.close()
    assert 0 < max(kept) <= 1_000_000
    assert rows_of(found) == inline_rows(prepare_images(memory_mb=1000, share=share))


def test_each_shard_is_made_once_and_the_next_ones_ahead(
    prepare_images: Callable[..., Prepared],
) -> None:
    prepared = prepare_images()
    source = BaseSource(ray.get_runtime_context().get_node_id())
    actor: Any = ShardService
    service = actor.remote(source, prepared.recipe, 1)
    first, second = ShardRequest(0, 0, (0, 2)), ShardRequest(0, 0, (2, 5))
    wanted = ray.get(service.shards.remote(first, second))
    again = ray.get(service.shards.remote(second, None))
    assert wanted[1] == again[0]
    assert len(ray.get(service.shards.remote(ShardRequest(0, 1, None), None))) == 10
    ray.kill(service)
