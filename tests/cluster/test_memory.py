"""Trainers read a shard where it lies: eight views of 200 MB cost no private memory."""

import gc
import sys
from typing import Any

import numpy as np
import pytest
import ray

from ensemble_pipe.data.base import shard_table
from ensemble_pipe.data.shard_view import ShardView

# Workers cannot import a test module, so its classes travel by value.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])

TRAINERS = 8
IMAGE = (28, 28, 1)
SHARD_BYTES = 200 * 2**20
ROWS = SHARD_BYTES // 784
BATCH = 128
# The batch, and what an interpreter allocates here and there while it goes through the shard.
ALLOWED_BYTES = BATCH * 784 * 4 + 8 * 2**20


@ray.remote(num_cpus=0)  # type: ignore[untyped-decorator]
def make_shard(rows: int) -> Any:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (rows, *IMAGE), np.uint8)
    return shard_table(images, np.zeros(rows, np.int32), np.arange(rows))


def private_bytes() -> int:
    """Private memory of this process, shared pages left out."""
    with open("/proc/self/smaps_rollup") as rollup:
        numbers = [line.split() for line in rollup if line.startswith("Private_")]
    return 1024 * sum(int(fields[1]) for fields in numbers)


@ray.remote(num_cpus=0)
class Reader:
    """Stands for a trainer: gathers batches through the view that trainers use."""

    def __init__(self) -> None:
        self._inputs = np.zeros((BATCH, 784), np.float32)
        self._targets = np.zeros(BATCH, np.int32)
        self._weights = np.ones(BATCH, np.float32)
        self._view: ShardView | None = None

    def read_all(self, table: Any) -> float:
        scale = np.ones(IMAGE, np.float32)
        self._view = ShardView([table], scale, np.zeros(IMAGE, np.float32))
        order = np.random.default_rng(1).permutation(self._view.rows).astype(np.int32)
        total = 0.0
        for start in range(0, len(order) - BATCH + 1, BATCH):
            ids = order[start : start + BATCH]
            self._view.gather(ids, self._inputs, self._targets, self._weights)
            total += float(self._inputs[0, 0])
        return total

    def private(self) -> int:
        gc.collect()
        return private_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_eight_trainers_view_a_shard_without_private_memory() -> None:
    actor: Any = Reader
    readers = [actor.remote() for _ in range(TRAINERS)]
    small = make_shard.remote(BATCH)
    ray.get([reader.read_all.remote(small) for reader in readers])  # warmed: imports and kernels
    idle = ray.get([reader.private.remote() for reader in readers])
    large = make_shard.remote(ROWS)
    totals = ray.get([reader.read_all.remote(large) for reader in readers])
    assert len(set(totals)) == 1
    assert totals[0] > 0
    added = [
        now - before
        for now, before in zip(
            ray.get([reader.private.remote() for reader in readers]), idle, strict=True
        )
    ]
    for reader in readers:
        ray.kill(reader)
    assert max(added) < ALLOWED_BYTES, f"{[a // 2**20 for a in added]} MB added"
