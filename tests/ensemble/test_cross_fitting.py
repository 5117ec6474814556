"""Out of fold: which members predict a row, and what is done where some of them are missing."""

from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pytest
from conftest import plain_schema

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.ensemble.combiners import softmax
from ensemble_pipe.ensemble.cross_fitting import Folds
from ensemble_pipe.ensemble.growing import sums_of
from ensemble_pipe.ensemble.members import Member
from ensemble_pipe.ensemble.out_of_fold import OutOfFold

ROWS, FOLDS = 12, 3
SCHEMA = plain_schema("classification", (2,), ("a", "b"))
TARGETS = np.arange(ROWS, dtype=np.int32) % 2
FOLD = np.arange(ROWS) % FOLDS


@dataclass(frozen=True)
class Known(Member):
    """A member of which only its outputs matter."""

    kind = "known"

    @classmethod
    def predict(cls, members: Any, inputs: Any) -> list[Floats]:
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        raise NotImplementedError


def known(*learners: int, number: int = 0) -> list[Member]:
    return [Known(learner, number, 1) for learner in learners]


def outputs_of(members: list[Member]) -> dict[tuple[int, int], Floats]:
    """Return outputs that say whose they are: logits (0, learner + number / 10)."""
    rows = ROWS // FOLDS
    logits = {m: np.array([0.0, m.learner + m.number / 10], np.float32) for m in members}
    return {(m.learner, m.number): np.tile(own, (rows, 1)) for m, own in logits.items()}


def predicted(folds: Folds, members: list[Member]) -> OutOfFold:
    ordered = sorted(members, key=lambda m: (m.learner, m.number))
    return folds.out_of_fold(ordered, outputs_of(members), TARGETS, SCHEMA)


def test_the_first_of_each_fold_are_a_unit_and_so_are_the_second() -> None:
    found = predicted(Folds(FOLDS, FOLD, (tuple(range(6)),)), known(*range(6)))
    assert [[m.learner for m in unit] for unit in found.groups] == [[0, 1, 2], [3, 4, 5]]
    np.testing.assert_array_equal(found.outputs[0, :, 1], FOLD)
    np.testing.assert_array_equal(found.outputs[1, :, 1], FOLD + 3)
    assert found.rows is None
    np.testing.assert_array_equal(found.targets, TARGETS)


def test_several_members_of_a_learner_are_units_by_number() -> None:
    members = known(0, 1, 2) + known(0, 1, 2, number=1)
    found = predicted(Folds(FOLDS, FOLD, ((0, 1, 2),)), members)
    numbers = [{member.number for member in unit} for unit in found.groups]
    assert numbers == [{0}, {1}]
    np.testing.assert_allclose(found.outputs[1, :, 1], FOLD + 0.1, rtol=1e-6)


def test_unequally_many_are_one_unit_that_predicts_their_mixture() -> None:
    found = predicted(Folds(FOLDS, FOLD, (tuple(range(4)),)), known(*range(4)))
    assert [[m.learner for m in unit] for unit in found.groups] == [[0, 1, 2, 3]]
    both = softmax(np.array([[0.0, 0.0], [0.0, 3.0]])).mean(axis=0)
    np.testing.assert_allclose(softmax(found.outputs[0][FOLD == 0]), both[None].repeat(4, 0))
    np.testing.assert_array_equal(found.outputs[0][FOLD == 2, 1], 2)


def test_a_group_without_some_fold_is_left_out_if_another_is_whole() -> None:
    folds = Folds(FOLDS, FOLD, ((0, 1, 2), (3, 4, 5)))
    members = known(0, 1, 2, 3, 5)
    found = predicted(folds, members)
    assert [[m.learner for m in unit] for unit in found.groups] == [[0, 1, 2]]
    (message,) = folds.left_out_messages(members)
    assert message.startswith("learners 3 to 5 are left out of the ensemble: none of those")
    assert folds.left_out_messages(known(*range(6))) == []


def test_without_a_whole_group_the_rows_of_the_most_folds_count() -> None:
    folds = Folds(FOLDS, FOLD, ((0, 1, 2), (3, 4, 5)), np.arange(ROWS))
    found = predicted(folds, known(1, 3, 5))
    assert [[m.learner for m in unit] for unit in found.groups] == [[3, 5]]
    assert found.rows is not None
    np.testing.assert_array_equal(found.rows, np.flatnonzero(FOLD != 1))
    np.testing.assert_array_equal(found.row_groups, found.rows)
    np.testing.assert_array_equal(found.outputs[0, :, 1], FOLD[found.rows] + 3)


def test_sums_of_members_are_of_the_rows_that_they_left_out() -> None:
    folds = Folds(FOLDS, FOLD, (tuple(range(6)),))
    members = known(0, 1, 4)
    outputs = outputs_of(members)
    sums = [folds.sums(m, outputs[m.learner, m.number], SCHEMA) for m in members]
    joined = sums[0] + sums[1] + sums[2]
    np.testing.assert_array_equal(np.sort(joined.predicted), np.flatnonzero(FOLD < 2))
    chances = softmax(joined.outputs())[:, 1]
    mean = softmax(np.array([[0.0, 1.0], [0.0, 4.0]]))[:, 1].mean()
    np.testing.assert_allclose(chances, np.repeat([0.5, mean], 4))
    truth = np.where(TARGETS[joined.predicted] == 1, chances, 1 - chances)
    assert joined.metrics(TARGETS, SCHEMA)["nll"] == pytest.approx(-np.log(truth).mean())


TWICE = np.stack([FOLD, np.arange(ROWS) // 4])
FORWARD = np.where(np.arange(ROWS) < 3, -1, (np.arange(ROWS) - 3) // 3)


def test_each_partition_of_repeated_folds_is_a_unit_that_predicts_every_row() -> None:
    found = predicted(Folds(FOLDS, TWICE, (tuple(range(6)),)), known(*range(6)))
    assert [[m.learner for m in unit] for unit in found.groups] == [[0, 1, 2], [3, 4, 5]]
    np.testing.assert_array_equal(found.outputs[0, :, 1], TWICE[0])
    np.testing.assert_array_equal(found.outputs[1, :, 1], TWICE[1] + 3)
    assert found.rows is None


def test_a_partition_that_lacks_a_fold_joins_the_others_in_one_unit() -> None:
    """Each row is predicted by the mixture of those that left it out, in whichever partition."""
    found = predicted(Folds(FOLDS, TWICE, (tuple(range(6)),)), known(0, 1, 2, 3, 5))
    assert [[m.learner for m in unit] for unit in found.groups] == [[0, 1, 2, 3, 5]]
    for row in range(ROWS):
        left_out = [TWICE[0, row], *({0: [3], 1: [], 2: [5]}[int(TWICE[1, row])])]
        expected = np.mean([softmax(np.array([[0.0, own]])) for own in left_out], axis=0)
        np.testing.assert_allclose(softmax(found.outputs[0][row : row + 1]), expected, rtol=1e-5)


def test_of_two_partitions_one_that_is_whole_suffices() -> None:
    folds = Folds(FOLDS, TWICE, (tuple(range(6)),))
    assert folds.left_out_messages(known(0, 1, 2, 4)) == []
    some = predicted(folds, known(0, 2, 3))
    assert some.rows is not None
    np.testing.assert_array_equal(some.rows, np.flatnonzero((FOLD != 1) | (TWICE[1] == 0)))


def test_sums_over_partitions_are_those_of_each_rows_own_members() -> None:
    for schema in (SCHEMA, plain_schema("regression", (2,))):
        folds = Folds(FOLDS, TWICE, (tuple(range(6)),))
        random = np.random.default_rng(3)
        own = [random.normal(size=(4, 2)).astype(np.float32) ** 2 for _ in range(6)]
        whole = reduce(
            add, (folds.sums(m, own[m.learner], schema) for m in known(*range(6)))
        ).outputs()
        for row in range(ROWS):
            first, second = TWICE[0, row], TWICE[1, row] + 3
            pair = [
                own[int(fold)][int(np.searchsorted(folds.rows[int(fold)], row))][None]
                for fold in (first, second)
            ]
            mixed = reduce(add, (sums_of(one, schema) for one in pair)).outputs()
            np.testing.assert_allclose(whole[row : row + 1], mixed, rtol=1e-9)


def test_rows_that_no_fold_has_are_no_evidence() -> None:
    folds = Folds(FOLDS, FORWARD, ((0, 1, 2),), np.arange(ROWS))
    members = known(0, 1, 2)
    outputs = {key: own[:3] for key, own in outputs_of(members).items()}
    found = folds.out_of_fold(members, outputs, TARGETS, SCHEMA)
    assert found.rows is not None
    np.testing.assert_array_equal(found.rows, np.arange(3, ROWS))
    np.testing.assert_array_equal(found.row_groups, np.arange(3, ROWS))
    np.testing.assert_array_equal(found.outputs[0, :, 1], FORWARD[3:])
    assert folds.left_out_messages(members) == []
