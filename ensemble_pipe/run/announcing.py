"""What a session says to its display as it goes on: what is compiled, how the ensemble grows."""

from collections.abc import Sequence

from ensemble_pipe.core.timeline import Timeline
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import Recipe
from ensemble_pipe.ensemble.aggregator import Aggregator
from ensemble_pipe.run.display import Display
from ensemble_pipe.run.news import Grown, Stage
from ensemble_pipe.run.rehearsal import Ending
from ensemble_pipe.run.time_limit import TimeLimit
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.warmup import compile_kernels


def compile_first(
    networks: Sequence[LearnerPlan],
    schema: Schema,
    recipe: Recipe,
    display: Display,
    timeline: Timeline,
) -> None:
    """Compile the kernels of networks before they are trained, as a stage of the timeline."""
    if not networks:
        return
    display.note(Stage("compiling"))
    with timeline.stage("kernels"):
        if compile_kernels(schema, networks, recipe):
            display.message("kernels ready (compiled once, then kept)")
    display.note(Stage("preparing"))


def growth(display: Display, aggregator: Aggregator, ending: Ending, learners: int) -> None:
    """Say that the ensemble has grown, and how long the run's end will take.

    Args:
        display: of the run.
        aggregator: of the members so far.
        ending: of the run.
        learners: that are still to yield members.
    """
    if aggregator.members:
        display.note(Grown(len(aggregator.members), aggregator.ensemble_metrics))
    display.note(ending.expected(learners))


def enough(display: Display, last: int) -> None:
    """Say that learners after the last one gain too little."""
    display.message(f"learners up to {last} are enough: a further one gains too little")


def end(display: Display, limit: TimeLimit) -> None:
    """Say that the time limit ends training."""
    left_s = max(0.0, limit.left_s)
    display.message(f"training ends, {left_s:.1f} s before the time limit")


def combining(display: Display) -> None:
    """Say that training has ended, and members are combined."""
    display.message("combining and measuring the ensemble")
    display.note(Stage("combining", after_training=True))
