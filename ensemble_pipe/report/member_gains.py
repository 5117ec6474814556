"""Whether more members would help: what the members of an ensemble add, and which are left out."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ensemble_pipe.ensemble.combiners.weighted import Weighted
from ensemble_pipe.ensemble.measures import row_values
from ensemble_pipe.report.numbers import Numbers, TestPart
from ensemble_pipe.tracking.run_summary import RunSummary

LEAST_GAIN = 0.005  # of the NLL, in nats, or of it where it is larger than 1
_FEWEST_SIZES = 4
_Z = 1.96  # of a 95% interval


class Fall(NamedTuple):
    """By how much the NLL of the test part is lower with all members than with the first ones.

    Attributes:
        value: in nats.
        low, high: the ends of its 95% interval, over pairs of rows.
    """

    value: float
    low: float
    high: float


def still_gains(numbers: Numbers) -> str:
    """Return what the second half of the members has lowered the NLL by; "" where it is nothing.

    It is a reason for more members only if all members are combined with equal weights, as the
    curve of sizes has them, if the whole ensemble is the best of the curve, and if the fall is
    beyond its noise, by the rows of the test part.
    """
    run, test = numbers.run, numbers.test
    curve = size_curve(run)
    if test is None or run.trials or len(curve) < _FEWEST_SIZES or not _has_all_equally(run):
        return ""
    (half, before), (count, after) = curve[len(curve) // 2 - 1], curve[-1]
    is_best = after <= min(value for _, value in curve)
    if not is_best or before - after <= LEAST_GAIN * max(1.0, abs(after)):
        return ""
    fall = fall_from(test, half)
    if fall.low <= 0:
        return ""
    return (
        f"The second half of its {count} members lowered the NLL by {before - after:.4f} on the "
        f"validation part and by {fall.value:.4f} on the test part (95% interval {fall.low:.4f} to "
        f"{fall.high:.4f})"
    )


def size_curve(run: RunSummary) -> list[tuple[int, float]]:
    """Return the NLL on the validation part by the number of members, as far as it is known."""
    sizes = ((size, metrics.get("nll")) for size, metrics in sorted(run.ensembles.items()))
    return [(size, value) for size, value in sizes if value is not None]


def _has_all_equally(run: RunSummary) -> bool:
    if run.combined is None or len(run.combined.members) < len(run.members):
        return False
    return isinstance(run.combined.combiner, Weighted) and len(set(_weights(run))) == 1


def _weights(run: RunSummary) -> list[float]:
    """Return the weights of the members that were combined."""
    return [] if run.combined is None else run.combined.combiner.member_weights().tolist()


def fall_from(test: TestPart, size: int) -> Fall:
    """Return what the members after the first `size` add, where all have equal weights."""
    whole = test.prediction
    combiner = replace(whole.combiner, weights=(1 / size,) * size)
    first = replace(whole, outputs=whole.outputs[:size], combiner=combiner)
    losses = row_values(first, test.targets)["nll"].values - test.values["nll"].values
    by_row = losses.mean(axis=1)
    value, half = float(by_row.mean()), _Z * float(by_row.std()) / len(by_row) ** 0.5
    return Fall(value, value - half, value + half)


def left_out(run: RunSummary) -> Iterator[str]:
    """Yield how many members the combination leaves out, where it keeps fewer than half."""
    if run.combined is None or run.trials:
        return
    kept, count = int(np.count_nonzero(_weights(run))), len(run.members)
    if 2 * kept >= count:
        return
    metric = run.pipeline["ensemble"]["combine"].get("metric", "nll")
    why = "raise the likelihood" if metric == "nll" else f"improve the {metric}"
    yield (
        f"{count - kept} of {count} members were left out of the combination: on the validation "
        f"part they did not {why} beyond its error"
    )
