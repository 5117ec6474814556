"""What a learner yields whose training is not at its end: its best row so far."""

from dataclasses import replace

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.training.boosting_rounds import BoostingRounds
from ensemble_pipe.training.loop import stacked_average
from ensemble_pipe.training.measures import layer_numbers, stop_outputs
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.state import LearnerState, StackedState
from ensemble_pipe.training.statistics import recompute_statistics


def state_so_far(
    plan: LearnerPlan, state: LearnerState, data: TrainingData, schema: Schema
) -> LearnerState:
    """Return the state whose `member_row` or chain is what a learner under way yields.

    That is the best row so far where early stopping restores the best, else the average of weights
    where there is one, else the current row. Of a chain without a finished network it is the one in
    training; one with some has yielded them.

    Args:
        plan: of the learner.
        state: where its training stands; it is not changed.
        data, schema: that it is trained on.
    """
    if plan.boosting is not None:
        return _first_of_chain(plan, state, data, schema)
    row, averaged = _row(plan, state, data.rows)
    if averaged:
        row = recompute_statistics(plan, row, data, schema, state.step)
    return replace(state, slots={**state.slots, "member": row})


def _row(plan: LearnerPlan, state: LearnerState, rows: int) -> tuple[Floats, bool]:
    """Return the best row (P,) so far, and whether it is an average of weights."""
    stopping = plan.early_stopping
    is_measured = state.counters.stopping.best_value is not None
    if stopping is not None and stopping.restore_best and is_measured:
        return state.slots["best"], plan.averaging is not None
    stacked = StackedState([state])
    average = stacked_average([plan], stacked, rows)
    if average is None:
        return state.row, False
    return average.average(stacked.rows, state.step)[0], True


def _first_of_chain(
    plan: LearnerPlan, state: LearnerState, data: TrainingData, schema: Schema
) -> LearnerState:
    """Return the state of a chain that ends with its first network, as it is in training."""
    rounds, stacked = BoostingRounds(data, schema), StackedState([state])
    rounds.targets([plan], stacked)
    network = plan.build(schema)
    numbers = layer_numbers([plan], schema)
    rounds.add_current([plan], stacked, stop_outputs(network, [plan], stacked.rows, data, numbers))
    rounds.end_round(plan, stacked, 0)
    return stacked.learner(0)
