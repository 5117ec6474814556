"""Wrong pipelines: one message that teaches, status 2, nothing started."""

import re
from pathlib import Path

import numpy as np
import pytest
from commands import refused, run, run_table, write, write_parquet

pytestmark = pytest.mark.usefixtures("empty_folder")


# Each with the whole message.
REFUSED: dict[str, tuple[str, str]] = {
    "an unknown key": (
        "seed: 1\ntraining:\n  epoch: 3\n",
        "training.epoch: unknown key 'epoch'; did you mean 'epochs'? "
        "valid: averaging, batch_size, early_stopping, epochs, loss, optimizer, order, "
        "regularization, schedule (p.yaml:3)",
    ),
    "a key that stands there twice": (
        "seed: 1\ntraining:\n  epochs: 1\n  epochs: 2\n",
        "training.epochs: duplicate key, first in line 3 (p.yaml:4)",
    ),
    "a vary of what cannot differ": (
        "ensemble:\n  vary:\n    data.source: [digits]\n",
        "ensemble.vary: 'data.source' cannot differ between learners; name keys below network, "
        "training, view, scale, augment or transfer, such as "
        "training.optimizer.learning_rate (p.yaml:3)",
    ),
    "a time limit that is no duration": (
        "time_limit: 5x\n",
        'time_limit: \'5x\' is not a duration, such as 90 (seconds), "90s", "5m" or "1h30m", '
        "got '5x' (p.yaml:1)",
    ),
    "the snapshot strategy without its schedule": (
        "ensemble:\n  strategy: snapshot\n",
        "ensemble.strategy: takes members at the ends of cycles, so it needs a training.schedule "
        "with cycles (snapshot, sgdr, cos_log, triangular or fast_geometric), not 'constant' "
        "(p.yaml:2)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_mistake_is_named_with_its_line_and_what_would_be_right(name: str) -> None:
    text, message = REFUSED[name]
    assert run(text) == message


def test_a_time_limit_is_a_duration_and_longer_than_the_start() -> None:
    Path("p.yaml").write_text("tracking: {mlflow: false}\n", encoding="utf-8")
    asked = ("run", "p.yaml", "--inline", "--time-limit")
    assert refused(*asked, "soon").startswith("time_limit: 'soon' is not a duration, such as 90")
    short = refused(*asked, "0.1s")
    assert short.startswith("time_limit: 0.1s is too short: the start has taken ")
    assert short.endswith(("s or more", "m or more"))


def test_an_unknown_optimizer_names_the_nearest_valid_one() -> None:
    message = run("training:\n  optimizer:\n    name: adm\n")
    assert message.startswith("training.optimizer.name: unknown 'adm'; did you mean 'adam'? valid")
    assert message.endswith(" (p.yaml:3)")


def test_all_mistakes_are_reported_at_once() -> None:
    message = run("sed: 1\nshard_rows: 0\n", "training.epochs=none", "cluster.retries=-1")
    keys = [line.split(":")[0] for line in message.splitlines()]
    assert keys == ["shard_rows", "training.epochs", "cluster.retries", "sed"]
    places = [line[line.rindex("(") :] for line in message.splitlines()]
    assert places[:2] == ["(p.yaml:2)", "(--set training.epochs)"]
    assert places[2:] == ["(--set cluster.retries)", "(p.yaml:1)"]


def test_a_missing_pipeline_file() -> None:
    assert refused("run", "absent.yaml") == "absent.yaml: no such pipeline file"
    write("pipeline.yaml", "seed: 1\n")
    message = refused("run", "pipeline.yam")
    assert message == "pipeline.yam: no such pipeline file; did you mean pipeline.yaml?"


@pytest.mark.parametrize("text", ["epochs", "=3"])
def test_an_override_without_a_key_or_value(text: str) -> None:
    assert run("seed: 1\n", text) == (f"--set {text}: must be KEY=VALUE, such as training.epochs=3")


def test_an_override_that_is_no_yaml() -> None:
    message = run("seed: 1\n", "network.hidden=[1")
    assert message == "--set network.hidden=[1: '[1' is not a YAML value"


@pytest.mark.parametrize(
    "value", ["2024-02-30", "!!int x", "!!bool x", "!!timestamp x", "[" * 20_000, "{a: " * 20_000]
)
def test_an_override_that_is_no_value_of_its_kind(value: str) -> None:
    assert "is not a YAML value" in refused("run", "p.yaml", "--set", f"name={value}")


def test_an_override_below_a_value() -> None:
    assert run("seed: 1\n", "seed.x=2") == "seed.x: there is no such key (--set seed.x)"


def test_a_tracking_server_of_no_known_kind() -> None:
    assert "tracking.uri" in run("seed: 1", "tracking.uri=banana://x")


def test_broken_yaml() -> None:
    message = run("seed: 1\nnetwork: {hidden: [8}\n")
    assert message.startswith("p.yaml:2: not valid YAML: expected ',' or ']', but got '}'")


def test_a_vary_of_a_key_that_does_not_exist() -> None:
    message = run("ensemble:\n  vary:\n    training.optimizer.learningrate: [0.1]\n")
    assert message.startswith("training.optimizer.learningrate: unknown key 'learningrate'; ")
    assert "did you mean 'learning_rate'?" in message
    assert message.endswith("(ensemble.vary, p.yaml:3)")


def test_more_snapshots_than_steps() -> None:
    pipeline = "{ensemble: {strategy: snapshot}, training: {schedule: {name: snapshot}}}"
    message = run(pipeline, "training.epochs=1", "training.schedule.cycles=1000")
    assert re.fullmatch(
        r"training\.schedule: 1000 cycles do not fit into the \d+ steps of the training; "
        "take fewer or raise epochs",
        message,
    )


def test_augmentations_of_a_table() -> None:
    message = run_table(write_parquet(), "augment=[{name: shift_crop}]")
    assert message == "augment: shift_crop is for images, but the data is a table; leave it out"


@pytest.mark.parametrize("given", [{}, {"scale.components": 2}])
def test_components_of_columns_that_are_all_constant(given: dict[str, int]) -> None:
    path = write_parquet(a=np.ones(100), b=np.zeros(100))
    more = [f"{key}={value}" for key, value in given.items()]
    assert run_table(path, "scale.name=pca", *more) == (
        "scale.name: pca keeps the directions that the number columns vary along, but all are "
        "constant in the training part; take standardize"
    )


def test_more_components_than_columns_vary_along() -> None:
    message = run_table(write_parquet(), "scale.name=pca", "scale.components=3")
    assert message == "scale.components: 3, but the number columns vary along 2 directions"
