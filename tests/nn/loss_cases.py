"""One batch for every loss and every form of its targets, with numbers that differ by learner."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.nn.losses import (
    AbsoluteError,
    BetaNLL,
    BinaryCrossEntropy,
    CrossEntropy,
    GaussianNLL,
    Hinge,
    Huber,
    Loss,
    SquaredError,
    numbers_of,
)

LEARNERS, ROWS, CLASSES = 3, 13, 5


def evaluate(
    losses: Sequence[Loss], outputs: Floats, targets: Array, weights: Floats | None = None
) -> tuple[Floats, Floats]:
    """Return each learner's loss (M,) and the gradient (M, N, O); weights are 1 if not given."""
    if weights is None:
        weights = np.ones(outputs.shape[:2], outputs.dtype)
    gradient = np.full_like(outputs, np.nan)
    values = np.full(len(outputs), np.nan)
    losses[0].evaluate(outputs, targets, weights, numbers_of(losses), gradient, values)
    return values, gradient


@dataclass(frozen=True)
class LossCase:
    """Losses of M learners and their batch: outputs (M, N, O), targets, weights (M, N)."""

    losses: tuple[Loss, ...]
    outputs: Floats
    targets: Array
    weights: Floats

    def evaluate(self) -> tuple[Floats, Floats]:
        return evaluate(self.losses, self.outputs, self.targets, self.weights)

    def first(self, learners: int) -> "LossCase":
        """Return the case of the first learners alone."""
        return self._of(slice(learners))

    def alone(self, m: int) -> "LossCase":
        """Return the case of learner m alone."""
        return self._of(slice(m, m + 1))

    def _of(self, some: slice) -> "LossCase":
        return LossCase(
            self.losses[some],
            self.outputs[some].copy(),
            self.targets[some].copy(),
            self.weights[some].copy(),
        )

    def rows(self, rows: Array) -> "LossCase":
        """Return the case of some rows, each as often as it is named."""
        return replace(
            self,
            outputs=np.take(self.outputs, rows, axis=1),
            targets=np.take(self.targets, rows, axis=1),
            weights=np.take(self.weights, rows, axis=1),
        )

    def in_type(self, kind: type[np.floating]) -> "LossCase":
        """Return the case with all its floats in another type."""
        targets = self.targets if self.targets.dtype == np.int32 else self.targets.astype(kind)
        return replace(
            self,
            outputs=self.outputs.astype(kind),
            targets=targets,
            weights=self.weights.astype(kind),
        )


def _make(losses: Sequence[Loss], outputs: int, targets: Array) -> LossCase:
    random = np.random.default_rng(outputs)
    weights = random.exponential(size=(LEARNERS, ROWS))
    weights[:, 4] = 0.0
    weights /= weights.mean()
    drawn = 2.0 * random.standard_normal((LEARNERS, ROWS, outputs))
    return LossCase(tuple(losses), drawn, targets, weights)


_random = np.random.default_rng(7)
_labels = _random.integers(0, CLASSES, (LEARNERS, ROWS)).astype(np.int32)
_sides = _random.integers(0, 2, (LEARNERS, ROWS)).astype(np.int32)
_shares = _random.dirichlet(np.ones(CLASSES), (LEARNERS, ROWS))
_values = _random.standard_normal((LEARNERS, ROWS))
_pairs = _random.standard_normal((LEARNERS, ROWS, 2))

_plain = [CrossEntropy()] * LEARNERS
_smooth = [CrossEntropy(smoothing=s) for s in (0.0, 0.1, 0.6)]
_binary = [BinaryCrossEntropy(smoothing=s) for s in (0.2, 0.0, 0.9)]
_hinges = [Hinge(margin=margin) for margin in (1.0, 0.3, 4.0)]
_hubers = [Huber(delta=delta) for delta in (1.0, 0.2, 3.0)]
_gaussians = [GaussianNLL(variance_floor=floor) for floor in (1e-6, 1e-2, 0.5)]
_betas = [
    BetaNLL(beta=beta, variance_floor=floor)
    for beta, floor in ((0.5, 1e-6), (0.0, 1e-3), (1.0, 0.1))
]

CASES: dict[str, LossCase] = {
    "cross_entropy": _make(_plain, CLASSES, _labels),
    "cross_entropy-smoothed": _make(_smooth, CLASSES, _labels),
    "cross_entropy-soft": _make(_plain, CLASSES, _shares),
    "cross_entropy-soft-smoothed": _make(_smooth, CLASSES, _shares),
    "binary_cross_entropy": _make(_binary, 1, _sides),
    "binary_cross_entropy-soft": _make(_binary, 1, _shares[..., 0].copy()),
    "binary_cross_entropy-soft-column": _make(_binary, 1, _shares[..., :1].copy()),
    "hinge": _make(_hinges, CLASSES, _labels),
    "squared_error": _make([SquaredError()] * LEARNERS, 1, _values),
    "squared_error-two": _make([SquaredError()] * LEARNERS, 2, _pairs),
    "absolute_error": _make([AbsoluteError()] * LEARNERS, 1, _values),
    "absolute_error-two": _make([AbsoluteError()] * LEARNERS, 2, _pairs),
    "huber": _make(_hubers, 1, _values),
    "huber-two": _make(_hubers, 2, _pairs),
    "gaussian_nll": _make(_gaussians, 2, _values),
    "gaussian_nll-two": _make(_gaussians, 4, _pairs),
    "beta_nll": _make(_betas, 2, _values),
    "beta_nll-two": _make(_betas, 4, _pairs),
}
