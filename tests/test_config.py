"""The pipeline schema: what it accepts, what it makes of it, and what it says where it refuses."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from ensemble_pipe.cli import app
from ensemble_pipe.config import Pipeline, learner_plans, load_pipeline, resolved
from ensemble_pipe.data.augment import HorizontalFlip, ShiftCrop
from ensemble_pipe.data.augment.policy import STEPS
from ensemble_pipe.data.sources import SOURCES, Bundled, Idx, ImageFolder, Table
from ensemble_pipe.errors import ConfigError
from ensemble_pipe.nn.layers import ACTIVATIONS
from ensemble_pipe.nn.losses import LOSSES, CrossEntropy, Hinge, SquaredError
from ensemble_pipe.nn.networks import LinearModel, Mlp
from ensemble_pipe.optim import (
    AVERAGES,
    EMA,
    RULES,
    SCHEDULES,
    SGD,
    SWA,
    Adam,
    Constant,
    Cosine,
    Plateau,
    Polyak,
    StepDecay,
)
from ensemble_pipe.training.stopping import EarlyStopping
from ensemble_pipe.yaml_errors import read_document

SHIPPED = sorted((Path(__file__).parents[1] / "pipelines").glob("*.yaml"))

Load = Callable[..., Pipeline]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Return a function that loads a text as the pipeline file `p.yaml`."""
    monkeypatch.chdir(tmp_path)

    def read(text: str, overrides: dict[str, Any] | None = None) -> Pipeline:
        path = Path("p.yaml")
        path.write_text(text, encoding="utf-8")
        return load_pipeline(path, overrides)

    return read


def refusal(load: Load, text: str, overrides: dict[str, Any] | None = None) -> str:
    with pytest.raises(ConfigError) as refused:
        load(text, overrides)
    return str(refused.value)


def json_schema() -> dict[str, Any]:
    printed = CliRunner().invoke(app, ["schema"])
    assert printed.exit_code == 0
    schema: dict[str, Any] = json.loads(printed.stdout)
    return schema


# What is shipped


def test_pipelines_are_shipped() -> None:
    assert "digits.yaml" in {path.name for path in SHIPPED}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_pipeline_loads_under_its_own_name(path: Path) -> None:
    assert load_pipeline(path).name == path.stem


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_pipeline_begins_with_how_to_launch_it(path: Path) -> None:
    header = path.read_text(encoding="utf-8").split("\nname:")[0]
    assert [w for w in ("Purpose", "Command", "Override", "Expect") if f"# {w}" not in header] == []
    assert f"ensemble-pipe run pipelines/{path.name}" in header


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_json_schema_accepts_a_shipped_pipeline(path: Path) -> None:
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert list(Draft202012Validator(json_schema()).iter_errors(values)) == []


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_resolved_pipeline_gives_the_same_plans(path: Path, load: Load) -> None:
    pipeline = load_pipeline(path)
    again = load(yaml.safe_dump(resolved(pipeline), sort_keys=False))
    assert again == pipeline
    assert learner_plans(again) == learner_plans(pipeline)


# The JSON schema


def test_the_json_schema_is_valid() -> None:
    Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"training": {"optimizer": {"learning_rate": 0.01}, "schedule": {}}},
        {"data": {"source": "table", "path": "x.csv", "label": "y", "ignore": ["id"]}},
        {"data": {"source": "table", "path": "x", "label": "y", "columns": {"a": {}}}},
        {"data": {"source": "table", "path": "x", "label": "y", "columns": {"a*": {"missing": 0}}}},
        {"splits": {"test": 100, "stop": 0.5, "train": 50}},
        {"augment": [{"name": "shift_crop", "pixels": 1}]},
        {"augment": {"policy": [{"name": "shift_crop"}], "pool": 3, "share": "per_learner"}},
        {"network": {"hidden": [50], "dropout": 0.2}, "classes": [0, "1"]},
        {"training": {"batch_size": "all", "loss": {"name": "hinge", "margin": 2}}},
        {"training": {"averaging": {"name": "last"}, "early_stopping": {"patience": 3}}},
        {"training": {"schedule": {"name": "warm_up", "then": {"name": "plateau"}}}},
        {"transfer": {"weights": "runs/a", "freeze": ["dense1/*"], "rate_factors": {"*": 0.1}}},
        {"ensemble": {"vary": {"training.epochs": [1, 2], "network.hidden": [[8], [16]]}}},
        {"ensemble": {"vary": {"training.optimizer.learning_rate": {"low": 0.1, "high": 1}}}},
    ],
)
def test_the_json_schema_accepts_what_the_loader_accepts(values: Any, load: Load) -> None:
    load(yaml.safe_dump({"seed": 1, **values}))
    assert list(Draft202012Validator(json_schema()).iter_errors(values)) == []


@pytest.mark.parametrize(
    "values",
    [
        {"sed": 1},
        {"seed": -1},
        {"training": {"optimizer": {"name": "adm"}}},
        {"training": {"epochs": 0}},
        {"data": {"source": "table", "path": "x.csv"}},
        {"augment": [{"name": "shift_crop", "pixel": 1}]},
        {"augment": [{"pixels": 1}]},
        {"augment": {"policy": [{"pixels": 1}]}},
        {"augment": {"share": "none"}},
        {"data": {"source": "table", "path": "x", "label": "y", "columns": {"a": {"encode": 1}}}},
        {"splits": {"test": 0}},
        {"classes": [1]},
        {"training": {"batch_size": "most"}},
        {"training": {"loss": {"smoothing": 0.1}}},
        {"training": {"averaging": {"name": "ema", "decay": 1}}},
        {"training": {"early_stopping": {"patience": 0}}},
        {"transfer": {"freeze": ["dense1/*"]}},
        {"transfer": {"weights": "runs/a", "rate_factors": {"*": -1}}},
    ],
)
def test_the_json_schema_refuses_what_the_loader_refuses(values: Any, load: Load) -> None:
    refusal(load, yaml.safe_dump(values))
    assert list(Draft202012Validator(json_schema()).iter_errors(values)) != []


# Values


def test_what_is_left_out_has_a_default(load: Load) -> None:
    assert load("seed: 1") == Pipeline()


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


def test_settings_without_a_kind_belong_to_the_default_kind(load: Load) -> None:
    text = "{network: {hidden: [50]}, training: {optimizer: {learning_rate: 0.5}, schedule: {}}}"
    pipeline = load(text)
    assert pipeline.network == Mlp(hidden=(50,))
    assert pipeline.training.optimizer == Adam(learning_rate=0.5)
    assert pipeline.training.schedule == Constant()


@pytest.mark.parametrize(
    ("task", "loss"), [("classification", CrossEntropy()), ("regression", SquaredError())]
)
def test_the_default_loss_is_that_of_the_task(task: str, loss: Any, load: Load) -> None:
    pipeline = load(f"task: {task}")
    assert pipeline.training.loss is None
    assert {plan.loss for plan in learner_plans(pipeline)} == {loss}


def test_all_rows_in_a_batch_is_no_number(load: Load) -> None:
    plans = learner_plans(load("training: {batch_size: all}"))
    assert {plan.batch_rows for plan in plans} == {None}
    message = refusal(load, "training: {batch_size: most}")
    assert "training.batch_size: " in message
    assert "'most'" in message


def test_what_is_frozen_has_the_last_word_on_rates(load: Load) -> None:
    text = "transfer: {weights: w, rate_factors: {'*': 0.1, dense2/*: 0.5}, freeze: [dense1/*]}"
    factors = (("*", 0.1), ("dense2/*", 0.5), ("dense1/*", 0.0))
    assert {plan.rate_factors for plan in learner_plans(load(text))} == {factors}


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
    pipeline = load(text)
    again = load(yaml.safe_dump(resolved(pipeline), sort_keys=False))
    assert again == pipeline
    plans = learner_plans(pipeline)
    assert learner_plans(again) == plans
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


# Learners that differ


def test_without_vary_all_learners_share_everything_but_their_id(load: Load) -> None:
    plans = learner_plans(load("ensemble: {learners: 3}"))
    assert [plan.learner for plan in plans] == [0, 1, 2]
    assert len({(plan.rule, plan.schedule, plan.network, plan.epochs) for plan in plans}) == 1


def test_a_list_goes_round(load: Load) -> None:
    text = "ensemble: {learners: 5, vary: {network.hidden: [[8], [16, 8]]}}"
    networks = [plan.network for plan in learner_plans(load(text))]
    assert networks == [Mlp(hidden=hidden) for hidden in [(8,), (16, 8), (8,), (16, 8), (8,)]]


def test_a_range_is_drawn_for_each_learner_whoever_else_trains(load: Load) -> None:
    vary = "vary: {training.optimizer.learning_rate: {low: 1e-4, high: 1e-1, scale: log}}"
    few = learner_plans(load(f"ensemble: {{learners: 2, {vary}}}"))
    many = learner_plans(load(f"ensemble: {{learners: 6, {vary}}}"))
    rates = [plan.rule.learning_rate for plan in many]
    assert few == many[:2]
    assert len(set(rates)) == 6
    assert min(rates) >= 1e-4
    assert max(rates) <= 1e-1


def test_a_varied_kind_drops_the_settings_of_the_other_kind(load: Load) -> None:
    text = """
training: {optimizer: {name: adam, learning_rate: 0.5, beta1: 0.8}}
ensemble: {learners: 2, vary: {training.optimizer.name: [adam, sgd]}}
"""
    rules = [plan.rule for plan in learner_plans(load(text))]
    assert rules == [Adam(learning_rate=0.5, beta1=0.8), SGD(learning_rate=0.5)]


@pytest.mark.parametrize(
    ("text", "path", "kinds", "field", "expected"),
    [
        (
            "network: {hidden: [8], dropout: 0.2, initializer: glorot_uniform}",
            "network.name", ["mlp", "linear"], "network",
            [
                Mlp(hidden=(8,), dropout=0.2, initializer="glorot_uniform"),
                LinearModel(initializer="glorot_uniform"),
            ],
        ),
        (
            "training: {loss: {name: cross_entropy, smoothing: 0.2}}",
            "training.loss.name", ["cross_entropy", "hinge"], "loss",
            [CrossEntropy(smoothing=0.2), Hinge()],
        ),
        (
            "training: {averaging: {name: polyak, start: 0.3}}",
            "training.averaging.name", ["polyak", "ema", "swa"], "averaging",
            [Polyak(start=0.3), EMA(), SWA(start=0.3)],
        ),
        (
            "training: {schedule: {name: plateau, decay: 0.3}}",
            "training.schedule.name", ["plateau", "step", "cosine"], "schedule",
            [Plateau(decay=0.3), StepDecay(decay=0.3), Cosine()],
        ),
    ],
)  # fmt: skip
def test_each_kind_keeps_only_the_keys_that_it_knows(
    text: str, path: str, kinds: list[str], field: str, expected: list[Any], load: Load
) -> None:
    ensemble = {"ensemble.learners": len(kinds), "ensemble.vary": {path: kinds}}
    pipeline = load(text, ensemble)
    assert [getattr(plan, field) for plan in learner_plans(pipeline)] == expected
    # The same where all defaults are filled in, as in a run directory.
    again = learner_plans(load(yaml.safe_dump(resolved(pipeline))))
    assert [getattr(plan, field) for plan in again] == expected


def test_a_kind_that_was_left_out_may_be_varied(load: Load) -> None:
    vary = {"training.averaging.name": ["ema", "swa"], "training.early_stopping.patience": [2, 3]}
    plans = learner_plans(load("training: {averaging: null}", {"ensemble.vary": vary}))[:2]
    assert [plan.averaging for plan in plans] == [EMA(), SWA()]
    assert [plan.early_stopping for plan in plans] == [
        EarlyStopping(patience=2), EarlyStopping(patience=3)
    ]  # fmt: skip


def test_a_varied_schedule_reaches_its_learner_only(load: Load) -> None:
    text = "ensemble: {learners: 2, vary: {training.schedule.name: [constant, cosine]}}"
    schedules = [plan.schedule for plan in learner_plans(load(text))]
    assert schedules[1] == Cosine()
    assert schedules[0] != Cosine()


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        (
            "{data.path: [a], seed: [1, 2]}",
            "ensemble.vary: 'data.path' cannot differ between learners; name keys below network, "
            "training or view, such as training.optimizer.learning_rate (p.yaml:3)\n"
            "ensemble.vary: 'seed' cannot differ between learners; name keys below network, "
            "training or view, such as training.optimizer.learning_rate (p.yaml:3)",
        ),
        (
            "{training.epoch: [1, 2]}",
            "training.epoch: unknown key 'epoch'; did you mean 'epochs'? valid: averaging, "
            "batch_size, early_stopping, epochs, loss, optimizer, order, schedule "
            "(ensemble.vary, p.yaml:3)",
        ),
        (
            "{training.epochs: [1, many]}",
            "training.epochs: expected a whole number, got 'many' (ensemble.vary, p.yaml:3)",
        ),
        (
            "{training.epochs: {low: 2, high: 1}}",
            "ensemble.vary.training.epochs: low (2.0) must be less than high (1.0), "
            "got {'low': 2, 'high': 1} (p.yaml:3)",
        ),
        (
            "{training.epochs: {low: 1, high: 2, scal: log}}",
            "ensemble.vary.training.epochs.scal: unknown key 'scal'; did you mean 'scale'? "
            "valid: high, integer, low, scale (p.yaml:3)",
        ),
    ],
)
def test_a_wrong_vary_is_refused_at_its_line(vary: str, message: str, load: Load) -> None:
    assert refusal(load, f"ensemble:\n  learners: 2\n  vary: {vary}\n") == message


def test_snapshots_need_a_snapshot_schedule(load: Load) -> None:
    message = refusal(load, "ensemble:\n  strategy: snapshot\n")
    assert message == (
        "ensemble.strategy: snapshot needs a training.schedule with cycles (snapshot, sgdr, "
        "triangular or fast_geometric), not 'constant' (p.yaml:2)"
    )


def test_snapshots_with_their_schedule_load(load: Load) -> None:
    text = "{training: {schedule: {name: snapshot}}, ensemble: {strategy: snapshot}}"
    assert all(plan.snapshots for plan in learner_plans(load(text)))


# Choices that do not go together

CONFLICTS: dict[str, tuple[str, str]] = {
    "a loss of the other task": (
        "task: regression\ntraining:\n  loss: {name: hinge}",
        "training.loss.name: hinge is for classification, but task is regression (p.yaml:3)",
    ),
    "the other way round": (
        "training:\n  loss: {name: beta_nll}",
        "training.loss.name: beta_nll is for regression, but task is classification (p.yaml:2)",
    ),
    "snapshots that are averaged": (
        "training: {schedule: {name: sgdr}, averaging: {name: ema}}\n"
        "ensemble: {strategy: snapshot}",
        "ensemble.strategy: snapshot takes members at the ends of cycles; remove averaging and "
        "early_stopping (p.yaml:2)",
    ),
    "snapshots that may end early": (
        "training: {schedule: {name: triangular}, early_stopping: {}}\n"
        "ensemble: {strategy: snapshot}",
        "ensemble.strategy: snapshot takes members at the ends of cycles; remove averaging and "
        "early_stopping (p.yaml:2)",
    ),
    "averages at cycles without cycles": (
        "training:\n  averaging: {name: swa, at: cycle}\n  schedule: {name: cosine}",
        "training.averaging.at: cycle needs a schedule with cycles, such as snapshot, not "
        "'cosine' (p.yaml:2)",
    ),
    "the accuracy of numbers": (
        "task: regression\ntraining:\n  early_stopping:\n    metric: stop/accuracy",
        "training.early_stopping.metric: stop/accuracy is for classification, but task is "
        "regression; take stop/loss (p.yaml:4)",
    ),
    "one fold": (
        "ensemble: {strategy: cross_validation, learners: 1}",
        "ensemble.learners: cross_validation needs at least 2 learners, one for a fold (p.yaml:1)",
    ),
    "several at once": (
        "task: regression\ntraining:\n  loss: {name: hinge}\n  averaging: {name: swa, at: cycle}",
        "training.loss.name: hinge is for classification, but task is regression (p.yaml:3)\n"
        "training.averaging.at: cycle needs a schedule with cycles, such as snapshot, not "
        "'constant' (p.yaml:4)",
    ),
    "one learner's own": (
        "ensemble:\n  vary: {training.loss.name: [cross_entropy, huber]}",
        "training.loss.name: huber is for regression, but task is classification "
        "(ensemble.vary, p.yaml:2)",
    ),
}


@pytest.mark.parametrize(("text", "message"), CONFLICTS.values(), ids=CONFLICTS.keys())
def test_choices_that_do_not_go_together_are_refused(text: str, message: str, load: Load) -> None:
    assert refusal(load, text) == message


@pytest.mark.parametrize("name", ["snapshot", "sgdr", "triangular", "fast_geometric"])
def test_snapshots_go_with_every_schedule_of_cycles(name: str, load: Load) -> None:
    strategy = {"ensemble.strategy": "snapshot"}
    for schedule in ({"name": name}, {"name": "warm_up", "then": {"name": name}}):
        plans = learner_plans(load("seed: 1", {**strategy, "training.schedule": schedule}))
        assert all(len(plan.member_steps(rows=1000)) > 1 for plan in plans)


# Mistakes

MANY_MISTAKES = """\
sed: 2
name: "two words"
task: clasification
data: {source: tabel, path: x}
splits:
  test: 1.5
  valdation: 0.1
  stop: -1
augment:
  - {name: horizontal_flop}
  - {name: shift_crop, pixels: -1}
  - {pixels: 2}
network: {hidden: [0], activation: rely}
training:
  epochs: many
  optimizer:
    name: adm
    learning_rate: 1
  schedule: {name: snapshot, cycle: 2}
ensemble:
  learners: 0
  vary: {training.epochs: {low: 2, high: 1}}
cluster: {retrys: 2}
"""

THEIR_MESSAGES = """\
name: string should match pattern '^[A-Za-z0-9][A-Za-z0-9_.-]*$', got 'two words' (p.yaml:2)
task: unknown 'clasification'; did you mean 'classification'? valid: classification, regression \
(p.yaml:3)
data.source: unknown 'tabel'; did you mean 'table'? valid: {sources} (p.yaml:4)
splits.test: input should be less than 1, got 1.5 (p.yaml:6)
splits.stop: input should be greater than 0, got -1 (p.yaml:8)
splits.valdation: unknown key 'valdation'; did you mean 'validation'? \
valid: stop, test, train, validation (p.yaml:7)
augment.0.name: unknown 'horizontal_flop'; did you mean 'horizontal_flip'? \
valid: {augmentations} (p.yaml:10)
augment.1.pixels: input should be greater than or equal to 0, got -1 (p.yaml:11)
augment.2: 'name' is missing; it says which kind this is (p.yaml:12)
network.hidden.0: input should be greater than 0, got 0 (p.yaml:13)
network.activation: unknown 'rely'; did you mean 'relu'? valid: {activations} \
(p.yaml:13)
training.epochs: expected a whole number, got 'many' (p.yaml:15)
training.optimizer.name: unknown 'adm'; did you mean 'adam'? valid: {rules} (p.yaml:17)
training.schedule.cycle: unknown key 'cycle'; did you mean 'cycles'? valid: cycles, name \
(p.yaml:19)
ensemble.learners: input should be greater than or equal to 1, got 0 (p.yaml:21)
ensemble.vary.training.epochs: low (2.0) must be less than high (1.0), \
got {{'low': 2, 'high': 1}} (p.yaml:22)
cluster.retrys: unknown key 'retrys'; did you mean 'retries'? \
valid: cpus_per_trainer, retries, stack, trainers (p.yaml:23)
sed: unknown key 'sed'; did you mean 'seed'? valid: {sections} (p.yaml:1)"""


def test_every_mistake_is_reported_at_once_with_its_line(load: Load) -> None:
    expected = THEIR_MESSAGES.format(
        sources=", ".join(sorted(SOURCES)),
        activations=", ".join(sorted(ACTIVATIONS)),
        augmentations=", ".join(sorted(STEPS)),
        rules=", ".join(sorted(RULES)),
        sections=", ".join(sorted(Pipeline.model_fields)),
    )
    assert refusal(load, MANY_MISTAKES).splitlines() == expected.splitlines()


def test_mistakes_in_a_section_of_augmentations_name_their_keys(load: Load) -> None:
    text = "augment:\n  policy:\n    - {name: shift_crop, pixels: -1}\n    - {}\n  pol: 3\n"
    assert refusal(load, text).splitlines() == [
        "augment.policy.0.pixels: input should be greater than or equal to 0, got -1 (p.yaml:3)",
        "augment.policy.1: 'name' is missing; it says which kind this is (p.yaml:4)",
        "augment.pol: unknown key 'pol'; did you mean 'pool'? "
        "valid: memory_mb, policy, pool, share, test_draws (p.yaml:5)",
    ]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            "{kind: categry}",
            "data.columns.a.kind: unknown 'categry'; did you mean 'category'? "
            "valid: category, date, number (p.yaml:5)",
        ),
        (
            "{encode: code}",
            "data.columns.a.encode: unknown key 'encode'; valid: indicator, kind, missing "
            "(p.yaml:5)",
        ),
        (
            "{kind: category, missing: mean}",
            "data.columns.a.missing: unknown 'mean'; valid: category, error, most_frequent "
            "(p.yaml:5)",
        ),
    ],
)
def test_a_mistake_in_the_rule_of_a_column_names_it(rule: str, message: str, load: Load) -> None:
    text = "data:\n  source: table\n  path: x\n  label: y\n  columns: {a: %s}\n"
    assert refusal(load, text % rule) == message


def test_a_missing_key_is_named(load: Load) -> None:
    message = refusal(load, "seed: 1\ndata: {source: table, path: x}")
    assert message == "data.label: is missing; it has no default (p.yaml:2)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("network: 3", "network: expected a mapping (key: value), got 3"),
        ("splits: [0.1, 0.2]", "splits: expected a mapping (key: value), got a list"),
        ("training:\n", "training: expected a mapping (key: value), got nothing"),
        ("data: {source: table, path: x, label: y, columns: [a]}",
         "data.columns: expected a mapping (key: value), got a list"),
        ("network: {hidden: 8}", "network.hidden: expected a list ([a, b]), got 8"),
        ("network: {hidden: {a: 1}}", "network.hidden: expected a list ([a, b]), got a mapping"),
        ("name: [a]", "name: expected text, got a list"),
        ("seed: 1.5", "seed: expected a whole number, got 1.5"),
        ("seed: {}", "seed: expected a whole number, got a mapping"),
        ("training: {epochs: many}", "training.epochs: expected a whole number, got 'many'"),
        ("splits: {test: half}", "splits.test: expected a number, got 'half'"),
        ("tracking: {mlflow: maybe}", "tracking.mlflow: expected true or false, got 'maybe'"),
        (f"seed: {'x' * 999}", f"seed: expected a whole number, got '{'x' * 59}..."),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_named_in_plain_words(
    text: str, message: str, load: Load
) -> None:
    assert refusal(load, text) == f"{message} (p.yaml:1)"


# YAML


def test_every_key_and_item_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("a:\n  b: 1\n\n  c:\n    - x\n    - {d: 2,\n       e: 3}\nf: 4\n")
    assert read_document(path).lines == {
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "c"): 4,
        ("a", "c", 0): 5,
        ("a", "c", 1): 6,
        ("a", "c", 1, "d"): 6,
        ("a", "c", 1, "e"): 7,
        ("f",): 8,
    }


def test_a_key_that_stands_nowhere_is_placed_at_the_nearest_one_above(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("seed: 1\ntraining:\n  epochs: 2\n")
    document = read_document(path)
    assert document.at(("training", "optimizer", "name")) == f" ({path}:2)"
    assert document.at(("nowhere",)) == f" ({path})"


def test_an_alias_may_repeat_a_value(load: Load) -> None:
    text = "splits: {test: &share 0.2, stop: *share}"
    assert load(text).splits.stop == 0.2


# Each line holds ten times what the one before it holds.
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{below}'] * 10)}]\n"
    for below, name in itertools.pairwise("abcdefghi")
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "p.yaml: the file is empty or holds no keys; see pipelines/digits.yaml"),
        ("- 1\n", "p.yaml: the file is empty or holds no keys; see pipelines/digits.yaml"),
        (
            "seed: 1\ntraining:\n  epochs: 1\n  epochs: 2\n",
            "training.epochs: stands there twice, first in line 3 (p.yaml:4)",
        ),
        ("a: 1\nseed: [1,\nname: x\n", "p.yaml:4: not valid YAML: expected ',' or ']'"),
        ("training:\n\tepochs: 1\n", "p.yaml:2: not valid YAML: found character '\\t'"),
        ("seed: 1\n---\nseed: 2\n", "p.yaml:2: not valid YAML: but found another document"),
        ("seed: 1\nname: *n\n", "p.yaml:2: not valid YAML: found undefined alias 'n'"),
        ("a:\n  ? [x, y]\n  : 1\n", "p.yaml:2: a list or mapping cannot be a key; name a word"),
        ("a: &a\n  b: *a\n", "p.yaml:1: this value holds itself by an alias"),
        (BOMB, "p.yaml: holds more than 100000 values, by its aliases; write them out"),
        ("name: 2020-02-31\n", "p.yaml: not valid YAML: day "),
        ("seed: !!int many\n", "p.yaml: not valid YAML: invalid literal for int()"),
        (b"seed: 1\x00\n", "p.yaml: not valid YAML: unacceptable character #x0000"),
        (b"name: \xe9\n", "p.yaml: cannot be read ('utf-8' codec can't decode byte 0xe9"),
    ],
)
def test_what_is_no_pipeline_file_is_refused(
    content: str | bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("p.yaml")
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as refused:
        load_pipeline(path)
    assert str(refused.value).startswith(message)


def test_nothing_in_a_pipeline_file_is_executed(load: Load, tmp_path: Path) -> None:
    text = 'seed: 1\nname: !!python/object/apply:os.mkdir ["made"]\n'
    assert refusal(load, text).startswith("p.yaml:2: not valid YAML: could not determine a cons")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [("absent.yaml", "absent.yaml: no such pipeline file"), (".", ".: cannot be read (")],
)
def test_a_path_to_no_file_is_refused(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as refused:
        load_pipeline(Path(name))
    assert str(refused.value).startswith(message)
