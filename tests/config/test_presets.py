"""Presets: an ensemble by one word, and what it stands for in the pipeline of a run."""

from dataclasses import replace
from typing import Any

import pytest

from ensemble_pipe.config.conversion import resolve
from ensemble_pipe.config.defaults import FOLDS, LEARNERS_IN_FOLDS, DataFacts, settle
from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.nn.networks import Mlp

MANY, FEW = DataFacts(rows=20_000), DataFacts(rows=500)


def settled(facts: DataFacts, **ensemble: Any) -> Pipeline:
    return settle(Pipeline.model_validate({"ensemble": ensemble}), facts)


def test_the_best_ensemble_is_a_pool_that_the_resolved_pipeline_names() -> None:
    found = resolve(settled(MANY, preset="best"))["ensemble"]
    assert found["preset"] is None
    assert found["combine"]["method"] == "choose"
    kinds = [(group["strategy"], group["learners"]) for group in found["pool"]]
    assert kinds == [("shared", 4), ("histogram_boosting", 3)]
    fast = settled(MANY).network
    assert isinstance(fast, Mlp)
    assert settled(MANY, preset="best").network == replace(fast, hidden=(256, 256))


def test_the_best_ensemble_of_a_network_that_is_named_has_several_of_it() -> None:
    values = {"ensemble": {"preset": "best"}, "network": {"name": "mlp"}}
    found = settle(Pipeline.model_validate(values), MANY)
    kinds = [(group.strategy, group.learners) for group in found.ensemble.groups]
    assert kinds == [("independent", 5), ("histogram_boosting", 3)]
    assert found.network == Mlp()


def test_of_few_rows_each_fold_is_left_out_by_a_learner_of_each_kind() -> None:
    found = settled(FEW, preset="best")
    assert found.splits.folds == FOLDS
    assert [group.learners for group in found.ensemble.groups] == [FOLDS, FOLDS]
    plans = make_plans(found)
    assert (len(plans.networks), len(plans.estimators), plans.folds) == (FOLDS, FOLDS, FOLDS)


@pytest.mark.parametrize("facts", [MANY, FEW])
def test_the_fast_ensemble_is_the_default_one(facts: DataFacts) -> None:
    assert settled(facts, preset="fast") == settled(facts)
    assert settled(facts, preset="fast", learners=7).ensemble.learners == 7
    learners = LEARNERS_IN_FOLDS if facts is FEW else 4
    assert settled(facts, preset="fast").ensemble.learners == learners


def test_other_keys_go_beside_a_preset() -> None:
    found = settled(MANY, preset="best", combine={"method": "greedy", "coverage": 0.9}).ensemble
    assert (found.combine.method, found.combine.coverage) == ("greedy", 0.9)
    assert found.pool is not None


def test_a_settled_pipeline_is_settled_for_good() -> None:
    once = settled(MANY, preset="best")
    assert settle(once, FEW) == once
    assert Pipeline.model_validate(resolve(once)) == once


@pytest.mark.parametrize(("ensemble", "key"), [
    ({"preset": "best", "learners": 5}, "learners"),
    ({"preset": "best", "strategy": "bagging"}, "strategy"),
    ({"preset": "best", "vary": {"view.rows": [1]}}, "vary"),
    ({"preset": "best", "pool": [{"strategy": "linear"}]}, "pool"),
    ({"preset": "fast", "pool": [{"strategy": "linear"}]}, "pool"),
])  # fmt: skip
def test_keys_that_say_which_learners_there_are_contradict_a_preset(
    ensemble: dict[str, Any], key: str
) -> None:
    with pytest.raises(ConfigError, match=rf"ensemble\.{key}: the preset {ensemble['preset']}"):
        make_plans(Pipeline.model_validate({"ensemble": ensemble}))
