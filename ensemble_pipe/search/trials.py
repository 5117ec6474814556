"""Trials of a search: what became of each, and how they are compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ensemble_pipe.config.search_settings import LARGER_IS_BETTER

Ending = Literal["finished", "pruned", "failed", "unfinished"]


@dataclass(frozen=True)
class Trial:
    """A trial, which is the learner of its number.

    Attributes:
        number: counted from 0.
        values: of the hyperparameters, by path.
        ending: what became of it.
        score: by the metric of the search; None without a member, or where it is not defined.
        epochs: that it was trained for.
        losses: its lowest loss up to each epoch that it was compared at, as `pruning.loss_of`
            has it, by epoch.
    """

    number: int
    values: Mapping[str, Any]
    ending: Ending
    score: float | None = None
    epochs: int = 0
    losses: Mapping[int, float] = field(default_factory=dict)


def cost_of(score: float, metric: str) -> float:
    """Return a score as a number of which a lower one is better."""
    return -score if metric in LARGER_IS_BETTER else score


def best_first(trials: Sequence[Trial], metric: str) -> list[Trial]:
    """Return the trials that have a score, the best first, of equal ones the earlier."""
    scored = [(cost_of(t.score, metric), t.number, t) for t in trials if t.score is not None]
    return [trial for _, _, trial in sorted(scored, key=lambda one: one[:2])]


def ranked(trials: Sequence[Trial], metric: str) -> list[Trial]:
    """Return all trials, the best first, those without a score last."""
    return [*best_first(trials, metric), *(trial for trial in trials if trial.score is None)]


def short_names(paths: Sequence[str]) -> dict[str, str]:
    """Return the last steps of each path, as many as say which one it is, by path.

    >>> list(short_names(["network.name", "training.loss.name", "training.epochs"]).values())
    ['network.name', 'loss.name', 'epochs']
    """
    return {path: _short(path, paths) for path in paths}


def _short(path: str, paths: Sequence[str]) -> str:
    steps = path.split(".")
    for count in range(2 if steps[-1] == "name" else 1, len(steps)):
        short = ".".join(steps[-count:])
        if sum(f".{other}".endswith(f".{short}") for other in paths) == 1:
            return short
    return path
