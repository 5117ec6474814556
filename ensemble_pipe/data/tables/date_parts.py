"""Parts of dates as features: where in the year, month, week and day a time lies, in UTC.

Each part is a number from -1 to 1, for what rises or falls with it; the day of the year also goes
round a circle (sine and cosine), and of the parts with few values each value is a feature of 0 or
1. They need no fitting. The year itself is in the seconds since 1970.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ensemble_pipe.core.arrays import Floats, Integers

DatePart = Literal["month", "day of year", "day", "weekday", "hour", "minute"]
DAY_S, HOUR_S, MINUTE_S = 86_400, 3_600, 60
_FURTHEST_S = 9e15  # some hundred million years, for which days are counted


@dataclass(frozen=True)
class _Part:
    """Attributes: first value, number of values, whether round a circle, whether one-hot."""

    first: int
    count: int
    circle: bool = False
    one_hot: bool = False


_PARTS: dict[DatePart, _Part] = {
    "month": _Part(1, 12, one_hot=True),
    "day of year": _Part(1, 366, circle=True),
    "day": _Part(1, 31),
    "weekday": _Part(1, 7, one_hot=True),  # Monday is 1
    "hour": _Part(0, 24, one_hot=True),
    "minute": _Part(0, 60),
}


def varying_parts(seconds: Floats) -> tuple[DatePart, ...]:
    """Return the parts that differ among times (n,) in seconds since 1970.

    The day of the year is none where it follows from the month, and neither is a part of few times.
    """
    values = {part: np.unique(_values(seconds, part)) for part in _PARTS}
    varying = [part for part in _PARTS if len(values[part]) > 1]
    if "day" not in varying and "day of year" in varying:
        varying.remove("day of year")
    return tuple(varying)


def part_names(parts: Sequence[DatePart]) -> list[str]:
    """Return the names of the features of some parts."""
    names: list[str] = []
    for part in parts:
        kind = _PARTS[part]
        names.append(part)
        names += [f"{part} sine", f"{part} cosine"] if kind.circle else []
        if kind.one_hot:
            names += [f"{part}={kind.first + place}" for place in range(kind.count)]
    return names


def part_features(seconds: Floats, parts: Sequence[DatePart]) -> Floats:
    """Return the features (n, F) of times (n,), in the order of `part_names`; 0 where missing."""
    missing = np.isnan(seconds)
    columns: list[Floats] = []
    for part in parts:
        kind = _PARTS[part]
        place = _values(seconds, part) - kind.first
        columns.append(2.0 * place / (kind.count - 1) - 1.0)
        if kind.circle:
            angle = 2.0 * np.pi * place / kind.count
            columns += [np.sin(angle), np.cos(angle)]
        if kind.one_hot:
            columns += [(place == value).astype(np.float64) for value in range(kind.count)]
    found = np.stack(columns, axis=1)
    found[missing] = 0.0
    return found


def _values(seconds: Floats, part: DatePart) -> Integers:
    """Return the values (n,) of a part, int64; of a missing time that of 1970."""
    near = np.clip(np.nan_to_num(seconds), -_FURTHEST_S, _FURTHEST_S)
    whole: Integers = np.floor(near).astype(np.int64)
    if part == "hour":
        return whole // HOUR_S % 24
    if part == "minute":
        return whole // MINUTE_S % 60
    days = whole // DAY_S
    if part == "weekday":
        return (days + 3) % 7 + 1  # 1970 began on a Thursday
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    if part == "month":
        return months.astype(np.int64) % 12 + 1
    start = months if part == "day" else dates.astype("datetime64[Y]")
    place: Integers = (dates - start.astype("datetime64[D]")).astype(np.int64)
    return place + 1
