"""Courses of a run: how its learners are trained, and which members its ensemble is made of."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from ensemble_pipe.cluster.executor import Executor
from ensemble_pipe.config.plans import Plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.run.resuming import Remaining
from ensemble_pipe.run.session import Session
from ensemble_pipe.run.time_limit import TimeLimit
from ensemble_pipe.training.events import Event


class Course(Protocol):
    def events(
        self, session: Session, executor: Executor | None, remaining: Remaining
    ) -> Iterator[Event]:
        """Train learners, and yield each event after its results are stored.

        Args:
            session: of the run.
            executor: where to train; None trains nothing.
            remaining: the learners that are not finished yet.
        """
        ...

    def select(self, session: Session) -> None:
        """Leave the members in the session that the ensemble is made of; once, then do nothing."""
        ...

    def draw(self, session: Session, limit: TimeLimit) -> list[Path]:
        """Draw pictures of its own, when the ensemble is measured; return the files.

        Args:
            session: of the run.
            limit: says whether there is time.
        """
        ...


# Of a run that is ready to be trained: its files, pipeline and plans.
CourseOf = Callable[[RunPaths, Pipeline, Plans], Course]


class EveryLearner:
    """Trains every learner of a pipeline to its end, and combines all members."""

    def __init__(self, paths: RunPaths, config: Pipeline, plans: Plans) -> None:
        """Nothing but the session is needed."""

    def events(
        self, session: Session, executor: Executor | None, remaining: Remaining
    ) -> Iterator[Event]:
        return session.events(executor, session.begin(remaining))

    def select(self, session: Session) -> None:
        return None

    def draw(self, session: Session, limit: TimeLimit) -> list[Path]:
        return []
