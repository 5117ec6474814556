"""The command `check`, its result, its time limit, and the part of it that a run does."""

import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from faulty_pipelines import digits, label_among_features, pipeline, sound_table, trained
from typer.testing import CliRunner, Result

import ensemble_pipe
from ensemble_pipe.cli import app
from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.data.sources.kinds import Table
from ensemble_pipe.run import pipeline as runs
from ensemble_pipe.run.display import Silent
from ensemble_pipe.run.notes import Notes
from ensemble_pipe.run.preparation import prepare
from ensemble_pipe.search.check import _of_search, check
from ensemble_pipe.search.checks.bench import Curve, open_bench, thinned
from ensemble_pipe.search.checks.changes import changed, changes_of, yaml_of
from ensemble_pipe.search.checks.curves import flat_share
from ensemble_pipe.search.checks.findings import Finding, Step
from ensemble_pipe.search.checks.first_loss import (
    bad_start,
    check_first_loss,
    initializer_of,
    penalty_of,
)
from ensemble_pipe.search.checks.leaks import shared_findings, skill_of
from ensemble_pipe.search.checks.network import _equal_kernels
from ensemble_pipe.search.checks.normalization import compare_starts, has_starts
from ensemble_pipe.search.checks.result_page import result_page
from ensemble_pipe.search.checks.text import result_text
from ensemble_pipe.search.checks.trials import JUDGED_STEPS, is_long
from ensemble_pipe.tracking.run_summary import read_run_summary

DIGITS = Path(__file__).parents[2] / "pipelines" / "digits.yaml"
STEPS = ["data", "1 first loss", "network", "2 overfit a few rows", "3 learning-rate range test",
         "4 coarse search", "5 refined search", "6 curves"]  # fmt: skip


def call(*arguments: Any) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


class Messages(Silent):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def message(self, text: str) -> None:
        self.texts.append(text)

    def warn(self, text: str) -> None:
        self.texts.append(text)


@pytest.mark.slow
def test_the_command_prints_the_steps_and_one_json_line_and_writes_a_page(tmp_path: Path) -> None:
    short = ["--set", "training.epochs=20", "--time-limit", "20s", "--set", "tracking.mlflow=false"]
    text = call("check", DIGITS, *short)
    as_json = call("check", DIGITS, *short, "--json", "--output", tmp_path / "c.html")
    assert text.exit_code == as_json.exit_code == 0, as_json.stderr
    result = json.loads(as_json.stdout)
    assert [step["title"] for step in result["steps"]] == STEPS
    assert result["sound"] == (result["warnings"] == [])
    for title in (*STEPS, "7 what to change"):
        assert f"  {title} " in text.stdout
    assert "checking: coarse search" in text.stderr
    page = (tmp_path / "c.html").read_text()
    assert "<h1>Check of digits</h1>" in page
    assert all(title in page for title in STEPS)
    assert page.count("<svg") == page.count("<figcaption") == 1


@pytest.mark.slow
def test_what_is_to_change_is_yaml_that_makes_it_sound() -> None:
    config = pipeline(trained({"name": "adam", "learning_rate": 4e-5}, epochs=10))
    result = check(config, 20)
    pasted = yaml.safe_load(yaml_of(result.changes))
    rate = pasted["training"]["optimizer"]["learning_rate"]
    assert 4e-4 < rate < 0.1
    better = check(changed(prepare(config).config, result.changes), 20)
    assert "rate-too-low" not in [finding.name for finding in better.warnings]


@pytest.mark.slow
def test_refining_goes_on_until_the_curves_are_sound() -> None:
    config = pipeline(trained({"name": "adam", "learning_rate": 0.4}, epochs=10))
    titles = [step.title for step in check(config, 60, refine=True).steps]
    assert titles[: len(STEPS)] == STEPS
    assert titles[len(STEPS) :][:2] == [
        "5 refined search with the changes", "6 curves with the changes",
    ]  # fmt: skip


@pytest.mark.slow
def test_it_ends_near_its_time_limit() -> None:
    began = time.monotonic()
    large = digits(network={"hidden": [512, 512]}, training={"epochs": 500, "batch_size": 32})
    result = check(pipeline(large), 5)
    assert time.monotonic() - began < 15
    assert result.steps[-1].title == "6 curves"


def test_a_step_that_there_is_no_time_for_is_not_called_sound() -> None:
    result = check(pipeline(digits()), 0.01)
    marks = {step.title: step.mark for step in result.steps}
    late = ["2 overfit a few rows", "4 coarse search", "5 refined search", "6 curves"]
    assert [title for title, mark in marks.items() if mark == "--"] == late
    assert not any(step.is_sound for step in result.steps if step.title in late)
    text = result_text(result)
    assert re.search(r"^--  6 curves +not judged: time was up$", text, re.MULTILINE)
    assert re.search(r"^ok  7 what to change +nothing, by what was judged$", text, re.MULTILINE)
    assert text.endswith("; 4 steps were not judged: give more time by --time-limit")
    assert "4 steps were not judged" in result_page(result, "digits")


def test_without_networks_only_the_data_is_looked_at() -> None:
    config = pipeline({"ensemble": {"pool": [{"strategy": "linear"}]}})
    assert [step.title for step in check(config).steps] == ["data"]


@pytest.mark.parametrize(("arguments", "message"), [
    (["absent.yaml"], "absent.yaml: no such pipeline file"),
    ([DIGITS, "--time-limit", "soon"], "--time-limit: 'soon' is not a duration, such as 90"),
    ([DIGITS, "--time-limit", "0s"], "--time-limit: '0s' is not above 0"),
    ([DIGITS, "--output", "c.txt"], "c.txt: "),
    ([DIGITS, "--set", "training.epoch=1"], "training.epoch: unknown key"),
    ([DIGITS, "--set", "training.loss.name=mse"], "training.loss.name: unknown 'mse'"),
])  # fmt: skip
def test_mistakes_are_named(arguments: list[Any], message: str) -> None:
    done = call("check", *arguments)
    assert done.exit_code == 2
    assert message in done.stderr


def test_the_first_loss_of_classes_is_the_logarithm_of_their_number_and_rises_with_a_penalty() -> (
    None
):
    prepared = prepare(pipeline(trained({"name": "sgd", "learning_rate": 0.1, "l2": 0.01})))
    parts = {name: thinned(places, 300) for name, places in prepared.parts.items()}
    with open_bench(prepared, parts) as bench:
        step = check_first_loss(bench)
        row = bench.start(bench.plan).state.rows[0]
        views = bench.plan.build(bench.schema).layout.views(row[None])
        squares = sum(float((views[f"dense{n}/kernel"] ** 2).sum()) for n in (1, 2))
        assert penalty_of(bench, row) == pytest.approx(0.005 * squares, rel=1e-5)
    assert step.measured["chance"] == pytest.approx(np.log(10), rel=1e-5)
    assert step.measured["penalty"] > 0
    assert step.is_sound


@pytest.mark.parametrize(("bins", "targets", "classes", "skill"), [
    ([0, 0, 1, 1] * 30, [0, 0, 1, 1] * 30, True, 1.0),
    ([0, 0, 0, 0] * 30, [0, 0, 1, 1] * 30, True, 0.0),
    ([0, 0, 1, 1] * 30, [0.5, 0.5, 2.0, 2.0] * 30, False, 1.0),
    ([0, 0, 0, 0] * 30, [0.5, 0.5, 2.0, 2.0] * 30, False, 0.0),
])  # fmt: skip
def test_the_skill_of_a_column(
    bins: list[int], targets: list[float], classes: bool, skill: float
) -> None:
    assert skill_of(np.array(bins), np.array(targets), classes) == pytest.approx(skill)


def test_rows_that_are_equal_by_chance_are_not_shared_ones() -> None:
    few_values = np.random.default_rng(0).integers(0, 500, 1000)
    assert list(shared_findings(few_values[:200], few_values[200:], False, "test")) != []
    assert list(shared_findings(few_values[:900], few_values[900:] + 450, False, "test")) == []
    train = np.arange(1000)
    assert [f.name for f in shared_findings(train, train[:20], True, "test")] == ["shared-rows"]
    assert list(shared_findings(train, train[:20] + 1000, True, "test")) == []


def test_the_share_of_epochs_before_the_loss_falls() -> None:
    assert flat_share(np.array([3.0, 2.0, 1.0])) == pytest.approx(1 / 3)
    assert flat_share(np.array([3.0, 3.1, 3.0, 2.99, 1.0])) == pytest.approx(4 / 5)


def test_columns_to_ignore_add_up_and_one_fault_of_the_training_is_mended_at_a_time(
    tmp_path: Path,
) -> None:
    config = pipeline(label_among_features(tmp_path) | {"network": {"initializer": "zeros"}})
    table = Table(path="x", label="benign", ignore=("mean area",))
    config = config.model_copy(update={"data": table})
    steps = [
        Step("data", "", (Finding("a", "", change={"data.ignore": ["outcome"]}),)),
        Step("1 first loss", "", (Finding("b", "", change={"network.initializer": "he_normal"}),)),
        Step("3 rates", "", (Finding("c", "", change={"training.optimizer.learning_rate": 1.0}),)),
    ]
    assert changes_of(steps, config) == {
        "data.ignore": ["mean area", "outcome"], "network.initializer": "he_normal",
    }  # fmt: skip
    drawn = pipeline(label_among_features(tmp_path) | {"network": {"initializer": "he_normal"}})
    rate = {"training.optimizer.learning_rate": 1.0}
    assert changes_of(steps[1:], drawn) == rate  # and not what it has already
    no_such_keys = pipeline({"network": {"name": "cnn", "filters": [4]}})
    assert changes_of(steps[:2], no_such_keys) == {}


def test_the_page_of_the_documentation_names_every_finding() -> None:
    root = Path(__file__).parents[2]
    page = (root / "docs" / "check.md").read_text()
    code = "".join(p.read_text() for p in (root / "ensemble_pipe/search").rglob("*.py"))
    names = set(re.findall(r'Finding\(\s*"([a-z-]+)"', code))
    notes = {"missing-values", "class-not-in-part"}
    assert len(names) > 20
    assert {name for name in names - notes if f"`{name}`" not in page} == set()


# In a run


def small(**settings: Any) -> dict[str, Any]:
    training = {"epochs": 1, "batch_size": 32, "optimizer": {"name": "adam"}}
    return digits(network={"hidden": [8]}, training=training, **settings)


def test_first_weights_that_are_the_best_already_are_not_advised() -> None:
    own = digits(network={"hidden": [8]}), digits(network={"hidden": [8], "initializer": "zeros"})
    plans = [prepare(pipeline(one)).plans.networks[0] for one in own]
    names = [initializer_of(plan) for plan in plans]
    best, other = (bad_start(9.0, 2.3, name) for name in names)
    assert "though the first weights are he_normal" in best.text
    assert "network.initializer" not in best.change
    assert "take he_normal" in other.text
    assert other.change == {"network.initializer": "he_normal"}


def test_a_run_warns_of_its_data_and_its_first_loss(tmp_path: Path) -> None:
    display = Messages()
    start = {"network": {"hidden": [8], "initializer": {"name": "normal", "deviation": 5.0}}}
    scale = {"scale": {"name": "range", "low": 0, "high": 255}}
    config = pipeline({**small(), **start, **scale, "ensemble": {"learners": 4}})
    result = ensemble_pipe.run(config, output=tmp_path, inline=True, display=display)
    warnings = [text for text in display.texts if text.startswith("warning: ")]
    assert [text[:40] for text in warnings] == [
        "warning: the inputs of the network are n", "warning: the first loss is "
        + warnings[1].removeprefix("warning: the first loss is ")[:13],
    ]  # fmt: skip
    report = RunPaths(Path(result.run_dir)).report.read_text(encoding="utf-8")
    assert "<h2>Check</h2>" in report
    for text in warnings:
        assert f'class="warning">{text.removeprefix("warning: ")}' in report


def predictions(run_dir: str) -> dict[str, bytes]:
    folder = RunPaths(Path(run_dir)).root / "predictions"
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_looking_at_a_run_changes_none_of_its_bits(tmp_path: Path) -> None:
    config = pipeline({**small(), "ensemble": {"learners": 4}})
    display = Messages()
    watched = ensemble_pipe.run(config, output=tmp_path / "a", inline=True, display=display)
    alone = runs.run(config, output=tmp_path / "b", inline=True)
    assert predictions(watched.run_dir) == predictions(alone.run_dir)
    assert not [text for text in display.texts if text.startswith("warning")]
    data, first = read_run_summary(RunPaths(Path(watched.run_dir))).checked
    assert (data.title, data.text) == ("data", "sound")
    loss, chance = map(float, re.findall(r"\d\.\d+", first.verdict))
    assert first.title == "first loss"
    assert chance == pytest.approx(np.log(10), abs=1e-3)
    assert abs(loss - chance) < 2
    assert read_run_summary(RunPaths(Path(alone.run_dir))).checked == []


def test_looking_at_the_data_takes_little_of_a_start() -> None:
    from ensemble_pipe.search.watching import watch

    prepared = prepare(pipeline({}))
    began = time.process_time()
    watch(prepared, Silent(), Notes())
    assert time.process_time() - began < 0.3


def layers(values: Array) -> list[float]:
    return [float(one) for one in np.ravel(values)]


def test_a_network_can_be_walked_layer_by_layer() -> None:
    prepared = prepare(pipeline(digits(network={"hidden": [8, 4], "dropout": 0.5})))
    with open_bench(prepared, {n: thinned(p, 100) for n, p in prepared.parts.items()}) as bench:
        training = bench.start(bench.plan)
        training.batches.read(0)
        chain, inputs = training.bound.chain, training.batches.inputs
        walked = [(name, layers(values)) for name, values in chain.walk(inputs, 0)]
        whole = layers(training.bound.forward(inputs, 0))
    names = [name for name, _ in walked]
    assert names == ["flatten1", "relu1", "dropout1", "relu2", "dropout2", "dense3"]
    assert walked[-1][1] == whole


def test_batch_norm_widens_the_range_of_first_weights_that_train() -> None:
    deep = {"name": "mlp", "hidden": [32] * 6, "activation": "tanh"}
    prepared = prepare(pipeline(digits(network=deep)))
    with open_bench(prepared, prepared.parts) as bench:
        found = compare_starts(bench, 60.0)
        assert found is not None
        assert compare_starts(bench, 0.0) is None
    bound = 0.9 * found.uniform
    with_norm = [factor for factor, loss in found.normed.items() if loss < bound]
    without = [factor for factor, loss in found.plain.items() if loss < bound]
    assert set(without) < set(with_norm) >= {0.01, 1.0, 100.0}
    assert "with batch norm it trains from 0.01 to 100, without (as here) from " in found.text()


def test_what_a_network_has_of_batch_norm_is_left_out_for_the_comparison(tmp_path: Path) -> None:
    names = ("flatten", "dense", "batch_norm", "relu")
    layers: list[dict[str, Any]] = [{"name": name} for name in names]
    layers[1]["units"] = 8
    for network, compared in (
        ({"name": "sequential", "layers": layers}, True),
        ({"name": "linear"}, False),
        ({"name": "resnet", "filters": [4], "blocks": 1}, False),
    ):
        prepared = prepare(pipeline(digits(network=network)))
        with open_bench(prepared, prepared.parts) as bench:
            assert has_starts(bench) == compared
            found = compare_starts(bench, 60.0) if compared else None
        if found is not None:
            assert "with batch norm (as here) it trains" in found.text()


NUMBERS = [{"name": "piecewise_linear", "bins": 4}, {"name": "feature_scale"}, {"name": "flatten"}]


@pytest.mark.parametrize(
    ("initializer", "alike"), [("he_normal", []), ("zeros", ["dense1/kernel"])]
)
def test_layers_that_begin_alike_by_design_are_not_pointed_out(
    initializer: str, alike: list[str], tmp_path: Path
) -> None:
    dense = [{"name": "dense", "units": 8, "initializer": initializer}, {"name": "relu"}]
    network = {"name": "sequential", "layers": [*NUMBERS, *dense]}
    prepared = prepare(pipeline(sound_table(tmp_path) | {"network": network}))
    with open_bench(prepared, {n: thinned(p, 100) for n, p in prepared.parts.items()}) as bench:
        assert list(_equal_kernels(bench.start(bench.plan))) == alike


def test_few_steps_say_nothing_of_what_cannot_be_learned() -> None:
    prepared = prepare(pipeline(digits()))
    with open_bench(prepared, prepared.parts) as bench:
        epochs = -(-JUDGED_STEPS // bench.epoch_steps)
        flat = np.full(epochs, 2.3)
        whole = Curve(bench.plan, flat, flat, flat, None)
        assert is_long(whole, bench)
        assert not is_long(replace(whole, is_whole=False), bench)
        assert not is_long(replace(whole, stop=flat[: epochs // 2]), bench)


def test_what_a_search_chooses_is_noted_and_not_warned_of() -> None:
    rate = "training.optimizer.learning_rate"
    low = Finding("rate-too-low", "text", change={rate: 0.1})
    start = Finding("equal-start", "text", change={"network.initializer": "he_normal"})
    space = {"space": {rate: {"log_uniform": [0.001, 0.1]}}}
    step = _of_search(Step("5", "v", (low, start)), pipeline(digits(search=space)))
    assert [finding.level for finding in step.findings] == ["note", "warning"]
    step = _of_search(Step("5", "v", (low, start)), pipeline(digits()))
    assert [finding.level for finding in step.findings] == ["warning", "warning"]
