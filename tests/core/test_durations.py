"""Durations as people write them."""

from typing import Any

import pytest

from ensemble_pipe.core.durations import duration_text, parse_duration


@pytest.mark.parametrize(("value", "seconds"), [
    (20, 20.0), (0.5, 0.5), ("20", 20.0), ("90s", 90.0), ("5m", 300.0), ("1h30m", 5400.0),
    ("1h 30m 5s", 5405.0), ("1.5m", 90.0), ("2h", 7200.0),
])  # fmt: skip
def test_numbers_are_seconds_and_letters_are_units(value: Any, seconds: float) -> None:
    assert parse_duration(value) == seconds
    assert parse_duration(duration_text(seconds)) == seconds


@pytest.mark.parametrize("value", ["", "soon", "5x", "m", "30s5m", "-5", True, None, [5], "1e3"])
def test_what_is_no_duration_is_refused_with_an_example(value: Any) -> None:
    with pytest.raises(ValueError, match=r"is not a duration, such as .*5m"):
        parse_duration(value)


@pytest.mark.parametrize("value", [0, -3, "0s", float("inf"), float("nan")])
def test_a_duration_is_above_zero_and_finite(value: Any) -> None:
    with pytest.raises(ValueError, match="is not above 0 and finite"):
        parse_duration(value)
