"""The rehearsal of a run's end: how long predicting and combining will take, before training."""

import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.timeline import Timeline
from ensemble_pipe.data.chosen_rows import ChosenRows
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.ensemble.aggregator import Aggregator
from ensemble_pipe.ensemble.combining import combine_members
from ensemble_pipe.ensemble.members import (
    Member,
    members_at,
    raw_outputs,
    with_noise,
    with_variance,
)
from ensemble_pipe.run.news import Expected
from ensemble_pipe.run.time_limit import TimeLimit
from ensemble_pipe.training.boosting import BoostingState
from ensemble_pipe.training.halting import Halted, never
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.state import LearnerState, initial_state

# So many rows are predicted, and so many members combined; more take in proportion.
MOST_ROWS = 2048
MOST_MEMBERS = 4


class Ending:
    """What a session does when its training has ended, and how long that will take.

    Attributes:
        has_come: whether the time limit has ended training.
    """

    def __init__(
        self,
        limit: TimeLimit,
        data: TrainingData,
        held_part: str,
        parts: Sequence[str],
        aggregator: Aggregator,
        most: int | None = None,
    ) -> None:
        """Begin without measurements.

        Args:
            limit: learns what they say.
            data: of the session.
            held_part: that members are combined by.
            parts: on which the ensemble is measured.
            aggregator: of the members.
            most: how many members the ensemble has at most; None for all that there are.
        """
        self._most = most
        self._limit, self._data, self._aggregator = limit, data, aggregator
        self._held = data.part(held_part)
        self._parts = parts
        self._row_s = 0.0
        self._at_once = 1.0
        self.has_come = False

    def ends_training(self) -> bool:
        """Return whether the time for training is up, which it then is for good."""
        self.has_come = self.has_come or (self._limit.is_set and self._limit.ends_training())
        return self.has_come

    @property
    def halted(self) -> Halted:
        """What trainers ask whether to end."""
        return self.ends_training if self._limit.is_set else never

    def limit_s(self, untrained: Collection[object]) -> float | None:
        """Return the seconds of the limit; None where it is not why training ended.

        Args:
            untrained: what training has left undone.
        """
        ended_by_other = untrained and not self.has_come
        return self._limit.seconds if self._limit.is_set and not ended_by_other else None

    @property
    def is_rehearsed(self) -> bool:
        """Whether it is known how long a member takes to predict."""
        return self._row_s > 0

    @cached_property
    def _rows(self) -> int:
        """Rows that members are yet to predict: on what they are combined by, they have."""
        return sum(self._data.part(part).rows for part in self._parts if part != "validation")

    def rehearse(
        self,
        config: Pipeline,
        plans: Sequence[LearnerPlan],
        members: int,
        timeline: Timeline,
        *,
        forecasts: bool = False,
    ) -> None:
        """Measure how long members take to predict and combine, by untrained ones.

        It is done once, under a limit or for a forecast.

        Args:
            config: of the session.
            plans: of the networks; the largest is tried. Without any there is nothing to measure.
            members: how many there will be, if each learner yields one.
            timeline: where this is a stage.
            forecasts: whether someone is shown how long the run will take.
        """
        if plans and (self._limit.is_set or forecasts) and not self.is_rehearsed:
            with timeline.stage("rehearsal"):
                self._rehearse(config, plans, members)

    def _rehearse(self, config: Pipeline, plans: Sequence[LearnerPlan], members: int) -> None:
        schema, draws = self._aggregator.schema, self._aggregator.draws
        plan = max(plans, key=lambda one: one.build(schema).layout.size)
        self._at_once = sum(one.members_at_once for one in plans) / len(plans)
        members = round(members * self._at_once)
        with self._limit.rehearsal():
            member: Member = next(members_at(plan, 0, _untrained(plan, schema), schema))
            part = ChosenRows(self._held, np.arange(min(self._held.rows, MOST_ROWS)))
            reads = tuple(draws.reads(part, schema.spans))
            raw_outputs([member], schema, reads, part.rows)  # loads what is loaded once
            began = time.perf_counter()
            (raw,) = raw_outputs([member], schema, reads, part.rows)
            self._row_s = (time.perf_counter() - began) / part.rows
            known = with_noise(member, raw, part.targets, schema)
            count = min(members, MOST_MEMBERS)
            factors = np.linspace(0.9, 1.1, count, dtype=np.float32)[:, None, None]
            outputs = with_variance(known, raw) * factors
            units, costs, how = [(known,)] * count, np.ones(count), config.ensemble.combine
            began = time.perf_counter()
            combine_members(how, units, outputs, part.targets, schema, costs, config.seed)
            combining_s = time.perf_counter() - began
        if self._most is not None and how.method != "greedy":
            members = min(members, self._most)
        self._limit.combining_s = combining_s * members / count * self._held.rows / part.rows
        self.expect(0)

    def expect(self, begun: int) -> None:
        """Tell the time limit what is to be predicted.

        Args:
            begun: learners that are under way, which are then members, too.
        """
        if not (self._limit.is_set or self.is_rehearsed):
            return
        self._limit.predicting_s = self._predicting_s(begun)

    def expected(self, further: int) -> Expected:
        """Return how long all that comes after training takes, with members of further learners."""
        limit = self._limit
        ending_s = limit.after_training_s - limit.predicting_s + self._predicting_s(further)
        return Expected(ending_s, limit.left_s)

    def _predicting_s(self, begun: int) -> float:
        """Return what predicting takes, with the members of learners that have begun."""
        aggregator = self._aggregator
        begun = round(max(1, begun) * self._at_once)
        held_s = self._row_s * begun
        costs_s = [aggregator.cost_ms(member) / 1000 for member in aggregator.members]
        costs_s = sorted([*costs_s, *[self._row_s] * begun], reverse=True)
        return sum(costs_s[: self._most]) * self._rows + held_s * self._held.rows


def _untrained(plan: LearnerPlan, schema: Schema) -> LearnerState:
    """Return the first state of a network; of a chain, with one network in it."""
    state = initial_state(plan, schema)
    counters = state.counters._replace(boosting=BoostingState((1.0,)))
    return state if plan.boosting is None else replace(state, counters=counters)
