"""Refining: a finished search again, around its best trials and with more epochs."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import StopAt
from small_pipelines import small_settings
from typer.testing import CliRunner

import ensemble_pipe
from ensemble_pipe.cli import app
from ensemble_pipe.config.conversion import validate
from ensemble_pipe.config.reading import Pipeline, load_pipeline
from ensemble_pipe.config.yaml_documents import read_document
from ensemble_pipe.core.errors import ConfigError, RunDirectoryError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.run import pipeline as runs
from ensemble_pipe.search.drivers import driver_of, first_trials
from ensemble_pipe.search.pipeline import SearchResult, refine, refined_of, search
from ensemble_pipe.search.refinement import refined
from ensemble_pipe.search.trials import Trial

RATE, HIDDEN, RULE = (
    "training.optimizer.learning_rate",
    "network.hidden",
    "training.optimizer.name",
)
MOMENTUM = "training.optimizer.momentum"
SPACE: dict[str, Any] = {
    RATE: {"log_uniform": [1e-4, 1.0]},
    HIDDEN: [[4], [8], [16]],
    "network.dropout": {"uniform": [0.0, 0.5]},
    "training.batch_size": {"integer": [8, 128]},
    RULE: ["adam", "sgd"],
    MOMENTUM: {"uniform": [0.0, 0.9], "when": {RULE: "sgd"}},
}


def pipeline(space: Any = SPACE, epochs: int = 3, **settings: Any) -> Pipeline:
    values = small_settings(
        hidden=4, epochs=epochs, batch_size=16, data={"source": "bundled", "set": "wine"},
        search={"space": space, "top": 2, **settings},
    )  # fmt: skip
    return Pipeline.model_validate(values)


def slow(settings: dict[str, Any]) -> Any:
    return pytest.param(settings, marks=pytest.mark.slow)


def trial(number: int, score: float | None, **values: Any) -> Trial:
    own = {RATE: 0.01, HIDDEN: [4], "network.dropout": 0.2, "training.batch_size": 32, RULE: "adam"}
    ending = "finished" if score is not None else "failed"
    return Trial(number, own | values, ending, score)  # type: ignore[arg-type]


def values_of(config: Pipeline, trials: list[Trial], longer: float = 2.0) -> dict[str, Any]:
    return refined(config, trials, longer, "runs/x").document.data


def spread(count: int, best: list[dict[str, Any]]) -> list[Trial]:
    """Return trials of which some are the best, with these values, in turn with bad ones."""
    good = [trial(2 * n, 0.1 + n / 100, **one) for n, one in enumerate(best)]
    return good + [trial(100 + n, 1.0 + n) for n in range(count - len(best))]


def test_ranges_become_those_of_the_best_quarter_and_some_of_both_sides() -> None:
    best = [{RATE: 0.01, "network.dropout": 0.1}, {RATE: 0.03, "network.dropout": 0.2}]
    space = values_of(pipeline(), spread(8, best))["search"]["space"]
    low, high = space[RATE]["log_uniform"]
    assert low == pytest.approx(0.01 / 10**0.4, rel=0.01)  # a tenth of four powers of ten
    assert high == pytest.approx(0.03 * 10**0.4, rel=0.01)
    assert space["network.dropout"] == {"uniform": [0.05, 0.25]}
    assert space["training.batch_size"] == {"integer": [20, 44]}


def test_ranges_stay_within_what_they_were_and_hold_the_best_trials() -> None:
    best = [{RATE: 1.0, "network.dropout": 0.0, "training.batch_size": 128}]
    found = values_of(pipeline(), spread(4, best))["search"]
    assert found["space"][RATE]["log_uniform"][1] == 1.0
    assert found["space"]["network.dropout"]["uniform"][0] == 0.0
    assert found["space"]["training.batch_size"]["integer"][1] == 128
    for path, values in found["first"][0].items():
        one = found["space"][path]
        low, high = next(iter(one.values())) if isinstance(one, dict) else (None, None)
        assert values in one if low is None else low <= values <= high


def test_the_best_trial_at_a_bound_is_told() -> None:
    about = refined(pipeline(), spread(4, [{RATE: 1.0}]), 2.0, "runs/x").about
    (line,) = [line for line in about if "bound" in line]
    assert line.startswith(f"{RATE}: the best, 1, is at a bound")


def test_choices_are_those_that_the_best_have() -> None:
    best = [{HIDDEN: [8]}, {HIDDEN: [16]}]
    space = values_of(pipeline(), spread(8, best))["search"]["space"]
    assert space[HIDDEN] == [[8], [16]]
    assert space[RULE] == ["adam"]


def test_what_none_of_the_best_has_is_left_out_and_conditions_follow_the_choices() -> None:
    without = values_of(pipeline(), spread(4, [{}]))["search"]["space"]
    assert MOMENTUM not in without
    space = {**SPACE, MOMENTUM: {"uniform": [0.0, 0.9], "when": {RULE: ["sgd", "adam"]}}}
    best = [{RULE: "sgd", MOMENTUM: 0.5}]
    narrow = values_of(pipeline(space), spread(4, best))["search"]["space"]
    assert narrow[MOMENTUM] == {"uniform": [0.41, 0.59], "when": {RULE: ["sgd"]}}


def test_epochs_grow_where_they_stand() -> None:
    found = values_of(pipeline(epochs=3), spread(4, [{}]), longer=3.0)
    assert found["training"]["epochs"] == 9
    space = {"training.epochs": {"integer": [2, 20]}}
    trials = [Trial(n, {"training.epochs": 4 + n}, "finished", 1.0 + n) for n in range(4)]
    found = values_of(pipeline(space), trials)["search"]
    assert found["space"] == {"training.epochs": {"integer": [4, 12]}}
    assert found["first"] == [{"training.epochs": 8}]
    listed = {"training.epochs": [2, 4]}
    trials = [Trial(n, {"training.epochs": 2 + 2 * n}, "finished", 1.0 + n) for n in range(2)]
    assert values_of(pipeline(listed, driver="grid"), trials)["search"]["first"] == [
        {"training.epochs": 4}
    ]


def test_the_best_of_a_list_are_the_list() -> None:
    listed = [{HIDDEN: [n]} for n in range(1, 9)]
    trials = [Trial(n, one, "finished", 1.0 - n) for n, one in enumerate(listed)]
    found = values_of(pipeline(listed, driver="manual"), trials)["search"]
    assert found["space"] == [{HIDDEN: [8]}, {HIDDEN: [7]}]


@pytest.mark.parametrize(
    "settings",
    [
        {"driver": "random", "trials": 6},
        slow({"driver": "tpe", "trials": 14, "batch": 2}),
        slow({"driver": "gp", "trials": 14, "batch": 2, "pruning": "successive_halving"}),
        {"space": {HIDDEN: [[4], [8]], RATE: [0.01, 0.1]}, "driver": "grid"},
        {"space": [{HIDDEN: [4]}, {HIDDEN: [8]}], "driver": "manual"},
        slow({"driver": "random", "trials": 6, "ensemble": "greedy"}),
        slow({"driver": "random", "trials": 4, "ensemble": "hyper_deep"}),
    ],
)
def test_searches_of_every_kind_are_refined(settings: dict[str, Any], tmp_path: Path) -> None:
    first = search(pipeline(**{"space": SPACE, **settings}), output=tmp_path, inline=True)
    before = {p: p.read_bytes() for p in Path(first.run.run_dir).rglob("*") if p.is_file()}
    found = refine(first.run.run_dir, inline=True)
    assert before == {p: p.read_bytes() for p in before}
    again = {trial.number: trial.values for trial in found.trials}
    count = -(-len(first.trials) // 4)
    best = [trial.values for trial in first.trials[:count]]
    assert [again[number] for number in range(count)] == best
    assert Path(found.run.run_dir).parent == tmp_path
    config, _ = load_pipeline(RunPaths(Path(found.run.run_dir)).pipeline)
    assert config.training.epochs == 6
    assert refined_of(first.run.run_dir, 2.0, {}) == refined_of(first.run.run_dir, 2.0, {})
    refine(found.run.run_dir, longer=1.0, inline=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    folder = tmp_path_factory.mktemp("refinement")
    return search(pipeline(trials=4), output=folder, inline=True)


def test_the_refined_pipeline_is_a_file_to_read_and_to_search(
    finished: SearchResult, tmp_path: Path
) -> None:
    file = tmp_path / "refined.yaml"
    command = ["refine", finished.run.run_dir, "--write", str(file), "--set", "search.trials=5"]
    done = CliRunner().invoke(app, [*command, "--time-limit", "5m"])
    assert done.exit_code == 0, done.stderr
    text = file.read_text()
    assert yaml.safe_load(text)["time_limit"] == "5m"
    assert text.startswith(f"# The search of {finished.run.run_dir}, refined: around the best 1")
    assert next(iter(yaml.safe_load(text))) == "search"
    document = read_document(file)
    config, plans = first_trials(validate(document), document)
    assert len(plans.networks) == driver_of(config).total == 5
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 2
    assert "exists already" in again.stderr


def test_the_command_searches_and_shows_the_narrowed_space(
    finished: SearchResult, tmp_path: Path
) -> None:
    command = ["refine", finished.run.run_dir, "--inline", "--output", str(tmp_path)]
    done = CliRunner().invoke(app, [*command, "--longer", "1"])
    assert done.exit_code == 0, done.stderr
    assert "around the best 1 of its 4 trials" in done.stderr
    assert "(4 trials: 4 finished)" in done.stdout
    assert len(list(tmp_path.iterdir())) == 1


def test_it_is_a_function_of_the_package(finished: SearchResult, tmp_path: Path) -> None:
    few: dict[str, Any] = {"search.trials": 2}
    found = ensemble_pipe.refine(finished.run.run_dir, output=tmp_path, inline=True, **few)
    assert len(found.trials) == 2


def test_what_cannot_be_refined_is_refused(finished: SearchResult, tmp_path: Path) -> None:
    plain = Pipeline.model_validate(small_settings(hidden=4, epochs=1))
    run = runs.run(plain, output=tmp_path / "runs", inline=True)
    with pytest.raises(ConfigError, match="is a run without a search"):
        refine(run.run_dir, inline=True)
    with pytest.raises(RunDirectoryError, match="no run directory"):
        refine(tmp_path, inline=True)
    with pytest.raises(ConfigError, match=r"--longer 0\.5: must be 1 or more"):
        refine(finished.run.run_dir, longer=0.5, inline=True)
    wrong: dict[str, Any] = {"search.trails": 3}
    with pytest.raises(ConfigError, match="unknown key 'trails'"):
        refine(finished.run.run_dir, inline=True, **wrong)
    with pytest.raises(ConfigError, match="no trial has a score"):
        refined(pipeline(), [trial(0, None)], 2.0, "runs/x")


def test_a_search_that_has_not_finished_is_not_refined(tmp_path: Path) -> None:

    with pytest.raises(KeyboardInterrupt):
        search(pipeline(trials=4), output=tmp_path, inline=True, display=StopAt(3))
    (run_dir,) = tmp_path.iterdir()
    with pytest.raises(RunDirectoryError, match="has not finished; `ensemble-pipe resume"):
        refine(run_dir, inline=True)
