"""What embeddings of numbers are worth: one network of each kind on four tables.

    python benchmarks/number_embeddings.py --folder /path/to/data --work /path/to/results

The default network for tables (an MLP of 256-256), the same behind each embedding of numbers, and
`realmlp`. All have the same 15% of the training rows to stop by and to be chosen by; the test part
is measured once. Prints a Markdown table and one JSON line, which `--write` keeps. CPU seconds are
those of the whole run, with what the first run of a process loads. Results are kept in `--work`, so
that a benchmark that was stopped goes on.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from keeping import circumstances, publish
from tables_data import TABLES, files_of

import ensemble_pipe
from ensemble_pipe.config.sections import Pipeline

NAMES = ("housing", "adult", "telescope", "satellite")
HIDDEN: list[dict[str, Any]] = [
    {"name": "dense", "units": 256},
    {"name": "relu"},
    {"name": "dropout", "rate": 0.1},
]


def behind(embedding: str) -> dict[str, Any]:
    """Return the default network behind an embedding of numbers."""
    layers = [{"name": "flatten"}, {"name": embedding}, *HIDDEN, *HIDDEN]
    return {"network": {"name": "sequential", "layers": layers}}


KINDS: dict[str, dict[str, Any]] = {
    "mlp": {"network": {"name": "mlp", "hidden": [256, 256], "dropout": 0.1}},
    "piecewise_linear": behind("piecewise_linear"),
    "periodic": behind("periodic"),
    "pbld": behind("pbld"),
    "realmlp, 64 epochs": {
        "network": {"name": "realmlp"},
        "training": {"epochs": 64, "early_stopping": {"patience": 64}},
    },
}


def measured(name: str, kind: str, folder: Path, work: Path) -> dict[str, float]:
    """Return the metrics of a run and its CPU seconds, from its file or by training."""
    kept = work / f"{name}-{kind.replace(' ', '_')}.json"
    if not kept.exists():
        print(f"{name}: {kind}", file=sys.stderr)
        began = time.process_time()
        result = ensemble_pipe.run(pipeline_of(name, kind, folder, work), output=work, inline=True)
        found = {**result.metrics, "cpu_s": time.process_time() - began}
        kept.write_text(json.dumps(found))
    values: dict[str, float] = json.loads(kept.read_text())
    names = ("rmse", "nll") if TABLES[name].task == "regression" else ("accuracy", "nll")
    keys = [f"{part}/{metric}" for part in ("validation", "test") for metric in names]
    return {key: values[key] for key in (*keys, "cpu_s")}


def pipeline_of(name: str, kind: str, folder: Path, work: Path) -> Pipeline:
    """Return the pipeline of one network on a table."""
    table, (train, test) = TABLES[name], files_of(folder, name, work)
    data = {
        "source": "table", "path": str(train), "test_path": str(test), "label": table.label,
        "missing_values": list(table.missing),
    }  # fmt: skip
    settings = {
        "seed": 1, "task": table.task, "data": data,
        "splits": {"validation": 0.15, "stop": "validation"},
        "ensemble": {"learners": 1}, "tracking": {"mlflow": False}, **KINDS[kind],
    }  # fmt: skip
    return Pipeline.model_validate(settings)


def main() -> None:
    """Run what is not there yet; print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="the data")
    parser.add_argument("--work", type=Path, required=True, help="where results are kept")
    parser.add_argument("--tables", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    results = {
        name: {
            kind: measured(name, kind, arguments.folder, arguments.work)
            for kind in KINDS
        }
        for name in arguments.tables
    }  # fmt: skip
    print(_table(results), file=sys.stderr)
    command = "python benchmarks/number_embeddings.py --folder data --work results"
    publish("number_embeddings", {**circumstances(command), "tables": results}, arguments.write)


def _table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    lines = [f"| network | {' | '.join(results)} |", "|" + "---|" * (len(results) + 1)]
    for kind in KINDS:
        cells = []
        for own in results.values():
            metric = "rmse" if "test/rmse" in own[kind] else "accuracy"
            shown = "{:,.0f}" if metric == "rmse" else "{:.4f}"
            score = shown.format(own[kind][f"test/{metric}"])
            cells.append(f"{score}, {own[kind]['test/nll']:.4f}, {own[kind]['cpu_s']:.0f} s")
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
