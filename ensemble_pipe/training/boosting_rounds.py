"""The rounds of boosting in a stack: one network of each chain is trained after another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.data.chosen_rows import PartRows
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.nn.inference import add_network, outputs_of
from ensemble_pipe.optim import PlateauState
from ensemble_pipe.training.boosting import (
    BoostingState,
    best_step,
    negative_gradient,
)
from ensemble_pipe.training.first_states import first_state
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.state import StackedState


@dataclass
class _Sums:
    """Outputs (R, O) float64 of the first networks of a chain, and how many networks those are."""

    networks: int
    train: Floats
    stop: Floats


class BoostingRounds:
    """Chains of networks in training.

    What a chain predicts is computed from its networks alone, so a checkpoint need not hold it. The
    networks see rows as they are stored: targets belong to rows before augmentation.
    """

    def __init__(self, data: TrainingData, schema: Schema) -> None:
        self._data = data
        self._schema = schema
        self._train = data.training_part()
        self._targets = self._train.targets
        self._sums: dict[int, _Sums] = {}

    def targets(self, plans: Sequence[LearnerPlan], state: StackedState) -> list[Floats]:
        """Return what the network in training of each learner is fitted to, (R, O) float32."""
        found = []
        for m, plan in enumerate(plans):
            chain, factors = state.slots["chain"][m], state.counters[m].boosting.factors
            sums = self._add_finished(plan, chain, factors)
            found.append(negative_gradient(plan.loss, sums.train, self._targets))
        return found

    def add_current(
        self, plans: Sequence[LearnerPlan], state: StackedState, outputs: Sequence[Floats]
    ) -> list[Floats]:
        """Return the outputs (R, O) of each chain, with the current network, on its stop rows.

        The factors of these are written to the counters of `state`.

        Args:
            plans: of the learners, for whose state `targets` was called.
            state: of the learners.
            outputs: (R, O) of each network in training, on the rows that its learner stops by.
        """
        sums = [self._sums[plan.learner].stop.copy() for plan in plans]
        for m, plan in enumerate(plans):
            factor = self._factor(plan, sums[m], outputs[m])
            add_network(sums[m], factor, outputs[m])
            factors = state.counters[m].boosting.factors
            state.counters[m] = state.counters[m]._replace(boosting=BoostingState(factors, factor))
        return sums

    def end_round(self, plan: LearnerPlan, state: StackedState, m: int) -> None:
        """Put the network in training of the learner in place m into its chain; begin the next."""
        factors, factor = state.counters[m].boosting
        if factor is None:
            raise ValueError("a round ends with an epoch, where the factor is measured")
        state.slots["chain"][m, len(factors)] = state.rows[m]
        boosting = BoostingState((*factors, factor))
        state.counters[m] = state.counters[m]._replace(plateau=PlateauState(), boosting=boosting)
        fresh = first_state(plan, self._schema, self._data, number=len(boosting.factors))
        state.rows[m] = fresh.row
        for name in plan.rule.slots:
            state.slots[name][m] = fresh.slots[name]

    def _factor(self, plan: LearnerPlan, sums: Floats, outputs: Floats) -> float:
        """Return the factor of a network with outputs (R, O) on its stop rows."""
        if plan.boosting is None:
            raise ValueError("the learner is no chain")
        stop = self._data.stop_of(plan.learner)
        return plan.boosting.shrinkage * best_step(
            plan.loss, sums, outputs, stop.targets, stop.weights
        )

    def _add_finished(self, plan: LearnerPlan, rows: Floats, factors: tuple[float, ...]) -> _Sums:
        """Return a chain's sums, to which the networks of finished rounds are added once."""
        if plan.learner not in self._sums:
            self._sums[plan.learner] = self._no_networks(plan)
        sums = self._sums[plan.learner]
        while sums.networks < len(factors):
            row, factor = rows[sums.networks], factors[sums.networks]
            add_network(sums.train, factor, self._outputs(plan, row, self._train))
            stop = self._data.stop_of(plan.learner)
            add_network(sums.stop, factor, self._outputs(plan, row, stop))
            sums.networks += 1
        return sums

    def _no_networks(self, plan: LearnerPlan) -> _Sums:
        outputs = plan.build(self._schema).outputs
        parts = (self._train, self._data.stop_of(plan.learner))
        return _Sums(0, *(np.zeros((part.rows, outputs)) for part in parts))

    def _outputs(self, plan: LearnerPlan, row: Floats, part: PartRows) -> Floats:
        """Return the outputs (R, O) of one network on a part of the data."""
        masks = [self._data.mask(plan.learner, plan.view)]
        network = plan.build(self._schema)
        found: Floats = outputs_of(network, row[None], part.read, part.rows, masks=masks)[0]
        return found
