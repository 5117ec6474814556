"""Durations as people write them: "90s", "5m", "1h30m", or a number of seconds."""

import re
from typing import Any

from ensemble_pipe.core.messages import quote

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
_PARTS = re.compile(
    r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?"
)
_WANTED = 'such as 90 (seconds), "90s", "5m" or "1h30m"'


def parse_duration(value: Any) -> float:
    """Return a duration in seconds.

    Args:
        value: a number of seconds, or hours, minutes and seconds in this order, each with its
            letter; a text of digits alone is seconds.

    Raises:
        ValueError: it is neither, or not above 0.

    >>> parse_duration("1h30m"), parse_duration("90s"), parse_duration("2.5"), parse_duration(20)
    (5400.0, 90.0, 2.5, 20.0)
    """
    seconds = _seconds(value)
    if seconds is None:
        raise ValueError(f"{quote(value)} is not a duration, {_WANTED}")
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{quote(value)} is not above 0 and finite, {_WANTED}")
    return seconds


def _seconds(value: Any) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        return None
    text = value.replace(" ", "")
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    found = _PARTS.fullmatch(text)
    if not text or found is None:
        return None
    return sum(_UNITS[unit] * float(part) for unit, part in found.groupdict().items() if part)


def duration_text(seconds: float) -> str:
    """Return seconds as `parse_duration` reads them.

    >>> duration_text(5400), duration_text(20), duration_text(61.25)
    ('1h30m', '20s', '1m1.25s')
    """
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    parts = [f"{int(hours)}h"] * (hours > 0) + [f"{int(minutes)}m"] * (minutes > 0)
    parts += [f"{round(left, 2):g}s"] * (round(left, 2) > 0 or not parts)
    return "".join(parts)
