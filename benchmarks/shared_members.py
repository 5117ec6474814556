"""Members that share weights beside independent networks, on tables as they come.

    python benchmarks/shared_members.py --folder data --work results --tables housing adult

trains each case on a table's training part, by the defaults but for what the case says, in this
process, and measures the test part once. A case and its CPU seconds are one JSON line in `--work`,
so that a benchmark that was stopped goes on. Prints a Markdown table and one JSON line.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from keeping import circumstances, publish
from tables_data import TABLES, files_of

from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.run.pipeline import run

SHARED: dict[str, Any] = {"strategy": "shared", "learners": 1}
EMBEDDED = {"name": "piecewise_linear", "dimension": 8}
TABM_TRAINING = {"epochs": 40, "batch_size": 128, "early_stopping": {"patience": 10}}


def _shared(form: str, members: int, width: int) -> dict[str, Any]:
    return {
        "ensemble": {**SHARED, "members": members, "form": form},
        "network": {"name": "mlp", "hidden": [width, width], "dropout": 0.1},
    }


def _tabm(width: int, ensemble: dict[str, Any], **training: Any) -> dict[str, Any]:
    network = {"name": "tabm", "hidden": [width, width], "embedding": EMBEDDED}
    return {"network": network, "training": {**TABM_TRAINING, **training}, "ensemble": ensemble}


# Columns that are no features.
IGNORED = {"adult": ["fnlwgt"]}
CASES: dict[str, dict[str, Any]] = {
    "fast: 5 x 256": {},
    "one 64": {**_shared("full", 1, 64), "ensemble": {"learners": 1}},
    "full 32 x 64": _shared("full", 32, 64),
    "mini 32 x 64": _shared("mini", 32, 64),
    "packed 32 x 64": _shared("packed", 32, 64),
    "full 16 x 128": _shared("full", 16, 128),
    "full 8 x 256": _shared("full", 8, 256),
    "full 32 x 64, embedded": _tabm(64, {**SHARED, "members": 32}),
    "full 16 x 128, embedded, beta_nll": _tabm(
        128, {**SHARED, "members": 16}, loss={"name": "beta_nll"}
    ),
    "packed 16 x 128, embedded, beta_nll": _tabm(
        128, {**SHARED, "members": 16, "form": "packed"}, loss={"name": "beta_nll"}
    ),
    "independent 5 x 256, embedded": _tabm(256, {"learners": 5}),
}
MEASURES = ("test/rmse", "test/accuracy", "test/nll", "member_mean/test/nll")


def line_of(case: str, name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the measures of a case on a table, from its file or by a run."""
    output = arguments.work / f"{name}-{case.replace(' ', '_').replace(':', '')}.json"
    if not output.exists():
        print(f"{name}: {case}", file=sys.stderr)
        output.write_text(json.dumps(_measure(case, name, arguments)))
    found: dict[str, Any] = json.loads(output.read_text())
    return found


def _measure(case: str, name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    table, (train, test) = TABLES[name], files_of(arguments.folder, name, arguments.work)
    data = {
        "source": "table", "path": str(train), "test_path": str(test), "label": table.label,
        "missing_values": list(table.missing), "ignore": IGNORED.get(name, []),
    }  # fmt: skip
    config = Pipeline.model_validate(
        {
            "task": table.task, "seed": 1, "data": data, "tracking": {"mlflow": False},
            **CASES[case],
        }
    )  # fmt: skip
    began = time.process_time()
    result = run(config, output=arguments.work / "runs", inline=True)
    seconds = round(time.process_time() - began, 1)
    kept = {key: result.metrics[key] for key in MEASURES if key in result.metrics}
    return {"cpu_s": seconds, "members": result.members, **kept}


def table_of(results: dict[str, dict[str, Any]], name: str) -> str:
    """Return the cases on one table as a Markdown table."""
    score = "test/rmse" if TABLES[name].task == "regression" else "test/accuracy"
    lines = [f"| {name} | {score} | test/nll | CPU s |", "|---|---|---|---|"]
    for case, line in results.items():
        lines.append(f"| {case} | {line[score]:,.5g} | {line['test/nll']:.4f} | {line['cpu_s']} |")
    return "\n".join(lines)


def main() -> None:
    """Run what is not there yet; print the tables and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="the data")
    parser.add_argument("--work", type=Path, required=True, help="where results are kept")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=["housing", "adult"])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    results = {
        name: {
            case: line_of(case, name, arguments)
            for case in arguments.cases
            if not case.endswith("_nll") or TABLES[name].task == "regression"
        }
        for name in arguments.tables
    }
    for name, own in results.items():
        print(table_of(own, name), file=sys.stderr)
    command = "python benchmarks/shared_members.py --folder data --work results"
    publish("shared_members", {**circumstances(command), "tables": results}, arguments.write)


if __name__ == "__main__":
    main()
