"""Scales that are fitted to quantiles: robust_clip and quantile."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables_as_rows import batch_of, fitted, rows_of, table_of

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.tables import scale_fitting
from ensemble_pipe.data.tables.columns import CategoryRule, NumberRule, Roles
from ensemble_pipe.data.tables.fitting import fit_table
from ensemble_pipe.data.tables.scaling import Quantile, RobustClip, Scale

SCALES: list[Scale] = [RobustClip(), Quantile()]
every_scale = pytest.mark.parametrize("scale", SCALES, ids=lambda scale: scale.name)
ENDS = {"robust_clip": 3.0, "quantile": 5.2}


def fit(scale: Scale, missing: Any = "error", **columns: Any) -> Schema:
    """Return the schema of columns, all rows of which are for training."""
    count = len(next(iter(columns.values())))
    rules = dict.fromkeys(columns, NumberRule(missing=missing))
    roles = Roles(tuple(columns), "y", rules=rules)
    table = fit_table(rows_of(table_of(**columns)), roles, np.ones(count, bool), scale)
    parts = (table.columns, table.scaling)
    return Schema("regression", (len(columns),), *parts, ("y",), (), (0.0,), (1.0,))


def encode(schema: Schema, **columns: Any) -> Floats:
    found: Floats = schema.encode_inputs(batch_of(table_of(**columns)), str)
    return found


def test_robust_clip_is_its_formula() -> None:
    values = np.random.default_rng(0).exponential(size=999) * 1e6
    z = (values - np.median(values)) / np.subtract(*np.quantile(values, [0.75, 0.25]))
    found = encode(fit(RobustClip(), x=values), x=values)[:, 0]
    assert found == pytest.approx(z / np.sqrt(1 + (z / 3) ** 2), abs=1e-6)


def test_half_the_range_stands_for_an_interquartile_range_of_0() -> None:
    values = np.array([5.0] * 90 + [9.0] * 10)
    found = encode(fit(RobustClip(), x=values), x=[5.0, 7.0, 9.0])[:, 0]
    z = np.array([0.0, 1.0, 2.0])
    assert found == pytest.approx(z / np.sqrt(1 + (z / 3) ** 2), abs=1e-6)


@pytest.mark.parametrize("draw", ["exponential", "standard_cauchy", "normal"])
def test_quantile_makes_any_distribution_normal(draw: str) -> None:
    from scipy.stats import kstest

    values = getattr(np.random.default_rng(1), draw)(size=30_000)
    found = encode(fit(Quantile(), x=values), x=values)[:, 0]
    assert kstest(found, "norm").pvalue > 0.5
    assert (np.diff(found[np.argsort(values)]) >= 0).all()


def test_quantile_is_that_of_scikit_learn() -> None:
    from sklearn.preprocessing import QuantileTransformer

    values = np.random.default_rng(2).gamma(2.0, size=(6000, 1))
    peer = QuantileTransformer(n_quantiles=200, output_distribution="normal", subsample=None)
    expected = peer.fit_transform(values)[:, 0]
    inside = np.abs(expected) < 3
    found = encode(fit(Quantile(), x=values[:, 0]), x=values[:, 0])[:, 0]
    assert found[inside] == pytest.approx(expected[inside], abs=1e-3)


def test_the_ends_are_the_quantiles_of_half_a_row() -> None:
    values = np.random.default_rng(2).gamma(2.0, size=6000)
    far = [-1e30, values.min(), values.max(), 1e30]
    ends = encode(fit(Quantile(), x=values), x=far)[:, 0]
    assert ends == pytest.approx([-3.765, -3.765, 3.765, 3.765], abs=0.3)
    assert ends[[0, -1]] == pytest.approx([-3.765, 3.765], abs=1e-3)


def test_the_number_of_quantiles_follows_from_the_rows() -> None:
    for rows, expected in [(3, 10), (299, 10), (900, 30), (29_999, 999), (40_000, 1000)]:
        (quantiles,) = fit(Quantile(), x=np.arange(rows) % 777).scaling.quantiles
        assert len(quantiles) == expected


def test_a_heavy_mass_at_one_value_is_spread_out_by_the_noise() -> None:
    values = np.concatenate([np.zeros(5000), np.random.default_rng(3).exponential(size=5000)])
    schema = fit(Quantile(), x=values)
    (quantiles,) = schema.scaling.quantiles
    assert (np.diff(quantiles) > 0).all()
    low, just_above, middle = encode(schema, x=[0.0, 1e-3, np.median(values[5000:])])[:, 0]
    assert low == pytest.approx(-0.674, abs=0.05)  # the quarter: the middle of the mass
    assert just_above == pytest.approx(0.0, abs=0.05)
    assert middle == pytest.approx(0.674, abs=0.05)


@every_scale
def test_a_constant_always_becomes_zero(scale: Scale) -> None:
    for constant in (0.0, 0.1, -1e30, 1 / 3):
        schema = fit(scale, x=np.full(50, constant))
        assert np.array_equal(encode(schema, x=[constant, 5.0, -1e38])[:, 0], np.zeros(3))


@every_scale
def test_one_row_is_a_constant_and_two_are_none(scale: Scale) -> None:
    assert encode(fit(scale, x=[4.0]), x=[4.0, 9.0])[:, 0].tolist() == [0.0, 0.0]
    low, high = encode(fit(scale, x=[4.0, 6.0]), x=[4.0, 6.0])[:, 0]
    assert -ENDS[scale.name] <= low < -0.5
    assert 0.5 < high <= ENDS[scale.name]


@every_scale
@pytest.mark.parametrize("value", [3.4e38, -3.4e38])
def test_a_huge_value_stays_within_the_ends(scale: Scale, value: float) -> None:
    narrow = 1e9 + np.arange(40) * 1e-3
    small = np.arange(40) * 1e-200
    schema = fit(scale, narrow=narrow, small=small, huge=np.linspace(-3e38, 3e38, 40))
    found = encode(schema, narrow=[value], small=[value], huge=[value])[0]
    assert np.isfinite(found).all()
    assert (np.abs(found) <= ENDS[scale.name]).all()
    assert (np.sign(found) == np.sign(value)).all()
    inside = encode(schema, narrow=narrow, small=small, huge=np.linspace(-3e38, 3e38, 40))
    assert (np.diff(inside, axis=0) > 0).all()


@every_scale
def test_an_outlier_among_the_training_rows_moves_the_others_little(scale: Scale) -> None:
    values = np.random.default_rng(4).normal(size=400)
    plain = encode(fit(scale, x=values), x=values)
    spoilt = encode(fit(scale, x=[*values[:-1], 1e30]), x=values)
    assert np.abs(plain - spoilt)[:-1].mean() < 0.05
    assert np.unique(spoilt).size > 350  # of 13 quantiles the last step alone leads to it


@every_scale
def test_missing_values_are_fitted_as_what_stands_for_them(scale: Scale) -> None:
    values = np.random.default_rng(5).exponential(size=300)
    holes = np.arange(300) % 7 == 0
    filled = np.where(holes, np.median(values[~holes]), values)
    schema = fit(scale, missing="median", x=pa.array(values, mask=holes))
    assert schema.scaling == fit(scale, x=filled).scaling
    found = encode(schema, x=pa.array([None, 1.0]))
    assert found[0, 0] == encode(schema, x=[np.median(values[~holes])])[0, 0]


@every_scale
def test_the_spans_know_the_moments_of_what_is_encoded(scale: Scale) -> None:
    values = np.random.default_rng(6).exponential(size=500)
    schema = fit(scale, x=values)
    encoded = encode(schema, x=values)[:, 0].astype(np.float64)
    assert schema.spans[0].mean == pytest.approx(encoded.mean(), abs=1e-6)
    assert schema.spans[0].deviation == pytest.approx(encoded.std(), abs=1e-6)


@every_scale
def test_another_column_changes_no_fit(scale: Scale) -> None:
    random = np.random.default_rng(7)
    x, other = random.normal(size=(2, 200))
    alone, beside = fit(scale, x=x).scaling, fit(scale, other=other, x=x).scaling
    assert (alone.centers[0], alone.units[0]) == (beside.centers[1], beside.units[1])
    assert alone.quantiles == beside.quantiles[1:]


@every_scale
def test_a_table_without_numbers_is_taken(scale: Scale) -> None:
    rows = rows_of(table_of(a=["p", "q"] * 5, y=np.arange(10) * 1.0))
    roles = Roles(("a",), "y", rules={"a": CategoryRule()})
    schema = fitted(rows, roles, "regression", np.ones(10, bool), scale)
    assert schema.scaling.centers == ()
    assert schema.input_shape == (2,)


def test_the_sample_is_bounded_and_of_training_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    train = np.arange(1000) % 3 > 0
    assert np.array_equal(scale_fitting.sampled_rows(train, 4), train)
    monkeypatch.setattr(scale_fitting, "_MOST_SAMPLED_ROWS", 100)
    sampled = scale_fitting.sampled_rows(train, 1)
    assert sampled.sum() == np.ceil(666 / 7)
    assert not (sampled & ~train).any()
    monkeypatch.setattr(scale_fitting, "_MOST_SAMPLED_NUMBERS", 200)
    assert scale_fitting.sampled_rows(train, 20).sum() <= 10
    assert scale_fitting.sampled_rows(train, 10**6).sum() == 1


@every_scale
@given(
    st.lists(
        st.floats(-1e38, 1e38, allow_subnormal=True).map(lambda x: x + 0.0), min_size=1, max_size=40
    )
)
def test_any_column_is_encoded_in_order_and_within_the_ends(
    scale: Scale, values: list[float]
) -> None:
    schema = fit(scale, x=values)
    found = encode(schema, x=np.sort(values))[:, 0]
    assert np.isfinite(found).all()
    assert (np.diff(found) >= 0).all()
    assert np.abs(found).max(initial=0) <= ENDS[scale.name]
