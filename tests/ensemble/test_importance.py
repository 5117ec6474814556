"""Permutation importance: by hand, keyed, and what a column that changes nothing comes to."""

from collections.abc import Mapping

import numpy as np
import pytest

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.gaussians import gaussian_scores
from ensemble_pipe.ensemble.importance import Importance, permutation, permutation_importance
from ensemble_pipe.ensemble.metrics.row_values import RowValues, class_values, number_rows

ROWS = 500
TABLE: dict[str, Floats] = {
    "used": np.random.default_rng(0).normal(size=ROWS),
    "other": np.random.default_rng(1).normal(size=ROWS),
}
NOISE = np.random.default_rng(2).normal(size=ROWS)
TARGETS = 3 * TABLE["used"] + NOISE


def moved(name: str | None, order: Integers) -> dict[str, Floats]:
    return {own: values[order] if own == name else values for own, values in TABLE.items()}


def of_numbers(name: str | None, order: Integers) -> Mapping[str, RowValues]:
    """Predict with the true coefficient and noise."""
    mean = 3 * moved(name, order)["used"]
    return number_rows(gaussian_scores(mean[:, None], np.ones((ROWS, 1)), TARGETS[:, None]))


def of_classes(name: str | None, order: Integers) -> Mapping[str, RowValues]:
    """Predict the sign of the target from the sign of `used`, with certainty 0.9."""
    up = np.where(moved(name, order)["used"] > 0, 0.9, 0.1)
    return class_values(np.stack([1 - up, up], axis=1), (TARGETS > 0).astype(np.int64))


def test_it_is_the_mean_rise_over_permutations() -> None:
    found = permutation_importance(["used"], ROWS, of_numbers, repeats=2)
    plain = of_numbers(None, np.arange(ROWS))
    permuted = [of_numbers("used", permutation("used", repeat, ROWS)) for repeat in range(2)]
    nll = np.mean([one["nll"].over() for one in permuted]) - plain["nll"].over()
    rmse = np.sqrt(np.mean([one["rmse"].over() ** 2 for one in permuted])) - plain["rmse"].over()
    (column,) = found.columns
    assert (found.rows, found.repeats, found.measure) == (ROWS, 2, "rmse")
    assert column.nll.estimate == pytest.approx(nll)
    assert column.score.estimate == pytest.approx(rmse)
    # Two independent draws of 3 x lie apart by 18 in expected square, which the NLL halves.
    assert column.nll.low < 9 < column.nll.high


def test_accuracy_counts_by_how_much_it_falls() -> None:
    (column, _) = permutation_importance(list(TABLE), ROWS, of_classes).columns
    assert column.name == "used"
    plain = of_classes(None, np.arange(ROWS))["accuracy"].over()
    assert column.score.estimate == pytest.approx(plain - 0.5, abs=0.05)
    assert 0 < column.score.low < column.score.estimate < column.score.high


@pytest.mark.parametrize("values", [of_numbers, of_classes])
def test_a_column_that_is_not_used_has_none(values: object) -> None:
    found = permutation_importance(list(TABLE), ROWS, values)  # type: ignore[arg-type]
    assert [one.name for one in found.columns] == ["used", "other"]
    assert found.columns[1].nll == pytest.approx((0.0, 0.0, 0.0), abs=1e-12)
    assert found.columns[1].score == pytest.approx((0.0, 0.0, 0.0), abs=1e-12)


def test_intervals_narrow_with_the_rows() -> None:
    (column,) = permutation_importance(["used"], ROWS, of_numbers).columns
    rises = (
        np.mean(
            [
                of_numbers("used", permutation("used", repeat, ROWS))["nll"].values[:, 0]
                for repeat in range(5)
            ],
            axis=0,
        )
        - of_numbers(None, np.arange(ROWS))["nll"].values[:, 0]
    )
    error = rises.std() / np.sqrt(ROWS)
    assert column.nll.high - column.nll.low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_several_targets_are_averaged() -> None:
    """The second target is measured in other units and depends on nothing."""

    def values(name: str | None, order: Integers) -> Mapping[str, RowValues]:
        mean = np.stack([3 * moved(name, order)["used"], np.zeros(ROWS)], axis=1)
        truth = np.stack([TARGETS, NOISE], axis=1)
        return number_rows(gaussian_scores(mean, np.ones((ROWS, 2)), truth))

    both, alone = (
        permutation_importance(["used"], ROWS, one).columns[0] for one in (values, of_numbers)
    )
    assert both.nll.estimate == pytest.approx(alone.nll.estimate / 2)
    assert both.score.estimate == pytest.approx(alone.score.estimate / 2)


def test_the_importance_of_a_column_does_not_depend_on_the_others() -> None:
    alone, among = (
        permutation_importance(names, ROWS, of_numbers)
        for names in (["used"], ["other", "more", "used"])
    )
    assert alone.columns[0] == among.columns[0]
    assert not np.array_equal(permutation("used", 0, ROWS), permutation("used", 1, ROWS))
    assert not np.array_equal(permutation("used", 0, ROWS), permutation("other", 0, ROWS))


def test_progress_counts_every_prediction() -> None:
    calls: list[tuple[int, int]] = []
    permutation_importance(
        list(TABLE), ROWS, of_numbers, repeats=3, progress=lambda *call: calls.append(call)
    )
    assert calls == [(done, 7) for done in range(1, 8)]


def test_one_row_has_no_other_to_change_places_with() -> None:
    with pytest.raises(DataError, match="at least 2 rows; there are 1"):
        permutation_importance(["used"], 1, of_numbers)


def test_plain_values_name_the_measure() -> None:
    found: Importance = permutation_importance(["used"], ROWS, of_numbers)
    (column,) = found.to_dict()["columns"]
    assert column["rmse"]["estimate"] == found.columns[0].score.estimate
    assert column["nll"].keys() == {"estimate", "low", "high"}
