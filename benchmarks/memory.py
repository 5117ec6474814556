"""Memory of 1, 2, 4 and 8 trainers on one data set: the data once, and each trainer's own state.

    python benchmarks/memory.py --gigabytes 2

writes base files of so many gigabytes of float32 rows, and lets trainers of a local Ray train on
them. Counted are the pages of the data set (the Pss of its mapping, summed over all trainers, so
that a page counts once however many map it; and, told apart, what the page cache holds of it), and
the private memory of each trainer above that of a warmed idle one, beside the bytes of the arrays
of its training (what tracemalloc finds alive in the same training in one process). Linux only.
Prints a table and one JSON line; `--write` keeps it under benchmarks/results; docs/memory.md
explains the figures.
"""

import argparse
import logging
import os
import sys
import tempfile
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from keeping import publish
from processes import cached_bytes, family, memory_of

from ensemble_pipe.data.base import base_writer
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import Recipe, TrainingData
from ensemble_pipe.data.tables.features import NumberColumn
from ensemble_pipe.data.tables.scaling import Scaling
from ensemble_pipe.nn.blas import one_thread
from ensemble_pipe.nn.losses import CrossEntropy
from ensemble_pipe.nn.networks import Mlp
from ensemble_pipe.optim import Adam, ConstantRate
from ensemble_pipe.training.loop import train
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.stacks import Stack

FEATURES, CLASSES, SHARD_ROWS = 256, 10, 4096
WARM_HIDDEN = 64  # of the network that the idle trainer has trained
MB = 2**20


def schema_of() -> Schema:
    """Return the schema of standardised columns x0, x1, ..."""
    columns = tuple(NumberColumn(f"x{n}", "number", None, False) for n in range(FEATURES))
    zero, one = (0.0,) * FEATURES, (1.0,) * FEATURES
    scaling = Scaling("standardize", zero, one, zero, one)
    return Schema("classification", (FEATURES,), columns, scaling, ("y",), tuple(range(CLASSES)))


def write_data(folder: Path, gigabytes: float) -> Recipe:
    """Write a training part of made-up rows, and a small stop part."""
    rows = int(gigabytes * 1e9) // (4 * FEATURES)
    for part, count in (("train", rows), ("stop", 1000)):
        with base_writer(folder / f"{part}.arrow", SHARD_ROWS) as writer:
            for start in range(0, count, SHARD_ROWS):
                random = np.random.default_rng(start)
                length = min(SHARD_ROWS, count - start)
                writer.append(
                    {
                        "input": random.standard_normal((length, FEATURES), np.float32),
                        "target": random.integers(0, CLASSES, length, dtype=np.int32),
                        "row": np.arange(start, start + length),
                    }
                )
    return Recipe(folder, {}, 1)


def plan_of(learner: int, hidden: int) -> LearnerPlan:
    """Return a learner whose rows, gradients and moments are most of what a trainer holds."""
    network = Mlp(hidden=(hidden, hidden))
    loss, rule, schedule = CrossEntropy(), Adam(), ConstantRate()
    return LearnerPlan(learner, 1, network, loss, rule, schedule, epochs=50, batch_rows=128)


def warm_stack() -> Stack:
    """Return a small stack that needs the same kernels."""
    return Stack((replace(plan_of(0, WARM_HIDDEN), epochs=1),))


def state_bytes(recipe: Recipe, tiny: Recipe, hidden: int) -> int:
    """Return the bytes of the arrays that live in a training, some hundred steps into it."""
    for _ in train(warm_stack(), TrainingData(tiny, schema_of()), schema_of()):
        pass  # kernels are loaded, which is not part of a state
    data = TrainingData(recipe, schema_of())
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    with one_thread():
        events = train(Stack((plan_of(0, hidden),)), data, schema_of())
        next(events)  # half a second of it
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return after - before


def measure(recipe: Recipe, tiny: Recipe, trainers: int, hidden: int, seconds: float) -> Any:
    """Return the memory of an idle trainer and of trainers at work, at its highest."""
    import ray

    from ensemble_pipe.cluster.trainer import Trainer
    from ensemble_pipe.data.local_base import BaseSource

    ray.init(
        address="local", num_cpus=trainers + 1, include_dashboard=False, log_to_driver=False,
        logging_level=logging.ERROR,
    )  # fmt: skip
    try:
        actor: Any = Trainer
        source = BaseSource(ray.get_runtime_context().get_node_id())
        idle = actor.options(num_cpus=1).remote()
        idle.prepare.remote(source, tiny, schema_of(), (), None)
        for _ in idle.train.options(num_returns="streaming").remote(warm_stack()):
            pass
        first = _trainers()
        at_work = [actor.options(num_cpus=1).remote() for _ in range(trainers)]
        for worker in at_work:
            worker.prepare.remote(source, recipe, schema_of(), (), None)
        streams = [
            worker.train.options(num_returns="streaming").remote(Stack((plan_of(n, hidden),)))
            for n, worker in enumerate(at_work)
        ]
        for stream in streams:
            ray.get(next(stream))
        highest: dict[int, int] = {}
        end, mapped = time.monotonic() + seconds, 0
        (idle_process,) = first
        while time.monotonic() < end:
            found = {p: memory_of(p, "train.arrow") for p in _trainers() if p not in first}
            mapped = max(mapped, sum(memory.file_pss for memory in found.values()))
            for process, memory in found.items():
                highest[process] = max(highest.get(process, 0), memory.private)
            time.sleep(1.0)
        idle_bytes = memory_of(idle_process, "train.arrow").private
        return idle_bytes, list(highest.values()), mapped, cached_bytes(recipe.base / "train.arrow")
    finally:
        ray.shutdown()


def _trainers() -> list[int]:
    """Return the trainers among the processes that this one has started."""
    return [p.pid for p in family(os.getpid()) if "ray::Trainer" in " ".join(p.cmdline() or [])]


def main() -> None:
    """Measure, print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--trainers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--hidden", type=int, default=2048, help="units of each hidden layer")
    parser.add_argument("--seconds", type=float, default=60.0, help="of watching, each")
    parser.add_argument("--folder", help="where to write the data; a temporary folder by default")
    parser.add_argument("--write", action="store_true", help="keep the result")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        large, small = Path(folder) / "large", Path(folder) / "small"
        recipe, tiny = write_data(large, arguments.gigabytes), write_data(small, 0.01)
        data_bytes = (large / "train.arrow").stat().st_size
        state = state_bytes(recipe, tiny, arguments.hidden)
        lines = []
        for trainers in arguments.trainers:
            idle, private, mapped, cached = measure(
                recipe, tiny, trainers, arguments.hidden, arguments.seconds
            )
            added = [value - idle for value in private]
            lines.append(
                {
                    "trainers": trainers,
                    "data_mapped_mb": round(mapped / MB),
                    "data_cached_mb": round(cached / MB),
                    "idle_private_mb": round(idle / MB),
                    "added_private_mb": [round(value / MB, 1) for value in added],
                    "largest_over_state": round(max(added) / state, 3),
                }
            )
            print(_line(lines[-1]), file=sys.stderr, flush=True)
    result = {"data_mb": round(data_bytes / MB), "state_mb": round(state / MB, 1), "lines": lines}
    publish("memory", result, arguments.write)


def _line(line: dict[str, Any]) -> str:
    return "  ".join(f"{name} {value}" for name, value in line.items())


if __name__ == "__main__":
    main()
