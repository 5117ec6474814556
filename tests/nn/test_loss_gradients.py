"""Each loss's gradient against finite differences, with weights and with each learner's numbers.

A checker that passes everything proves nothing: gradients of slightly other losses are refused.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from gradient_checks import check_gradient
from loss_cases import CASES, LossCase, evaluate

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.nn.losses import LOSSES, BetaNLL, GaussianNLL

stacks = pytest.mark.parametrize("learners", [1, 3])


def loss_of(case: LossCase) -> Callable[[Floats], Floats]:
    """Return the function of the outputs whose slope the gradient is."""
    if isinstance(case.losses[0], BetaNLL):
        return held_beta_nll(case)
    return lambda outputs: replace(case, outputs=outputs).evaluate()[0]


def held_beta_nll(case: LossCase) -> Callable[[Floats], Floats]:
    """Return the Gaussian NLL, weighted with variance**beta as it is at the outputs of the case.

    A row of weights holds for all columns of targets, so columns are taken one by one.
    """
    columns = case.outputs.shape[-1] // 2
    betas = [loss for loss in case.losses if isinstance(loss, BetaNLL)]
    floors = [GaussianNLL(variance_floor=loss.variance_floor) for loss in betas]
    variances = np.stack(
        [
            loss.variance_floor + np.logaddexp(0.0, outputs[:, columns:])
            for loss, outputs in zip(betas, case.outputs, strict=True)
        ]
    )
    powers = np.array([loss.beta for loss in betas])[:, None, None]
    weights = case.weights[..., None] * variances**powers
    targets = case.targets.reshape(*case.targets.shape[:2], columns)

    def loss(outputs: Floats) -> Floats:
        total = np.zeros(len(outputs))
        for d in range(columns):
            total += evaluate(
                floors,
                np.take(outputs, [d, columns + d], axis=2),
                np.ascontiguousarray(targets[..., d]),
                np.ascontiguousarray(weights[..., d]),
            )[0]
        return total

    return loss


def test_every_loss_has_a_case() -> None:
    assert {case.losses[0].name for case in CASES.values()} == set(LOSSES)


@stacks
@pytest.mark.parametrize("name", CASES)
def test_gradient_of_loss(name: str, learners: int) -> None:
    case = CASES[name].first(learners)
    _, gradient = case.evaluate()
    check_gradient(loss_of(case), case.outputs, gradient)


def of_unweighted_rows(case: LossCase) -> LossCase:
    return replace(case, weights=np.ones_like(case.weights))


def of_weights_one_row_on(case: LossCase) -> LossCase:
    return replace(case, weights=np.roll(case.weights, 1, axis=1))


def of_targets_one_row_on(case: LossCase) -> LossCase:
    return replace(case, targets=np.roll(case.targets, 1, axis=1))


def of_numbers_of_the_next_learner(case: LossCase) -> LossCase:
    return replace(case, losses=case.losses[1:] + case.losses[:1])


def of_a_point_nearby(case: LossCase) -> LossCase:
    return replace(case, outputs=1.001 * case.outputs)


OTHERS = [of_unweighted_rows, of_weights_one_row_on, of_targets_one_row_on]


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("name", CASES)
def test_checker_refuses_the_gradient_of_another_batch(
    name: str, other: Callable[[LossCase], LossCase]
) -> None:
    case = CASES[name]
    _, wrong = other(case).evaluate()
    with pytest.raises(AssertionError):
        check_gradient(loss_of(case), case.outputs, wrong)


@pytest.mark.parametrize("name", [name for name in CASES if len(set(CASES[name].losses)) > 1])
def test_checker_refuses_the_gradient_of_another_learners_numbers(name: str) -> None:
    case = CASES[name]
    _, wrong = of_numbers_of_the_next_learner(case).evaluate()
    with pytest.raises(AssertionError):
        check_gradient(loss_of(case), case.outputs, wrong)


# Absolute errors and hinges have the same slope nearby.
@pytest.mark.parametrize("name", [n for n in CASES if not n.startswith(("absolute", "hinge"))])
def test_checker_refuses_the_gradient_of_a_point_nearby(name: str) -> None:
    case = CASES[name]
    _, wrong = of_a_point_nearby(case).evaluate()
    with pytest.raises(AssertionError):
        check_gradient(loss_of(case), case.outputs, wrong)


SPOILED: dict[str, Callable[[Floats], Floats]] = {
    "sum for mean": lambda gradient: gradient.shape[1] * gradient,
    "wrong sign": lambda gradient: -gradient,
    "off by a hundred-thousandth": lambda gradient: 1.00001 * gradient,
    "all zero": np.zeros_like,
    "not a number": lambda gradient: np.full_like(gradient, np.nan),
    "learners exchanged": lambda gradient: gradient[::-1].copy(),
}


@pytest.mark.parametrize("spoil", SPOILED)
@pytest.mark.parametrize("name", CASES)
def test_checker_refuses_a_spoiled_gradient(name: str, spoil: str) -> None:
    case = CASES[name]
    _, gradient = case.evaluate()
    with pytest.raises(AssertionError):
        check_gradient(loss_of(case), case.outputs, SPOILED[spoil](gradient))


def test_the_weight_of_beta_nll_is_not_differentiated() -> None:
    case = CASES["beta_nll"].first(1)
    _, gradient = case.evaluate()
    with pytest.raises(AssertionError):
        check_gradient(
            lambda outputs: replace(case, outputs=outputs).evaluate()[0], case.outputs, gradient
        )
