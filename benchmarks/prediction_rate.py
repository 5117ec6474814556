"""Rows a processor second, and memory, of the command `predict` on a large file."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

import ensemble_pipe
from ensemble_pipe.core.arrays import Floats

ROOT = Path(__file__).parents[1]
ROWS, FEATURES, MEMBERS, TIMES = 2_000_000, 20, 10, 3
NAMES = [f"x{place}" for place in range(FEATURES)]
_PIPELINE = f"""
name: rate
seed: 1
task: classification
data: {{source: table, path: train.parquet, label: label}}
network: {{name: mlp, hidden: [64, 64]}}
training: {{epochs: 1, batch_size: 32}}
ensemble: {{strategy: independent, learners: {MEMBERS}}}
tracking: {{mlflow: false}}
"""


def measure_predict() -> dict[str, Any]:
    """Return what `predict` of 2 million rows takes, from Parquet to Parquet on one core."""
    with tempfile.TemporaryDirectory() as name:
        folder, before = Path(name), Path.cwd()
        random = np.random.default_rng(0)
        inputs = random.standard_normal((4000, FEATURES), np.float32)
        labels = (inputs[:, :5].sum(axis=1) > 0).astype(np.int64)
        parquet.write_table(
            _table(inputs).append_column("label", [labels]), folder / "train.parquet"
        )
        _write_rows(folder / "rows.parquet", random)
        (folder / "rate.yaml").write_text(_PIPELINE)
        os.chdir(folder)
        try:
            run = ensemble_pipe.run("rate.yaml", output=folder / "runs", inline=True).run_dir
        finally:
            os.chdir(before)
        command = ["predict", run, "rows.parquet", "--output", "out.parquet"]
        found = [_usage(command, folder) for _ in range(TIMES)]
    seconds = median(seconds for seconds, _ in found)
    return {
        "rows": ROWS,
        "members": MEMBERS,
        "cpu_seconds": round(seconds, 2),
        "rows_per_cpu_second": round(ROWS / seconds),
        "memory_mb": round(max(memory for _, memory in found)),
    }


def _table(inputs: Floats) -> pa.Table:
    return pa.table(dict(zip(NAMES, inputs.T, strict=True)))


def _write_rows(path: Path, random: np.random.Generator) -> None:
    part = 100_000
    with parquet.ParquetWriter(path, _table(np.zeros((0, FEATURES), np.float32)).schema) as writer:
        for _ in range(ROWS // part):
            writer.write_table(_table(random.standard_normal((part, FEATURES), np.float32)))


def _usage(command: list[str], folder: Path) -> tuple[float, float]:
    """Return processor seconds and peak memory in MB of the whole command."""
    child = subprocess.Popen(
        [sys.executable, "-m", "ensemble_pipe", *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise RuntimeError(f"predict ended with status {status}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


if __name__ == "__main__":
    print(measure_predict())
