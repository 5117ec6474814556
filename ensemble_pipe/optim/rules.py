"""The update rules by name, and the one object that moves a whole stack.

A rule is frozen settings of one learner. `StackedRule` lays the settings of M learners side by side
and steps their rows (M, P) at once; what a rule remembers lies in slots, each an array (M, T) over
the trainable numbers, with which a row begins.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from math import inf
from typing import Any

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.registry import Registry
from ensemble_pipe.optim.adaptive import Adadelta, Adagrad, Adam, AdamW, RMSprop
from ensemble_pipe.optim.descent import SGD, Nesterov
from ensemble_pipe.optim.kernels import norms, updates
from ensemble_pipe.optim.segments import Segment, check_segments, merge_neighbours
from ensemble_pipe.optim.update import Update

Rule = SGD | Nesterov | Adagrad | Adadelta | RMSprop | Adam | AdamW

RULES: Registry[Rule] = Registry(
    "update rule", Rule, base=Update, members={"kernel": (), "slots": ()}
)

# The order of the columns that `kernels.updates` names.
_COMMON = ("l1", "l2", "weight_decay", "clip_norm", "max_norm")

# Rare enough to cost nothing, often enough that few numbers are denormal in between.
FLUSH_EVERY = 64


class StackedRule:
    """The same rule for M learners, each with its own numbers.

    Attributes:
        slots: what the rule remembers, (M, T) each, by name.
        segments: the parts of the trainable numbers.
        numbers: (M, C) float64, settings of each learner; None is infinity.
        learning_rates: (M,) float64, at schedule factor 1.
    """

    def __init__(
        self, rules: Sequence[Rule], slots: dict[str, Floats], segments: Sequence[Segment]
    ) -> None:
        """Lay M learners side by side.

        Args:
            rules: of each learner, all of one kind.
            slots: an array (M, T) for each of the kind's `slots`.
            segments: of the trainable numbers 0 to T.

        Raises:
            ValueError: rules differ in kind, or segments do not cover the trainable numbers.
        """
        kinds = {type(rule) for rule in rules}
        if len(kinds) != 1:
            raise ValueError("learners of one stack must share their update rule")
        (kind,) = kinds
        self.slots = slots
        self.segments = tuple(segments)
        self._slots = [slots[name] for name in kind.slots]
        check_segments(segments, _trainable(segments, self._slots))
        own = [f.name for f in fields(kind) if f.name not in _SHARED]
        self.numbers = np.stack([_column(rules, name) for name in (*_COMMON, *own)], axis=1)
        self.learning_rates = _column(rules, "learning_rate")
        self._kernel: Callable[..., None] = kind.kernel
        self._prepare(merge_neighbours(segments))

    @property
    def weight_decays(self) -> Floats:
        """The decoupled decay of each learner, (M,) float64; a step reads what is there."""
        return self.numbers[:, updates.WEIGHT_DECAY]

    def _prepare(self, moving: list[Segment]) -> None:
        """Work out all that no step changes."""
        self._spans = _spans(moving)
        self._effects = np.array([s.effects for s in moving], np.float64).reshape(-1, 3)
        self._scales = np.ones(len(self.numbers))
        self._clips = bool(np.isfinite(self.numbers[:, updates.CLIP_NORM]).any())
        limited = [s for s in self.segments if s.columns and s.decays and s.rate_factor]
        self._limited = _spans(limited)
        self._columns = np.array([s.columns for s in limited], np.int64)
        finite = np.isfinite(self.numbers[:, updates.MAX_NORM])
        self._limits = bool(limited) and bool(finite.any())

    def step(self, rows: Floats, gradients: Floats, rate: Floats, step: int) -> None:
        """Move rows in place, as `Update` says.

        Args:
            rows: (M, P), of which the first T numbers are trainable; the others stay.
            gradients: (M, T) of the losses; left as they are.
            rate: (M,) float64, of this step.
            step: how many steps were taken before this one.
        """
        if self._clips:
            norms.clip(gradients, self._spans, self.numbers, self._scales)
        self._kernel(
            rows, gradients, *self._slots,
            self._spans, self._effects, self.numbers, rate, self._scales, step,
        )  # fmt: skip
        if self._limits:
            norms.limit(rows, self._limited, self._columns, self.numbers)
        if step % FLUSH_EVERY == 0:
            for slot in self._slots:
                updates.flush(slot)


_SHARED = {"name", *(field.name for field in fields(Update))}


def _trainable(segments: Sequence[Segment], slots: Sequence[Floats]) -> int:
    """Return T; a rule that remembers nothing has no slots to take it from."""
    return slots[0].shape[1] if slots else segments[-1].stop


def _column(rules: Sequence[Rule], name: str) -> Floats:
    values: list[Any] = [getattr(rule, name) for rule in rules]
    return np.array([inf if value is None else value for value in values], np.float64)


def _spans(segments: Sequence[Segment]) -> Any:
    spans = [(segment.start, segment.stop) for segment in segments]
    return np.array(spans, np.int64).reshape(-1, 2)
