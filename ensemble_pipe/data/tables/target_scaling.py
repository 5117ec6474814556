"""Targets of a regression on the scale that they are trained on: transformed and standardised."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import quote
from ensemble_pipe.data.sources.rows import Place, Rows
from ensemble_pipe.data.tables.moments import ColumnMoments
from ensemble_pipe.data.tables.target_transforms import IDENTITY, TargetTransform
from ensemble_pipe.data.tables.targets import Targets, number_parts
from ensemble_pipe.data.tables.training_rows import Train

TargetScale = Literal["auto", "standardize", "log", "power"]

# How far beyond the training targets means may lie: a share of the range of these, on each side.
BOUND_MARGIN = 0.1
# Of float64's steps at the size of the numbers, a deviation that is learned from has 64.
_RESOLVED = 64 * float(np.finfo(np.float64).eps)
_LEAST_DEVIATION, _MOST_DEVIATION = 1e-150, 1e150
# Of its size: the deviation that stands for that of a constant target.
_CONSTANT_SHARE = 1e-12


Bounds = tuple[float, float]

UNBOUNDED: Bounds = (-np.inf, np.inf)


@dataclass(frozen=True)
class FittedTarget:
    """The scale of one target: z = (g(y) - mean) / deviation.

    Attributes:
        name: of its column.
        mean, deviation: of g(y) on the training part.
        transform: g.
        bounds: between which means are predicted, as z: the ends of the training targets, and
            `BOUND_MARGIN` of their distance beyond them.
    """

    name: str
    mean: float
    deviation: float
    transform: TargetTransform = IDENTITY
    bounds: Bounds = UNBOUNDED

    @property
    def treatment(self) -> str:
        """What is done to the target before training."""
        if self.transform.is_identity:
            return "standardised"
        of = f"power {self.transform.exponent:g}" if self.transform.exponent else "logarithm"
        return f"its {of}, standardised"

    @property
    def own_bounds(self) -> Bounds:
        """The bounds in the target's own units."""
        low, high = self.decode(np.array(self.bounds))
        return float(low), float(high)

    @property
    def unit(self) -> float:
        """One deviation in the target's own units: half of what lies within one of the middle."""
        if self.transform.is_identity:
            return self.deviation
        low, high = self.decode(np.array([-1.0, 1.0]))
        return float(high - low) / 2

    def encode(self, numbers: Floats) -> Floats:
        """Return z for y, of any shape; y are above 0 where the target is transformed."""
        return (self.transform.forward(numbers) - self.mean) / self.deviation

    def decode(self, values: Floats) -> Floats:
        """Return y for z, of any shape."""
        return self.transform.inverse(values * self.deviation + self.mean)

    @property
    def is_usable(self) -> bool:
        """Whether its numbers are what they can be."""
        low, high = self.bounds
        return bool(np.isfinite(self.mean) and 0 < self.deviation < np.inf and low < high)


def target_fields(fitted: Sequence[FittedTarget]) -> dict[str, Any]:
    """Return the fields of a schema that hold the scales of its targets, by name."""
    transforms = tuple(one.transform for one in fitted)
    return {
        "target_names": tuple(one.name for one in fitted),
        "target_means": tuple(one.mean for one in fitted),
        "target_deviations": tuple(one.deviation for one in fitted),
        "target_transforms": () if set(transforms) == {IDENTITY} else transforms,
        "target_bounds": tuple(one.bounds for one in fitted),
    }


def targets_of(
    names: Sequence[str],
    means: Sequence[float],
    deviations: Sequence[float],
    transforms: Sequence[TargetTransform],
    bounds: Sequence[Bounds],
) -> list[FittedTarget]:
    """Return the scales of D targets from the fields of a schema; the last two may be empty."""
    count = len(means)
    return [
        FittedTarget(*own)
        for own in zip(
            names[:count],
            means,
            deviations,
            transforms or (IDENTITY,) * count,
            bounds or (UNBOUNDED,) * count,
            strict=True,
        )
    ]


def fit_target(
    rows: Rows,
    targets: Targets,
    train: Train,
    name: str,
    transform: TargetTransform,
    constants: bool = False,
) -> FittedTarget:
    """Fit the scale of one target to the rows where `train` is true.

    Args:
        rows: that it belongs to.
        targets: (R,).
        train: (R,).
        name: of its column.
        transform: g, which all targets of the training rows have.
        constants: whether all may be the same: then the deviation is so small that they are
            predicted as they are.

    Raises:
        DataError: as `number_parts`, or all are the same, or too far apart or near each other, or
            too large.
    """

    def numbers_of() -> Iterator[Floats]:
        for part, numbers in number_parts(targets, rows.cells(name)):
            yield numbers[train[part]]

    def parts() -> Iterator[Floats]:
        return map(transform.forward, numbers_of())

    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = _mean_and_deviation(parts)
    if not np.isfinite([mean, deviation]).all():
        raise DataError(
            f"{rows.where}: the target {quote(name)} has values too far apart to be standardised; "
            "remove or clip the largest"
        )
    if deviation == 0 and constants:
        deviation = _CONSTANT_SHARE * (max(map(abs, _ends(parts()))) or 1.0)
    if deviation == 0:
        raise DataError(f"{rows.where}: {_unresolved(numbers_of(), name)}")
    if deviation < _LEAST_DEVIATION:
        raise DataError(
            f"{rows.where}: the target {quote(name)} has a deviation of {deviation:g}, whose "
            "square is 0 in float64; multiply it by a power of ten"
        )
    if deviation > _MOST_DEVIATION:
        raise DataError(
            f"{rows.where}: the target {quote(name)} is so large that squares of its errors are "
            "infinite in float64; divide it by a power of ten"
        )
    return _bounded(FittedTarget(name, mean, deviation, transform), parts())


def _bounded(fitted: FittedTarget, parts: Iterable[Floats]) -> FittedTarget:
    """Return the scale with its bounds, for the training targets g(y), part by part."""
    low, high = _ends(parts)
    ends = (np.array([low, high]) - fitted.mean) / fitted.deviation
    margin = BOUND_MARGIN * float(ends[1] - ends[0]) or 1.0  # where they are all alike
    return replace(fitted, bounds=(float(ends[0]) - margin, float(ends[1]) + margin))


def _mean_and_deviation(parts: Callable[[], Iterable[Floats]]) -> tuple[float, float]:
    """Return mean and deviation of numbers; 0 where float64 cannot resolve their differences.

    Args:
        parts: gives them (n,) part by part, as often as it is called.
    """

    def summed(offset: float, units: Floats | None = None) -> ColumnMoments:
        moments = ColumnMoments.empty(1, units)
        for part in parts():
            moments.add(part[None] - offset if offset else part[None])
        return moments

    moments, offset = summed(0.0), 0.0
    if moments.narrow[0]:
        offset = float(moments.low[0])
        moments = summed(offset, moments.near_units)
    deviation = float(moments.deviations[0])
    resolved = not deviation <= _RESOLVED * abs(offset)
    return offset + float(moments.means[0]), deviation if resolved else 0.0


def _unresolved(parts: Iterable[Floats], name: str) -> str:
    """Return why targets with a deviation of 0, or close to it, cannot be learned."""
    low, high = _ends(parts)
    if low == high:
        return f"every training row has the same target, {low}, in column {quote(name)}"
    return (
        f"the target {quote(name)} lies from {low} to {high} in the training rows, too close "
        "together for float64; subtract a number near them"
    )


def _ends(parts: Iterable[Floats]) -> tuple[float, float]:
    ends = [(part.min(), part.max()) for part in parts if len(part)]
    return float(min(low for low, _ in ends)), float(max(high for _, high in ends))


def scaled_targets(targets: Targets, fitted: Sequence[FittedTarget], place: Place) -> Floats:
    """Return targets (R,) or (R, D) as they are trained on, float32.

    Args:
        targets: of R rows.
        fitted: the scale of each of the D targets.
        place: names a target, or the row of several, for messages.

    Raises:
        DataError: as `number_parts`, or one is too large for float32, or is not above 0 where all
            training targets are.
    """
    if len(fitted) == 1:
        return _scale(targets, fitted[0], place)
    found = [
        _scale(column, one, _cells(place, one.name))
        for column, one in zip(targets.columns, fitted, strict=True)
    ]
    return np.stack(found, axis=1)


def unscaled(values: Floats, fitted: Sequence[FittedTarget]) -> Floats:
    """Return targets (..., D) in their own units, float64, from what they are trained on."""
    columns = [one.decode(values[..., d].astype(np.float64)) for d, one in enumerate(fitted)]
    return np.stack(columns, axis=-1)


def _cells(place: Place, name: str) -> Place:
    return lambda row: f"{place(row)}, column {quote(name)}"


def _scale(targets: Targets, fitted: FittedTarget, place: Place) -> Floats:
    scaled = np.empty(len(targets), np.float32)
    for part, numbers in number_parts(targets, place):
        if not fitted.transform.is_identity and not (numbers > 0).all():
            row = int(np.argmin(numbers > 0))
            raise DataError(
                f"{place(part.start + row)}: the target {numbers[row]} is not above 0, as all of "
                f"the training part are, which are trained on a {fitted.transform.name} scale; "
                "leave such rows out, or train with `target: {scale: standardize}`"
            )
        with np.errstate(over="ignore"):
            scaled[part] = fitted.encode(numbers)
        finite = np.isfinite(scaled[part])
        if not finite.all():
            row = int(np.argmin(finite))
            raise DataError(
                f"{place(part.start + row)}: the target {numbers[row]} is too large for float32"
            )
    return scaled
