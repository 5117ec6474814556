"""The deep-ensemble-equivalent score: k members of a deep ensemble are worth k."""

import numpy as np
import pytest

from ensemble_pipe.ensemble.metrics.equivalence import deep_ensemble_equivalent

CURVE = np.array([0.50, 0.40, 0.36, 0.34, 0.33])


@pytest.mark.parametrize("members", [1, 2, 3, 4, 5])
def test_a_deep_ensemble_is_worth_its_own_members(members: int) -> None:
    found = deep_ensemble_equivalent(CURVE[members - 1], CURVE[None])
    assert found == (members, members, members)


@pytest.mark.parametrize(("nll", "members"), [
    (0.45, 1.5), (0.37, 2.75), (0.335, 4.5), (0.9, 1.0), (0.1, 5.0)
])  # fmt: skip
def test_between_sizes_the_score_is_on_a_straight_line(nll: float, members: float) -> None:
    assert deep_ensemble_equivalent(nll, CURVE[None]).members == pytest.approx(members)


def test_the_bounds_are_a_standard_deviation_of_the_repetitions_away() -> None:
    spread = 0.01 / np.sqrt(2)  # of two values 0.01 apart, with one degree of freedom
    found = deep_ensemble_equivalent(0.38, np.stack([CURVE - 0.005, CURVE + 0.005]))
    assert found.members == pytest.approx(2.5)
    assert found.low == pytest.approx(2 + (0.02 - spread) / 0.04)
    assert found.high == pytest.approx(2 + (0.02 + spread) / 0.04)


def test_the_smallest_size_counts_where_the_curve_goes_up_again() -> None:
    found = deep_ensemble_equivalent(0.45, np.array([[0.5, 0.4, 0.6, 0.3]]))
    assert found.members == pytest.approx(1.5)


def test_one_member_to_compare_with_is_all_there_is() -> None:
    assert deep_ensemble_equivalent(0.2, np.array([[0.3]])).members == 1.0
