"""Predictions of transformed targets in own units: against closed forms and integrals; bounds."""

from dataclasses import replace
from math import erf, exp, sqrt
from typing import Any, ClassVar

import numpy as np
import pytest
from conftest import plain_schema
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.tables.target_transforms import IDENTITY, LOG, TargetTransform
from ensemble_pipe.ensemble.combiners import LinearCombiner, Weighted
from ensemble_pipe.ensemble.conformal import Conformal
from ensemble_pipe.ensemble.growing import sums_of
from ensemble_pipe.ensemble.measures import (
    coverage_metrics,
    diversity_metrics,
    rejection_metrics,
    row_values,
)
from ensemble_pipe.ensemble.members import ExternalMember, member_outputs
from ensemble_pipe.ensemble.metrics.regression import regression_metrics
from ensemble_pipe.ensemble.numbers import (
    Gaussians,
    member_means,
    own_moments,
    standardised_moments,
)
from ensemble_pipe.ensemble.prediction import Prediction

ROOT, FOURTH = TargetTransform("power", 0.5), TargetTransform("power", 0.25)
MEAN, DEVIATION = 1.5, 0.4
BOUNDS = (-2.5, 2.5)
transforms = pytest.mark.parametrize("transform", [LOG, ROOT, FOURTH], ids=lambda t: t.exponent)


def schema_of(*targets: TargetTransform, bounds: Any = ()) -> Schema:
    """Return a schema of targets, all with the same moments once transformed."""
    count = len(targets)
    schema: Schema = plain_schema(
        "regression", (1,),
        target_means=(MEAN,) * count, target_deviations=(DEVIATION,) * count,
        target_transforms=() if set(targets) == {IDENTITY} else targets, target_bounds=bounds,
    )  # fmt: skip
    return schema


def one(transform: TargetTransform, mean: float = 0.3, variance: float = 0.36) -> Gaussians:
    return Gaussians(np.array([[mean]]), np.array([[variance]]), schema_of(transform))


def density(found: Gaussians, y: Floats) -> Floats:
    """Return the predicted density of numbers (R,), from their NLL."""
    (transform,) = (target.transform for target in found.schema.fitted_targets)
    z = (transform.forward(y)[:, None] - MEAN) / DEVIATION
    mean, variance = (np.broadcast_to(one, z.shape) for one in (found.mean, found.variance))
    nll = Gaussians(mean, variance, found.schema).row_values(z)["nll"].values[:, 0]
    return np.asarray(np.exp(-nll))


# One distribution


def test_a_logarithm_gives_the_log_normal_distribution() -> None:
    found = one(LOG)
    peer = stats.lognorm(0.6 * DEVIATION, scale=exp(0.3 * DEVIATION + MEAN))
    mean, deviation = found.own
    assert mean[0, 0] == pytest.approx(peer.mean(), rel=1e-12)
    assert deviation[0, 0] == pytest.approx(peer.std(), rel=1e-10)
    y = np.array([0.5, 4.0, 30.0])
    assert density(found, y) == pytest.approx(peer.pdf(y), rel=1e-12)


@pytest.mark.parametrize("y", [0.01, 2.0, 5.0, 80.0, 1e6])
def test_the_crps_of_a_logarithm_is_its_closed_form(y: float) -> None:
    """Baran & Lerch 2015, "Log-normal distribution based EMOS models", eq. 5."""

    def normal(x: float) -> float:
        return (1 + erf(x / sqrt(2))) / 2

    mean, deviation = 0.3 * DEVIATION + MEAN, 0.6 * DEVIATION
    place = (np.log(y) - mean) / deviation
    whole = 2 * exp(mean + deviation**2 / 2)
    beyond = normal(place - deviation) + normal(deviation / sqrt(2)) - 1
    expected = y * (2 * normal(place) - 1) - whole * beyond
    z = np.array([[(np.log(y) - MEAN) / DEVIATION]])
    found = one(LOG).row_values(z)["crps"].values[0, 0]
    assert found == pytest.approx(expected, rel=1e-8)


@transforms
def test_the_nll_is_that_of_a_distribution_which_integrates_to_1(
    transform: TargetTransform,
) -> None:
    y = np.geomspace(1e-12, 1e3, 20_001)
    whole = np.trapezoid(density(one(transform), y), y)
    # What a Gaussian of the root has below 0 is a probability of 0 itself.
    at_zero = 0.0
    if transform != LOG:
        at_zero = stats.norm.cdf(0, 0.3 * DEVIATION + MEAN, 0.6 * DEVIATION)
    assert whole + at_zero == pytest.approx(1, abs=1e-5)


@transforms
def test_mean_deviation_and_crps_are_those_of_draws(transform: TargetTransform) -> None:
    u = stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    draws = transform.inverse((0.3 + 0.6 * u) * DEVIATION + MEAN)
    mean, deviation = one(transform).own
    assert mean[0, 0] == pytest.approx(draws.mean(), rel=1e-4)
    assert deviation[0, 0] == pytest.approx(draws.std(), rel=1e-3)
    y = transform.inverse(np.array([MEAN + 0.5 * DEVIATION]))[0]
    ranks = 2 * (np.arange(200_000) + 0.5) / 200_000 - 1
    expected = np.abs(draws - y).mean() - np.mean(draws * ranks)
    crps = one(transform).row_values(np.array([[0.5]]))["crps"].values[0, 0]
    assert crps == pytest.approx(expected, rel=1e-3)


@transforms
@pytest.mark.parametrize("deviation", [1e-9, 1e-4])
def test_a_small_deviation_keeps_its_digits(transform: TargetTransform, deviation: float) -> None:
    mean, own = one(transform, variance=deviation**2).own
    slope = np.exp(transform.log_slope(mean))
    assert own[0, 0] == pytest.approx(deviation * DEVIATION / slope[0, 0], rel=1e-3)


@transforms
@settings(max_examples=15, deadline=None)
@given(st.floats(-3, 3), st.floats(0.01, 2))
def test_the_central_interval_holds_its_share_of_what_is_predicted(
    transform: TargetTransform, mean: float, deviation: float
) -> None:
    found = one(transform, mean, deviation**2)
    half = stats.norm.ppf(0.95)
    for place, inside in [(half - 1e-3, 1.0), (half + 1e-3, 0.0), (-half - 1e-3, 0.0)]:
        z = np.array([[mean + place * deviation]])
        if transform.inverse(z * DEVIATION + MEAN)[0, 0] > 0:
            assert found.metrics(z)["coverage_90"] == inside


@transforms
@settings(max_examples=8, deadline=None)
@given(st.floats(0.5, 50), st.floats(0.05, 0.6))
def test_moments_in_own_units_are_taken_there_and_back(
    transform: TargetTransform, mean: float, share: float
) -> None:
    (target,) = schema_of(transform).fitted_targets
    given_moments = np.array([mean]), np.array([share * mean])
    found = own_moments(*standardised_moments(*given_moments, target), target)
    assert found[0] == pytest.approx(given_moments[0], rel=1e-6)
    assert found[1] == pytest.approx(given_moments[1], rel=1e-6)


# Many rows, several targets


def outputs(members: int, rows: int, count: int, seed: int = 1) -> Floats:
    random = np.random.default_rng(seed)
    means = random.normal(size=(members, rows, count))
    variances = random.uniform(0.02, 0.4, (members, rows, count))
    return np.concatenate([means, variances], axis=2).astype(np.float32)


def prediction_of(schema: Schema, values: Floats) -> Prediction:
    return Prediction(values, Weighted.equal(len(values)), schema)


def targets(rows: int, count: int) -> Array:
    found: Array = np.random.default_rng(3).normal(size=(rows, count)).astype(np.float32)
    return found


def test_a_target_as_it_is_has_the_metrics_that_it_had() -> None:
    schema, values, truth = schema_of(IDENTITY, IDENTITY), outputs(3, 40, 2), targets(40, 2)
    prediction = prediction_of(schema, values)
    names = schema.target_names
    own = regression_metrics(prediction.mean, prediction.std, schema.decode_targets(truth), names)
    assert prediction.metrics(truth) == own
    mean = values[:, :, :2].astype(np.float64).mean(axis=0) * DEVIATION + MEAN
    assert prediction.mean == pytest.approx(mean)


def test_beside_a_transformed_target_another_keeps_its_metrics() -> None:
    values, truth = outputs(3, 40, 2), targets(40, 2)
    mixed = prediction_of(schema_of(LOG, IDENTITY), values)
    plain = prediction_of(schema_of(IDENTITY, IDENTITY), values)
    first, second = mixed.metrics(truth), plain.metrics(truth)
    for name in ("rmse", "mae", "nll", "crps", "coverage_90", "width_90"):
        assert first[f"{name}/y1"] == pytest.approx(second[f"{name}/y1"], rel=1e-12)
        assert first[name] == pytest.approx((first[f"{name}/y0"] + first[f"{name}/y1"]) / 2)
    assert np.array_equal(mixed.mean[:, 1], plain.mean[:, 1])
    assert (mixed.mean[:, 0] > 0).all()


@transforms
def test_a_row_has_the_same_bits_beside_any_others(transform: TargetTransform) -> None:
    schema, values, truth = schema_of(transform, LOG), outputs(2, 33, 2), targets(33, 2)
    whole = prediction_of(schema, values)
    scores = row_values(whole, truth)
    for row in (0, 7, 32):
        alone = prediction_of(schema, values[:, row : row + 1])
        for name in ("mean", "std", "aleatoric", "epistemic"):
            assert np.array_equal(getattr(alone, name)[0], getattr(whole, name)[row])
        own = row_values(alone, truth[row : row + 1])
        assert all(np.array_equal(own[n].values[0], scores[n].values[row]) for n in scores)


def test_the_parts_of_the_deviation_add_up() -> None:
    prediction = prediction_of(schema_of(LOG, IDENTITY), outputs(4, 30, 2))
    squares = prediction.aleatoric**2 + prediction.epistemic**2
    assert squares == pytest.approx(prediction.std**2, rel=1e-12)


def test_the_growing_ensemble_has_the_same_metrics() -> None:
    schema, values, truth = schema_of(LOG, ROOT), outputs(3, 30, 2), targets(30, 2)
    sums = sums_of(values[0], schema) + sums_of(values[1], schema) + sums_of(values[2], schema)
    expected = prediction_of(schema, values).metrics(truth)
    assert sums.metrics(truth, schema) == pytest.approx(expected, rel=1e-9)


def test_bootstrap_values_are_those_of_the_metrics() -> None:
    prediction, truth = prediction_of(schema_of(LOG), outputs(2, 50, 1)), targets(50, 1)
    metrics = prediction.metrics(truth)
    for name, values in row_values(prediction, truth).items():
        assert values.over() == pytest.approx(metrics[name], rel=1e-12)


def test_members_and_diversity_are_in_own_units() -> None:
    schema, values, truth = schema_of(LOG), outputs(3, 50, 1), targets(50, 1)
    means = member_means(values, schema)
    for member, own in zip(values, means, strict=True):
        alone = prediction_of(schema, member[None])
        assert np.array_equal(alone.mean, own)
    errors = (means - schema.decode_targets(truth)) ** 2
    spread = errors.mean() - ((means.mean(0) - schema.decode_targets(truth)) ** 2).mean()
    prediction = prediction_of(schema, values)
    assert diversity_metrics(prediction, truth)["ambiguity"] == pytest.approx(spread)
    assert rejection_metrics(prediction, truth)["rmse_at_100"] == pytest.approx(
        prediction.metrics(truth)["rmse"]
    )


# Conformal intervals


@pytest.mark.parametrize("threshold", [1.3, None])
def test_conformal_intervals_are_taken_back_from_the_scale_of_training(
    threshold: float | None,
) -> None:
    conformal = Conformal(method="normalized", coverage=0.9, threshold=threshold)
    values = outputs(2, 20, 2)
    schema = schema_of(LOG, IDENTITY)
    prediction = replace(prediction_of(schema, values), conformal=(conformal, conformal))
    low, high = prediction.interval
    if threshold is None:
        assert (low[0].tolist(), high[0].tolist()) == ([0.0, -np.inf], [np.inf, np.inf])
        return
    numbers = prediction.numbers
    spread = threshold * np.sqrt(numbers.variance)
    assert low == pytest.approx(schema.decode_targets(numbers.mean - spread), rel=1e-12)
    assert high == pytest.approx(schema.decode_targets(numbers.mean + spread), rel=1e-12)
    truth = targets(20, 2)
    inside = (np.abs(truth - numbers.mean) <= spread).mean()
    assert coverage_metrics(prediction, truth)["coverage"] == pytest.approx(inside)


# Bounds


class Inside(ExternalMember):
    """A member whose outputs the test gives, which is bounded as those that are trained."""

    is_bounded: ClassVar[bool] = True


def outputs_of(kind: type[ExternalMember], schema: Schema, values: Floats) -> Floats:
    members = [kind(k, 0, 0, f"m{k}") for k in range(len(values))]
    external = {f"m{k}": own for k, own in enumerate(values)}
    return member_outputs(members, schema, [], values.shape[1], external)


@pytest.mark.parametrize("transform", [IDENTITY, LOG])
def test_means_of_members_lie_within_the_bounds(transform: TargetTransform) -> None:
    schema = schema_of(transform, bounds=(BOUNDS,))
    values = outputs(2, 30, 1)
    values[0, :3, 0] = [100.0, -100.0, np.inf]
    found = outputs_of(Inside, schema, values)
    assert found[0, :3, 0].tolist() == [2.5, -2.5, 2.5]
    assert np.array_equal(found[:, 3:], np.clip(values, -2.5, 2.5)[:, 3:])
    assert np.array_equal(found[:, :, 1], values[:, :, 1])
    mean = prediction_of(schema, found).mean
    (target,) = schema.fitted_targets
    low, high = target.own_bounds
    assert (mean >= low - 1e-12).all()
    assert (mean <= high + 1e-12).all()


def test_a_skewed_distribution_takes_no_mean_beyond_the_bounds() -> None:
    schema = schema_of(LOG, bounds=(BOUNDS,))
    values = np.array([[[2.0, 400.0]]], np.float32)  # its mean would be exp(32) times the median
    assert prediction_of(schema, values).mean[0, 0] == schema.fitted_targets[0].own_bounds[1]
    unbounded = prediction_of(schema_of(LOG), values)
    assert unbounded.mean[0, 0] > 1e6


def test_predictions_of_other_programs_stay_as_they_are() -> None:
    schema = schema_of(IDENTITY, bounds=(BOUNDS,))
    values = outputs(1, 3, 1)
    values[0, :, 0] = [100.0, -100.0, 0.5]
    assert np.array_equal(outputs_of(ExternalMember, schema, values), values)
    expected = values[0, :, :1].astype(np.float64) * DEVIATION + MEAN
    assert prediction_of(schema, values).mean == pytest.approx(expected)


def test_a_linear_combination_stays_within_the_bounds_or_its_members() -> None:
    schema = schema_of(IDENTITY, bounds=(BOUNDS,))
    combiner = LinearCombiner.of(np.array([[[2.0], [2.0]]]), np.array([1.0]))
    values = np.full((2, 3, 2), 0.1, np.float32)
    values[:, :, 0] = [[2.0, -2.0, 9.0], [2.0, -2.0, 9.0]]
    z = (Prediction(values, combiner, schema).mean[:, 0] - MEAN) / DEVIATION
    assert z == pytest.approx([2.5, -2.5, 9.0])


def test_models_of_earlier_versions_are_not_bounded() -> None:
    values = outputs(2, 4, 1) * 100
    assert np.array_equal(outputs_of(Inside, schema_of(IDENTITY), values), values)
