"""The choice among trials: the best, or the simplest within one standard error of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_pipelines import small_settings

import ensemble_pipe
from ensemble_pipe.config.search_settings import Search
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.ensemble.metrics.row_values import RowValues
from ensemble_pipe.search.pipeline import SearchResult, search
from ensemble_pipe.search.results import trials_table
from ensemble_pipe.search.trials import Trial, chosen_first, ranked
from ensemble_pipe.tracking.run_summary import read_run_summary

HIDDEN: dict[str, Any] = {"network.hidden": [[32], [4], [16]]}


def chosen(*trials: tuple[float | None, float, int, int], **settings: Any) -> list[int]:
    """Return the order of trials, each with a score, standard error, parameters and epochs."""
    made = [
        Trial(number, {}, "finished", score, epochs, {}, error, parameters)
        for number, (score, error, parameters, epochs) in enumerate(trials)
    ]
    choose = Search(space=HIDDEN, choose="one_standard_error", **settings)
    return [trial.number for trial in ranked(made, choose)]


def test_the_fewest_parameters_win_among_those_within_one_standard_error() -> None:
    best, within, outside = (0.30, 0.05, 900, 9), (0.34, 0.01, 90, 9), (0.36, 0.9, 9, 9)
    assert chosen(best, outside, within) == [2, 0, 1]
    assert chosen(best, outside) == [0, 1]


def test_equal_parameters_are_decided_by_the_fewest_epochs_and_these_by_the_score() -> None:
    assert chosen((0.30, 0.05, 9, 9), (0.31, 0.05, 9, 3), (0.32, 0.05, 9, 3)) == [1, 0, 2]


def test_of_a_metric_that_is_better_if_larger_the_error_goes_down() -> None:
    best, within, outside = (0.90, 0.05, 900, 9), (0.86, 0.01, 90, 9), (0.84, 0.9, 9, 9)
    assert chosen(outside, best, within, metric="accuracy") == [2, 1, 0]


def test_trials_without_a_score_come_last_and_the_best_is_the_default() -> None:
    assert chosen((None, 0.0, 1, 1), (0.3, 0.1, 9, 9), (0.31, 0.1, 3, 9)) == [2, 1, 0]
    trials = [Trial(n, {}, "finished", s, 1, {}, 0.5, 9 - n) for n, s in enumerate((0.2, 0.3))]
    assert chosen_first(trials, Search(space=HIDDEN)) == trials


def test_the_standard_error_of_a_mean_and_of_the_root_of_one() -> None:
    random = np.random.default_rng(0)
    values = random.gamma(2.0, size=(400, 1))
    plain, root = RowValues(values), RowValues(values, root=True)
    assert plain.standard_error == pytest.approx(values.std(ddof=1) / 20)
    draws = [root.over(random.integers(0, 400, 400)) for _ in range(2_000)]
    assert root.standard_error == pytest.approx(np.std(draws), rel=0.1)


def pipeline(**sections: Any) -> Pipeline:
    own = {"space": HIDDEN, "driver": "grid", "top": 1, **sections.pop("search", {})}
    data = sections.pop("data", {"source": "bundled", "set": "wine"})
    settings = small_settings(hidden=4, epochs=6, batch_size=16, data=data, search=own, **sections)
    return Pipeline.model_validate(settings)


def search_here(folder: Path, config: Pipeline) -> SearchResult:
    return search(config, output=folder, inline=True)


@pytest.mark.parametrize("splits", [{"validation": 0.3, "stop": 0.1}, {"folds": 3}])
def test_the_winner_is_listed_first_journalled_and_makes_the_ensemble(
    splits: dict[str, Any], tmp_path: Path
) -> None:
    config = pipeline(search={"choose": "one_standard_error"}, splits=splits)
    found = search_here(tmp_path, config)
    winner, learners = found.trials[0], 3 if "folds" in splits else 1
    assert [t.number for t in found.trials] == chosen(
        *((t.score, t.standard_error or 0.0, t.parameters or 0, t.epochs)
          for t in sorted(found.trials, key=lambda trial: trial.number))
    )  # fmt: skip
    own = {member.learner for member in ensemble_pipe.load(found.run.run_dir).members}
    assert own == {winner.number * learners + fold for fold in range(learners)}
    entries = read_run_summary(RunPaths(Path(found.run.run_dir))).trials
    assert [n for n, entry in entries.items() if entry.winner] == [winner.number]
    assert {n: (e.score, e.standard_error) for n, e in entries.items()} == {
        trial.number: (trial.score, trial.standard_error) for trial in found.trials
    }
    assert "Trials" in (Path(found.run.run_dir) / "report.html").read_text()


def test_parameters_are_those_of_one_network(tmp_path: Path) -> None:
    found = search_here(tmp_path, pipeline())
    inputs, classes = 13, 3
    counts = {
        trial.values["network.hidden"][0]: trial.parameters
        for trial in found.trials
        if trial.parameters is not None
    }
    assert counts == {h: h * (inputs + 1) + classes * (h + 1) for h in (32, 4, 16)}


@pytest.mark.parametrize("metric", ["nll", "rmse", "mae", "crps"])
def test_numbers_have_standard_errors_over_rows(metric: str, tmp_path: Path) -> None:
    data = {"source": "bundled", "set": "diabetes"}
    config = pipeline(search={"metric": metric}, task="regression", data=data)
    for trial in search_here(tmp_path, config).trials:
        assert trial.score is not None
        assert trial.standard_error is not None
        assert 0 < trial.standard_error < 0.3 * abs(trial.score)


def test_a_metric_without_a_standard_error_has_no_such_rule(tmp_path: Path) -> None:
    rule = {"choose": "one_standard_error", "metric": "auroc"}
    with pytest.raises(ConfigError, match="one_standard_error needs a standard error"):
        search_here(tmp_path, pipeline(search=rule))
    found = search_here(tmp_path, pipeline(search=rule, splits={"folds": 3}))
    assert all(trial.standard_error is not None for trial in found.trials)


def test_the_table_says_which_trial_was_given_up_for_a_simpler_one() -> None:
    better, simpler = (
        Trial(number, {"network.hidden": [width]}, "finished", score, 9, {}, 0.05, 10 * width)
        for number, width, score in ((0, 32, 0.30), (1, 4, 0.31))
    )
    table = trials_table("nll", (simpler, better))
    assert "trial 1 is the simplest within a standard error of trial 0: 40 parameters" in table
    assert "0.3100 ± 0.0500" in table
    assert "simplest" not in trials_table("nll", (better, simpler))


def test_epochs_that_were_trained_and_those_that_are_searched_have_columns_of_their_own() -> None:
    table = trials_table("nll", (Trial(0, {"training.epochs": 30}, "finished", 0.5, 12),))
    assert table.splitlines()[0].split() == ["trial", "nll", "epochs", "training.epochs"]
    assert table.splitlines()[1].split() == ["0", "0.5000", "12", "30"]
