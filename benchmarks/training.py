"""Learner-samples per second of training, in this process and on Ray, beside the sgemm peak.

    python benchmarks/training.py --folder /path/to/fashion-mnist

prints one JSON line. All is measured in one run, one BLAS thread to a process: the inline rate on
one core, the rate on Ray with as many trainers as there are cores, and the highest rate of square
float32 products. Starting Ray, compiling and each learner's first epoch are left out of the rates.
"""

import argparse
import itertools
import json
import logging
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from ensemble_pipe.cluster.executor import Executor
from ensemble_pipe.cluster.inline import InlineExecutor
from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.nn.blas import one_thread
from ensemble_pipe.run import preparation
from ensemble_pipe.training.events import Checkpoint
from ensemble_pipe.training.stacks import make_stacks

HIDDEN = [512, 256]


def peak_gflops(sizes: tuple[int, ...] = (256, 512, 1024), repeats: int = 10) -> float:
    """Return the highest rate of float32 products found, in GFLOP/s on one core."""
    rates = []
    with one_thread():
        for size in sizes:
            left, right = (
                np.random.default_rng(i).random((size, size), np.float32) for i in (0, 1)
            )
            out = np.empty_like(left)
            for _ in range(repeats):
                began = time.perf_counter()
                np.matmul(left, right, out=out)
                rates.append(2 * size**3 / (time.perf_counter() - began) / 1e9)
    return max(rates)


def flop_per_sample(widths: list[int]) -> int:
    """Return the floating-point operations of the products of one sample's training step."""
    kernels = [a * b for a, b in itertools.pairwise(widths)]
    # Forward and kernel gradients everywhere, input gradients everywhere but at the bottom.
    return 2 * (2 * sum(kernels) + sum(kernels[1:]))


def samples_per_second(
    executor: Executor, prepared: preparation.Prepared, paths: RunPaths, pipeline: Pipeline
) -> float:
    """Return learner-samples per second from the first checkpoint to the last."""
    plans = make_plans(pipeline).networks
    recipe = preparation.recipe_of(paths, pipeline, prepared.schema)
    stacks = make_stacks(plans, {}, size=1, trainers=1, width=pipeline.cluster.stack or 1)
    first = last = 0.0
    steps: dict[int, int] = {}
    counted = 0
    for event in executor.run(stacks, recipe, prepared.schema):
        if isinstance(event, Checkpoint):
            last = time.perf_counter()
            if not first:
                first = last
            else:
                counted += event.step - steps.get(event.learner, 0)
            steps[event.learner] = event.step
    return counted * (plans[0].batch_rows or 0) / (last - first)


def main() -> None:
    """Measure, and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", help="IDX files of Fashion-MNIST; without it the digits")
    parser.add_argument("--epochs", type=int, default=4)
    arguments = parser.parse_args()
    cores = os.cpu_count() or 1
    source: dict[str, Any] = {"source": "bundled"}
    if arguments.folder:
        source = {"source": "idx", "folder": arguments.folder}
    settings = {
        "data": source,
        "network": {"hidden": HIDDEN},
        "training": {"epochs": arguments.epochs, "batch_size": 128},
        "ensemble": {"learners": cores},
    }
    pipeline = Pipeline.model_validate(settings)
    prepared = preparation.prepare(pipeline)
    pipeline = prepared.config
    with tempfile.TemporaryDirectory() as folder:
        paths = RunPaths(Path(folder))
        preparation.write_run(paths, prepared)
        peak = peak_gflops()
        inline = samples_per_second(InlineExecutor(), prepared, paths, pipeline)
        on_ray, trainers = _on_ray(prepared, paths, pipeline)
    schema = prepared.schema
    widths = [int(np.prod(schema.input_shape)), *HIDDEN, len(schema.classes)]
    flop = flop_per_sample(widths)
    result = {
        "network": widths,
        "inline_samples_per_second": round(inline),
        "ray_samples_per_second": round(on_ray),
        "ray_trainers": trainers,
        "ray_over_inline": round(on_ray / inline, 3),
        "sgemm_peak_gflops": round(peak, 1),
        "inline_gflops": round(inline * flop / 1e9, 1),
        "inline_share_of_peak": round(inline * flop / 1e9 / peak, 3),
        "ray_share_of_peak": round(on_ray * flop / 1e9 / peak / trainers, 3),
    }
    print(json.dumps(result))


def _on_ray(
    prepared: preparation.Prepared, paths: RunPaths, pipeline: Pipeline
) -> tuple[float, int]:
    from ensemble_pipe.cluster.ray import RayExecutor

    logging.getLogger("ray").setLevel(logging.ERROR)
    executor = RayExecutor("local", trainers=None, cpus_per_trainer=1, retries=0)
    try:
        return samples_per_second(executor, prepared, paths, pipeline), executor.trainers
    finally:
        executor.close()


if __name__ == "__main__":
    main()
