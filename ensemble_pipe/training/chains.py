"""The chains of boosted learners in training: their sums on the training and stop parts."""

from dataclasses import dataclass

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shard_view import ShardView
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.nn.inference import add_network, outputs_of
from ensemble_pipe.training.boosting import best_step, negative_gradient
from ensemble_pipe.training.plan import LearnerPlan


@dataclass
class _Sums:
    """Outputs (R, O) float64 of the first networks of a chain, so many."""

    networks: int
    train: Floats
    stop: Floats


class Chains:
    """What the chains of some learners come to; each is known from its networks alone.

    The networks see rows as they are stored: targets belong to rows before augmentation.
    """

    def __init__(self, data: TrainingData, schema: Schema) -> None:
        self._data = data
        self._schema = schema
        self._train = data.part("train")
        self._targets = self._train.targets
        self._sums: dict[int, _Sums] = {}

    def targets(self, plan: LearnerPlan, rows: Floats, factors: list[float]) -> Floats:
        """Return what the next network of a chain is fitted to, (R, O) float32.

        Args:
            plan: of the learner.
            rows: (rounds, P), those of finished rounds first.
            factors: of the networks of finished rounds.
        """
        sums = self._up_to_date(plan, rows, factors)
        return negative_gradient(plan.loss, sums.train, self._targets)

    def extended(self, plan: LearnerPlan, outputs: Floats) -> tuple[float, Floats]:
        """Return the factor of a network, and the outputs (R, O) of the chain with it.

        Args:
            plan: of the learner, whose chain `targets` has met as it is now.
            outputs: (R, O) of the network on the stop part.
        """
        if plan.boosting is None:
            raise ValueError("the learner is no chain")
        sums, stop = self._sums[plan.learner].stop.copy(), self._data.stop
        step = best_step(plan.loss, sums, outputs, stop.targets, stop.weights)
        factor = plan.boosting.shrinkage * step
        add_network(sums, factor, outputs)
        return factor, sums

    def _up_to_date(self, plan: LearnerPlan, rows: Floats, factors: list[float]) -> _Sums:
        network, stop = plan.build(self._schema), self._data.stop
        if plan.learner not in self._sums:
            empty = (np.zeros((part.rows, network.outputs)) for part in (self._train, stop))
            self._sums[plan.learner] = _Sums(0, *empty)
        sums = self._sums[plan.learner]
        masks = [self._data.mask(plan.learner, plan.view)]

        def outputs(part: ShardView) -> Floats:
            row = rows[sums.networks : sums.networks + 1]
            found: Floats = outputs_of(network, row, part.read, part.rows, masks=masks)[0]
            return found

        while sums.networks < len(factors):
            add_network(sums.train, factors[sums.networks], outputs(self._train))
            add_network(sums.stop, factors[sums.networks], outputs(stop))
            sums.networks += 1
        return sums
