"""How long trainers wait for augmented shards: a share of the time that they train.

    python benchmarks/waiting.py --folder /path/to/fashion-mnist

trains the cnn on Fashion-MNIST with two trainers on Ray under the policy of
pipelines/fashion_mnist.yaml, and prints the share of the time between each learner's start and end
in which its trainer waited for shards. `--write` keeps the result under benchmarks/results;
docs/memory.md explains the figures.
"""

import argparse
import logging
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from keeping import publish

from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.run.preparation import prepare, recipe_of, write_run
from ensemble_pipe.training.events import Checkpoint
from ensemble_pipe.training.stacks import make_stacks

ROOT = Path(__file__).parents[1]


def pipeline_of(folder: str, epochs: int, rows: int) -> Pipeline:
    """Return the cnn on Fashion-MNIST, with the augmentations of its pipeline."""
    kept: dict[str, Any] = yaml.safe_load((ROOT / "pipelines/fashion_mnist.yaml").read_text())
    return Pipeline.model_validate(
        {
            "data": {"source": "idx", "folder": folder},
            "splits": {"train": rows, "stop": 500, "validation": 500},
            "augment": kept["augment"],
            "network": {"name": "cnn"},
            "training": {"epochs": epochs, "batch_size": 128},
            "ensemble": {"learners": 2},
            "cluster": {"stack": 1},
        }
    )


def measure(pipeline: Pipeline) -> dict[str, Any]:
    """Train, and return seconds and the share of them that was waited for."""
    from ensemble_pipe.cluster.ray import RayExecutor

    logging.getLogger("ray").setLevel(logging.ERROR)
    prepared = prepare(pipeline)
    pipeline, plans = prepared.config, prepared.plans
    with tempfile.TemporaryDirectory() as folder:
        paths = RunPaths(Path(folder))
        write_run(paths, prepared)
        recipe = recipe_of(paths, pipeline, prepared.schema)
        executor = RayExecutor("local", trainers=2, cpus_per_trainer=1, retries=0)
        stacks = make_stacks(plans.networks, {}, size=1, trainers=2, width=1)
        began: dict[int, float] = {}
        epochs: dict[int, list[tuple[float, float]]] = {}
        try:
            for event in executor.run(stacks, recipe, prepared.schema):
                began.setdefault(event.learner, time.monotonic())
                if isinstance(event, Checkpoint):
                    ends = epochs.setdefault(event.learner, [])
                    ends.append((time.monotonic(), event.waited_s))
        finally:
            executor.close()
    seconds = sum(ends[-1][0] - began[learner] for learner, ends in epochs.items())
    waited = sum(ends[-1][1] for ends in epochs.values())
    later_seconds = sum(ends[-1][0] - ends[0][0] for ends in epochs.values())
    later_waited = sum(ends[-1][1] - ends[0][1] for ends in epochs.values())
    return {
        "augment": [step.name for step in pipeline.augment.policy],
        "rows": prepared.rows["train"],
        "epochs": pipeline.training.epochs,
        "training_seconds": round(seconds, 1),
        "waited_seconds": round(waited, 2),
        "share_waited": round(waited / seconds, 4),
        "share_waited_after_the_first_epoch": round(later_waited / later_seconds, 4),
    }


def main() -> None:
    """Measure, and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", required=True, help="IDX files of Fashion-MNIST")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=59_000, help="of the training part")
    parser.add_argument("--write", action="store_true", help="keep the result")
    arguments = parser.parse_args()
    result = measure(pipeline_of(arguments.folder, arguments.epochs, arguments.rows))
    publish("waiting", result, arguments.write)


if __name__ == "__main__":
    main()
