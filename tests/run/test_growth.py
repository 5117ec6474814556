"""Runs that grow, that end early, and that have had enough."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from conftest import StopAt
from small_pipelines import SPLITS, small_settings

import ensemble_pipe
from ensemble_pipe.config.reading import Pipeline
from ensemble_pipe.core.errors import ConfigError, TrainingError
from ensemble_pipe.core.storage import RunPaths, write_json
from ensemble_pipe.ensemble.members import NetworkMember
from ensemble_pipe.run.display import Silent
from ensemble_pipe.run.growth import add_learners, finish_growth
from ensemble_pipe.run.pipeline import RunResult, grow, resume, run
from ensemble_pipe.training.events import Checkpoint, Event


def pipeline(**ensemble: Any) -> Pipeline:
    if "pool" not in ensemble:
        ensemble = {"learners": 3, **ensemble}
    return Pipeline.model_validate(
        small_settings(hidden=6, epochs=4, batch_size=16, splits=SPLITS, ensemble=ensemble)
    )


def run_here(folder: Path, config: Pipeline, **options: Any) -> RunResult:
    return run(config, output=folder, inline=True, **options)


def members_of(result: RunResult) -> list[bytes]:
    rows = []
    for member in ensemble_pipe.load(result.run_dir).members:
        assert isinstance(member, NetworkMember)
        rows.append(member.row.tobytes())
    return rows


def entries(result: RunResult, kind: str) -> list[dict[str, Any]]:
    lines = (Path(result.run_dir) / "journal.jsonl").read_text().splitlines()
    return [entry for entry in map(json.loads, lines) if entry["kind"] == kind]


@pytest.mark.parametrize("ensemble", [
    {"pool": [{"strategy": "linear"}, {"strategy": "independent", "learners": 2}]},
    {"learners": 3, "vary": {"training.optimizer.learning_rate": {"low": 1e-3, "high": 1e-2}}},
    {"strategy": "shared", "members": 1, "vary": {"ensemble.form": ["mini", "full"]}},
])  # fmt: skip
def test_a_grown_run_is_one_that_had_so_many_learners_from_its_start(
    tmp_path: Path, ensemble: dict[str, Any]
) -> None:
    small = run_here(tmp_path, pipeline(**ensemble))
    result = grow(small.run_dir, 2, inline=True)
    whole = run_here(tmp_path, add_learners(pipeline(**ensemble), 2))
    assert result.members == whole.members == 5
    assert result.metrics == whole.metrics
    (grown,), new = entries(result, "grown"), entries(result, "learner")[-2:]
    assert {entry["time_ms"] for entry in new} == {grown["time_ms"]}  # see `test_mlflow`
    first, second = (Path(one.run_dir) / "model" for one in (result, whole))
    for name in ("model.json", "members.safetensors"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


@pytest.mark.slow
def test_growing_twice_and_resuming_agree(tmp_path: Path) -> None:
    result = run_here(tmp_path, pipeline(learners=1))
    grow(result.run_dir, 1, inline=True)
    twice = grow(result.run_dir, 1, inline=True)
    assert resume(result.run_dir, inline=True).metrics == twice.metrics
    assert members_of(twice) == members_of(run_here(tmp_path, pipeline(learners=3)))


@pytest.mark.slow
def test_a_growth_that_was_cut_off_is_finished_by_the_next_command(tmp_path: Path) -> None:
    result = run_here(tmp_path, pipeline(learners=2))
    paths = RunPaths(Path(result.run_dir))
    bigger = add_learners(pipeline(learners=2), 1).model_dump(mode="json")
    write_json(paths.root / "growth.json", {"pipeline": bigger})
    assert resume(result.run_dir, inline=True).members == 3
    finish_growth(paths)
    assert not (paths.root / "growth.json").exists()


@pytest.mark.parametrize(("ensemble", "learners", "message"), [
    ({"learners": 2}, 0, "at least 1"),
    ({"strategy": "cross_validation", "learners": 3}, 1, "other folds"),
    (
        {"pool": [{"strategy": "random_forest", "cross_validate": True, "learners": 3}]},
        1,
        "other folds",
    ),
])  # fmt: skip
def test_a_growth_that_cannot_be_is_refused(
    ensemble: dict[str, Any], learners: int, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        add_learners(pipeline(**ensemble), learners)


def test_a_learner_that_cannot_be_trained_is_refused_before_anything_changes(
    tmp_path: Path,
) -> None:
    networks = [{"name": "mlp", "hidden": [4]}, {"name": "cnn", "filters": [4, 4, 4, 4, 4]}]
    small = run_here(tmp_path, pipeline(learners=1, vary={"network": networks}))
    before = (Path(small.run_dir) / "pipeline.yaml").read_bytes()
    with pytest.raises(ConfigError, match="max_pool"):
        grow(small.run_dir, 1, inline=True)
    assert (Path(small.run_dir) / "pipeline.yaml").read_bytes() == before
    assert resume(small.run_dir, inline=True).members == 1


def test_what_members_cost_is_measured_once_for_all_sessions_of_a_run(tmp_path: Path) -> None:
    config = pipeline(learners=3, combine={"method": "weights", "milliseconds": 0.001})
    result = run_here(tmp_path, config)
    first = entries(result, "cost")
    assert [(cost["learner"], cost["number"]) for cost in first] == [(0, 0), (1, 0), (2, 0)]
    assert all(cost["ms"] > 0 for cost in first)
    assert resume(result.run_dir, inline=True).metrics == result.metrics
    assert entries(result, "cost") == first
    grow(result.run_dir, 1, inline=True)
    assert entries(result, "cost")[:3] == first
    assert len(entries(result, "cost")) == 4


class StopAfter(Silent):
    """Presses Ctrl-C when so many learners are finished."""

    def __init__(self, learners: int) -> None:
        self.left = learners
        self.messages: list[str] = []

    def event(self, event: Event) -> None:
        self.left -= isinstance(event, Checkpoint) and event.finished
        if self.left < 0:
            raise KeyboardInterrupt

    def message(self, text: str) -> None:
        self.messages.append(text)


@pytest.fixture
def interrupted(tmp_path: Path) -> tuple[Path, StopAfter]:
    config = pipeline(learners=3)
    config = config.model_copy(update={"cluster": config.cluster.model_copy(update={"stack": 1})})
    display = StopAfter(2)
    with pytest.raises(KeyboardInterrupt):
        run_here(tmp_path, config, display=display)
    (run_dir,) = tmp_path.iterdir()
    return run_dir, display


def test_an_interrupted_run_leaves_the_ensemble_of_what_is_trained(
    interrupted: tuple[Path, StopAfter], tmp_path: Path
) -> None:
    run_dir, display = interrupted
    assert len(ensemble_pipe.load(run_dir).members) == 2
    assert any("ensemble of what is trained so far" in text for text in display.messages)
    assert any("learner 2 does not join" in text for text in display.messages)
    report = (run_dir / "report.html").read_text()
    assert "KILLED" in report
    whole = resume(run_dir, inline=True)
    assert (whole.members, whole.unfinished) == (3, ())
    assert members_of(whole) == members_of(run_here(tmp_path / "other", pipeline(learners=3)))


def test_a_stopped_run_can_be_ended_with_what_it_has(interrupted: tuple[Path, StopAfter]) -> None:
    run_dir, _ = interrupted
    result = resume(run_dir, inline=True, train=False)
    assert (result.members, result.unfinished) == (2, (2,))
    (found,) = entries(result, "result")
    assert found["unfinished"] == [2]
    (under_way,) = found["under_way"]
    assert under_way["is_member"] is under_way["is_left_out"] is False
    assert (under_way["learner"], under_way["share"]) == (2, 0.75)
    assert resume(run_dir, inline=True).members == 3


def test_a_run_that_is_ended_still_says_which_learners_failed(tmp_path: Path) -> None:
    rates = {"training.optimizer.learning_rate": [1e-3, 1e30]}
    whole = run_here(tmp_path, pipeline(learners=2, vary=rates))
    result = resume(whole.run_dir, inline=True, train=False)
    assert result.failed == whole.failed
    assert list(result.failed) == [1]
    assert result.unfinished == ()


def test_a_run_without_a_learner_under_way_has_no_ensemble(tmp_path: Path) -> None:
    display = StopAt(1)
    with pytest.raises(KeyboardInterrupt):
        run_here(tmp_path, pipeline(learners=2), display=display)
    assert (
        "stopping: no learner has a first checkpoint, so there is no ensemble" in display.messages
    )
    (run_dir,) = tmp_path.iterdir()
    told = "finished or has a first checkpoint.*without `--finish`"
    with pytest.raises(TrainingError, match=told):
        resume(run_dir, inline=True, train=False, time_limit="1h")


@pytest.fixture(scope="module")
def enough(tmp_path_factory: pytest.TempPathFactory) -> int:
    """Return how many of 8 learners there are up to the first that gains less than 0.01."""
    whole = run_here(tmp_path_factory.mktemp("whole"), pipeline(learners=8))
    curve = [entry["metrics"]["nll"] for entry in entries(whole, "ensemble")]
    gains = [before - after for before, after in pairwise(curve)]
    return next(place for place, gain in enumerate(gains, start=2) if gain < 0.01)


@pytest.mark.parametrize("width", [1, pytest.param(8, marks=pytest.mark.slow)])
def test_training_ends_when_a_further_learner_gains_too_little(
    tmp_path: Path, width: int, enough: int
) -> None:
    """Whichever learners are trained side by side, the same ones make the ensemble."""
    config = pipeline(learners=8, stop_below_gain=0.01)
    config = config.model_copy(
        update={"cluster": config.cluster.model_copy(update={"stack": width})}
    )
    result = run_here(tmp_path, config)
    assert 1 < enough < 8
    assert result.members == enough
    spared = {entry["learner"] for entry in entries(result, "spared")}
    assert spared == set(range(enough, 8))
    with pytest.raises(ConfigError, match="stop_below_gain: ended this run"):
        grow(result.run_dir, 1, inline=True)
    assert resume(result.run_dir, inline=True).metrics == result.metrics
    assert resume(result.run_dir, inline=True, train=False).metrics == result.metrics
