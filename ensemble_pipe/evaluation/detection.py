"""Out-of-distribution detection by a model's uncertainties: AUROC, FPR95 and AUPRC, with intervals.

R rows inside the distribution, S rows outside of it, K members.
"""

from dataclasses import dataclass

import numpy as np

from ensemble_pipe.core import seeds
from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.ranking import auroc, counts_of, places_of
from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.ensemble.combiners import Weighted
from ensemble_pipe.ensemble.measures import standardise
from ensemble_pipe.ensemble.metrics.detection import ood_intervals
from ensemble_pipe.ensemble.metrics.resampling import Interval
from ensemble_pipe.ensemble.metrics.row_values import resamples_for
from ensemble_pipe.ensemble.prediction import Prediction
from ensemble_pipe.serving.files import outputs_of
from ensemble_pipe.serving.model import Ensemble

# What a member alone has scores of: the rest needs members that can disagree. The first of each
# task is what scores of the rest are compared with.
ALONE = {
    "classification": ("max_probability", "entropy", "margin", "energy", "max_logit"),
    "regression": ("std",),
}


@dataclass(frozen=True)
class Scores:
    """Scores of some rows by name; each is larger for more unusual rows.

    Attributes:
        ensemble: (R,) each.
        members: (K, R) each, of those that a member alone has.
    """

    ensemble: dict[str, Floats]
    members: dict[str, Floats]


@dataclass(frozen=True)
class DetectionResult:
    """How well one score detects out-of-distribution rows.

    Attributes:
        measures: `auroc`, `fpr95` and `auprc` of the ensemble, with intervals.
        members: the mean AUROC of the members alone, by this score or, where a member alone has no
            such score, by the first of `ALONE`.
        own: whether `members` is by this score.
        closed: the share of the distance of `members` to 1 that the ensemble closes; None where
            the members are at 1.
    """

    measures: dict[str, Interval]
    members: float
    own: bool
    closed: Interval | None


def scores_of(prediction: Prediction) -> Scores:
    """Return the scores of an ensemble and of its members alone."""
    alone = [
        _scores(Prediction(outputs[None], Weighted.equal(1), prediction.schema))
        for outputs in prediction.outputs
    ]
    names = ALONE[prediction.schema.task]
    members = {name: np.stack([scores[name] for scores in alone]) for name in names}
    return Scores(_scores(prediction), members)


def scores_of_rows(model: Ensemble, rows: Rows) -> Scores:
    """Return the scores of all rows of a source, predicted block by block.

    Raises:
        DataError: there are no rows, or a value is invalid for the model.
    """
    blocks = [scores_of(model.of_outputs(outputs)) for _, outputs in outputs_of(model, rows)]
    if not blocks:
        raise DataError(f"{rows.where}: has no rows")
    first = blocks[0]
    return Scores(
        {name: np.concatenate([one.ensemble[name] for one in blocks]) for name in first.ensemble},
        {name: np.concatenate([one.members[name] for one in blocks], 1) for name in first.members},
    )


def measure_detection(inside: Scores, outside: Scores, task: str) -> dict[str, DetectionResult]:
    """Measure how well each score detects out-of-distribution rows, with bootstrap intervals.

    Args:
        inside: of R rows inside the training distribution.
        outside: of S rows outside of it.
        task: of the model.
    """
    members = {
        name: [places_of(*pair) for pair in zip(scores, outside.members[name], strict=True)]
        for name, scores in inside.members.items()
    }
    pairs = [places_of(scores, outside.ensemble[name]) for name, scores in inside.ensemble.items()]
    pairs += [pair for own in members.values() for pair in own]
    count = resamples_for(len(pairs) * sum(len(places) for places in pairs[0]))
    random = seeds.generator(0, seeds.Purpose.BOOTSTRAP, step=1)
    areas = _areas(pairs, random, count)
    means = areas[:, len(inside.ensemble) :].reshape(len(areas), len(members), -1).mean(axis=2)
    found = {}
    for place, (name, scores) in enumerate(inside.ensemble.items()):
        alone = list(members).index(name if name in members else ALONE[task][0])
        draws = seeds.generator(0, seeds.Purpose.BOOTSTRAP, step=2, shard=place)
        measures = ood_intervals(scores, outside.ensemble[name], draws, count)
        closed = _closed(areas[:, place], means[:, alone])
        found[name] = DetectionResult(measures, float(means[0, alone]), name in members, closed)
    return found


def _scores(prediction: Prediction) -> dict[str, Floats]:
    found = prediction.uncertainty()
    if prediction.schema.task == "regression":
        return {name: standardise(values, prediction) for name, values in found.items()}
    largest = prediction.probabilities.max(axis=1)
    # These two are the larger, the surer the ensemble is.
    return {**found, "margin": -found["margin"], "max_probability": 1.0 - largest}


Pair = tuple[Integers, Integers]


def _areas(pairs: list[Pair], random: np.random.Generator, resamples: int) -> Floats:
    """Return AUROCs (1 + resamples, scores): of all rows, then of resamples of both sets of rows.

    All scores see the same rows, so that differences between them are paired.

    Args:
        pairs: places in the common order, (R,) and (S,) of each score inside and outside.
        random: the generator of the resamples.
        resamples: how many.
    """
    inside, outside = (len(places) for places in pairs[0])
    areas = [[auroc(counts_of(*pair))[0] for pair in pairs]]
    for _ in range(resamples):
        rows, others = random.integers(0, inside, inside), random.integers(0, outside, outside)
        areas.append([auroc(counts_of(own[rows], far[others]))[0] for own, far in pairs])
    return np.array(areas)


def _closed(ensemble: Floats, members: Floats) -> Interval | None:
    """Return the share of the members' distance to 1 that the ensemble closes, with its interval.

    Resamples whose members are at 1 are skipped.

    Args:
        ensemble, members: AUROCs (1 + resamples,), the first of all rows.
    """
    known = members < 1
    if not known[0]:
        return None
    shares = (ensemble - members)[known] / (1 - members[known])
    low, high = np.quantile(shares[1:] if len(shares) > 1 else shares, [0.025, 0.975])
    return Interval(float(shares[0]), float(low), float(high))
