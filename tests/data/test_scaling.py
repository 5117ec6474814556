"""Scaling: ranges meet their ends, whitened numbers are uncorrelated, blocks change no sum."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from tables_as_rows import batch_of, fitted, rows_of, table_of

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.tables.columns import CategoryRule, NumberRule, Roles
from ensemble_pipe.data.tables.moments import ColumnMoments
from ensemble_pipe.data.tables.scaling import SCALES, Pca, RangeScale, Scale, Zca

NAMES = ("a", "b", "c", "d")


def numbers(rows: int = 5000) -> Floats:
    """Return correlated columns (R, 4) in very different units."""
    random = np.random.default_rng(5)
    mixing = np.array([[2, 1, 0, 0], [0, 1, 0.5, 0], [0, 0, 1, 3], [1, 0, 0, 1]])
    units, means = np.array([1.0, 1e6, 1e-3, 1.0]), np.array([5, 1e9, 0, -3])
    values: Floats = (random.normal(size=(rows, 4)) @ mixing) * units + means
    return values


def fit(values: Floats, scale: Scale, train: Any = None) -> tuple[Schema, Floats]:
    """Return the schema of columns, and their encoded values as float64."""
    columns = dict(zip(NAMES, values.T, strict=False))
    table = table_of(**columns, y=np.arange(len(values)) * 1.0)
    every = np.ones(len(values), bool) if train is None else train
    roles = Roles(tuple(columns), "y", rules={"*": NumberRule()})
    schema = fitted(rows_of(table), roles, "regression", every, scale)
    return schema, schema.encode_inputs(batch_of(table), str).astype(np.float64)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0), (10.0, 10.5)])
def test_a_range_maps_the_least_and_greatest_training_values_to_its_ends(
    low: float, high: float
) -> None:
    values = numbers()
    train = np.arange(len(values)) % 3 > 0
    _, encoded = fit(values, RangeScale(low=low, high=high), train)
    kept = encoded[train]
    assert np.array_equal(kept.min(0), [low] * 4)
    assert np.array_equal(kept.max(0), [high] * 4)
    assert np.array_equal(kept.argmax(0), values[train].argmax(0))


def test_a_constant_lies_at_the_low_end_of_the_range() -> None:
    _, encoded = fit(np.full((10, 1), 3.0), RangeScale(low=-1, high=1))
    assert np.array_equal(encoded, np.full((10, 1), -1.0))


@pytest.mark.parametrize("scale", [Pca(epsilon=0), Zca(epsilon=0)], ids=lambda scale: scale.name)
def test_the_whitened_training_part_has_the_identity_as_covariance(scale: Scale) -> None:
    values = numbers()
    train = np.arange(len(values)) % 3 > 0
    _, encoded = fit(values, scale, train)
    kept = encoded[train]
    assert kept.mean(0) == pytest.approx(0, abs=1e-6)
    assert np.cov(kept.T, bias=True) == pytest.approx(np.eye(4), abs=1e-5)


def test_components_are_those_of_scikit_learn() -> None:
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    values = numbers()
    schema, encoded = fit(values, Pca(components=2, epsilon=0))
    expected = PCA(2, whiten=True).fit_transform(StandardScaler().fit_transform(values))
    assert schema.encoded_names == ("component 1", "component 2")
    assert np.abs(encoded) == pytest.approx(np.abs(expected) * (5000 / 4999) ** 0.5, abs=1e-5)


def test_zca_stays_closer_to_the_standardised_numbers_than_any_other_whitening() -> None:
    values = numbers()
    standard = (values - values.mean(0)) / values.std(0)
    whitened = fit(values, Zca(epsilon=0))[1]
    distance = np.square(whitened - standard).sum()
    random = np.random.default_rng(0)
    for size in (0.01, 0.1, 1.0):
        rotation = np.linalg.qr(np.eye(4) + size * random.normal(size=(4, 4)))[0]
        rotation = rotation * np.sign(np.diag(rotation))
        assert np.square(whitened @ rotation - standard).sum() > distance
    correlations = [np.corrcoef(whitened[:, n], standard[:, n])[0, 1] for n in range(4)]
    assert min(correlations) > 0.75


@pytest.mark.parametrize("kind", [Pca, Zca])
def test_epsilon_is_added_to_the_variances(kind: Any) -> None:
    values = numbers()
    correlation = np.corrcoef(values.T)
    variances = np.linalg.eigvalsh(correlation)[::-1]
    schema, encoded = fit(values, kind(epsilon=0.5))
    found = np.sort(np.linalg.eigvalsh(np.cov(encoded.T, bias=True)))[::-1]
    assert found == pytest.approx(variances / (variances + 0.5), abs=1e-5)
    assert schema.scaling.deviations == pytest.approx(encoded.std(0), abs=1e-5)


def test_directions_without_variance_are_left_out() -> None:
    values = numbers()
    values[:, 3] = values[:, 0] * 2 + 1
    values[:, 2] = 4.0
    schema, encoded = fit(values, Pca(epsilon=0))
    assert schema.input_shape == (2,)
    assert np.cov(encoded.T, bias=True) == pytest.approx(np.eye(2), abs=1e-5)
    _, encoded = fit(values, Zca(epsilon=0))
    assert np.isfinite(encoded).all()
    assert encoded[:, 2] == pytest.approx(0, abs=1e-5)


def test_more_components_than_vary_are_refused() -> None:
    values = numbers()
    values[:, 3] = values[:, 0]
    with pytest.raises(ConfigError, match=r"scale\.components: 4, but .* vary along 3 directions"):
        fit(values, Pca(components=4))
    with pytest.raises(ConfigError, match=r"scale\.name: pca .* all are constant"):
        fit(np.ones((10, 2)), Pca())


@pytest.mark.parametrize("scale", [Pca(), Zca()], ids=lambda scale: scale.name)
def test_whitening_without_numbers_is_refused(scale: Scale) -> None:
    rows = rows_of(table_of(a=["p", "q"], y=[0.0, 1.0]))
    roles = Roles(("a",), "y", rules={"a": CategoryRule()})
    with pytest.raises(ConfigError, match=f"scale: {scale.name} needs columns of numbers"):
        fitted(rows, roles, "regression", np.ones(2, bool), scale)


@given(st.lists(st.integers(0, 40), max_size=4), st.integers(0, 2**32))
def test_moments_do_not_depend_on_the_blocks_beyond_rounding(ends: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    values = random.normal([[1e3], [0.0], [-5.0]], [[1.0], [1e-3], [1e5]], (3, 40))
    values[2, random.random(40) < 0.3] = np.nan
    moments = ColumnMoments.empty(3)
    for block in np.split(values, sorted(ends), axis=1):
        moments.add(block)
    assert moments.counts.tolist() == (~np.isnan(values)).sum(1).tolist()
    assert moments.means == pytest.approx(np.nanmean(values, 1), rel=1e-12, abs=1e-15)
    assert moments.deviations == pytest.approx(np.nanstd(values, 1), rel=1e-9)
    assert np.array_equal(moments.low, np.nanmin(values, 1))
    assert np.array_equal(moments.high, np.nanmax(values, 1))


def test_scales_are_known_by_name() -> None:
    scale = TypeAdapter(Scale)
    for name, kind in SCALES.items():
        assert scale.validate_python({"name": name}) == kind()


@pytest.mark.parametrize(
    "value",
    [
        {"name": "range", "low": 1.0, "high": 1.0},
        {"name": "pca", "components": 0},
        {"name": "zca", "epsilon": -1.0},
    ],
)
def test_settings_out_of_bounds_are_refused(value: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(SCALES[value["name"]]).validate_python(value)
