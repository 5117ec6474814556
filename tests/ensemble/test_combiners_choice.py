"""The choice of a combiner: planted winners, and rows that are judged without being seen."""

import numpy as np
import pytest

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.errors import ConfigError, DataError
from ensemble_pipe.ensemble.combiners import ClassOutputs, NumberOutputs, choose, fit, softmax
from ensemble_pipe.ensemble.combiners.choice import cross_fit, standard_error
from ensemble_pipe.ensemble.combiners.fits import Evidence
from ensemble_pipe.ensemble.combiners.folds import fold_numbers


def labels_from(probabilities: np.ndarray, random: np.random.Generator) -> Array:
    above = random.random((len(probabilities), 1)) > probabilities[:, :-1].cumsum(axis=1)
    labels: Array = above.sum(axis=1)
    return labels


def planted(kind: str) -> tuple[ClassOutputs, Array]:
    """Return logits (4, 3000, 3) and labels drawn from one way of combining them."""
    random = np.random.default_rng(11)
    logits = 3.0 * random.standard_normal((4, 3000, 3))
    members = softmax(logits)
    truth = {
        "mean_probability": members.mean(axis=0),
        "mean_logit": softmax(logits.mean(axis=0)),
        "mean_logit, warm": softmax(logits.mean(axis=0) / 2),
        "weights": np.tensordot([0.7, 0.3, 0.0, 0.0], members, 1),
        "stacking": softmax(logits[0] - logits[1]),
    }[kind]
    return ClassOutputs(logits), labels_from(truth, random)


@pytest.mark.parametrize(
    ("kind", "name", "temperature"),
    [
        ("mean_probability", "mean_probability", False),
        ("mean_logit", "mean_logit", False),
        ("mean_logit, warm", "mean_logit", True),
        ("weights", "weights", False),
        ("stacking", "stacking", False),
    ],
)
def test_the_planted_way_is_chosen(kind: str, name: str, temperature: bool) -> None:
    outputs, labels = planted(kind)
    found = choose(outputs, labels, 3, np.random.default_rng(12))
    if kind == "weights":  # greedy selection comes as near as the noise lets tell
        assert found.chosen.name in ("greedy", "weights")
    else:
        assert (found.chosen.name, found.chosen.temperature) == (name, temperature)
    assert len(found.table) == 12
    assert min(line.excess for line in found.table) == 0.0
    assert (found.combiner.temperature != 1.0) == found.chosen.temperature


@pytest.mark.parametrize(
    ("sizes", "names"),
    [
        ((0.1, 1.0, 1.0), {"greedy", "weights", "stacking"}),
        ((0.5, 0.5, 0.5), {"mean_probability", "stacking"}),
    ],
)
def test_numbers_of_unequal_members_are_weighted(sizes: tuple[float, ...], names: set[str]) -> None:
    random = np.random.default_rng(13)
    truth = random.standard_normal((600, 1))
    scale = np.array(sizes)[:, None, None]
    means = truth + scale * random.standard_normal((3, 600, 1))
    outputs = NumberOutputs(means, np.broadcast_to(scale**2, means.shape))
    found = choose(outputs, truth, 5, random)
    assert found.chosen.name in names
    assert len(found.table) == 8


def test_the_targets_of_a_fold_never_reach_its_own_predictions() -> None:
    outputs, labels = planted("weights")
    outputs, labels = outputs.take(np.arange(90)), labels[:90]
    fold_of = np.arange(90) % 3
    left_out = np.flatnonzero(fold_of == 1)
    changed = labels.copy()
    changed[left_out] = (labels[left_out] + 1) % 3
    names = ("greedy", "weights", "stacking")
    one, other = (
        cross_fit(names, Evidence.of(outputs, y), fold_of, np.random.default_rng(14))
        for y in (labels, changed)
    )
    # A row's three likelihoods, one for each class it may have, are those of one prediction.
    third = labels.copy()
    third[left_out] = (labels[left_out] + 2) % 3
    last = cross_fit(names, Evidence.of(outputs, third), fold_of, np.random.default_rng(14))
    for key in one:
        total = sum(np.exp(-found[key].nll[left_out]) for found in (one, other, last))
        np.testing.assert_allclose(total, 1.0, rtol=1e-9)


def test_folds_hold_every_class_and_keep_groups_together() -> None:
    random = np.random.default_rng(15)
    strata = np.repeat([0, 1, 2], [100, 30, 5])
    fold_of = fold_numbers(strata, np.arange(135), 5, random)
    for stratum in range(3):
        counts = np.bincount(fold_of[strata == stratum], minlength=5)
        assert counts.max() - counts.min() <= 1
    groups = random.integers(0, 20, 135)
    fold_of = fold_numbers(strata, groups, 5, random)
    assert all(len(set(fold_of[groups == group])) == 1 for group in range(20))
    with pytest.raises(DataError, match="3 rows or groups"):
        fold_numbers(strata[:3], np.arange(3), 5, random)


def test_a_standard_error_is_the_textbooks_and_repeated_rows_in_groups_do_not_shrink_it() -> None:
    values = np.random.default_rng(16).standard_normal(50)
    even = np.full(50, 1 / 50)
    expected = values.std(ddof=1) / np.sqrt(50)
    assert standard_error(values, even, np.arange(50)) == pytest.approx(expected)
    twice = standard_error(np.tile(values, 2), np.full(100, 0.01), np.tile(np.arange(50), 2))
    assert twice == pytest.approx(expected)


def test_a_choice_is_repeatable_and_groups_are_heeded() -> None:
    outputs, labels = planted("mean_probability")
    groups = np.arange(3000) // 30
    one, other = (
        choose(outputs, labels, 5, np.random.default_rng(17), groups=groups, names=("greedy",))
        for _ in range(2)
    )
    assert one == other


def test_unknown_fits_are_named_with_the_valid_ones() -> None:
    outputs, labels = planted("weights")
    random = np.random.default_rng(18)
    with pytest.raises(ConfigError, match=r"no combiner 'median' .* valid: mean_probability"):
        fit("median", outputs, labels, random)
    numbers = NumberOutputs(np.zeros((1, 9, 1)), np.ones((1, 9, 1)))
    with pytest.raises(ConfigError, match="no combiner 'vote' for regression"):
        choose(numbers, np.zeros((9, 1)), 3, random, names=("vote",))


@pytest.mark.parametrize("labels", [np.array([0, 3]), np.array([0]), np.array([0.0, 1.0])])
def test_targets_that_do_not_fit_are_refused(labels: Array) -> None:
    with pytest.raises(ValueError, match="2 class numbers in 0 to 2"):
        Evidence.of(ClassOutputs(np.zeros((1, 2, 3))), labels)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ClassOutputs(np.full((2, 3, 2), np.nan)), "member 0"),
        (lambda: ClassOutputs(np.zeros((3, 2))), "three axes"),
        (lambda: NumberOutputs(np.zeros((1, 3, 1)), np.zeros((1, 3, 1))), "above 0"),
    ],
)
def test_outputs_that_cannot_be_combined_are_refused(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=message):
        make()
