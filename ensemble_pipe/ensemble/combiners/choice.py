"""Model selection among combiners by cross-fitted NLL."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.ensemble.combiners.aims import Aim
from ensemble_pipe.ensemble.combiners.combiner import Combiner
from ensemble_pipe.ensemble.combiners.fits import (
    FITS,
    Evidence,
    check_names,
    fit,
    fits_for,
)
from ensemble_pipe.ensemble.combiners.folds import fold_numbers
from ensemble_pipe.ensemble.combiners.outputs import (
    NONE,
    Outputs,
    Prediction,
)
from ensemble_pipe.nn.blas import one_thread

_BLOCKS = 20  # of rows, each of which is left out in turn


@dataclass(frozen=True)
class Candidate:
    """A candidate combiner and its cross-fitted score.

    Attributes:
        name: of the fit.
        temperature: whether one is fitted after it.
        nll: mean over the rows, each judged by a combiner that was fitted without it.
        standard_error: of `nll`.
        excess: `nll` less that of the best candidate; where a metric is aimed at, its loss less
            that of the best one.
        excess_error: standard error of `excess`, from differences row by row; of a metric from
            blocks of rows, each left out in turn.
        loss: by the metric that is aimed at; None for the NLL.
    """

    name: str
    temperature: bool
    nll: float
    standard_error: float
    excess: float
    excess_error: float
    loss: float | None = None


@dataclass(frozen=True)
class Choice:
    """The result of model selection.

    Attributes:
        combiner: fitted to all rows.
        chosen: its candidate.
        table: all candidates, from the simplest on.
    """

    combiner: Combiner
    chosen: Candidate
    table: tuple[Candidate, ...]


def choose(
    outputs: Outputs,
    targets: Array,
    folds: int,
    random: np.random.Generator,
    *,
    row_weights: Floats | None = None,
    groups: Array | None = None,
    names: Sequence[str] | None = None,
    aim: Aim | None = None,
) -> Choice:
    """Return the combiner of lowest cross-fitted NLL, or a simpler one that is as good.

    Every candidate, with and without a temperature, is fitted to all folds but one and judged on
    that one. Of those whose NLL exceeds the lowest by no more than one standard error of the paired
    difference the simplest is taken (the rule of Breiman et al. 1984, "Classification and
    regression trees", section 3.4.3, on paired differences), and fitted again to all rows.

    From the simplest on: what fits nothing, in the order of `FITS`; the same with a temperature;
    then the others in order, each without and with a temperature. Stacking of classes is a
    candidate where there are ten rows for each coefficient.

    Args:
        outputs: of K members, on rows that they were not trained on.
        targets: labels (R,) or numbers (R, D).
        folds: how many; classes are in each in proportion.
        random: for folds and fits.
        row_weights: (R,), how much each row counts; all alike without.
        groups: (R,) group of each row; those of a group share a fold.
        names: of the candidates; without, all for the task.
        aim: a metric in place of the NLL.

    Raises:
        ConfigError: a name is not one of a fit for the task.
        DataError: there are fewer rows, or groups, than folds.
    """
    evidence = Evidence.of(outputs, targets, row_weights, aim)
    clusters = np.arange(len(targets))
    if groups is not None:
        clusters = np.unique(groups, return_inverse=True)[1]
    fold_of = fold_numbers(outputs.strata(evidence.targets), clusters, folds, random)
    found = cross_fit(names or _candidates(outputs), evidence, fold_of, random)
    judged = dict(sorted(found.items(), key=_simplicity))
    if aim is None:
        table = _table(
            {key: one.nll for key, one in judged.items()}, evidence.row_weights, clusters
        )
    else:
        table = _table_by(aim, judged, evidence, clusters)
    chosen = next(line for line in table if line.excess <= line.excess_error)
    combiner = fit(
        chosen.name,
        outputs,
        targets,
        random,
        row_weights=evidence.row_weights,
        temperature=chosen.temperature,
        aim=aim,
    )
    return Choice(combiner, chosen, table)


@dataclass(frozen=True)
class CrossFitted:
    """How a candidate predicts each row, fitted without its fold.

    Attributes:
        nll: (R,) of the rows.
        parts: of `Prediction.parts`, for all rows; empty where no metric is aimed at.
    """

    nll: Floats
    parts: tuple[Floats, ...] = ()


@one_thread()
def cross_fit(
    names: Sequence[str], evidence: Evidence, fold_of: Integers, random: np.random.Generator
) -> dict[tuple[str, bool], CrossFitted]:
    """Return what combiners make of every row that were fitted without its fold.

    Args:
        names: of fits.
        evidence: R rows.
        fold_of: (R,) fold of each row, counted from 0.
        random: for the fits; what they draw does not depend on the targets.

    Returns:
        By name, and whether a temperature was fitted after it.
    """
    check_names(names, evidence.outputs.task)
    keys = [(name, warm) for name in names for warm in (False, True)]
    found: dict[tuple[str, bool], Floats] = {key: np.empty(len(fold_of)) for key in keys}
    blocks: dict[tuple[str, bool], list[tuple[Floats, ...]]] = {key: [] for key in keys}
    predictions: dict[Combiner, Prediction] = {}  # what fits nothing is the same in each fold
    for fold in range(fold_of.max() + 1):
        out, used = np.flatnonzero(fold_of == fold), np.flatnonzero(fold_of != fold)
        fitting = evidence.take(used)
        for name in names:
            combiner = FITS[name]().fit(fitting, random)
            if combiner not in predictions:
                predictions[combiner] = evidence.outputs.combined(combiner)
            prediction = predictions[combiner]
            best = prediction.take(used).best_calibration(fitting.targets, fitting.row_weights)
            for warm in (False, True):
                calibration = best if warm else NONE
                own = prediction.take(out)
                found[name, warm][out] = own.nll(evidence.targets[out], calibration)
                if evidence.aim is not None:
                    blocks[name, warm].append(own.parts(calibration))
    order = np.argsort(np.argsort(fold_of, kind="stable"), kind="stable")  # of rows within blocks
    return {
        key: CrossFitted(
            nll, tuple(np.concatenate(one)[order] for one in zip(*blocks[key], strict=True))
        )
        for key, nll in found.items()
    }


def _candidates(outputs: Outputs) -> list[str]:
    names = list(fits_for(outputs.task))
    if outputs.rows < outputs.least_stacking_rows:
        names.remove("stacking")
    return names


def _simplicity(item: tuple[tuple[str, bool], CrossFitted]) -> tuple[bool, int, int]:
    """Return what candidates are sorted by: fitted weights, a fitted temperature, the order."""
    (name, warm), _ = item
    place = list(FITS).index(name)
    return (True, place, warm) if FITS[name].fitted else (False, warm, place)


def _table(
    nlls: dict[tuple[str, bool], Floats], row_weights: Floats, clusters: Integers
) -> tuple[Candidate, ...]:
    means = {key: float(row_weights @ nll) for key, nll in nlls.items()}
    best = min(means, key=lambda key: means[key])
    return tuple(
        Candidate(
            *key,
            means[key],
            standard_error(nll, row_weights, clusters),
            means[key] - means[best],
            standard_error(nll - nlls[best], row_weights, clusters),
        )
        for key, nll in nlls.items()
    )


def _table_by(
    aim: Aim,
    judged: dict[tuple[str, bool], CrossFitted],
    evidence: Evidence,
    clusters: Integers,
) -> tuple[Candidate, ...]:
    """Return the candidates by a metric.

    The standard error of a difference is that of the jackknife over blocks of rows, sqrt((B - 1) /
    B sum_b (x_b - mean)^2) with x_b the difference without block b (Efron & Stein 1981).
    """
    kept = [clusters % _BLOCKS != block for block in range(_BLOCKS)]
    kept = [rows for rows in kept if rows.any() and not rows.all()]
    targets, weights = evidence.targets, evidence.row_weights

    def losses(one: CrossFitted) -> Floats:
        parts = [tuple(part[rows] for part in one.parts) for rows in kept]
        pairs = zip(parts, kept, strict=True)
        return np.array([aim.loss(own, targets[rows]) for own, rows in pairs])

    whole = {key: aim.loss(one.parts, targets) for key, one in judged.items()}
    best = min(judged, key=lambda key: (whole[key], float(weights @ judged[key].nll)))
    least = losses(judged[best])

    def error(one: CrossFitted) -> float:
        apart = losses(one) - least
        return float(np.sqrt(max(len(kept) - 1, 0) * np.var(apart))) if kept else 0.0

    return tuple(
        Candidate(
            *key,
            float(weights @ one.nll),
            standard_error(one.nll, weights, clusters),
            whole[key] - whole[best],
            error(one),
            whole[key],
        )
        for key, one in judged.items()
    )


def standard_error(values: Floats, row_weights: Floats, clusters: Integers) -> float:
    """Return the standard error of a weighted mean over rows that are alike within clusters.

    sqrt(G / (G - 1) sum_g (sum_{r in g} w_r (x_r - mean))^2) (Liang & Zeger 1986); 0 for G = 1.

    Args:
        values: (R,).
        row_weights: (R,), which sum to 1.
        clusters: (R,) cluster of each row, 0 to G - 1.
    """
    sums = np.bincount(clusters, row_weights * (values - row_weights @ values))
    return float(np.sqrt(len(sums) / max(len(sums) - 1, 1) * (sums @ sums)))
