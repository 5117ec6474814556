"""Receivers of a training session's results: the protocol, and the sink in memory."""

from typing import Protocol

from ensemble_pipe.ensemble.aggregator import Aggregator
from ensemble_pipe.ensemble.combining import Combined
from ensemble_pipe.ensemble.members import Member
from ensemble_pipe.ensemble.prediction import Metrics
from ensemble_pipe.run.results import SessionResult
from ensemble_pipe.tracking.refitted import RefittedEntry
from ensemble_pipe.tracking.scored_trials import TrialEntry
from ensemble_pipe.training.events import Checkpoint, EstimatorFitted


class Sink(Protocol):
    """Receives the results of a session, in the order in which they come.

    Attributes:
        parts: names of the parts of the data on which the final ensemble is measured: none, or
            several with "validation" among them, on which the best member is chosen.
    """

    parts: tuple[str, ...]

    def known_cost(self, member: Member) -> float | None:
        """Return the milliseconds per row of an earlier session; None without one."""
        ...

    def add_member(self, member: Member, metrics: Metrics, cost_ms: float) -> None:
        """Receive a member, its metrics on the validation part, and its milliseconds per row."""
        ...

    def update_ensemble(self, aggregator: Aggregator) -> None:
        """Called after members were added together."""
        ...

    def save_checkpoint(self, checkpoint: Checkpoint, *, refit: bool = False) -> None:
        """Receive the state of a network, before the members that it yields.

        `refit` says of this and the next whether the learner is trained again, after the first
        ensemble was combined.
        """
        ...

    def save_estimator(self, estimator: EstimatorFitted, *, refit: bool = False) -> None:
        """Receive a fitted estimator, before it becomes a member."""
        ...

    def finish_learner(self, learner: int) -> None:
        """A learner has yielded all of its members."""
        ...

    def end_refit(self, entry: RefittedEntry) -> None:
        """A learner was trained again, or has failed in that."""
        ...

    def fail(self, learner: int, reason: str) -> None:
        """A learner has failed, and yields no further member."""
        ...

    def spare(self, learner: int, reason: str) -> None:
        """A learner is not needed: the ensemble is good enough without it."""
        ...

    def prune(self, learner: int, reason: str) -> None:
        """A learner is trained no further: others of a search are better."""
        ...

    def end_trial(self, trial: TrialEntry) -> None:
        """Receive a trial of a search, before its members are chosen or left out."""
        ...

    def save_combination(self, combined: Combined) -> None:
        """Receive the combination of the members, before it is measured."""
        ...

    def save_result(self, result: SessionResult, aggregator: Aggregator) -> None:
        """Receive the result of the session; called once, at its end."""
        ...


class MemorySink:
    """Keeps nothing beside the result that the session returns, and writes no file."""

    def __init__(self, parts: tuple[str, ...] = ()) -> None:
        self.parts = parts

    def known_cost(self, member: Member) -> float | None:
        return None

    def add_member(self, member: Member, metrics: Metrics, cost_ms: float) -> None:
        return None

    def update_ensemble(self, aggregator: Aggregator) -> None:
        return None

    def save_checkpoint(self, checkpoint: Checkpoint, *, refit: bool = False) -> None:
        return None

    def save_estimator(self, estimator: EstimatorFitted, *, refit: bool = False) -> None:
        return None

    def finish_learner(self, learner: int) -> None:
        return None

    def end_refit(self, entry: RefittedEntry) -> None:
        return None

    def fail(self, learner: int, reason: str) -> None:
        return None

    def spare(self, learner: int, reason: str) -> None:
        return None

    def prune(self, learner: int, reason: str) -> None:
        return None

    def end_trial(self, trial: TrialEntry) -> None:
        return None

    def save_combination(self, combined: Combined) -> None:
        return None

    def save_result(self, result: SessionResult, aggregator: Aggregator) -> None:
        return None
