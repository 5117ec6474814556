"""Intervals and sets of an estimator are those of its model, and hold what they promise."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from estimator_data import LABELS, NUMBERS, QUICK, X
from scipy.stats import norm

import ensemble_pipe
from ensemble_pipe import EnsembleClassifier, EnsembleRegressor

COVERED: dict[str, Any] = {**QUICK, "overrides": {"ensemble.combine.coverage": 0.9}}
FRAME = pd.DataFrame(X, columns=list("abcd"))


def test_conformal_intervals_are_those_of_the_saved_model(tmp_path: Path) -> None:
    fitted = EnsembleRegressor(**COVERED).fit(FRAME, NUMBERS)
    fitted.save(tmp_path / "model")
    loaded = ensemble_pipe.load(tmp_path / "model")
    found = fitted.predict_interval(FRAME)
    assert found.shape == (len(X), 2)
    np.testing.assert_array_equal(found, loaded.predict_intervals(FRAME))
    np.testing.assert_array_equal(found, fitted.predict_interval(pa.table(FRAME)))
    table = loaded.table(FRAME)
    np.testing.assert_array_equal(found, np.column_stack([table["low"], table["high"]]))
    on_array = EnsembleRegressor(**COVERED).fit(X, NUMBERS)
    np.testing.assert_array_equal(found, on_array.predict_interval(X))


@pytest.mark.parametrize("scale", ["standardize", "log"])
@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_intervals_are_the_quantiles_of_the_predictive_distribution_without_a_fitted_coverage(
    scale: str, coverage: float
) -> None:
    y = np.exp(X[:, 0])
    fitted = EnsembleRegressor(**QUICK, overrides={"target.scale": scale}).fit(X, y)
    low, high = fitted.predict_interval(X, coverage=coverage).T
    mean, std = fitted.predict(X, return_std=True)
    if scale == "standardize":
        expected = norm.interval(coverage, mean, std)
        np.testing.assert_allclose([low, high], expected, rtol=1e-9, atol=1e-9)
    else:  # symmetric about the median, which lies below the mean
        assert (np.sqrt(low * high) < mean).all()
        assert (low > 0).all()
        width = norm.ppf((1 + coverage) / 2)
        sigma = np.log(high / low) / (2 * width)
        np.testing.assert_allclose(
            std, np.sqrt(low * high) * np.exp(sigma**2 / 2) * np.sqrt(np.expm1(sigma**2)), rtol=1e-4
        )


def test_each_of_several_targets_has_its_intervals() -> None:
    targets = np.column_stack([NUMBERS, 100 * X[:, 1]])
    fitted = EnsembleRegressor(**COVERED).fit(X, targets)
    for coverage in (0.9, 0.6):
        found = fitted.predict_interval(X, coverage=coverage)
        assert found.shape == (len(X), 2, 2)
        assert (found[..., 0] < found[..., 1]).all()


def test_sets_are_those_of_the_saved_model(tmp_path: Path) -> None:
    fitted = EnsembleClassifier(**COVERED).fit(FRAME, LABELS)
    fitted.save(tmp_path / "model")
    found = fitted.predict_sets(FRAME)
    assert found.shape == (len(X), 2)
    assert found.dtype == bool
    np.testing.assert_array_equal(found, ensemble_pipe.load(tmp_path / "model").predict_sets(FRAME))


def test_what_the_model_lacks_is_a_value_error() -> None:
    with pytest.raises(ValueError, match=r"ensemble.combine.coverage: 0.9"):
        EnsembleClassifier(**QUICK).fit(X, LABELS).predict_sets(X)
    fitted = EnsembleRegressor(**QUICK).fit(X, NUMBERS)
    for coverage in (0.0, 1.0, 90):
        with pytest.raises(ValueError, match="coverage: must lie between 0 and 1"):
            fitted.predict_interval(X, coverage=coverage)
