"""A run on more rows than fit into memory: the highest private memory of every process.

    python benchmarks/larger_than_memory.py --gigabytes 20 --folder /where/there/is/space

writes a folder of Parquet files with so many gigabytes of float32 rows (it needs twice that on the
disk), runs a pipeline on them with two trainers on Ray, and samples the private memory of the
driver, of each trainer and of Ray's own processes twice a second. The page cache, which the system
gives back when it is needed, is not private. Linux only. Prints a table and one JSON line;
`--write` keeps it under benchmarks/results; docs/memory.md explains the figures.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import yaml
from keeping import publish
from processes import family, private_bytes
from pyarrow import parquet

FEATURES, FILE_ROWS, GROUP_ROWS = 256, 200_000, 20_000
MB = 2**20


def write_rows(folder: Path, gigabytes: float) -> int:
    """Write files of made-up rows whose class a linear rule decides; return their number."""
    folder.mkdir(parents=True)
    rows = int(gigabytes * 1e9) // (4 * FEATURES)
    rule = np.random.default_rng(0).standard_normal((FEATURES, 4), np.float32)
    names = [f"x{index}" for index in range(FEATURES)]
    for number, start in enumerate(range(0, rows, FILE_ROWS)):
        random = np.random.default_rng(1 + number)
        values = random.standard_normal((min(FILE_ROWS, rows - start), FEATURES), np.float32)
        columns = dict(zip(names, np.ascontiguousarray(values.T), strict=True))
        table = pa.table({**columns, "label": (values @ rule).argmax(axis=1)})
        path = folder / f"part-{number:04d}.parquet"
        parquet.write_table(table, path, row_group_size=GROUP_ROWS, compression=None,
                            use_dictionary=False)  # fmt: skip
    return rows


def pipeline_of(rows: Path) -> dict[str, Any]:
    """Return a pipeline of two small networks, each trained for one pass."""
    return {
        "name": "larger_than_memory",
        "data": {"source": "table", "path": str(rows), "label": "label"},
        "splits": {"stop": 20_000, "validation": 20_000, "test": 100_000},
        "network": {"name": "mlp", "hidden": [64]},
        "training": {"epochs": 1, "batch_size": 1024},
        "ensemble": {"learners": 2},
        "cluster": {"trainers": 2, "stack": 1},
        "tracking": {"mlflow": False},
    }


def watch(process: subprocess.Popen[str]) -> dict[str, int]:
    """Return the highest private bytes of each kind of process until the run has ended."""
    highest: dict[str, int] = defaultdict(int)
    while process.poll() is None:
        total = 0
        for one in _family(process.pid):
            try:
                found, name = private_bytes(one.pid), _kind(one)
            except (psutil.Error, OSError):
                continue
            total += found
            highest[name] = max(highest[name], found)
        highest["all together"] = max(highest["all together"], total)
        time.sleep(0.5)
    return dict(highest)


def _family(process: int) -> list[psutil.Process]:
    try:
        return family(process)
    except psutil.Error:
        return []


def _kind(process: psutil.Process) -> str:
    words: list[str] = process.cmdline() or [process.name()]
    if words[0].startswith("ray::"):
        return words[0].removeprefix("ray::").split(".")[0].split("(")[0]
    if "ensemble-pipe" in " ".join(words):
        return "driver"
    return "others (Ray's own)"


def main() -> None:
    """Measure, print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=20.0)
    parser.add_argument("--folder", help="where to write; a temporary folder by default")
    parser.add_argument("--write", action="store_true", help="keep the result")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        began = time.monotonic()
        rows = write_rows(Path(folder) / "rows", arguments.gigabytes)
        print(f"{rows} rows written in {time.monotonic() - began:.0f} s", file=sys.stderr)
        path = Path(folder) / "pipeline.yaml"
        path.write_text(yaml.safe_dump(pipeline_of(Path(folder) / "rows")))
        command = Path(sys.executable).with_name("ensemble-pipe")
        began = time.monotonic()
        process = subprocess.Popen(
            [command, "run", path, "--output", Path(folder) / "runs", "--json"],
            stdout=subprocess.PIPE, text=True, env={**os.environ},
        )  # fmt: skip
        highest = watch(process)
        answer = (process.communicate()[0] or "").splitlines()
        if process.returncode:
            raise SystemExit(f"the run ended with status {process.returncode}")
        run = json.loads(answer[-1])
        result = {
            "rows": rows,
            "data_gb": round(rows * FEATURES * 4 / 1e9, 1),
            "run_seconds": round(time.monotonic() - began),
            "test_accuracy": round(run["metrics"]["test/accuracy"], 4),
            "highest_private_mb": {name: round(v / MB) for name, v in sorted(highest.items())},
        }
        shutil.rmtree(run["run_dir"])
    for name, value in result["highest_private_mb"].items():
        print(f"{name:24} {value:8} MB", file=sys.stderr)
    publish("larger_than_memory", result, arguments.write)


if __name__ == "__main__":
    main()
