"""Fitted combiners: identities, planted cases, and certificates of optimality."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.ensemble.combiners import (
    AnyCombiner,
    ClassOutputs,
    Combiner,
    LinearCombiner,
    NumberOutputs,
    Weighted,
    fit,
    fits_for,
    log_softmax,
    select,
    softmax,
    top_k,
)
from ensemble_pipe.ensemble.combiners.fits import Evidence
from ensemble_pipe.ensemble.combiners.greedy import greedy_weights
from ensemble_pipe.ensemble.combiners.simplex import best_weights, simplex_gap

AVERAGES = ("mean_probability", "mean_logit", "greedy", "weights")
NO_DRAWS = np.random.default_rng(0)


def classes(
    members: int = 6, rows: int = 400, noise: float = 1.5, seed: int = 1
) -> tuple[ClassOutputs, Array]:
    """Return members that see the label of three classes through common and own noise."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, rows)
    logits = random.standard_normal((rows, 3)) + 2.0 * np.eye(3)[labels]
    own = noise * random.standard_normal((members, rows, 3))
    own *= np.linspace(0.5, 1.5, members)[:, None, None]
    return ClassOutputs((logits + own).astype(np.float32)), labels


def numbers(
    members: int = 6, rows: int = 400, targets: int = 2, seed: int = 2
) -> tuple[NumberOutputs, Array]:
    random = np.random.default_rng(seed)
    truth = random.standard_normal((rows, targets))
    sizes = np.linspace(0.2, 1.0, members)[:, None, None]
    means = truth + sizes * random.standard_normal((members, rows, targets))
    variances = np.broadcast_to(sizes**2, means.shape) * random.uniform(0.5, 2.0, means.shape)
    return NumberOutputs(means.astype(np.float32), variances.astype(np.float32)), truth


def nll(outputs: ClassOutputs | NumberOutputs, targets: Array, combiner: Combiner) -> float:
    return float(outputs.combined(combiner).nll(targets).mean())


@pytest.mark.parametrize("name", AVERAGES)
def test_one_member_is_itself_bit_for_bit(name: str) -> None:
    outputs, labels = classes(members=1)
    found = fit(name, outputs, labels, NO_DRAWS).probabilities(outputs.logits)
    assert found.tobytes() == softmax(outputs.logits[0]).tobytes()


@pytest.mark.parametrize("name", ["mean_probability", "greedy", "weights"])
def test_one_regression_is_itself_bit_for_bit(name: str) -> None:
    outputs, targets = numbers(members=1)
    mean, aleatoric, epistemic = fit(name, outputs, targets, NO_DRAWS).mixture(
        outputs.means, outputs.variances
    )
    np.testing.assert_array_equal(mean, outputs.means[0].astype(np.float64))
    np.testing.assert_array_equal(aleatoric, outputs.variances[0].astype(np.float64))
    assert not epistemic.any()


def test_equal_weights_are_the_mean_probability_and_the_law_of_total_variance() -> None:
    outputs, _ = classes()
    found = Weighted.equal(6).probabilities(outputs.logits)
    np.testing.assert_allclose(found, softmax(outputs.logits).mean(axis=0), rtol=1e-14)
    members, _ = numbers()
    mean, aleatoric, epistemic = Weighted.equal(6).mixture(members.means, members.variances)
    np.testing.assert_allclose(mean, members.means.astype(float).mean(axis=0), atol=1e-14)
    np.testing.assert_allclose(aleatoric, members.variances.astype(float).mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(epistemic, members.means.astype(float).var(axis=0), rtol=1e-12)


def test_mean_logit_is_the_mean_of_log_probabilities() -> None:
    outputs, _ = classes()
    expected = softmax(log_softmax(outputs.logits).mean(axis=0))
    np.testing.assert_allclose(
        Weighted.equal(6, "logit").probabilities(outputs.logits), expected, rtol=1e-12
    )


def test_votes_by_hand() -> None:
    logits = np.array([[[3.0, 1.0]], [[1.0, 0.0]], [[0.0, 1.0]]])
    found = Weighted.equal(3, "vote").probabilities(logits)
    np.testing.assert_allclose(found, [[2.5 / 4, 1.5 / 4]], rtol=1e-15)


@pytest.mark.parametrize("space", ["probability", "logit", "vote"])
def test_a_temperature_of_one_changes_nothing_and_another_keeps_the_order(space: str) -> None:
    outputs, _ = classes()
    plain = TypeAdapter(Weighted).validate_python({"space": space, "weights": [0.5] + [0.1] * 5})
    before = plain.probabilities(outputs.logits)
    assert replace(plain, temperature=1.0).probabilities(outputs.logits).tobytes() == (
        before.tobytes()
    )
    warm = replace(plain, temperature=1 + 1e-12).probabilities(outputs.logits)
    np.testing.assert_allclose(warm, before, rtol=1e-9)
    hot = replace(plain, temperature=2.0).probabilities(outputs.logits)
    np.testing.assert_allclose(hot, softmax(np.log(before) / 2), rtol=1e-10)


def test_a_temperature_multiplies_the_standard_deviation_of_numbers() -> None:
    outputs, _ = numbers()
    plain, twice = Weighted.equal(6), replace(Weighted.equal(6), temperature=2.0)
    mean, aleatoric, epistemic = plain.mixture(outputs.means, outputs.variances)
    found = twice.mixture(outputs.means, outputs.variances)
    for one, other in zip(found, (mean, 4 * aleatoric, 4 * epistemic), strict=True):
        np.testing.assert_array_equal(one, other)


def test_noise_is_added_to_what_members_see_and_not_to_what_they_disagree_about() -> None:
    outputs, _ = numbers()
    plain, noisy = Weighted.equal(6), replace(Weighted.equal(6), temperature=2.0, noise=0.5)
    mean, aleatoric, epistemic = plain.mixture(outputs.means, outputs.variances)
    found = noisy.mixture(outputs.means, outputs.variances)
    for one, other in zip(found, (mean, 4 * aleatoric + 0.5, 4 * epistemic), strict=True):
        np.testing.assert_array_equal(one, other)


def stacked(zero: int) -> LinearCombiner:
    coefficients = np.random.default_rng(4).standard_normal((3, 12, 3))
    coefficients[:, zero] = 0.0
    return LinearCombiner.of(coefficients, np.array([0.1, 0.0, -0.1]))


@pytest.mark.parametrize("temperature", [1.0, 1.7])
@pytest.mark.parametrize("kind", ["probability", "logit", "vote", "stacked"])
def test_members_of_weight_zero_can_go_and_no_bit_changes(kind: str, temperature: float) -> None:
    outputs, _ = classes(members=12)
    weights = [0.1, 0.2, 0.0, 0.3, 0.05, 0.05, 0.0, 0.1, 0.05, 0.05, 0.05, 0.05]
    combiner: Combiner = stacked(6)
    if kind != "stacked":
        combiner = TypeAdapter(Weighted).validate_python({"space": kind, "weights": weights})
    combiner = replace(combiner, temperature=temperature)
    less, kept = combiner.without_zero_weights()
    assert len(kept) == (11 if kind == "stacked" else 10)
    whole = combiner.probabilities(outputs.logits)
    assert less.probabilities(outputs.logits[kept]).tobytes() == whole.tobytes()
    np.testing.assert_array_equal(less.member_weights(), combiner.member_weights()[kept])


@pytest.mark.parametrize("name", fits_for("classification"))
def test_extreme_logits_give_finite_likelihoods_rows_that_stand_alone_and_json(name: str) -> None:
    outputs, labels = classes(rows=60)
    outputs = ClassOutputs(outputs.logits * np.float32(2e3))
    for temperature in (False, True):
        found = fit(name, outputs, labels, np.random.default_rng(5), temperature=temperature)
        assert np.isfinite(outputs.combined(found).nll(labels)).all()
        whole = found.probabilities(outputs.logits)
        np.testing.assert_allclose(whole.sum(axis=1), 1.0, rtol=1e-12)
        np.testing.assert_allclose(
            np.exp(found.log_probabilities(outputs.logits)), whole, rtol=1e-9, atol=1e-300
        )
        assert found.probabilities(outputs.logits[:, 7:8]).tobytes() == whole[7:8].tobytes()
        adapter: TypeAdapter[Combiner] = TypeAdapter(AnyCombiner)
        assert adapter.validate_json(adapter.dump_json(found)) == found


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"name": "weighted", "weights": [0.5, 0.4]}, "sum to 1"),
        ({"name": "weighted", "weights": [1.5, -0.5]}, "at least 0"),
        ({"name": "weighted", "weights": [float("nan"), 1.0]}, "finite"),
        ({"name": "weighted", "weights": [1.0], "temperature": 0.0}, "greater than 0"),
        ({"name": "stacked", "coefficients": [[[1.0], [2.0]]], "intercepts": []}, "0 intercepts"),
        ({"name": "stacked", "coefficients": [[[1.0], []]], "intercepts": [0.0]}, "full"),
    ],
)
def test_damaged_combiners_are_refused(facts: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(AnyCombiner).validate_python(facts)


def test_combiners_that_do_not_fit_the_ensemble_are_refused() -> None:
    with pytest.raises(ValueError, match="3 weights do not fit 2 members"):
        Weighted.equal(3).check("classification", 2, 3)
    with pytest.raises(ValueError, match="for classes"):
        Weighted.equal(3, "vote").check("regression", 3, 1)
    with pytest.raises(ValueError, match="must be"):
        stacked(0).check("regression", 12, 3)


@pytest.mark.parametrize("members", [2, 6, 30])
def test_weights_are_the_optimum_and_beat_equal_ones(members: int) -> None:
    outputs, labels = classes(members)
    likelihood = Evidence.of(outputs, labels).likelihood
    weights = best_weights(likelihood)
    assert simplex_gap(likelihood, weights) < 1e-8
    assert abs(weights.sum() - 1) < 1e-12
    assert weights.min() >= 0
    assert likelihood.at(weights) < likelihood.at(np.full(members, 1 / members))
    found = nll(outputs, labels, Weighted(weights=tuple(weights.tolist())))
    assert found == pytest.approx(likelihood.at(weights), rel=1e-12)


def test_the_weights_of_regressions_are_a_stationary_point_and_beat_equal_ones() -> None:
    outputs, targets = numbers()
    likelihood = Evidence.of(outputs, targets).likelihood
    weights = best_weights(likelihood)
    assert simplex_gap(likelihood, weights) < 1e-4
    assert likelihood.at(weights) < likelihood.at(np.full(6, 1 / 6)) - 0.1
    found = nll(outputs, targets, Weighted(weights=tuple(weights.tolist())))
    assert found == pytest.approx(likelihood.at(weights), rel=1e-9)


@pytest.mark.parametrize("outputs_of", [classes, numbers])
def test_the_gradient_is_that_of_differences(outputs_of: object) -> None:
    outputs, targets = classes() if outputs_of is classes else numbers()
    likelihood = Evidence.of(outputs, targets, np.linspace(0, 1, 400)).likelihood
    weights = np.linspace(0.1, 0.3, 6)
    steps = 1e-6 * np.eye(6)
    expected = [likelihood.at(weights + s) - likelihood.at(weights - s) for s in steps]
    np.testing.assert_allclose(
        likelihood.gradient(weights), np.array(expected) / 2e-6, rtol=1e-6, atol=1e-8
    )


@pytest.mark.parametrize("name", ["greedy", "weights"])
def test_a_perfect_member_among_noise_gets_all_weight(name: str) -> None:
    random = np.random.default_rng(6)
    labels = random.integers(0, 3, 200)
    logits = random.standard_normal((5, 200, 3))
    logits[3] = 30.0 * np.eye(3)[labels]
    weights = fit(name, ClassOutputs(logits), labels, random).member_weights()
    np.testing.assert_array_equal(weights, np.eye(5)[3])


def test_two_equal_members_may_share_their_weight_in_any_way() -> None:
    outputs, labels = classes(members=3)
    twice = ClassOutputs(outputs.logits[[0, 1, 2, 0]])
    one, other = (Evidence.of(o, labels).likelihood for o in (outputs, twice))
    single, double = best_weights(one), best_weights(other)
    assert other.at(double) == pytest.approx(one.at(single), abs=1e-9)
    assert double[0] + double[3] == pytest.approx(single[0], abs=1e-4)


@pytest.mark.parametrize("outputs_of", [classes, numbers])
def test_greedy_selection_of_one_candidate_is_that_and_of_many_is_a_gain(
    outputs_of: object,
) -> None:
    outputs, targets = classes() if outputs_of is classes else numbers()
    likelihood = Evidence.of(outputs, targets).likelihood
    random = np.random.default_rng(7)
    np.testing.assert_array_equal(greedy_weights(likelihood.of(np.array([2])), random), [1.0])
    weights = greedy_weights(likelihood, random)
    assert weights.sum() == pytest.approx(1.0)
    assert likelihood.at(weights) < likelihood.each().min()


def test_stacking_finds_planted_ridge_coefficients() -> None:
    random = np.random.default_rng(9)
    means = random.standard_normal((3, 500, 2))
    planted = np.array([[1.5, -0.5, 0.2], [0.1, 0.0, 0.9]])
    targets = np.einsum("dk,krd->rd", planted, means) + np.array([3.0, -1.0])
    targets += 0.01 * random.standard_normal(targets.shape)
    outputs = NumberOutputs(means, np.ones_like(means))
    found = fit("stacking", outputs, targets, random)
    assert isinstance(found, LinearCombiner)
    np.testing.assert_allclose(np.array(found.coefficients)[:, :, 0], planted, atol=0.005)
    np.testing.assert_allclose(found.intercepts, [3.0, -1.0], atol=0.005)
    np.testing.assert_allclose(found.mixture(means, outputs.variances)[0], targets, atol=0.06)


def test_stacking_of_numbers_that_are_all_alike_is_the_plain_mean() -> None:
    """Or it would foresee them without any error, and be certain of all others too."""
    random = np.random.default_rng(3)
    means = 0.1 * random.standard_normal((3, 40, 1))
    outputs = NumberOutputs(means, np.full_like(means, 0.01))
    found = fit("stacking", outputs, np.zeros((40, 1)), random, temperature=True)
    assert isinstance(found, LinearCombiner)
    assert found.coefficients == (((1 / 3,), (1 / 3,), (1 / 3,)),)
    assert found.intercepts == (0.0,)
    mean, noise, spread = found.mixture(means, outputs.variances)
    assert (noise + spread).mean() == pytest.approx((mean**2).mean(), rel=0.5)


@pytest.mark.parametrize("number", [2, 3])
def test_stacking_of_classes_undoes_a_member_that_swaps_them(number: int) -> None:
    random = np.random.default_rng(10)
    labels = random.integers(0, 2, 900)  # a third class is never seen
    logits = random.standard_normal((2, 900, number))
    logits[1] += 4.0 * np.eye(number)[1 - labels]
    outputs = ClassOutputs(logits)
    found = fit("stacking", outputs, labels, random)
    accuracy = (found.probabilities(logits).argmax(axis=1) == labels).mean()
    assert accuracy > 0.95
    assert found.member_weights()[1] > 0.7


def exhaustive(likelihood_of: Evidence, places: list[tuple[int, ...]]) -> float:
    likelihood = likelihood_of.likelihood
    subsets = [likelihood.of(np.array(chosen)) for chosen in places]
    return min(subset.at(best_weights(subset)) for subset in subsets)


@pytest.mark.parametrize("outputs_of", [classes, numbers])
@pytest.mark.parametrize("most", [1, 2, 3])
def test_selection_of_few_members_is_near_the_best_of_all_subsets(
    outputs_of: object, most: int
) -> None:
    outputs, targets = classes() if outputs_of is classes else numbers()
    evidence = Evidence.of(outputs, targets)
    weights = select(outputs, targets, most_members=most)
    assert 1 <= (weights > 0).sum() <= most
    best = exhaustive(evidence, list(combinations(range(6), most)))
    assert best - 1e-9 <= evidence.likelihood.at(weights) <= best + 0.005


def test_selection_in_limited_time_stays_within_it_and_is_near_the_best() -> None:
    outputs, labels = classes()
    costs: Floats = np.array([5.0, 1.0, 1.0, 2.0, 1.0, 1.0])
    evidence = Evidence.of(outputs, labels)
    weights = select(outputs, labels, milliseconds=4.0, costs=costs)
    assert costs[weights > 0].sum() <= 4.0
    subsets = [s for n in range(1, 5) for s in combinations(range(6), n)]
    allowed = [s for s in subsets if costs[list(s)].sum() <= 4.0]
    assert evidence.likelihood.at(weights) <= exhaustive(evidence, allowed) + 0.005
    quickest = select(outputs, labels, milliseconds=0.5, costs=costs)
    assert (costs[quickest > 0] == 1.0).all()
    assert quickest.max() == 1.0
    with pytest.raises(ConfigError, match="needs the milliseconds"):
        select(outputs, labels, milliseconds=0.5)


def test_the_best_k_are_in_order_and_the_first_of_equals() -> None:
    assert top_k(np.array([3.0, 1.0, 2.0, 1.0]), 2).tolist() == [1, 3]
    assert top_k(np.array([1.0, 1.0, 1.0]), 2).tolist() == [0, 1]
    with pytest.raises(ConfigError, match="best 4 of 3"):
        top_k(np.zeros(3), 4)
