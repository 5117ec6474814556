"""Targets whose values lie close together for their size, or are very small."""

from typing import Any

import numpy as np
import pytest
from narrow_values import FEW, INSTANT, PLACES, ROWS, TICKS
from tables_as_rows import fitted, rows_of, table_of

from ensemble_pipe import EnsembleRegressor
from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.tables.columns import Roles
from ensemble_pipe.data.tables.scaling import Standardize


def regression(targets: Any) -> Schema:
    table = table_of(x=PLACES, y=targets)
    return fitted(
        rows_of(table), Roles(("x",), "y"), "regression", np.ones(ROWS, bool), Standardize()
    )


@pytest.mark.parametrize(
    "targets", [INSTANT + TICKS, 1 + 1e-13 * TICKS, -1e100 - 1e90 * TICKS, 1e-100 * PLACES]
)
def test_a_narrow_target_has_its_real_deviation(targets: Array) -> None:
    schema = regression(targets)
    targets = targets.astype(np.float64)
    apart = targets - targets.min()
    assert schema.target_deviations == pytest.approx((apart.std(),), rel=1e-9)
    assert schema.target_means[0] - targets.min() == pytest.approx(apart.mean(), rel=1e-2)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (INSTANT + FEW, r"every training row has the same target, 1\.7000000001234568e\+18, in"),
        (1e12 + FEW * 1e-4, "too close together for float64; subtract a number near them"),
        (np.full(ROWS, 0.1), r"every training row has the same target, 0\.1, in column 'y'"),
        (np.zeros(ROWS), r"every training row has the same target, 0\.0, in column 'y'"),
        (-1e300 - 1e287 * TICKS, "the target 'y' has values too far apart to be standardised"),
        (1e-200 * PLACES, "the target 'y' has a deviation of 1.*e-200, whose square is 0 in"),
    ],
)
def test_a_target_that_float64_cannot_tell_apart_is_refused(targets: Array, message: str) -> None:
    with pytest.raises(DataError, match=message):
        regression(targets)


def test_an_estimator_learns_a_narrow_target() -> None:
    inputs, y = PLACES[:, None], 1e6 + 1e-6 * PLACES
    model = EnsembleRegressor(
        learners=1, hidden=[16], epochs=60, learning_rate=0.02, random_state=0
    ).fit(inputs, y)
    assert model.score(inputs, y) > 0.95
    with pytest.raises(
        ValueError, match=r"'y' has a deviation of 9.*, whose square is 0 in float64"
    ):
        model.fit(inputs, 1e-200 * PLACES)
