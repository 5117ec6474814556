"""Defaults that follow the data, and what a pipeline says, which they never change."""

from dataclasses import replace
from typing import Any

import pytest
from loading import Load

from ensemble_pipe.config.defaults import (
    FOLDS,
    LEARNERS_IN_FOLDS,
    MOST_ROWS_AS_THEY_ARE,
    MOST_ROWS_IN_FOLDS,
    DataFacts,
    settle,
)
from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.data.tables.scaling import Quantile, RobustClip, Standardize
from ensemble_pipe.nn.layers import PiecewiseLinear
from ensemble_pipe.nn.losses import BetaNLL, CrossEntropy, SquaredError
from ensemble_pipe.nn.networks import Mlp
from ensemble_pipe.optim import Adam, AdamW, ConstantRate, Cosine

FEW, MANY = DataFacts(rows=MOST_ROWS_IN_FOLDS), DataFacts(rows=MOST_ROWS_IN_FOLDS + 1)
IMAGES = DataFacts(rows=60_000, images=True)


@pytest.mark.parametrize("facts", [FEW, MANY, IMAGES])
def test_a_settled_pipeline_is_given_whole_and_stays_as_it_is(facts: DataFacts) -> None:
    settled = settle(Pipeline(), facts)
    assert settled.training.epochs is not None
    assert settled.training.batch_size is not None
    assert settled.training.loss is not None
    for other in (FEW, MANY, IMAGES):
        assert settle(settled, other) == settled


def test_few_rows_are_divided_into_folds_and_many_share_a_held_out_part() -> None:
    few, many = settle(Pipeline(), FEW), settle(Pipeline(), MANY)
    assert (few.splits.folds, few.ensemble.learners) == (FOLDS, LEARNERS_IN_FOLDS)
    assert few.splits.validation is None
    assert (many.splits.folds, many.splits.stop) == (None, "validation")


def test_of_many_rows_networks_share_weights_and_embed_numbers() -> None:
    more = settle(Pipeline(), MANY)
    many = settle(Pipeline(), DataFacts(rows=MOST_ROWS_AS_THEY_ARE + 1))
    assert more.ensemble == many.ensemble
    assert more.network == Mlp(hidden=(192, 192), dropout=0.1)
    shared = (many.ensemble.strategy, many.ensemble.learners, many.ensemble.members)
    assert shared == ("shared", 4, 4)
    assert many.network == Mlp(
        hidden=(192, 192), dropout=0.1, embedding=PiecewiseLinear(dimension=8)
    )
    assert settle(Pipeline(), FEW).network == Mlp(hidden=(256, 256), dropout=0.1)
    assert settle(Pipeline(), IMAGES).ensemble.strategy == "independent"
    make_plans(many)


@pytest.mark.parametrize(
    "text",
    [
        "network: {name: mlp, hidden: [256, 256], dropout: 0.1}",
        "ensemble: {learners: 5}",
        "ensemble: {strategy: independent}",
        "ensemble: {strategy: bagging}",
        "ensemble: {vary: {network.dropout: [0.1, 0.2]}}",
        "ensemble: {pool: [{strategy: independent}]}",
        "ensemble: {stop_below_gain: 0.001}",
        "view: {features: 0.5}",
    ],
)
def test_what_says_how_networks_differ_takes_separate_ones(text: str, load: Load) -> None:
    settled = settle(load(text), MANY)
    assert {group.strategy for group in settled.ensemble.groups}.isdisjoint({"shared"})
    assert settled.network == Mlp(hidden=(256, 256), dropout=0.1)


def test_folds_that_are_asked_for_are_each_left_out_by_a_learner(load: Load) -> None:
    found = settle(load("splits: {folds: 3}"), MANY).ensemble
    assert (found.strategy, found.learners) == ("shared", 6)


def test_one_learner_whose_members_share_weights_is_an_ensemble(load: Load) -> None:
    shared = load("ensemble: {strategy: shared}")
    assert settle(shared, MANY).ensemble.learners == 1
    assert settle(shared, IMAGES).ensemble.learners == 1
    few = settle(shared, FEW)
    assert (few.splits.folds, few.ensemble.learners) == (FOLDS, FOLDS)
    held = load("ensemble: {strategy: shared}\nsplits: {folds: 3}")
    assert settle(held, FEW).ensemble.learners == 3
    given = load("ensemble: {strategy: shared, learners: 5}")
    assert settle(given, MANY).ensemble.learners == 5


@pytest.mark.parametrize(("most", "folds", "learners"), [(4, 4, 12), (3, 3, 12), (2, 2, 10)])
def test_folds_are_no_more_than_the_rows_of_a_class_or_the_groups(
    most: int, folds: int, learners: int
) -> None:
    settled = settle(Pipeline(), DataFacts(rows=500, most_folds=most))
    assert (settled.splits.folds, settled.ensemble.learners) == (folds, learners)
    make_plans(settled)


def test_rows_that_cannot_be_divided_are_held_out() -> None:
    splits = settle(Pipeline(), DataFacts(rows=500, most_folds=1)).splits
    assert (splits.folds, splits.stop) == (None, "validation")


@pytest.mark.parametrize(
    "text",
    [
        "splits: {stop: 0.1}",
        "ensemble: {learners: 3}",
        "ensemble: {pool: [{strategy: independent, learners: 2}]}",
        "ensemble: {stop_below_gain: 0.1}",
        "ensemble: {strategy: cross_validation}",
        "view: {folds: 4}",
        "training: {order: shared}",
    ],
)
def test_rows_are_held_out_where_folds_do_not_fit_what_is_asked_for(text: str, load: Load) -> None:
    settled = settle(load(text), FEW)
    assert settled.splits.folds is None
    make_plans(settled)


def test_rows_in_the_order_of_time_are_not_dealt_out_in_folds() -> None:
    assert settle(Pipeline(), DataFacts(rows=100, divisible=False)).splits.folds is None


@pytest.mark.parametrize(
    ("task", "facts", "loss"),
    [
        ("classification", FEW, CrossEntropy()),
        ("classification", IMAGES, CrossEntropy()),
        ("regression", MANY, BetaNLL()),
    ],
)
def test_numbers_have_a_variance_for_each_row(task: Any, facts: DataFacts, loss: Any) -> None:
    assert settle(Pipeline(task=task), facts).training.loss == loss


def test_chains_of_networks_learn_by_the_squared_error(load: Load) -> None:
    pipeline = settle(load("{task: regression, ensemble: {strategy: boosting}}"), MANY)
    assert pipeline.training.loss == SquaredError()
    assert pipeline.training.early_stopping is None


def test_tables_have_quantiles_where_rows_are_many_and_images_are_standardised() -> None:
    assert settle(Pipeline(), MANY).scale == Quantile()
    assert settle(Pipeline(), FEW).scale == RobustClip()
    assert settle(Pipeline(), IMAGES).scale == Standardize()
    assert isinstance(settle(Pipeline(), MANY).training.optimizer, AdamW)
    assert settle(Pipeline(), IMAGES).training.optimizer == Adam()


def test_what_is_given_is_never_changed(load: Load) -> None:
    text = """
scale: {name: standardize}
network: {name: mlp, hidden: [7]}
training: {epochs: 3, batch_size: 9, optimizer: {name: sgd}, schedule: {name: constant}}
ensemble: {combine: {temperature: false}}
splits: {validation: 0.3, stop: 0.2}
"""
    given = load(text)
    settled = settle(given, FEW)
    assert settled.training == given.training.model_copy(update={"loss": CrossEntropy()})
    for section in ("scale", "network", "splits", "ensemble"):
        assert getattr(settled, section) == getattr(given, section)


@pytest.mark.parametrize("facts", [FEW, MANY, IMAGES])
@pytest.mark.parametrize(
    ("path", "changed"),
    [
        ("network", {"hidden": (64,)}),
        ("network", {"dropout": 0.3}),
        ("network", {"activation": "tanh"}),
        ("training.optimizer", {"learning_rate": 0.01}),
        ("training.optimizer", {"weight_decay": 0.3, "clip_norm": 1.0}),
        ("training.schedule", {"minimum": 0.1}),
        ("scale", {}),
    ],
)
def test_a_section_without_a_name_is_the_default_one_with_the_given_keys(
    path: str, changed: dict[str, Any], facts: DataFacts, load: Load
) -> None:
    def section(pipeline: Pipeline) -> Any:
        found: Any = settle(pipeline, facts)
        for step in path.split("."):
            found = getattr(found, step)
        return found

    expected = replace(section(Pipeline()), **changed)
    assert section(load("seed: 1", {path: changed})) == expected
    assert section(load("seed: 1", {f"{path}.{key}": changed[key] for key in changed})) == expected


def test_a_section_with_a_name_has_the_defaults_of_its_own_component(load: Load) -> None:
    text = """
network: {name: mlp, activation: tanh}
training: {optimizer: {name: adamw, weight_decay: 0.1}}
"""
    settled = settle(load(text), MANY)
    assert settled.network == Mlp(activation="tanh")
    assert settled.training.optimizer == AdamW(weight_decay=0.1)
    assert settle(Pipeline(network=Mlp()), MANY).network == Mlp()


def test_keys_of_a_schedule_that_cycles_replace_are_refused(load: Load) -> None:
    text = "{ensemble: {strategy: snapshot}, training: {schedule: {minimum: 0.1}}}"
    with pytest.raises(ConfigError, match="snapshot"):
        load(text)


def test_a_chosen_number_of_epochs_is_trained_whole(load: Load) -> None:
    assert settle(load("training: {epochs: 3}"), MANY).training.early_stopping is None
    assert settle(load("training: {batch_size: 3}"), MANY).training.early_stopping is not None


@pytest.mark.parametrize("strategy", ["snapshot", "fast_geometric"])
def test_cycles_have_a_schedule_of_their_own(strategy: str, load: Load) -> None:
    text = f"{{ensemble: {{strategy: {strategy}}}, training: {{schedule: {{name: snapshot}}}}}}"
    settled = settle(load(text), MANY)
    assert settled.training.schedule.name == "snapshot"
    assert settled.training.early_stopping is None
    plain = settle(load("ensemble: {strategy: fast_geometric}"), MANY)
    assert plain.training.schedule == ConstantRate()
    assert settle(Pipeline(), MANY).training.schedule == Cosine()


@pytest.mark.parametrize(("rows", "batch"), [(100, 16), (4_096, 64), (60_000, 128), (10**7, 128)])
def test_batches_grow_with_the_rows(rows: int, batch: int) -> None:
    assert settle(Pipeline(), DataFacts(rows=rows)).training.batch_size == batch


@pytest.mark.parametrize(
    ("text", "facts", "warm"),
    [
        ("seed: 1", MANY, True),
        ("seed: 1", IMAGES, True),
        ("splits: {validation: 20, stop: 20}", MANY, False),
        ("ensemble: {combine: {method: choose}}", MANY, False),
        ("ensemble: {combine: {temperature: true}}", DataFacts(rows=50), True),
    ],
)
def test_the_ensemble_is_calibrated_where_rows_allow(
    text: str, facts: DataFacts, warm: bool, load: Load
) -> None:
    assert settle(load(text), facts).ensemble.combine.temperature is warm
