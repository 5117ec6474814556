"""Searches that a time limit ends: what they leave, and that they go on as without one."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from looks import Looks
from small_pipelines import small_settings
from test_search import GRID, SEARCHES, bits, pipeline, search_here
from typer.testing import CliRunner

import ensemble_pipe
from ensemble_pipe.cli import app
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.run import pipeline as runs
from ensemble_pipe.search.pipeline import SearchResult, resume, search
from ensemble_pipe.tracking.run_summary import read_run_summary

Limited = Callable[[int], None]
# With pruning in batches, too: what was decided of the earlier ones is decided again.
KINDS = {**SEARCHES, "tpe, pruned": {**SEARCHES["tpe"], "pruning": "median"}}


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> Limited:
    """Let training ask so many times before the time is up."""

    def limit(looks: int) -> None:
        monkeypatch.setattr(runs, "TimeLimit", partial(Looks, looks))

    return limit


def ended_search(folder: Path, looks: int, limited: Limited, kind: str) -> SearchResult:
    limited(looks)
    return search_here(folder, pipeline(epochs=9, **KINDS[kind]), time_limit="1h")


@pytest.mark.parametrize(
    "kind",
    [kind if kind == "random" else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS],
)
def test_a_search_that_was_ended_goes_on_to_the_bits_of_one_that_was_not(
    kind: str, tmp_path: Path, limited: Limited
) -> None:
    whole = search_here(tmp_path / "whole", pipeline(epochs=9, **KINDS[kind]))
    for looks in (1, 100, 400):
        ended = ended_search(tmp_path, looks, limited, kind)
        assert np.isfinite(ended.run.metrics["test/nll"])
        assert 0 < ended.run.members <= 2
        if looks < 400:
            assert ended.run.left_undone
        again = resume(ended.run.run_dir, inline=True, time_limit="2h")
        assert isinstance(again, SearchResult)
        found = resume(ended.run.run_dir, inline=True)
        assert isinstance(found, SearchResult)
        assert found.run.left_undone == ""
        assert found.trials == whole.trials
        assert bits(found.run.run_dir) == bits(whole.run.run_dir)
        assert found.run.metrics == whole.run.metrics


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, {"ensemble": "greedy"}, {"pruning": "median"}])
def test_trials_in_folds_are_ended_and_go_on_too(
    more: dict[str, Any], tmp_path: Path, limited: Limited
) -> None:
    section = {"space": GRID, "driver": "grid", "top": 2, **more}
    settings = small_settings(
        hidden=4, epochs=9, batch_size=16, data={"source": "bundled", "set": "wine"},
        splits={"folds": 3}, search=section,
    )  # fmt: skip
    config = Pipeline.model_validate(settings)
    whole = search_here(tmp_path / "whole", config)
    for looks in (1, 40, 200):
        limited(looks)
        ended = search_here(tmp_path, config, time_limit="1h")
        assert np.isfinite(ended.run.metrics["test/nll"])
        assert ended.run.left_undone
        found = resume(ended.run.run_dir, inline=True)
        assert isinstance(found, SearchResult)
        assert found.trials == whole.trials
        assert bits(found.run.run_dir) == bits(whole.run.run_dir)


def test_the_best_trials_so_far_make_the_ensemble_finished_or_not(
    tmp_path: Path, limited: Limited
) -> None:
    ended = ended_search(tmp_path, 300, limited, "random")
    scored = [trial for trial in ended.trials if trial.score is not None]
    assert {trial.ending for trial in scored} == {"finished", "unfinished"}
    members = ensemble_pipe.load(ended.run.run_dir).members
    assert {m.learner for m in members} == {trial.number for trial in scored[:2]}
    summary = read_run_summary(RunPaths(Path(ended.run.run_dir)))
    assert summary.left_undone == ended.run.left_undone
    assert set(summary.unfinished) == {t.number for t in ended.trials if t.ending == "unfinished"}


def test_trials_that_are_not_chosen_yet_are_named(tmp_path: Path, limited: Limited) -> None:
    ended = ended_search(tmp_path, 2, limited, "tpe")
    assert "; 4 trials not chosen" in ended.run.left_undone
    assert len(ended.trials) == 10
    deep = ended_search(tmp_path, 2, limited, "hyper_deep")
    assert "; further initialisations not chosen" in deep.run.left_undone


def test_a_search_that_is_finished_early_leaves_pruned_trials_out(
    tmp_path: Path, limited: Limited
) -> None:
    ended = ended_search(tmp_path, 150, limited, "pruned")
    pruned = {trial.number for trial in ended.trials if trial.ending == "pruned"}
    assert pruned
    finished = resume(ended.run.run_dir, inline=True, train=False)
    assert isinstance(finished, SearchResult)
    assert {trial.number for trial in finished.trials if trial.ending == "pruned"} == pruned
    assert finished.run.members == ended.run.members


def test_a_pipeline_has_a_limit_for_its_search(tmp_path: Path) -> None:
    config = pipeline(epochs=100_000, trials=4).model_copy(update={"time_limit": 4.0})
    found = search_here(tmp_path, config)
    assert found.run.seconds < 5.0
    assert found.run.left_undone.startswith("time limit 4s: ")
    with pytest.raises(ConfigError, match=r"time_limit: 0\.1s is too short"):
        search_here(tmp_path / "short", config, time_limit=0.1)
    assert not (tmp_path / "short").exists()


def test_the_command_says_what_was_left_undone(tmp_path: Path, limited: Limited) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "data: {source: bundled, set: wine}\ntraining: {epochs: 50}\ntracking: {mlflow: false}\n"
        "search: {trials: 3, space: {network.hidden: [[4], [8]]}}\n"
    )
    limited(20)
    arguments = ["search", str(path), "--inline", "--output", str(tmp_path / "runs")]
    done = CliRunner().invoke(app, [*arguments, "--time-limit", "1h"])
    assert done.exit_code == 0, done.stderr
    assert "time limit 1h: learner" in done.stderr
    assert "(3 trials: 3 unfinished)" in done.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_trainers_on_ray_end_a_search_too(tmp_path: Path) -> None:
    config = pipeline(epochs=100_000, trials=6)
    found = search(config, output=tmp_path, address="local", time_limit=20)
    assert found.run.left_undone.startswith("time limit 20s: ")
    assert found.run.members > 0
