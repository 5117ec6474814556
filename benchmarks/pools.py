"""A pool of networks, trees and others on the adult census data, against its best part.

    python benchmarks/pools.py --folder /path/to/adult

runs pipelines/adult_pool.yaml over several seeds, which decide the split, the learners and their
draws. It compares the NLL of the ensemble, on the official test part, with that of its best member,
of the best single kind (the mean of its members), and of the best single kind combined as the pool
is. "Best" is chosen on the validation part, as a user would, and then again on the test part
itself, seed by seed, which favours what the ensemble is compared with. Differences are paired by
seed. Prints a Markdown table and one JSON line, which `--write` keeps.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from keeping import circumstances, publish

from ensemble_pipe import load, run
from ensemble_pipe.comparison.compare import over_seeds
from ensemble_pipe.config.reading import load_pipeline
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.data.augment.prediction import PredictionDraws
from ensemble_pipe.data.base import read_schema
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.ensemble.aggregator import Aggregator, Measured, measure_ensemble
from ensemble_pipe.ensemble.combiners import Combiner, Weighted
from ensemble_pipe.ensemble.combining import combine_members
from ensemble_pipe.ensemble.members import FittedMember, Member
from ensemble_pipe.ensemble.prediction import Prediction
from ensemble_pipe.run.preparation import recipe_of
from ensemble_pipe.run.registry import MemberRegistry
from ensemble_pipe.run.resuming import restore
from ensemble_pipe.run.sinks import MemorySink

ROOT = Path(__file__).parents[1]
PIPELINE = ROOT / "pipelines" / "adult_pool.yaml"
# What the ensemble is compared with.
RIVALS = {
    "member": "the best member",
    "kind": "the best kind, all its members weighted alike",
    "kind_combined": "the best kind, combined as the pool is",
}
CHOICES = {"validation": "validation", "test": "the test part itself"}


@dataclass(frozen=True)
class Finished:
    """All members of a finished run, those of no weight too.

    Attributes:
        config: of the run.
        members: K.
        validation, test: what they say there.
    """

    config: Pipeline
    members: list[Member]
    validation: Measured
    test: Measured

    def measures(self, places: list[int], combiner: Combiner) -> dict[str, float]:
        """Return NLL and accuracy of some of the members, combined."""
        found: dict[str, float] = {}
        for name, part in (("validation", self.validation), ("test", self.test)):
            one = Prediction(part.prediction.outputs[places], combiner, part.prediction.schema)
            own = one.metrics(part.targets)
            found |= {f"{name}_nll": own["nll"], f"{name}_accuracy": own["accuracy"]}
        return found

    def combined(self, places: list[int]) -> dict[str, float]:
        """Return the measures of some of the members, combined as the pipeline says."""
        part = self.validation
        how, seed = self.config.ensemble.combine, self.config.seed
        units = [(self.members[place],) for place in places]
        outputs, schema = part.prediction.outputs[places], part.prediction.schema
        costs = np.ones(len(places))  # not looked at: the pipeline sets no budget
        chosen = combine_members(how, units, outputs, part.targets, schema, costs, seed)
        kept = [place for place in places if self.members[place] in chosen.members]
        return self.measures(kept, chosen.combiner)


def finished(paths: RunPaths) -> Finished:
    """Return the members of a run."""
    config, plans = load_pipeline(paths.pipeline)
    schema = read_schema(paths)
    data = TrainingData(recipe_of(paths, config, schema), schema)
    draws = PredictionDraws(config.augment, config.seed)
    aggregator = Aggregator(schema, data.part("validation"), draws)
    sink = MemorySink()
    restore(paths, plans, data.rows, MemberRegistry(aggregator, sink))
    members = aggregator.members
    alike = Weighted.equal(len(members))
    validation, test = (
        measure_ensemble(members, alike, schema, data.part(name), draws)
        for name in ("validation", "test")
    )
    return Finished(config, members, validation, test)


def kind_of(member: Member) -> str:
    """Return the kind that a member is counted among."""
    return member.kind if isinstance(member, FittedMember) else "network"


def measure(folder: Path, seed: int, runs: Path, **changed: Any) -> dict[str, Any]:
    """Run the pipeline with one seed; return what the pool and each of its parts came to.

    Args:
        folder: holds `train` and `test`, CSV or Parquet.
        seed: of the run.
        runs: the folder for the run directory.
        changed: further settings, by path.
    """
    (train,), (test,) = (list(folder.glob(f"{part}.*")) for part in ("train", "test"))
    settings: dict[str, Any] = {"data.path": str(train), "data.test_path": str(test)}
    settings |= {"tracking.mlflow": False, "seed": seed, **changed}
    began = time.monotonic()
    result = run(PIPELINE, output=runs, inline=True, **settings)
    seconds = time.monotonic() - began
    whole = finished(RunPaths(Path(result.run_dir)))
    places: dict[str, list[int]] = {}
    for place, member in enumerate(whole.members):
        places.setdefault(kind_of(member), []).append(place)
    alone = Weighted.equal(1)
    names = ("validation_nll", "validation_accuracy", "test_nll", "test_accuracy")
    return {
        "seed": seed,
        "seconds": round(seconds),
        "pool": {name: result.metrics[name.replace("_", "/", 1)] for name in names},
        "weights": weights_of(Path(result.run_dir)),
        "member": {
            f"{kind} {number}": whole.measures([place], alone)
            for kind, own in places.items()
            for number, place in enumerate(own, start=1)
        },
        "kind": {
            kind: whole.measures(own, Weighted.equal(len(own))) for kind, own in places.items()
        },
        "kind_combined": {kind: whole.combined(own) for kind, own in places.items()},
    }


def weights_of(run_dir: Path) -> dict[str, float]:
    """Return the weight that each kind has in the ensemble of a run."""
    model = load(run_dir)
    found: dict[str, float] = {}
    for member, weight in zip(model.members, model.combiner.member_weights(), strict=True):
        found[kind_of(member)] = found.get(kind_of(member), 0.0) + float(weight)
    return found


def differences(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the NLL on test of the pool less that of each rival, over seeds, paired.

    `mean`, `standard_error`, `t` and the ends of the 95% interval `low` and `high` are over seeds;
    `rivals` are the names of the best, seed by seed.
    """
    found: dict[str, dict[str, Any]] = {}
    for rival in RIVALS:
        for choice in CHOICES:
            best = [min(row[rival], key=lambda n: row[rival][n][f"{choice}_nll"]) for row in rows]
            pairs = zip(rows, best, strict=True)
            less = [r["pool"]["test_nll"] - r[rival][name]["test_nll"] for r, name in pairs]
            found[f"{rival}, by {choice}"] = {"rivals": best, "differences": less, **spread(less)}
    return found


def spread(values: list[float]) -> dict[str, float]:
    """Return the mean of values, one a seed, and how far it would move; nothing of one seed."""
    if len(values) < 2:
        return {"mean": values[0]}
    one = over_seeds(np.array(values))
    error = one.standard_error or np.nan
    return {
        "mean": one.mean, "standard_error": error, "t": one.mean / error,
        "low": one.low or 0.0, "high": one.high or 0.0,
    }  # fmt: skip


def tables(result: dict[str, Any]) -> str:
    """Return the result as two Markdown tables: what each kind came to, and the differences."""
    rows = result["seeds"]
    lines = ["| on test | NLL | accuracy | weight |", "|---|---|---|---|"]
    for kind in ("pool", *rows[0]["kind"]):
        own = [row["pool"] if kind == "pool" else row["kind"][kind] for row in rows]
        weight = np.mean([row["weights"].get(kind, float(kind == "pool")) for row in rows])
        cells = (over_seeds_text([one[f"test_{n}"] for one in own]) for n in ("nll", "accuracy"))
        lines.append(f"| {kind} | " + " | ".join(cells) + f" | {weight:.2f} |")
    lines += ["", "| the pool less | chosen by | NLL | t | seeds won |", "|---|---|---|---|---|"]
    for rival, words in RIVALS.items():
        for choice, by in CHOICES.items():
            one = result["differences"][f"{rival}, by {choice}"]
            won = sum(value < 0 for value in one["differences"])
            found = f"{over_seeds_text(one['differences'], 5)} | {one.get('t', np.nan):.1f}"
            lines.append(f"| {words} | {by} | {found} | {won} of {len(rows)} |")
    return "\n".join(lines)


def over_seeds_text(values: list[float], digits: int = 4) -> str:
    """Return a mean and its standard error as a cell of a table."""
    found = spread(values)
    error = f" +- {found['standard_error']:.{digits}f}" if len(values) > 1 else ""
    return f"{found['mean']:.{digits}f}{error}"


def main() -> None:
    """Compare, and print tables and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", required=True, help="train and test of adult, CSV or Parquet")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    rows = []
    for seed in range(1, arguments.seeds + 1):
        with tempfile.TemporaryDirectory() as runs:
            rows.append(measure(Path(arguments.folder), seed, Path(runs)))
        print(seed, rows[-1]["pool"], file=sys.stderr)
    command = f"python benchmarks/pools.py --folder adult --seeds {arguments.seeds}"
    result = {**circumstances(command), "seeds": rows, "differences": differences(rows)}
    print(tables(result), file=sys.stderr)
    publish("pools", result, arguments.write)


if __name__ == "__main__":
    main()
