"""What a pipeline file says, and what overrides say instead."""

from typing import Any

import pytest
import yaml
from loading import Load, refusal

from ensemble_pipe.config.defaults import DataFacts, settle
from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.config.reading import resolve
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.data.augment import HorizontalFlip, ShiftCrop
from ensemble_pipe.data.augment.policy import STEPS
from ensemble_pipe.data.sources import SOURCES, Bundled, Idx, ImageFolder, Table
from ensemble_pipe.nn.losses import LOSSES, BetaNLL, CrossEntropy
from ensemble_pipe.nn.networks import Mlp
from ensemble_pipe.optim import (
    AVERAGES,
    RULES,
    SCHEDULES,
    SGD,
)

# Values


def test_what_is_left_out_has_a_default(load: Load) -> None:
    assert load("seed: 1") == Pipeline(name="p")  # of its file


def test_every_registered_component_can_be_named(load: Load) -> None:
    for name, rule in RULES.items():
        assert load("seed: 1", {"training.optimizer.name": name}).training.optimizer == rule()
    for name, schedule in SCHEDULES.items():
        assert load("seed: 1", {"training.schedule.name": name}).training.schedule == schedule()
    for name, averaging in AVERAGES.items():
        cyclic = "training: {schedule: {name: snapshot}}"
        assert load(cyclic, {"training.averaging.name": name}).training.averaging == averaging()
    for name, loss in LOSSES.items():
        settings = {"training.loss.name": name, "task": loss.task}
        assert load("seed: 1", settings).training.loss == loss()
    for name, kind in STEPS.items():
        # Mixed batches have shares of classes, which the default optimizer's loss can take.
        assert load("seed: 1", {"augment": [{"name": name}]}).augment.policy == (kind(),)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("{source: bundled}", Bundled()),
        ("{source: bundled, set: diabetes}", Bundled(set="diabetes")),
        ("{source: idx, folder: f}", Idx(folder="f")),
        ("{source: image_folder, folder: f}", ImageFolder(folder="f")),
        ("{source: table, path: p, label: y}", Table(path="p", label="y")),
    ],
)
def test_every_source_can_be_named(text: str, source: Any, load: Load) -> None:
    assert load(f"data: {text}").data == source
    assert SOURCES[source.source] is type(source)


@pytest.mark.parametrize(
    ("task", "loss"), [("classification", CrossEntropy()), ("regression", BetaNLL())]
)
def test_the_default_loss_is_that_of_the_task(task: str, loss: Any, load: Load) -> None:
    pipeline = load(f"task: {task}")
    assert pipeline.training.loss is None
    assert {plan.loss for plan in make_plans(pipeline).networks} == {loss}


def test_all_rows_in_a_batch_is_no_number(load: Load) -> None:
    plans = make_plans(load("training: {batch_size: all}")).networks
    assert {plan.batch_rows for plan in plans} == {None}
    message = refusal(load, "training: {batch_size: most}")
    assert "training.batch_size: " in message
    assert "'most'" in message


def test_what_is_frozen_has_the_last_word_on_rates(load: Load) -> None:
    text = "transfer: {weights: w, rate_factors: {'*': 0.1, dense2/*: 0.5}, freeze: [dense1/*]}"
    factors = (("*", 0.1), ("dense2/*", 0.5), ("dense1/*", 0.0))
    assert {plan.rate_factors for plan in make_plans(load(text)).networks} == {factors}


EVERYTHING_NEW = """
classes: [0, one]
splits: {train: 0.5}
network: {hidden: [8], dropout: 0.1}
transfer: {weights: w, fresh: [], freeze: [dense1/*], rate_factors: {dense2/*: 0.5, "*": 0.1}}
training:
  batch_size: all
  loss: {name: cross_entropy, smoothing: 0.1}
  averaging: {name: swa, at: cycle}
  early_stopping: {metric: stop/accuracy}
  schedule: {name: warm_up, then: {name: sgdr}}
ensemble: {learners: 4, vary: {training.loss.smoothing: [0.1, 0.2], network.dropout: [0.1, 0.5]}}
"""


@pytest.mark.parametrize(
    "text",
    [
        EVERYTHING_NEW,
        "ensemble: {vary: {training.loss.name: [hinge, cross_entropy]}}",
        "ensemble: {vary: {training.early_stopping.patience: [1, 2]}}",
        "ensemble: {vary: {training.averaging: [null, {name: ema}]}}",
    ],
)
def test_a_resolved_pipeline_comes_to_the_same_as_its_text(text: str, load: Load) -> None:
    pipeline = settle(load(text), DataFacts())
    again = load(yaml.safe_dump(resolve(pipeline), sort_keys=False))
    assert again == pipeline
    plans = make_plans(pipeline).networks
    assert make_plans(again).networks == plans
    assert len(set(map(str, plans))) == len(plans)


def test_augmentations_keep_their_order(load: Load) -> None:
    text = "augment: [{name: shift_crop, pixels: 3}, {name: horizontal_flip, probability: 1}]"
    assert load(text).augment.policy == (ShiftCrop(pixels=3), HorizontalFlip(probability=1))


def test_a_share_is_a_share_and_a_count_is_a_count(load: Load) -> None:
    splits = load("splits: {test: 0.25, stop: 40}").splits
    assert (splits.test, splits.stop) == (0.25, 40)


def test_a_share_of_everything_is_not_taken_for_one_row(load: Load) -> None:
    message = refusal(load, "splits: {test: 1.0}")
    assert message == "splits.test: input should be less than 1, got 1.0 (p.yaml:1)"


# Overrides


def test_an_override_replaces_a_value(load: Load) -> None:
    assert load("training: {epochs: 9}", {"training.epochs": 3}).training.epochs == 3


def test_an_override_adds_a_section(load: Load) -> None:
    pipeline = load("seed: 1", {"training.optimizer.name": "sgd", "network.hidden": [4, 5]})
    assert pipeline.training.optimizer == SGD()
    assert pipeline.network == Mlp(hidden=(4, 5))


def test_an_override_reaches_into_a_list(load: Load) -> None:
    pipeline = load("augment: [{name: shift_crop}]", {"augment.0.pixels": 7})
    assert pipeline.augment.policy == (ShiftCrop(pixels=7),)


@pytest.mark.parametrize("key", ["seed.x", "name.x", "augment.4.pixels", "augment.0.name.x"])
def test_an_override_of_what_has_no_keys_is_refused(key: str, load: Load) -> None:
    message = refusal(load, "{seed: 1, name: n, augment: [{name: shift_crop}]}", {key: 1})
    assert message == f"{key}: there is no such key (--set {key})"


def test_a_mistake_in_an_override_is_traced_to_it(load: Load) -> None:
    message = refusal(load, "seed: 1\ntraining: {epochs: 3}", {"training.epochs": "many"})
    assert message.endswith("got 'many' (--set training.epochs)")
