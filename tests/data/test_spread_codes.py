"""Codes as features of 0 or 1: what linear models and neighbours see of categories."""

import numpy as np
import pytest

from ensemble_pipe.data.tables.spread_codes import (
    MOST_FEATURES,
    MOST_VALUES,
    spread_codes,
    spread_widths,
)


def test_each_code_is_one_hot_behind_the_other_features_and_the_unknown_has_none() -> None:
    rows = np.array([[1, 0.5, 2], [0, -1.0, 1], [3, 2.0, 0]], np.float32)
    found = spread_codes(rows, {0: 4, 2: 3})
    expected = np.array([[0.5, 1, 0, 0, 0, 1], [-1, 0, 0, 0, 1, 0], [2, 0, 0, 1, 0, 0]])
    assert found.dtype == np.float32
    assert np.array_equal(found, expected)


def test_rows_without_codes_stay_as_they_are() -> None:
    rows = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    assert np.array_equal(spread_codes(rows, {}), rows)


@pytest.mark.parametrize("counts", [{0: 10_001}, dict.fromkeys(range(100), 200), {3: 1, 4: 2}])
def test_features_are_bounded_and_every_known_code_has_one(counts: dict[int, int]) -> None:
    widths = spread_widths(counts)
    assert all(1 <= width <= MOST_VALUES for width in widths.values())
    assert sum(widths.values()) <= MOST_FEATURES
    rows = np.zeros((2, 1 + max(counts)), np.float32)
    for place, count in counts.items():
        rows[1, place] = count - 1
    found = spread_codes(rows, counts)
    known = sum(count > 1 for count in counts.values())
    assert found.sum(axis=1).tolist() == [0, known]


def test_the_width_tells_apart_rows_that_differ() -> None:
    """Members know by the number of features whether codes were spread."""
    assert sum(spread_widths({0: 2, 1: 2}).values()) == 2  # 0 and 1 already
    assert sum(spread_widths({0: 2, 1: 3}).values()) > 2
