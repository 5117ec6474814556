"""CPU seconds of measuring an ensemble, by its number of members.

    python benchmarks/measuring.py --members 300 1000

makes outputs of members for 2,000 rows of 10 classes, with BLAS in one thread, and hands them to
the aggregator one by one, as a run does: `add` measures the member, `grow` the ensemble of all
members so far, which a run journals after each, and `stop_below_gain` by how much the member
lowers its NLL. The rest is what a run, `combine` and `evaluate` measure at their end. Prints a
table and one JSON line, which `--write` keeps under benchmarks/results.
"""

import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from keeping import publish

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.data.augment.policy import Augment
from ensemble_pipe.data.augment.prediction import PredictionDraws
from ensemble_pipe.data.base import shard_table
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shard_view import ShardView
from ensemble_pipe.data.tables.features import NumberColumn
from ensemble_pipe.data.tables.scaling import Scaling
from ensemble_pipe.ensemble.aggregator import Aggregator, member_metrics
from ensemble_pipe.ensemble.combiners import Weighted
from ensemble_pipe.ensemble.combining import Combine
from ensemble_pipe.ensemble.measures import (
    diversity_metrics,
    intervals,
    rejection_metrics,
    row_values,
)
from ensemble_pipe.ensemble.members import ExternalMember
from ensemble_pipe.ensemble.prediction import Prediction
from ensemble_pipe.nn.blas import one_thread

COMBINATIONS = {
    "mean_probability": Combine(),
    "greedy": Combine(method="greedy"),
    "weights": Combine(method="weights"),
    "choose": Combine(method="choose"),
    "keep 10": Combine(keep=10),
    "most_members 10": Combine(most_members=10),
}


@dataclass(frozen=True)
class GivenMember(ExternalMember):
    """A member with given outputs that counts as one of a learner."""

    is_trained: ClassVar[bool] = True


def outputs_of(members: int, labels: Array, classes: int) -> Floats:
    """Return logits (K, R, O) float32 of members that are right more often than not."""
    random = np.random.default_rng(1)
    shared = random.standard_normal((len(labels), classes)) + 2.0 * np.eye(classes)[labels]
    own = random.standard_normal((members, len(labels), classes), np.float32)
    return shared.astype(np.float32) + own


def schema_of(classes: int) -> Schema:
    """Return the schema of one number column and some classes."""
    scaling = Scaling("standardize", (0.0,), (1.0,), (0.0,), (1.0,))
    column = NumberColumn("x", "number", None, indicator=False)
    return Schema("classification", (1,), (column,), scaling, ("y",), tuple(range(classes)))


class Clock:
    """CPU seconds of this process, by what they were spent on."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Add what is spent inside to a name."""
        began = time.process_time()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - began


def measure(members: int, rows: int, classes: int) -> dict[str, float]:
    """Return CPU seconds, by what they were spent on."""
    labels = np.random.default_rng(0).integers(0, classes, rows).astype(np.int32)
    outputs = outputs_of(members, labels, classes)
    table = shard_table(np.zeros((rows, 1), np.float32), labels, np.arange(rows))
    schema = schema_of(classes)
    view = ShardView([table], *schema.input_scale())
    given = {f"m{place}": one for place, one in enumerate(outputs)}
    aggregator = Aggregator(schema, view, PredictionDraws(Augment(), seed=1), given)
    clock = Clock()
    for place, name in enumerate(given):
        with clock.of("add"):
            aggregator.add(GivenMember(place, 0, 0, name))
        with clock.of("grow"):
            aggregator.ensemble_metrics()
        with clock.of("stop_below_gain"):
            aggregator.last_needed(-1.0, place + 1)
    with clock.of("curve"):
        aggregator.curve()
    prediction = Prediction(outputs, Weighted.equal(members), schema)
    with clock.of("members"):
        member_metrics(prediction, labels)
    with clock.of("diversity"):
        diversity_metrics(prediction, labels)
    with clock.of("rejection"):
        rejection_metrics(prediction, labels)
    with clock.of("intervals"):
        intervals(row_values(prediction, labels))
    for name, how in COMBINATIONS.items():
        with clock.of(f"combine: {name}"):
            aggregator.combine(how, seed=1)
    return {name: round(seconds, 2) for name, seconds in clock.seconds.items()}


def table(results: dict[str, dict[str, float]]) -> str:
    """Return the results as a Markdown table."""
    sizes = list(results)
    lines = [f"| CPU s | {' | '.join(sizes)} |", "|---" * (len(sizes) + 1) + "|"]
    for name in results[sizes[0]]:
        cells = (f"{results[size][name]:.2f}" for size in sizes)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, and print a table and one JSON line."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, nargs="+", default=[100, 300, 1000])
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--write", action="store_true", help="keep the result")
    arguments = parser.parse_args()
    with one_thread():
        results = {
            str(members): measure(members, arguments.rows, arguments.classes)
            for members in arguments.members
        }
    print(table(results), file=sys.stderr)
    publish("measuring", results, arguments.write)


if __name__ == "__main__":
    main()
