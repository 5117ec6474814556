"""Spaces: which values belong together, draws, grids, and what is wrong with a search."""

from pathlib import Path
from typing import Any

import pytest
from small_pipelines import small_settings
from typer.testing import CliRunner

from ensemble_pipe.cli import app
from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.config.reading import Pipeline
from ensemble_pipe.config.search_settings import Parameter, Search
from ensemble_pipe.config.yaml_documents import Document
from ensemble_pipe.search.planning import require_valid, with_trials
from ensemble_pipe.search.spaces import READY, draw, grid, mistake_in, parameters_of, tried

CONDITIONAL: dict[str, Any] = {
    "training.optimizer.momentum": Parameter(
        uniform=(0.0, 0.9), when={"training.optimizer.name": ["sgd", "nesterov"]}
    ),
    "training.optimizer.name": ["sgd", "adam"],
    "training.epochs": Parameter(integer=(2, 4)),
}


def test_draws_lie_in_the_space_and_know_their_conditions() -> None:
    parameters = parameters_of(Search(space=CONDITIONAL))
    drawn = [draw(parameters, seed=1, trial=n) for n in range(200)]
    for values in drawn:
        assert ("training.optimizer.momentum" in values) == (
            values["training.optimizer.name"] == "sgd"
        )
    assert {values["training.epochs"] for values in drawn} == {2, 3, 4}
    momenta = [v["training.optimizer.momentum"] for v in drawn if len(v) == 3]
    assert 60 < len(momenta) < 140
    assert 0 <= min(momenta) < 0.1 < 0.8 < max(momenta) <= 0.9


def test_a_log_range_has_equal_chances_per_factor() -> None:
    parameters = {"training.optimizer.learning_rate": Parameter(log_uniform=(1e-4, 1.0))}
    rates = [draw(parameters, 1, n)["training.optimizer.learning_rate"] for n in range(2000)]
    assert sum(rate < 1e-2 for rate in rates) / 2000 == pytest.approx(0.5, abs=0.05)


def test_a_draw_depends_on_no_other_trial_and_no_other_hyperparameter() -> None:
    rate = {"training.optimizer.learning_rate": Parameter(log_uniform=(1e-4, 1.0))}
    both = {"network.dropout": Parameter(uniform=(0.0, 0.5)), **rate}
    assert draw(rate, 1, 5).items() <= draw(both, 1, 5).items()
    assert draw(rate, 1, 5) != draw(rate, 2, 5)


def test_a_grid_has_every_combination_once() -> None:
    space = {k: v for k, v in CONDITIONAL.items() if k != "training.optimizer.momentum"}
    space["view.features"] = Parameter(choices=(0.5, 1.0), when={"training.optimizer.name": "adam"})
    found = list(grid(parameters_of(Search(space=space))))
    assert len(found) == 3 * 2 + 3  # three numbers of epochs, with two shares or with none
    assert len({str(sorted(values.items())) for values in found}) == len(found)


@pytest.mark.parametrize("name", READY)
def test_every_draw_of_a_ready_space_is_a_valid_pipeline(name: Any) -> None:
    search = Search(space=name)
    config = Pipeline.model_validate({"search": {"space": name}})
    drawn = [draw(parameters_of(search), 1, trial) for trial in range(60)]
    plans = make_plans(with_trials(config, drawn))
    kinds = {plan.network.name for plan in plans.networks}
    assert kinds == set(READY[name]["network.name"].choices or ())


@pytest.mark.parametrize("name", READY)
def test_a_ready_space_needs_nothing_else_in_a_pipeline(name: Any) -> None:
    config = Pipeline.model_validate({"search": {"space": name}})
    require_valid(config, Document("p.yaml", {}))


def test_every_choice_and_bound_and_a_number_between_is_tried_in_a_whole_trial() -> None:
    parameters = parameters_of(Search(space=CONDITIONAL))
    found = list(tried(parameters))
    assert all(mistake_in(parameters, path, values) is None for path, values in found)
    assert [values[path] for path, values in found[:-1]] == [2, 4, "sgd", "adam", 0.0, 0.9]
    assert 0 < found[-1][1][found[-1][0]] < 0.9


def test_a_choice_that_is_a_section_stays_as_it_is_beside_others_of_its_keys() -> None:
    sections = [{"name": "adamw"}, {"name": "sgd"}]
    values = [
        {"training.optimizer": one, "training.optimizer.learning_rate": 0.5} for one in sections
    ]
    config = Pipeline.model_validate({"search": {"space": {"training.optimizer": sections}}})
    rates = [plan.rule.learning_rate for plan in make_plans(with_trials(config, values)).networks]
    assert rates == [0.5, 0.5]
    assert sections == [{"name": "adamw"}, {"name": "sgd"}]


def test_choices_that_do_not_fit_the_data_are_refused_though_their_trials_come_late(
    tmp_path: Path,
) -> None:
    path = tmp_path / "s.yaml"
    first = ", ".join(["{network.name: mlp}"] * 10)
    path.write_text(
        "data: {source: bundled, set: wine}\ntracking: {mlflow: false}\n"
        f"search: {{space: {{network.name: [mlp, cnn]}}, driver: tpe, first: [{first}]}}\n"
    )
    arguments = ["search", str(path), "--inline", "--output", str(tmp_path / "runs")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2, done.stderr
    assert "network: layer conv2d1 cannot take rows of shape (13,)" in done.stderr
    assert [one.name for one in tmp_path.iterdir()] == ["s.yaml"]


SEARCH = """data: {source: bundled, set: wine}
tracking: {mlflow: false}
search:
  trials: 2
  space:
    network.hidden: [[4], [8]]
"""
WHEN = "    view.features: {uniform: [0.5, 1], when: "
MISTAKES = [
    ("    network.dropout: {uniform: [0, 1.5]}", "input should be less than 1, got 1.5", 7),
    ("    network.hiden: [[4]]", "unknown key 'hiden'; did you mean 'hidden'?", 7),
    ("    training.epochs: {integer: [5, 2]}", "integer: low (5) must be less than high (2)", 7),
    ("    training.epochs: {log_uniform: [0, 2]}", "log_uniform: low must be above 0", 7),
    ("    training.epochs: {uniform: [1, 2], integer: [1, 2]}", "needs one of choices", 7),
    ("    training.batch_size: {uniform: [16, 32]}", "expected a whole number, got 22.1", 7),
    ("    augment.policy.0.pixels: [0, 3]", "augment.policy.0.pixels: there is no such key", 7),
    ("    training.epochs: {integr: [1, 2]}", "unknown key 'integr'; did you mean 'integer'?", 7),
    ("    training.epochs: 5", "expected a list of values, or a range such as", 7),
    ("    training.epochs: []", "expected a list of values, or a range such as", 7),
    ("    target.scale: [auto]", "'target.scale' cannot differ between trials", 7),
    ("    augment.memory_mb: [5]", "augment.memory_mb: is of all learners alike", 7),
    ("    scale.name: [range, pca]", "scale.name: pca mixes columns, so all learners have it", 7),
    ("    scale.low: [0.5]", "scale.low: unknown key 'low'", 7),
    (f"{WHEN}{{network.name: mlp}}}}", "when: names what is not in the space", 7),
    (f"{WHEN}{{network.hidden: [[9]]}}}}", "when: [9] is no choice of network.hidden", 7),
    (f"{WHEN}{{view.features: 1}}}}", "when: names what is not in the space, or depends on", 7),
    ("    network.dropout: {uniform: [0, 1]}\n    view.features: {choices: [0.5, 1], "
     "when: {network.dropout: 0.5}}", "0.5 is no choice of network.dropout, which is a range", 8),
    (f"    training.epochs: {{integer: [1, 3]}}\n{WHEN}{{training.epochs: 4}}}}",
     "when: 4 is no choice of training.epochs", 8),
    ("    training.epochs: [1, 2]\n"
     "    network.dropout: {uniform: [0, 0.5], when: {training.epochs: 1}}\n"
     "    view.features: {choices: [1], when: {training.epochs: 2, network.dropout: 0.1}}",
     "0.1 is no choice of network.dropout, which is a range", 9),
    ("    training.epochs: [1, 2]\n"
     "    training.batch_size: {choices: [8, 16], when: {training.epochs: 1}}\n"
     "    view.features: {choices: [1], when: {training.epochs: 2, training.batch_size: 8}}",
     "no trial meets it, since what it names needs another value of training.epochs", 9),
    ("    training.optimizer.name: [adam, sgd]\n"
     "    training.optimizer.beta2: {uniform: [0.9, 0.99]}",
     "training.optimizer.beta2: unknown key 'beta2' of sgd; valid: clip_norm, l1, l2, learning", 8),
    ("  driver: manual", "driver: manual goes with a list of trials", 3),
    ("  driver: genetic", "unknown 'genetic'", 7),
    ("  metric: rmse", "rmse is not for classification; valid: nll, brier, accuracy", 7),
    ("  metric: f2", "search.metric: unknown 'f2'", 7),
    ("  top: 0", "search.top: input should be greater than or equal to 1", 7),
    ("  first: [{network.hidden: [9]}]", "hidden: [9] is none of its values, [[4], [8]]", 7),
    ("  first: [{}]", "search.first.0: network.hidden: is missing", 7),
    ("  first: [{network.hidden: [4], view.features: 1}]", "view.features: is not in search.sp", 7),
    ("  first: [{network.hidden: [4]}, {network.hidden: [8]}, {network.hidden: [4]}]",
     "search.first: has 3 trials, but search.trials is 2", 7),
    ("  batch: 4", "search.batch: random knows all of its trials at once; leave it out", 7),
    ("  driver: grid", "trials: grid takes all there are; leave it out", 3),
    ("  ensemble: hyper_deep\n  top: 200", "are more than a run can have, 10,000", 3),
    ("splits: {folds: 6000}", "2 trials, each of 6,000 folds, are more than a run can have", 3),
    ("ensemble: {learners: 4}", "ensemble.learners: the trials of a search are its learners", 7),
    ("ensemble: {combine: {keep: 4}}", "ensemble.combine.keep: search.top says how many", 7),
    ("ensemble: {preset: best}", "leave it out, or the whole section, by ensemble={}", 7),
    ("    transfer.frozen: [[dense1]]", "transfer.frozen: unknown key 'frozen'", 7),
    ("    transfer.freeze: [[dense1]]", "transfer.weights: is missing", 6),
    ("training: {loss: {name: huber}}", "training.loss.name: huber is for regression", 7),
]  # fmt: skip


@pytest.mark.parametrize(("line", "message", "number"), MISTAKES, ids=lambda value: str(value)[:30])
def test_a_mistake_is_reported_with_its_line_before_anything_is_made(
    tmp_path: Path, line: str, message: str, number: int
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(f"{SEARCH}{line}\n")
    arguments = ["search", str(path), "--inline", "--output", str(tmp_path / "runs")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2, done.stderr
    found = [text for text in done.stderr.splitlines() if message in text]
    assert len(found) == 1, done.stderr
    assert found[0].endswith(f"({path}:{number})")
    assert [one.name for one in tmp_path.iterdir()] == ["s.yaml"]


def test_all_mistakes_of_a_space_are_reported_at_once(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(f"{SEARCH}    network.hiden: [1]\n    network.dropout: [0.5, 2]\n")
    done = CliRunner().invoke(app, ["search", str(path), "--inline"])
    assert {text.rsplit(":", 1)[1] for text in done.stderr.splitlines()} == {"7)", "8)"}


def test_a_grid_takes_no_range_of_numbers(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    text = "search:\n  driver: grid\n  space:\n    network.dropout: {uniform: [0, 0.5]}\n"
    path.write_text(text)
    done = CliRunner().invoke(app, ["search", str(path), "--inline"])
    assert "network.dropout: a grid takes no range of numbers" in done.stderr
    many = "training.epochs: {integer: [1, 99999]}"
    path.write_text(text.replace("network.dropout: {uniform: [0, 0.5]}", many))
    done = CliRunner().invoke(app, ["search", str(path), "--inline"])
    assert "99,999 trials are more than a run can have" in done.stderr


def test_a_trial_of_a_list_that_is_wrong_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "search:\n  driver: manual\n  space:\n    - {network.hidden: [4]}\n"
        "    - {network.hidden: [0]}\n"
    )
    done = CliRunner().invoke(app, ["search", str(path), "--inline"])
    assert done.exit_code == 2
    assert f"network.hidden.0: input should be greater than 0, got 0 ({path}:5)" in done.stderr


def test_the_values_of_a_search_can_be_set_on_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(SEARCH)
    setting = "search.space.network.dropout={uniform: [0, 7]}"
    done = CliRunner().invoke(app, ["search", str(path), "--inline", "--set", setting])
    assert "got 7.0 (--set search.space.network.dropout)" in done.stderr


def test_small_settings_make_no_search() -> None:
    assert Pipeline.model_validate(small_settings(hidden=4, epochs=1)).search is None


@pytest.mark.parametrize("name", ["linear", "mlp", "realmlp", "tabm"])
def test_the_space_of_tables_goes_with_every_network_for_tables(name: str) -> None:
    config = Pipeline.model_validate({"network": {"name": name}, "search": {"space": "table"}})
    require_valid(config, Document("pipeline", {}))
    drawn = [draw(parameters_of(Search(space="table")), 1, trial) for trial in range(60)]
    networks = [
        plan.to_dict()["network"] for plan in make_plans(with_trials(config, drawn)).networks
    ]
    assert {network["name"] for network in networks} == {"mlp", "wide_and_deep"}
    assert {network["activation"] for network in networks} == {"relu"}
