"""The way from all members to an ensemble: which are kept, and what combines them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt

from ensemble_pipe import seeds
from ensemble_pipe.arrays import Array, Floats, Integers
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.combiners import (
    Candidate,
    ClassOutputs,
    Combiner,
    NumberOutputs,
    Outputs,
    Weighted,
    choose,
    fit,
    select,
    top_k,
)
from ensemble_pipe.ensemble.members import Member
from ensemble_pipe.settings import settings

FOLDS = 5


@settings
class Combine:
    """How members become one predictor; all of it is fitted to the validation part.

    Attributes:
        method: "mean_probability", "mean_logit" or "vote" weigh all members alike; "weights" have
            the lowest NLL of all mixtures; "greedy" selects with replacement (Caruana et al. 2004);
            "stacking" is a linear model on top of the members; "choose" takes what has the lowest
            cross-fitted NLL of these, each with and without a temperature.
        temperature: whether the result is made more or less confident, to the lowest NLL (Guo et
            al. 2017); "choose" finds out for itself.
        keep: only so many members, those of the lowest NLL of their own; null for all.
        most_members: the best mixture of at most so many members; null for any number.
        milliseconds: the best mixture whose members take at most so long for a row, all together,
            as measured on this machine; null for any time.
    """

    method: Literal[
        "mean_probability", "mean_logit", "vote", "weights", "greedy", "stacking", "choose"
    ] = "mean_probability"
    temperature: bool = False
    keep: Annotated[int, Ge(1)] | None = None
    most_members: Annotated[int, Ge(1)] | None = None
    milliseconds: Annotated[float, Gt(0)] | None = None


@dataclass(frozen=True)
class Combined:
    """An ensemble.

    Attributes:
        members: those that count, in order.
        combiner: of these.
        candidates: what the method was chosen from; empty where it was given.
    """

    members: tuple[Member, ...]
    combiner: Combiner
    candidates: tuple[Candidate, ...] = ()

    def facts(self) -> dict[str, Any]:
        """Return what the journal tells of the combination, as plain values."""
        return {
            "combiner": asdict(self.combiner),
            "members": [[member.learner, member.number] for member in self.members],
            "candidates": [asdict(candidate) for candidate in self.candidates],
        }


def combined(
    how: Combine,
    members: Sequence[Member],
    outputs: Floats,
    targets: Array,
    schema: Schema,
    costs: Floats,
    seed: int,
    groups: Integers | None = None,
) -> Combined:
    """Return the ensemble of some members.

    Args:
        how: the way.
        members: K of them, in order.
        outputs: (K, R, O) of `member_outputs`, on rows that no member was trained on.
        targets: (R,) or (R, D) of these rows, as base files hold them.
        schema: of the data.
        costs: (K,), milliseconds that each member takes for a row.
        seed: of the run.
        groups: (R,), where rows have groups, which cross-fitting keeps together.

    Raises:
        ConfigError: the method is not for the task, or no member is within the budget.
    """
    evidence = _evidence(outputs, schema)
    known = targets if schema.task == "classification" else targets.reshape(len(targets), -1)
    places = _kept(how, evidence, known, costs)
    evidence, random = evidence.of(places), seeds.generator(seed, seeds.Purpose.COMBINE)
    if len(places) == 1 and how.method != "stacking" and not how.temperature:
        return Combined((members[places[0]],), Weighted.equal(1))
    candidates: tuple[Candidate, ...] = ()
    if how.method == "choose":
        choice = choose(evidence, known, FOLDS, random, groups=groups)
        combiner, candidates = choice.combiner, choice.table
    else:
        combiner = fit(how.method, evidence, known, random, temperature=how.temperature)
    combiner, counting = combiner.without_zero_weights()
    return Combined(tuple(members[places[place]] for place in counting), combiner, candidates)


def _evidence(outputs: Floats, schema: Schema) -> Outputs:
    if schema.task == "classification":
        return ClassOutputs(outputs)
    count = schema.target_count
    return NumberOutputs(outputs[:, :, :count], outputs[:, :, count:])


def _kept(how: Combine, evidence: Outputs, targets: Array, costs: Floats) -> Integers:
    """Return the places, ascending, of the members that `keep` and the budget leave."""
    places: Integers = np.arange(evidence.members)
    if how.keep is not None:
        own = [
            float(evidence.of(places[k : k + 1]).combined(Weighted.equal(1)).nll(targets).mean())
            for k in places
        ]
        places = top_k(np.array(own), min(how.keep, len(own)))
    if how.most_members is None and how.milliseconds is None:
        return places
    weights = select(
        evidence.of(places),
        targets,
        most_members=how.most_members,
        milliseconds=how.milliseconds,
        costs=costs[places],
    )
    return places[np.flatnonzero(weights)]
