"""LightGBM and CatBoost as learners: fitted, kept in their text formats, loaded, and refused."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import plain_schema

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.errors import ConfigError, CorruptFileError
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.tables.features import CategoryColumn
from ensemble_pipe.ensemble.members import FittedMember, fitted_member, member_outputs
from ensemble_pipe.training import library_models
from ensemble_pipe.training.boosting_libraries import fit_library
from ensemble_pipe.training.estimator_settings import CatBoost, LightGbm
from ensemble_pipe.training.estimators import EstimatorPlan
from ensemble_pipe.training.learner_rows import LearnerRows
from ensemble_pipe.training.library_models import LibraryModels, load_library, read_models
from ensemble_pipe.training.tree_inputs import fit_inputs

ROWS = 300
BOTH = [LightGbm(rounds=20, learning_rate=0.3), CatBoost(rounds=20, learning_rate=0.3)]
each = pytest.mark.parametrize("settings", BOTH, ids=lambda one: one.strategy)


def table_of_codes(classes: int) -> tuple[Schema, Floats]:
    """Return a schema of a category (as a code) and a number, and encoded rows."""
    random = np.random.default_rng(0)
    schema = plain_schema("classification", (1,), tuple("abc"[:classes]))
    names = tuple(f"k{code}" for code in range(12))
    category = CategoryColumn("c", "category", names, None, "ignore", "code")
    schema = replace(schema, input_shape=(2,), columns=(category, *schema.columns))
    codes = random.integers(0, 12, ROWS)
    return schema, np.column_stack([codes + 1, random.normal(size=ROWS)]).astype(np.float32)


def member_of(
    settings: LightGbm | CatBoost, schema: Schema, encoded: Floats, targets: Any
) -> FittedMember:
    targets = np.asarray(targets)
    rows = LearnerRows(encoded, targets, np.ones(ROWS, np.float32), np.zeros(ROWS, np.int64))
    plan = EstimatorPlan(3, 1, settings)
    inputs = fit_inputs(schema.source_view, encoded, 254)
    seed, told = plan.drawn_seed, list[tuple[int, int, float | None]]()

    def tell(*one: Any) -> bool:
        told.append(one)
        return False

    content = fit_library(
        settings, plan.facts, schema.task, seed, inputs, rows, rows, tell
    ).to_bytes()
    assert told[-1][0] <= told[-1][1]
    member = fitted_member(plan, settings.suffix, content)
    member.require_fit(schema)
    assert member.is_of_plan(plan, schema.task)
    assert not member.is_of_plan(replace(plan, learner=4), schema.task)
    return member


def outputs_of(member: FittedMember, schema: Schema, encoded: Floats) -> Floats:
    def read(start: int, stop: int, out: Any) -> None:
        out[:] = encoded[start:stop]

    if schema.task == "regression":
        member = replace(member, noise=(1.0,) * schema.target_count)
    (found,) = member_outputs([member], schema, [read], len(encoded))
    return np.asarray(found)


@each
@pytest.mark.parametrize("classes", [2, 3])
def test_classes_are_predicted_by_a_category_without_order(settings: Any, classes: int) -> None:
    schema, encoded = table_of_codes(classes)
    names = ((encoded[:, 0] - 1) % classes).astype(np.int32)
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


TREE = """
num_leaves=3
num_cat=0
split_feature=0 1
threshold=0.5 0.25
decision_type=2 2
left_child=1 -1
right_child=-2 -3
leaf_value=1 2 3
"""
TEXT = f"tree\nmax_feature_idx=1\n\nTree=0{TREE}\nend of trees\n"


def read_text(text: str) -> LibraryModels:
    content = LibraryModels({}, (), (), (text,)).to_bytes()
    return read_models(content, "lightgbm", 2, "library-0001.lightgbm")


def test_a_text_of_trees_is_accepted() -> None:
    assert read_text(TEXT).models == (TEXT,)


@pytest.mark.parametrize(("old", "new", "message"), [
    ("left_child=1 -1", "left_child=0 -1", "leads to none that can follow"),
    ("left_child=1 -1", "left_child=7 -1", "leads to none that can follow"),
    ("right_child=-2 -3", "right_child=-2 -9", "leads to no leaf"),
    ("split_feature=0 1", "split_feature=0 5", "a column that there is not"),
    ("leaf_value=1 2 3", "leaf_value=1 nan 3", "values of its leaves"),
    ("leaf_value=1 2 3", "leaf_value=1 2", "values of its leaves"),
    ("decision_type=2 2", "decision_type=1 2", "categories that there are not"),
    ("threshold=0.5 0.25", "threshold=0.5", "number of its nodes"),
    ("num_leaves=3", "num_leaves=x", "not a model of lightgbm"),
    ("max_feature_idx=1", "max_feature_idx=9", "not for 2 columns"),
    ("tree\nmax", "x\nmax", "has no trees"),
])  # fmt: skip
def test_a_text_that_leads_nowhere_is_refused_before_the_library_reads_it(
    old: str, new: str, message: str
) -> None:
    with pytest.raises(CorruptFileError, match=message):
        read_text(TEXT.replace(old, new))


@pytest.mark.parametrize(("model", "message"), [
    ("{}", "its keys"),
    ("[", "not valid JSON"),
    ('{"features_info": {}, "scale_and_bias": [1, [0]], "oblivious_trees": '
     '[{"leaf_values": [1], "splits": [{}]}]}', "number of leaves"),
    ('{"features_info": {}, "scale_and_bias": [1, [0]], "oblivious_trees": '
     '[{"leaf_values": [1, 2], "splits": [{"float_feature_index": 7}]}]}', "column that there"),
])  # fmt: skip
def test_a_model_of_catboost_that_leads_nowhere_is_refused(model: str, message: str) -> None:
    content = LibraryModels({}, (), (), (model,)).to_bytes()
    with pytest.raises(CorruptFileError, match=message):
        read_models(content, "catboost", 2, "library-0001.catboost")
