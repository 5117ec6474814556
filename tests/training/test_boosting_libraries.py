"""LightGBM and CatBoost as learners: fitted, kept in their text formats, and loaded."""

import json
from typing import Any

import numpy as np
import pytest
from conftest import plain_schema
from library_members import BOTH, ROWS, member_of, outputs_of, table_of_codes

from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.training import library_models
from ensemble_pipe.training.library_models import load_library

each = pytest.mark.parametrize("settings", BOTH, ids=lambda one: one.strategy)


@each
@pytest.mark.parametrize("classes", [2, 3])
def test_classes_are_predicted_by_a_category_without_order(settings: Any, classes: int) -> None:
    schema, encoded, names = table_of_codes(classes)
    member = member_of(settings, schema, encoded, names)
    found = outputs_of(member, schema, encoded)
    assert (found.argmax(axis=1) == names).all()
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1.0, atol=1e-5)
    assert outputs_of(member, schema, encoded[50:53]).tobytes() == found[50:53].tobytes()


@each
def test_several_targets_have_a_model_each(settings: Any) -> None:
    schema = plain_schema("regression", (2,), target_means=(0.0, 0.0), target_deviations=(1.0, 1.0))
    encoded = np.random.default_rng(1).normal(size=(ROWS, 2)).astype(np.float32)
    member = member_of(settings, schema, encoded, np.sign(encoded))
    found = outputs_of(member, schema, encoded)[:, :2]
    assert np.mean((found - np.sign(encoded)) ** 2) < 0.05
    first = json.loads(member.content)["models"][0]
    assert first.startswith("tree\n") or "oblivious_trees" in json.loads(first)


@each
def test_the_same_seed_gives_the_same_bytes(settings: Any) -> None:
    schema = plain_schema("regression", (2,))
    encoded = np.random.default_rng(1).normal(size=(ROWS, 2)).astype(np.float32)
    members = [member_of(settings, schema, encoded, encoded[:, 0]) for _ in range(2)]
    first, second = (outputs_of(member, schema, encoded) for member in members)
    assert first.tobytes() == second.tobytes()


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library_models, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'install it with `pip install "ensemble-pipe\[boost'):
        load_library("lightgbm")
