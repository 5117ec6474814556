"""False alarms of `check`: what it warns of in pipelines that are sound.

    python benchmarks/false_alarms.py --data data --letter letter.csv --write

checks every pipeline in pipelines/ that has data, as a person would, with the default time limit;
their expected results, which stand in their headers, are good ones, so a warning is a false alarm.
`--data` is a folder with `adult`, `fashion-mnist` and `uci_regression`; `--only` names the cases.
Prints one JSON line, which `--write` keeps under benchmarks/results.
"""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from keeping import circumstances, publish

from ensemble_pipe.config.reading import load_pipeline
from ensemble_pipe.core.durations import parse_duration
from ensemble_pipe.search.check import TIME_LIMIT_S, check

ROOT = Path(__file__).parents[1]
COMMAND = "python benchmarks/false_alarms.py --data data --letter letter.csv --write"


def cases(data: Path, letter: Path | None) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the pipeline and its overrides of each case, by its name."""
    images = {"data.folder": str(data / "fashion-mnist")}
    parts = {"data.path": "train", "data.test_path": "test"}
    adult = {
        key: str(next(iter(sorted((data / "adult").glob(f"{part}.*"))), f"{part}.csv"))
        for key, part in parts.items()
    }
    found: dict[str, tuple[str, dict[str, Any]]] = {
        "digits": ("digits", {}),
        "digits_checkpoints": ("digits_checkpoints", {}),
        "digits_search": ("digits_search", {}),
        "adult": ("adult", adult),
        "adult_pool": ("adult_pool", adult),
        "fashion_mnist": ("fashion_mnist", images),
        "fashion_mnist_cnn": ("fashion_mnist_cnn", images),
        "fashion_mnist_snapshot": ("fashion_mnist_snapshot", images),
        "transfer_source": ("transfer_source", images),
    }
    for name in ("boston", "concrete", "energy", "kin8nm"):
        path = str(data / "uci_regression" / f"{name}.parquet")
        found[f"uci_regression, {name}"] = ("uci_regression", {"data.path": path})
    if letter is not None:
        table = {"data.path": str(letter), "data.label": "letter"}
        found["your_table, letter"] = ("your_table", table)
    return found


def measure(pipeline: str, overrides: dict[str, Any], limit_s: float) -> dict[str, Any]:
    """Return what a check of a pipeline warns of, and how long it took."""
    config, _ = load_pipeline(ROOT / "pipelines" / f"{pipeline}.yaml", overrides)
    result = check(config, limit_s)
    warnings = [{"name": found.name, "text": found.text} for found in result.warnings]
    return {"seconds": round(result.seconds, 1), "warnings": warnings}


def table(found: dict[str, Any]) -> str:
    """Return the cases as a table."""
    lines = ["| pipeline | seconds | warnings |", "|---|---|---|"]
    for name, one in found.items():
        names = ", ".join(warning["name"] for warning in one["warnings"])
        lines.append(f"| {name} | {one['seconds']:.0f} | {names or 'none'} |")
    return "\n".join(lines)


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT / "data")
    parser.add_argument("--letter", type=Path)
    parser.add_argument("--only", nargs="+", metavar="CASE")
    parser.add_argument("--time-limit", type=parse_duration, default=TIME_LIMIT_S)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    all_cases = cases(arguments.data.resolve(), arguments.letter)
    found: dict[str, Any] = {}
    for name in arguments.only or all_cases:
        found[name] = measure(*all_cases[name], arguments.time_limit)
        print(name, json.dumps(found[name]), file=sys.stderr, flush=True)
    print(table(found), file=sys.stderr)
    result = {**circumstances(COMMAND), "limit_s": arguments.time_limit, "pipelines": found}
    publish("false_alarms", result, arguments.write)


if __name__ == "__main__":
    main()
