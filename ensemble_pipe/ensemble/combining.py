"""Makes an ensemble of all members: selects members, fits the combiner and the conformal sets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Lt

from ensemble_pipe.core import seeds
from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.metrics import Metric, class_metric, loss_of
from ensemble_pipe.core.settings import settings
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.combiners import (
    FITS,
    Aim,
    Candidate,
    ClassOutputs,
    Combiner,
    FitName,
    NumberOutputs,
    Outputs,
    Weighted,
    choose,
    fit,
    select,
    top_k,
)
from ensemble_pipe.ensemble.combiners.folds import fold_numbers
from ensemble_pipe.ensemble.combiners.outputs import NONE
from ensemble_pipe.ensemble.conformal import Conformal, conformal_interval, conformal_sets
from ensemble_pipe.ensemble.decisions import Decide, Decision
from ensemble_pipe.ensemble.members import Member
from ensemble_pipe.ensemble.metrics.aurocs import mean_auroc
from ensemble_pipe.ensemble.numbers import Gaussians, combined_numbers

FOLDS = 5

Rows = Integers | slice
_Choice = tuple[Integers, Combiner, tuple[Candidate, ...]]


@settings
class Combine:
    """How members become one predictor.

    Attributes:
        evidence: what all of it is fitted to: "validation", a part that no learner was trained on;
            or "out_of_fold", the training part as predicted by the learners that left each row out,
            where all groups of learners are cross-validated. Then members of a group share what
            their group gets.
        method: "mean_probability", "mean_logit" or "vote" weigh all members alike; "weights" have
            the lowest NLL of all mixtures; "greedy" selects with replacement (Caruana et al. 2004);
            "stacking" is a linear model on top of the members; "choose" takes what has the lowest
            cross-fitted NLL of these, each with and without a temperature.
        metric: what `weights`, `greedy`, `choose`, `keep` and the budgets aim at, in place of the
            NLL; of two with the same value the one of the lower NLL is taken. A temperature is
            fitted to the NLL, whatever the metric.
        temperature: whether the result is made more or less confident, to the lowest NLL (Guo et
            al. 2017), numbers also by a noise that is added to the variance of every row (see
            `NumberPrediction.best_calibration`); "choose" finds out for itself. Null is true where
            there are held-out rows enough, see `config.defaults`.
        keep: only so many members, those of the lowest NLL (or best metric) of their own; null for
            all.
        most_members: the best mixture of at most so many members, with weights of its own where
            the method is "mean_probability"; null for any number.
        milliseconds: the best mixture of members that predict a row within this time, all
            together and as measured on this machine; the quickest member where none does; null for
            any time.
        coverage: each prediction comes with a set of classes, or an interval, that holds the truth
            for at least this share of new rows (see `conformal`); null for none.
    """

    evidence: Literal["validation", "out_of_fold"] = "validation"
    method: Literal[FitName, "choose"] = "mean_probability"
    metric: Metric = "nll"
    temperature: bool | None = None
    keep: Annotated[int, Ge(1)] | None = None
    most_members: Annotated[int, Ge(1)] | None = None
    milliseconds: Annotated[float, Gt(0)] | None = None
    coverage: Annotated[float, Gt(0), Lt(1)] | None = None

    @property
    def fits(self) -> bool:
        """Whether anything is fitted to the evidence, or selected by it."""
        fitted = self.method == "choose" or FITS[self.method].fitted
        return fitted or bool(self.temperature) or self._selects or self.coverage is not None

    @property
    def aims(self) -> bool:
        """Whether anything is fitted to `metric`, or selected by it."""
        return self.method in ("weights", "greedy", "choose") or self._selects

    @property
    def _selects(self) -> bool:
        asked = (self.keep, self.most_members, self.milliseconds)
        return any(value is not None for value in asked)


@dataclass(frozen=True)
class Combined:
    """Members, their combiner, and how it was chosen.

    Attributes:
        members: those that were kept, in order.
        combiner: of these.
        candidates: what the method was chosen from; empty where it was given.
        conformal: of the classes, or of each target; empty where no coverage was asked for.
        decision: on a class; None for the most probable one.
        units: the places of what the combiner was fitted to, ascending: members, or groups whose
            members share a weight.
        of_units: the combiner of these.
    """

    members: tuple[Member, ...]
    combiner: Combiner
    candidates: tuple[Candidate, ...] = ()
    conformal: tuple[Conformal, ...] = ()
    units: tuple[int, ...] = ()
    of_units: Combiner | None = None
    decision: Decision | None = None


def combine_members(
    how: Combine,
    units: Sequence[tuple[Member, ...]],
    outputs: Floats,
    targets: Array,
    schema: Schema,
    costs: Floats,
    seed: int,
    groups: Integers | None = None,
    decide: Decide | None = None,
) -> Combined:
    """Return the ensemble of some members.

    Args:
        how: which members are kept, and how they are combined.
        units: K of them, in order; the members of one are weighted alike.
        outputs: (K, R, O) of `member_outputs`, on rows that no member was trained on.
        targets: (R,) or (R, D) of these rows, as base files hold them.
        schema: of the data.
        costs: (K,), milliseconds that each unit takes for a row.
        seed: of the run.
        groups: (R,), where rows have groups, which cross-fitting keeps together.
        decide: how a class is decided on; None for the most probable one.

    Raises:
        ConfigError: the method is not for the task.
    """
    known = targets if schema.task == "classification" else targets.reshape(len(targets), -1)

    aim = _aim(how.metric, schema)

    def fitted(rows: Rows) -> _Choice:
        own = None if groups is None else groups[rows]
        evidence = evidence_of(outputs[:, rows], schema)
        return _choice(how, aim, evidence, known[rows], costs, seed, own)

    places, combiner, candidates = fitted(slice(None))
    conformal: tuple[Conformal, ...] = ()
    unseen: tuple[Floats, ...] = ()
    if how.coverage is not None or (decide is not None and decide.fits):
        random = seeds.generator(seed, seeds.Purpose.COMBINE, step=1)
        clusters = np.arange(len(known)) if groups is None else groups
        unseen = _cross_fitted(fitted, outputs, known, schema, clusters, random)
    if how.coverage is not None:
        conformal = _conformal(how.coverage, unseen, known)
    decision = None
    if decide is not None:
        decision = decide.fitted(unseen[0] if decide.fits else None, known)
    chosen = [units[place] for place in places]
    members = tuple(member for unit in chosen for member in unit)
    shared = combiner.share([len(unit) for unit in chosen])
    kept = tuple(int(place) for place in places)
    return Combined(members, shared, candidates, conformal, kept, combiner, decision)


def _aim(metric: str, schema: Schema) -> Aim | None:
    """Return what is aimed at in place of the NLL; numbers are measured in their own units."""

    def of_classes(parts: tuple[Floats, ...], labels: Array) -> float:
        own = mean_auroc if metric == "auroc" else partial(class_metric, metric)
        return loss_of(metric, own(parts[0], labels))

    def of_numbers(parts: tuple[Floats, ...], targets: Array) -> float:
        mean, variance = parts
        return loss_of(metric, Gaussians(mean, variance, schema).metric(metric, targets))

    if metric == "nll":
        return None
    loss = of_classes if schema.task == "classification" else of_numbers
    return Aim(metric, loss, by_class=metric == "auroc")


def _choice(
    how: Combine,
    aim: Aim | None,
    evidence: Outputs,
    targets: Array,
    costs: Floats,
    seed: int,
    groups: Integers | None,
) -> _Choice:
    """Return the places of the members that count, their combiner, and what it was chosen from."""
    places = _kept(how, aim, evidence, targets, costs)
    evidence, random = evidence.of(places), seeds.generator(seed, seeds.Purpose.COMBINE)
    candidates: tuple[Candidate, ...] = ()
    folds = min(FOLDS, len(targets if groups is None else np.unique(groups)))
    if how.method == "choose" and folds > 1:
        choice = choose(evidence, targets, folds, random, groups=groups, aim=aim)
        combiner, candidates = choice.combiner, choice.table
    else:
        method = _method(how)
        warm = bool(how.temperature)
        combiner = fit(method, evidence, targets, random, temperature=warm, aim=aim)
    combiner, counting = combiner.without_zero_weights()
    return places[counting], combiner, candidates


def _method(how: Combine) -> str:
    """Return the name of the fit: under a budget the default is the mixture that was selected."""
    if how.method == "choose":
        return "mean_probability"  # of rows that are too few to choose by
    budget = how.most_members is not None or how.milliseconds is not None
    return "weights" if how.method == "mean_probability" and budget else how.method


def _cross_fitted(
    fitted: Callable[[Rows], _Choice],
    outputs: Floats,
    targets: Array,
    schema: Schema,
    clusters: Integers,
    random: np.random.Generator,
) -> tuple[Floats, ...]:
    """Return predictions of rows that their combiner was not fitted to.

    They are the probabilities (R, O) alone, or means and standard deviations (R, D). Rows are left
    out by folds, and predicted by what is fitted to the others; where nothing is fitted, that is
    the combiner itself. Fewer rows than two a fold are too few for it.
    """
    classes = schema.task == "classification"
    count = len(targets)
    folds: Integers = np.zeros(count, np.int64)
    if len(np.unique(clusters)) >= 2 * FOLDS:
        folds = fold_numbers(targets if classes else folds, clusters, FOLDS, random)
    first, second = np.empty((2, count, outputs.shape[2]))
    for fold in range(folds.max() + 1):
        out, used = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        places, combiner, _ = fitted(used if len(used) else slice(None))
        own = outputs[places][:, out]
        if classes:
            first[out] = combiner.probabilities(own)
            continue
        numbers = schema.target_count
        mean, noise, spread = combined_numbers(combiner, own, schema)
        first[out, :numbers], second[out, :numbers] = mean, np.sqrt(noise + spread)
    numbers = schema.target_count
    return (first,) if classes else (first[:, :numbers], second[:, :numbers])


def _conformal(
    coverage: float, unseen: tuple[Floats, ...], targets: Array
) -> tuple[Conformal, ...]:
    """Return sets or intervals from predictions as `_cross_fitted` returns them."""
    if len(unseen) == 1:
        return (conformal_sets(unseen[0], targets, coverage),)
    columns = zip(unseen[0].T, unseen[1].T, targets.T, strict=True)
    return tuple(conformal_interval(mean, std, own, coverage) for mean, std, own in columns)


def evidence_of(outputs: Floats, schema: Schema) -> Outputs:
    """Return members' outputs (K, R, O) as what combiners are fitted to."""
    if schema.task == "classification":
        return ClassOutputs(outputs)
    count = schema.target_count
    return NumberOutputs(outputs[:, :, :count], outputs[:, :, count:])


def _kept(
    how: Combine, aim: Aim | None, evidence: Outputs, targets: Array, costs: Floats
) -> Integers:
    """Return the places, ascending, of the members that `keep` and the budget leave."""
    places: Integers = np.arange(evidence.members)
    if how.keep is not None:
        own = [_own_loss(evidence.of(places[k : k + 1]), targets, aim) for k in places]
        places = top_k(np.array(own), min(how.keep, len(own)))
    if how.most_members is None and how.milliseconds is None:
        return places
    weights = select(
        evidence.of(places),
        targets,
        most_members=how.most_members,
        milliseconds=how.milliseconds,
        costs=costs[places],
        aim=aim,
    )
    return places[np.flatnonzero(weights)]


def _own_loss(member: Outputs, targets: Array, aim: Aim | None) -> float:
    """Return the NLL of one member's own outputs, or its loss by the metric."""
    prediction = member.combined(Weighted.equal(1))
    if aim is None:
        return float(prediction.nll(targets).mean())
    return aim.loss(prediction.parts(NONE), targets)
