"""How well a model's uncertainties tell rows of another kind from rows like its training data.

R rows inside the distribution, S rows outside of it, K members.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ensemble_pipe import seeds
from ensemble_pipe.arrays import Floats
from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.ensemble.combiners import Weighted
from ensemble_pipe.ensemble.measures import standardised
from ensemble_pipe.ensemble.metrics.detection import ood_intervals
from ensemble_pipe.ensemble.metrics.ranking import auroc, counts_of, places_of
from ensemble_pipe.ensemble.metrics.resampling import Interval
from ensemble_pipe.ensemble.metrics.row_values import resamples_for
from ensemble_pipe.ensemble.prediction import Prediction
from ensemble_pipe.errors import DataError
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
class Detected:
    """How well one score finds the rows of another kind.

    Attributes:
        measures: `auroc`, `fpr95` and `auprc` of the ensemble, with intervals.
        members: the mean AUROC of the members alone, by this score or, where a member alone has no
            such score, by the first of `ALONE`.
        own: whether it is by this score.
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
        DataError: there are no rows, or a value is not as the model needs it.
    """
    blocks = [scores_of(model.of_outputs(outputs)) for _, outputs in outputs_of(model, rows)]
    if not blocks:
        raise DataError(f"{rows.where}: has no rows")
    first = blocks[0]
    return Scores(
        {name: np.concatenate([one.ensemble[name] for one in blocks]) for name in first.ensemble},
        {name: np.concatenate([one.members[name] for one in blocks], 1) for name in first.members},
    )


def detected(inside: Scores, outside: Scores, task: str) -> dict[str, Detected]:
    """Return how well each score finds the rows of another kind, with bootstrap intervals.

    Args:
        inside: of R rows like those trained on.
        outside: of S others.
        task: of the model.
    """
    reference = ALONE[task][0]
    found = {}
    for place, (name, own) in enumerate(inside.ensemble.items()):
        alone = name if name in inside.members else reference
        pairs = [places_of(own, outside.ensemble[name])]
        members = zip(inside.members[alone], outside.members[alone], strict=True)
        pairs += [places_of(*pair) for pair in members]
        random = seeds.generator(0, seeds.Purpose.BOOTSTRAP, step=1, shard=place)
        again = seeds.generator(0, seeds.Purpose.BOOTSTRAP, step=2, shard=place)
        count = resamples_for(len(pairs) * (len(pairs[0][0]) + len(pairs[0][1])))
        measures = ood_intervals(own, outside.ensemble[name], random, count)
        mean = float(np.mean([auroc(*counts_of(*pair)) for pair in pairs[1:]]))
        closed = _closed_interval(pairs, again, count)
        found[name] = Detected(measures, mean, alone == name, closed)
    return found


def _scores(prediction: Prediction) -> dict[str, Floats]:
    found = prediction.uncertainty()
    if prediction.schema.task == "regression":
        return {name: standardised(values, prediction) for name, values in found.items()}
    largest = prediction.probabilities.max(axis=1)
    # These two are the larger, the surer the ensemble is.
    return {**found, "margin": -found["margin"], "max_probability": 1.0 - largest}


Pair = tuple[Floats, Floats]


def _closed_interval(
    pairs: list[Pair], random: np.random.Generator, resamples: int
) -> Interval | None:
    """Return the share of the members' distance to 1 that the ensemble closes, and its interval.

    Both sets of rows are resampled, and all scores see the same rows. Resamples whose members are
    at 1 are passed over.

    Args:
        pairs: places (R,) and (S,) of the scores inside and outside: the ensemble's, then those of
            each member.
        random: the generator of the resamples.
        resamples: how many.
    """
    whole = _closed([counts_of(*pair) for pair in pairs])
    if whole is None:
        return None
    drawn = [
        value for one in _resampled(pairs, random, resamples) if (value := _closed(one)) is not None
    ]
    low, high = np.quantile(drawn or [whole], [0.025, 0.975])
    return Interval(whole, float(low), float(high))


def _resampled(
    pairs: list[Pair], random: np.random.Generator, resamples: int
) -> Iterator[list[Pair]]:
    inside, outside = (len(places) for places in pairs[0])
    for _ in range(resamples):
        rows = random.integers(0, inside, inside), random.integers(0, outside, outside)
        yield [counts_of(first[rows[0]], second[rows[1]]) for first, second in pairs]


def _closed(counts: list[Pair]) -> float | None:
    own, *members = (auroc(*pair) for pair in counts)
    distance = 1.0 - float(np.mean(members))
    return None if distance <= 0 else (own - (1.0 - distance)) / distance
