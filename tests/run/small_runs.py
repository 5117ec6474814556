"""A small run on the digits in this process, and what its journal says."""

from pathlib import Path
from typing import Any

import yaml
from small_pipelines import small_settings

from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.run.pipeline import RunResult, run
from ensemble_pipe.tracking.journal import read_entries
from ensemble_pipe.tracking.kinds import EpochEntry, Numbers

SMALL = small_settings(
    name="small",
    hidden=16,
    epochs=4,
    splits={"validation": 0.15, "stop": 0.1},
    ensemble={"learners": 3, "combine": {"temperature": False}},
)
SMALL["training"]["schedule"] = {"name": "constant"}


def write_pipeline(folder: Path) -> Path:
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    return path


def run_here(pipeline: Path, **settings: Any) -> RunResult:
    return run(pipeline, output=pipeline.parent / "runs", inline=True, **settings)


def kinds(result_dir: Path) -> list[str]:
    return [entry.kind for entry in read_entries(RunPaths(result_dir).journal)]


def epochs_of(run_dir: Path) -> list[tuple[tuple[int, int], Numbers]]:
    """Return learner and epoch of each epoch's entry, and its metrics."""
    entries = read_entries(RunPaths(run_dir).journal)
    return [((e.learner, e.epoch), e.metrics) for e in entries if isinstance(e, EpochEntry)]
