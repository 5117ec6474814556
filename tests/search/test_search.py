"""Searches: trials are learners of one run, with one result however they were trained."""

import json
import re
from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from small_pipelines import small_settings
from typer.testing import CliRunner

import ensemble_pipe
from ensemble_pipe.cli import app
from ensemble_pipe.config.reading import Pipeline
from ensemble_pipe.config.search_settings import Parameter
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.run import pipeline as runs
from ensemble_pipe.run.display import Silent
from ensemble_pipe.search.pictures import importances
from ensemble_pipe.search.pipeline import SearchResult, combine, resume, search
from ensemble_pipe.search.spaces import draw
from ensemble_pipe.search.trials import Trial
from ensemble_pipe.tracking.run_summary import read_run_summary
from ensemble_pipe.training.events import Checkpoint, Event

SPACE: dict[str, Any] = {
    "training.optimizer.learning_rate": {"log_uniform": [0.001, 0.1]},
    "network.hidden": [[4], [8]],
    "network.dropout": {"uniform": [0, 0.5]},
}
GRID: dict[str, Any] = {
    "training.optimizer.learning_rate": [0.01, 0.1],
    "network.hidden": [[4], [8]],
}
# Each is a search with another way through its trials.
SEARCHES: dict[str, dict[str, Any]] = {
    "random": {"trials": 6},
    "grid": {"space": GRID, "driver": "grid"},
    "tpe": {"driver": "tpe", "trials": 14, "batch": 2},
    "gp": {"driver": "gp", "trials": 14, "batch": 2},
    "pruned": {"trials": 8, "pruning": "successive_halving"},
    "hyper_deep": {"trials": 4, "ensemble": "hyper_deep"},
    "refit": {"trials": 4, "refit": True},
}


def pipeline(
    stack: int | None = None, epochs: int = 3, refit: bool = False, **settings: Any
) -> Pipeline:
    searched = {"space": SPACE, "top": 2, **settings}
    values = small_settings(
        hidden=4, epochs=epochs, batch_size=16,
        data={"source": "bundled", "set": "wine"}, search=searched, cluster={"stack": stack},
    )  # fmt: skip
    if refit:
        values["splits"] = {**values.get("splits", {}), "refit": True}
    return Pipeline.model_validate(values)


def search_here(folder: Path, config: Pipeline, **options: Any) -> SearchResult:
    return search(config, output=folder, inline=True, **options)


def bits(run_dir: str | Path) -> list[bytes]:
    """Return what a search leaves: its model, and what each of its trials predicts."""
    names = ("model/model.json", "model/members.safetensors", "predictions/trials.arrow")
    return [(Path(run_dir) / name).read_bytes() for name in names]


class StopAfter(Silent):
    """Presses Ctrl-C after so many epochs of trials."""

    def __init__(self, epochs: int = 1_000_000) -> None:
        self.most = epochs
        self.epochs = 0

    def event(self, event: Event) -> None:
        self.epochs += isinstance(event, Checkpoint)
        if self.epochs > self.most:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def random(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    return search_here(tmp_path_factory.mktemp("random"), pipeline(**SEARCHES["random"]))


def test_the_best_trials_as_they_are_make_the_ensemble(random: SearchResult) -> None:
    members = ensemble_pipe.load(random.run.run_dir).members
    assert {m.learner for m in members} == {t.number for t in random.trials[:2]}
    scores = [t.score for t in random.trials if t.score is not None]
    assert scores == sorted(scores)
    assert [t.ending for t in random.trials] == ["finished"] * 6


def test_every_trial_has_values_of_the_space(random: SearchResult) -> None:
    for trial in random.trials:
        assert trial.values.keys() == SPACE.keys()
        assert 0.001 <= trial.values["training.optimizer.learning_rate"] <= 0.1
        assert list(trial.values["network.hidden"]) in ([4], [8])
    rates = {t.values["training.optimizer.learning_rate"] for t in random.trials}
    assert len(rates) == 6


def test_a_trial_is_the_learner_of_an_ordinary_run_with_its_values(
    random: SearchResult, tmp_path: Path
) -> None:
    best = random.trials[0]
    run = read_run_summary(RunPaths(Path(random.run.run_dir)))
    plan = run.plans[best.number]
    assert plan["network"]["hidden"] == list(best.values["network.hidden"])
    assert plan["network"]["dropout"] == best.values["network.dropout"]
    assert run.by_place[best.number, 0].validation["nll"] == best.score


def test_what_each_trial_predicts_of_the_held_out_rows_is_kept(random: SearchResult) -> None:
    path = RunPaths(Path(random.run.run_dir)).predictions("trials")
    table = pa.ipc.open_file(str(path)).read_all()
    rows = table.num_rows
    outputs = table.column("outputs").chunk(0).to_numpy_ndarray()
    assert outputs.shape == (rows, 6, 3)
    names = np.array(ensemble_pipe.load(random.run.run_dir).schema.classes)
    truth = np.array(table.column("target").to_pylist())
    accuracies = (names[outputs.argmax(axis=2)] == truth[:, None]).mean(axis=0)
    run = read_run_summary(RunPaths(Path(random.run.run_dir)))
    known = [run.by_place[n, 0].validation["accuracy"] for n in range(6)]
    assert accuracies.tolist() == pytest.approx(known)


@pytest.mark.parametrize("kind", ["random", "grid", "pruned"])
def test_the_width_of_stacks_changes_no_bit(kind: str, tmp_path: Path) -> None:
    wide = search_here(tmp_path, pipeline(epochs=9, **SEARCHES[kind]))
    narrow = search_here(tmp_path, pipeline(stack=1, epochs=9, **SEARCHES[kind]))
    assert bits(wide.run.run_dir) == bits(narrow.run.run_dir)
    assert wide.trials == narrow.trials


@pytest.mark.slow
@pytest.mark.parametrize("kind", SEARCHES)
def test_a_search_that_was_stopped_goes_on_to_the_same_bits(kind: str, tmp_path: Path) -> None:
    config = pipeline(epochs=9, **SEARCHES[kind])
    counting = StopAfter()
    whole = search_here(tmp_path / "whole", config, display=counting)
    for epochs in (counting.epochs // 3, counting.epochs * 4 // 5):
        with pytest.raises(KeyboardInterrupt):
            search_here(tmp_path / str(epochs), config, display=StopAfter(epochs))
        (run_dir,) = (tmp_path / str(epochs)).iterdir()
        with pytest.raises(KeyboardInterrupt):
            resume(run_dir, inline=True, display=StopAfter(2))
        found = resume(run_dir, inline=True)
        assert isinstance(found, SearchResult)
        assert found.trials == whole.trials
        assert bits(run_dir) == bits(whole.run.run_dir)


def test_pruned_trials_end_early_and_are_told_as_such(tmp_path: Path) -> None:
    found = search_here(tmp_path, pipeline(epochs=9, **SEARCHES["pruned"]))
    pruned = [trial for trial in found.trials if trial.ending == "pruned"]
    assert len(pruned) == 6
    assert {trial.epochs for trial in pruned} <= {1, 3}
    assert all(trial.score is None for trial in pruned)
    report = (Path(found.run.run_dir) / "report.html").read_text()
    assert "pruned" in report


def test_the_median_ends_half_of_the_trials_that_are_left_at_each_comparison(
    tmp_path: Path,
) -> None:
    config = pipeline(epochs=9, trials=8, pruning="median", top=1)
    found = search_here(tmp_path, config)
    assert sorted(trial.epochs for trial in found.trials) == [1, 1, 1, 1, 2, 2, 4, 9]


def test_hyper_deep_ensembles_select_among_further_initialisations(tmp_path: Path) -> None:
    found = search_here(tmp_path, pipeline(**SEARCHES["hyper_deep"]))
    assert len(found.trials) == 4
    run = read_run_summary(RunPaths(Path(found.run.run_dir)))
    again = [learner for learner in run.plans if learner >= 4]
    assert 1 <= len(again) <= 2
    for learner in again:
        assert any(run.plans[learner] == run.plans[trial] for trial in range(4))
    assert found.run.members <= 2


def test_chosen_trials_are_trained_again_on_all_rows_but_those_of_the_test(
    random: SearchResult, tmp_path: Path
) -> None:
    found = search_here(tmp_path, pipeline(refit=True, **SEARCHES["random"]))
    assert found.trials == random.trials
    held = {name for name in random.run.metrics if "validation/" in name}
    assert {n: found.run.metrics[n] for n in held} == {n: random.run.metrics[n] for n in held}
    assert found.run.metrics["test/nll"] != random.run.metrics["test/nll"]
    run = read_run_summary(RunPaths(Path(found.run.run_dir)))
    assert run.refitted.keys() == {trial.number for trial in found.trials[:2]}
    assert bits(found.run.run_dir)[2] == bits(random.run.run_dir)[2]  # all trials, as they were


def test_trials_are_combined_anew_as_the_search_that_had_these_settings(
    random: SearchResult, tmp_path: Path
) -> None:
    anew = {"ensemble.combine.method": "weights", "ensemble.combine.coverage": 0.8}
    found = combine(random.run.run_dir, output=tmp_path, **anew)
    values = small_settings(
        hidden=4, epochs=3, batch_size=16, data={"source": "bundled", "set": "wine"},
        search={"space": SPACE, "top": 2, "trials": 6},
        ensemble={"combine": {"method": "weights", "coverage": 0.8}},
    )  # fmt: skip
    whole = search_here(tmp_path, Pipeline.model_validate(values))
    assert found.metrics == whole.run.metrics
    assert bits(found.run_dir) == bits(whole.run.run_dir)
    before = bits(found.run_dir)
    resume(found.run_dir, inline=True)
    assert bits(found.run_dir) == before
    assert (Path(found.run_dir) / "pictures" / "search_history.svg").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pruned", "hyper_deep", "greedy"])
def test_searches_of_every_kind_are_combined_anew(kind: str, tmp_path: Path) -> None:
    settings = {**SEARCHES, "greedy": {"trials": 6, "ensemble": "greedy"}}[kind]
    found = search_here(tmp_path, pipeline(epochs=9, **settings))
    before = {member.learner for member in ensemble_pipe.load(found.run.run_dir).members}
    for how in ("mean_logit", "weights", "vote", "greedy", "choose"):
        if kind == "greedy" and how == "greedy":
            continue
        anew = {"ensemble.combine.method": how, "ensemble.combine.metric": "accuracy"}
        if how in ("mean_logit", "vote") and kind == "pruned":
            del anew["ensemble.combine.metric"]
        result = combine(found.run.run_dir, **anew)
        members = {member.learner for member in ensemble_pipe.load(result.run_dir).members}
        assert result.unfinished == ()
        assert len(members) <= 2
        if kind == "pruned":
            assert members <= before
        assert bits(result.run_dir)[2] == bits(found.run.run_dir)[2]


def test_a_greedy_ensemble_is_selected_among_all_trials(tmp_path: Path) -> None:
    found = search_here(tmp_path, pipeline(trials=6, ensemble="greedy"))
    assert 1 <= found.run.members <= 2
    best = found.trials[0].score
    assert best is not None
    assert found.run.metrics["validation/nll"] <= best + 1e-9


def test_a_run_refuses_a_search_and_a_search_a_pipeline_without(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="search: is for `ensemble-pipe search`"):
        runs.run(pipeline(), output=tmp_path, inline=True)
    plain = Pipeline.model_validate(small_settings(hidden=4, epochs=1))
    with pytest.raises(ConfigError, match=r"search: is missing; .* --set search\.space=table"):
        search_here(tmp_path, plain)
    assert list(tmp_path.iterdir()) == []


def test_a_search_does_not_grow_and_is_resumed_as_one(random: SearchResult) -> None:
    with pytest.raises(ConfigError, match="is a search, whose trials are its learners"):
        runs.grow(random.run.run_dir, 1, inline=True)
    with pytest.raises(ConfigError, match="is a search"):
        runs.resume(random.run.run_dir, inline=True)


def test_the_report_shows_the_trials(random: SearchResult) -> None:
    run_dir = Path(random.run.run_dir)
    found = {path.stem for path in (run_dir / "pictures").glob("search_*.svg")}
    assert found == {"search_history", "search_trials"}  # too few trials for importances
    report = (run_dir / "report.html").read_text()
    assert "Trials of the search by their score" in report


def test_the_importance_of_hyperparameters_is_that_of_their_effect() -> None:
    parameters = {
        "network.dropout": Parameter(uniform=(0.0, 0.5)),
        "training.optimizer.learning_rate": Parameter(log_uniform=(1e-4, 1.0)),
    }
    drawn = [draw(parameters, 1, number) for number in range(64)]
    rate = "training.optimizer.learning_rate"
    trials = [
        Trial(number, values, "finished", abs(log(values[rate] / 0.01)))
        for number, values in enumerate(drawn)
    ]
    found = importances(trials, "nll", parameters)
    assert next(iter(found)) == rate
    assert found[rate] > 0.8
    same = [replace(trial, score=0.5) for trial in trials]
    assert importances(same, "nll", parameters) == {}


def test_a_list_of_trials_is_taken_as_it_is(tmp_path: Path) -> None:
    listed = [{"network.hidden": [4]}, {"network.hidden": [8], "training.epochs": 2}]
    found = search_here(tmp_path, pipeline(space=listed, driver="manual"))
    assert sorted(found.trials, key=lambda trial: trial.number)[1].values == listed[1]
    assert {trial.epochs for trial in found.trials} == {2, 3}


@pytest.mark.parametrize("metric", ["accuracy", "f1"])
def test_trials_are_compared_by_the_metric_that_is_asked_for(metric: str, tmp_path: Path) -> None:
    found = search_here(tmp_path, pipeline(trials=5, metric=metric))
    run = read_run_summary(RunPaths(Path(found.run.run_dir)))
    assert all(t.score == run.by_place[t.number, 0].validation[metric] for t in found.trials)
    scores = [trial.score for trial in found.trials if trial.score is not None]
    assert scores == sorted(scores, reverse=True)
    members = ensemble_pipe.load(found.run.run_dir).members
    assert {m.learner for m in members} == {trial.number for trial in found.trials[:2]}


def test_a_trial_that_diverges_fails_alone(tmp_path: Path) -> None:
    rates = {"training.optimizer.learning_rate": [0.01, 1e30]}
    found = search_here(tmp_path, pipeline(space=rates, driver="grid"))
    assert [trial.ending for trial in found.trials] == ["finished", "failed"]
    assert found.run.members == 1


def test_numbers_are_searched_too(tmp_path: Path) -> None:
    config = pipeline(trials=3, metric="rmse")
    values = {"task": "regression", "data": {"source": "bundled", "set": "diabetes"}}
    whole = {**config.model_dump(exclude={"ensemble", "splits"}, exclude_unset=True), **values}
    found = search_here(tmp_path, Pipeline.model_validate(whole))
    assert [trial.ending for trial in found.trials] == ["finished"] * 3


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize("kind", ["random", "tpe", "gp", "pruned"])
def test_trainers_on_ray_give_the_same_bits(kind: str, tmp_path: Path) -> None:
    here = search_here(tmp_path, pipeline(epochs=9, **SEARCHES[kind]))
    config = pipeline(stack=2, epochs=9, **SEARCHES[kind])
    there = search(config, output=tmp_path, address="local")
    assert bits(here.run.run_dir) == bits(there.run.run_dir)
    assert here.trials == there.trials


def test_the_command_prints_the_trials_and_one_json_line(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "data: {source: bundled, set: wine}\ntraining: {epochs: 2}\ntracking: {mlflow: false}\n"
        "search: {trials: 3, space: {network.hidden: [[4], [8]]}}\n"
    )
    arguments = ["search", str(path), "--inline", "--output", str(tmp_path / "runs"), "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.stderr
    assert "(3 trials: 3 finished)" in done.stderr
    assert "ensemble-pipe refine " in done.stderr
    result = json.loads(done.stdout)
    assert result["metric"] == "nll"
    assert {"number", "values", "score", "ending"} <= result["trials"][0].keys()
    assert {"test/nll", "validation/nll"} <= result["metrics"].keys()
    again = CliRunner().invoke(app, ["resume", result["run_dir"], "--inline"])
    assert "(3 trials: 3 finished)" in again.stdout


def test_the_example_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(__file__).parents[2]
    (tmp_path / "pipelines").symlink_to(root / "pipelines")
    monkeypatch.chdir(tmp_path)
    page = (root / "docs" / "search.md").read_text()
    (example,) = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    few = '"search.trials": 3, "training.epochs": 2, "tracking.mlflow": False'
    assert '"search.trials": 8' in example
    exec(example.replace('"search.trials": 8', few), {})
    assert "network.dropout" in capsys.readouterr().out
