"""What a loss asks of a network and makes of its outputs; its settings, alone and side by side."""

from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loss_cases import CASES, ROWS, evaluate
from pages import shown_settings
from pydantic import TypeAdapter, ValidationError
from scipy import special, stats
from sklearn.metrics import log_loss

from ensemble_pipe.nn import losses

PAGE = (Path(__file__).parents[2] / "docs" / "losses.md").read_text()
CLASSIFIERS = {name: loss for name, loss in losses.LOSSES.items() if loss.task == "classification"}
REGRESSIONS = {name: loss for name, loss in losses.LOSSES.items() if loss.task == "regression"}

every_case = pytest.mark.parametrize("name", CASES)


def test_outputs_are_one_for_each_class_or_number() -> None:
    assert {name: loss().outputs(2) for name, loss in CLASSIFIERS.items()} == {
        "cross_entropy": 2,
        "binary_cross_entropy": 1,
        "hinge": 2,
    }
    assert losses.CrossEntropy().outputs(7) == losses.Hinge().outputs(7) == 7
    assert {name: loss().outputs(0) for name, loss in REGRESSIONS.items()} == {
        "squared_error": 1,
        "absolute_error": 1,
        "huber": 1,
        "gaussian_nll": 2,
        "beta_nll": 2,
    }


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_refuses_numbers(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} .*not 0.*: to predict numbers, take a regr"):
        losses.LOSSES[name]().outputs(0)


@pytest.mark.parametrize("name", REGRESSIONS)
def test_a_regression_refuses_classes(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} is for .*numbers, not 3 classes: take a class"):
        losses.LOSSES[name]().outputs(3)


def test_the_binary_loss_refuses_three_classes() -> None:
    with pytest.raises(ValueError, match="exactly two classes, not 3: take cross_entropy"):
        losses.BinaryCrossEntropy().outputs(3)


@every_case
@pytest.mark.parametrize("lead", [(), (4,), (3, 4)], ids=["row", "rows", "learners"])
def test_predictions_are_float32_and_keep_the_leading_shape(
    name: str, lead: tuple[int, ...]
) -> None:
    case = CASES[name]
    outputs = np.ones((*lead, case.outputs.shape[-1]))
    predictions = case.losses[0].predictions(outputs)
    assert predictions.dtype == np.float32
    assert predictions.shape[:-1] == lead
    assert (outputs == 1.0).all()


@pytest.mark.parametrize("name", ["cross_entropy", "binary_cross_entropy"])
def test_the_softmax_of_predictions_are_the_probabilities_of_the_loss(name: str) -> None:
    case = CASES[name].alone(1)
    logits = losses.LOSSES[name]().predictions(case.outputs[0])
    probabilities = special.softmax(logits, axis=-1)
    expected = log_loss(case.targets[0], probabilities, labels=range(logits.shape[-1]))
    values, _ = evaluate([losses.LOSSES[name]()], case.outputs, case.targets)
    assert values[0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["gaussian_nll", "gaussian_nll-two"])
def test_predicted_means_and_variances_are_those_of_the_loss(name: str) -> None:
    case = CASES[name].alone(1)
    columns = case.outputs.shape[-1] // 2
    predictions = case.losses[0].predictions(case.outputs[0]).astype(np.float64)
    means, variances = predictions[:, :columns], predictions[:, columns:]
    targets = case.targets[0].reshape(ROWS, columns)
    nll = -np.sum(stats.norm.logpdf(targets, means, np.sqrt(variances)), axis=1)
    values, _ = case.evaluate()
    assert values[0] == pytest.approx((case.weights[0] * nll).mean(), rel=1e-6)


@pytest.mark.parametrize(
    "loss", [losses.GaussianNLL(), losses.BetaNLL(), losses.GaussianNLL(variance_floor=0.25)]
)
def test_a_variance_never_falls_below_its_floor_nor_overflows(
    loss: losses.GaussianNLL | losses.BetaNLL,
) -> None:
    raw = np.array([[0.0, -1e4], [0.0, -20.0], [0.0, 0.0], [0.0, 1e4]], np.float32)
    variances = loss.predictions(raw)[:, 1]
    floor = np.float32(loss.variance_floor)
    assert variances[0] == floor
    assert variances[1] == pytest.approx(floor + np.exp(-20.0), rel=1e-6)
    assert variances[2] == pytest.approx(floor + log(2.0), rel=1e-6)
    assert variances[3] == pytest.approx(1e4 + floor, rel=1e-6)


@pytest.mark.parametrize("name", ["cross_entropy", "hinge", "squared_error", "huber"])
def test_logits_scores_and_means_are_predictions_as_they_are(name: str) -> None:
    outputs = CASES[name].outputs[0].astype(np.float32)
    np.testing.assert_array_equal(CASES[name].losses[0].predictions(outputs), outputs)


def test_numbers_lie_side_by_side_in_float64() -> None:
    numbers = losses.numbers_of([losses.Huber(delta=0.1), losses.Huber(delta=2.0)])
    assert list(numbers) == ["delta"]
    assert numbers["delta"].dtype == np.float64
    np.testing.assert_array_equal(numbers["delta"], [0.1, 2.0])
    assert losses.numbers_of([losses.SquaredError()]) == {}


def test_learners_of_a_stack_must_share_their_loss() -> None:
    with pytest.raises(ValueError, match="must share their loss"):
        losses.numbers_of([losses.SquaredError(), losses.Huber()])


def test_every_loss_is_registered_under_its_name() -> None:
    assert {name: loss().name for name, loss in losses.LOSSES.items()} == {
        name: name for name in losses.LOSSES
    }


@pytest.mark.parametrize(
    ("loss", "settings"),
    [
        (losses.CrossEntropy, {"smoothing": 1.0}),
        (losses.CrossEntropy, {"smoothing": -0.1}),
        (losses.BinaryCrossEntropy, {"smoothing": 1.0}),
        (losses.Hinge, {"margin": 0.0}),
        (losses.Huber, {"delta": 0.0}),
        (losses.GaussianNLL, {"variance_floor": 0.0}),
        (losses.BetaNLL, {"beta": 1.1}),
        (losses.SquaredError, {"delta": 1.0}),
    ],
)
def test_settings_out_of_bounds_are_refused(
    loss: type[losses.Loss], settings: dict[str, float]
) -> None:
    with pytest.raises(ValidationError, match=next(iter(settings))):
        TypeAdapter(loss).validate_python(settings)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_the_page_of_losses_shows_each_with_its_defaults(name: str) -> None:
    shown = shown_settings(PAGE, name)
    kind: Any = losses.LOSSES[name]
    assert TypeAdapter(kind).validate_python(shown) == kind()


MIXED = {
    "cross_entropy": 5,
    "binary_cross_entropy": 1,
    "gaussian_nll": 4,
    "beta_nll": 4,
    "hinge": 5,
    "squared_error": 2,
    "absolute_error": 2,
    "huber": 2,
}


def test_every_loss_has_a_mean_prediction() -> None:
    assert set(MIXED) == set(losses.LOSSES)


@pytest.mark.parametrize("name", MIXED)
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_mean_outputs_are_those_of_the_mean_prediction_of_members(name: str, scale: float) -> None:
    loss = losses.LOSSES[name]()
    outputs = scale * np.random.default_rng(1).standard_normal((7, 11, MIXED[name]))
    outputs = outputs.astype(np.float32)
    found = loss.predictions(loss.mean_outputs(outputs)).astype(np.float64)
    members = loss.predictions(outputs).astype(np.float64)
    if name.endswith("cross_entropy"):
        expected = special.softmax(members, axis=-1).mean(axis=0)
        np.testing.assert_allclose(special.softmax(found, axis=-1), expected, rtol=1e-4, atol=1e-12)
    elif name.endswith("nll"):
        means, variances = np.split(members, 2, axis=-1)
        np.testing.assert_allclose(found[:, :2], means.mean(axis=0), rtol=1e-5, atol=1e-6)
        expected = variances.mean(axis=0) + means.var(axis=0)
        np.testing.assert_allclose(found[:, 2:], expected, rtol=1e-4)
    else:
        np.testing.assert_allclose(found, members.mean(axis=0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", MIXED)
def test_mean_outputs_of_one_member_are_its_own(name: str) -> None:
    outputs = np.random.default_rng(1).standard_normal((1, 11, MIXED[name])).astype(np.float32)
    found = losses.LOSSES[name]().mean_outputs(outputs)
    assert found.tobytes() == outputs.tobytes()


@pytest.mark.parametrize("name", MIXED)
def test_mean_outputs_of_a_member_that_diverged_are_not_numbers(name: str) -> None:
    outputs = np.ones((3, 2, MIXED[name]), np.float32)
    outputs[1, 0] = np.nan
    with np.errstate(invalid="ignore"):
        found = losses.LOSSES[name]().mean_outputs(outputs)
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()
