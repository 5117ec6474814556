"""What is fitted after combining: a temperature, and for numbers a noise."""

import numpy as np
import pytest

from ensemble_pipe.ensemble.combiners import (
    ClassOutputs,
    NumberOutputs,
    fit,
    softmax,
)
from ensemble_pipe.ensemble.combiners.outputs import Calibration, NumberPrediction


@pytest.mark.parametrize("planted", [0.4, 1.0, 3.0])
def test_a_planted_temperature_is_found(planted: float) -> None:
    random = np.random.default_rng(8)
    logits = 2.0 * random.standard_normal((1, 40_000, 4))
    chances = softmax(logits[0] / planted).cumsum(axis=1)
    labels = (random.random((40_000, 1)) > chances[:, :3]).sum(axis=1)
    found = fit("mean_logit", ClassOutputs(logits), labels, random, temperature=True)
    assert found.temperature == pytest.approx(planted, rel=0.04)
    means, variances = np.zeros((1, 40_000, 1)), np.full((1, 40_000, 1), 0.25)
    targets = 0.5 * planted * random.standard_normal((40_000, 1))
    outputs = NumberOutputs(means, variances)
    found = fit("mean_probability", outputs, targets, random, temperature=True)
    assert found.temperature == pytest.approx(planted, rel=0.02)
    assert found.noise == 0.0  # variances that are all alike tell nothing of it


@pytest.mark.parametrize(("temperature", "noise"), [(1.5, 0.3), (0.7, 0.0), (1.0, 4.0)])
def test_a_planted_noise_is_found_beside_the_temperature(temperature: float, noise: float) -> None:
    random = np.random.default_rng(9)
    variances = random.uniform(0.05, 1.0, (1, 40_000, 2)) ** 2
    spread = np.sqrt(temperature**2 * variances[0] + noise)
    targets = spread * random.standard_normal((40_000, 2))
    outputs = NumberOutputs(np.zeros_like(variances), variances)
    found = fit("mean_probability", outputs, targets, random, temperature=True)
    assert found.noise == pytest.approx(noise, abs=0.05, rel=0.02)
    std = np.sqrt(found.temperature**2 * variances[0] + found.noise)
    np.testing.assert_allclose(std, spread, rtol=0.06)


@pytest.mark.parametrize("rows", [10, 1000])
def test_that_all_rows_are_right_makes_no_certainty(rows: int) -> None:
    random = np.random.default_rng(10)
    labels = random.integers(0, 3, rows)
    logits = np.eye(3)[labels][None] * 2.0
    found = fit("mean_probability", ClassOutputs(logits), labels, random, temperature=True)
    chance = found.probabilities(logits).max()
    assert chance == pytest.approx(1 - 1 / (rows + 2), abs=1e-4)


@pytest.mark.parametrize("scales", [(1.0, 1.0), (1e-6, 1.0), (1e-12, 1e-12), (1e3, 1e3)])
def test_the_calibration_is_near_the_best_whatever_the_variances(scales: tuple[float, ...]) -> None:
    random = np.random.default_rng(11)
    variances = random.uniform(0.5, 2.0, (400, 2)) * scales
    errors = random.standard_normal((400, 2)) * [0.6, 0.7]
    prediction = NumberPrediction(np.zeros((400, 2)), variances)
    weights = np.full(400, 1 / 400)
    found = prediction.best_calibration(errors, weights)
    tried = [
        Calibration(temperature, noise)
        for temperature in np.geomspace(0.01, 100, 60)
        for noise in [0.0, *np.geomspace(1e-4, 10, 60)]
    ]
    best = min(weights @ prediction.nll(errors, one) for one in tried)
    assert weights @ prediction.nll(errors, found) <= best + 0.01


def test_of_few_rows_the_expected_calibration_suits_new_rows_better_than_the_likeliest() -> None:
    random = np.random.default_rng(12)
    gains = []
    for _ in range(200):
        variances, fresh = random.uniform(0.02, 2.0, (10, 1)), random.uniform(0.02, 2.0, (1000, 1))
        share = random.random()
        errors, new = (
            np.sqrt((1 - share) * own + share) * random.standard_normal(own.shape)
            for own in (variances, fresh)
        )
        found = NumberPrediction(np.zeros((10, 1)), variances).best_calibration(
            errors, np.full(10, 0.1)
        )
        likeliest = Calibration(float(np.sqrt((errors**2 / variances).mean())))
        other = NumberPrediction(np.zeros((1000, 1)), fresh)
        gains.append(float(other.nll(new, likeliest).mean() - other.nll(new, found).mean()))
    assert np.mean(gains) > 3 * np.std(gains) / np.sqrt(len(gains))
