"""Runs that a time limit ends: what they leave, and that they go on as if there had been none."""

import json
import math
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import StopAt
from looks import Looks
from small_pipelines import SPLITS, small_settings

import ensemble_pipe
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.storage import RunPaths, read_manifest
from ensemble_pipe.data.base import read_schema
from ensemble_pipe.ensemble.members import NetworkMember
from ensemble_pipe.run import pipeline as runs
from ensemble_pipe.run.pipeline import RunResult, grow, resume, run
from ensemble_pipe.run.time_limit import TimeLimit, seconds_of
from ensemble_pipe.tracking.left_undone import left_undone
from ensemble_pipe.tracking.schemas import LearnerUnderWay
from ensemble_pipe.training.checkpoints import list_checkpoints, load_state

ADAM = {"name": "adam", "learning_rate": 0.01}
# Kinds of learners, each with a state of its own to go on from.
KINDS: dict[str, dict[str, Any]] = {
    "early stopping": {"training": {"early_stopping": {"patience": 2}}},
    "averages": {
        "network": {"name": "resnet", "filters": [4], "blocks": 1},
        "training": {"averaging": {"name": "ema", "decay": 0.9}},
    },
    "snapshots": {
        "training": {"schedule": {"name": "snapshot", "cycles": 3}},
        "ensemble": {"strategy": "snapshot", "learners": 2},
    },
    "members that share weights": {
        "training": {"early_stopping": {"patience": 2}},
        "ensemble": {"strategy": "shared", "learners": 2, "members": 3},
    },
    "chains": {"ensemble": {"strategy": "boosting", "rounds": 2, "learners": 2}},
    "folds": {"splits": {"folds": 3}, "ensemble": {"learners": 6}},
    "a pool": {
        "ensemble": {
            "pool": [
                {"strategy": "independent", "learners": 2},
                {"strategy": "random_forest", "trees": 12},
                {"strategy": "histogram_boosting", "rounds": 12},
            ]
        }
    },
}


def config_of(**sections: Any) -> Pipeline:
    training = {"optimizer": ADAM, **sections.pop("training", {})}
    settings = small_settings(
        hidden=8,
        epochs=4,
        batch_size=64,
        **{"splits": SPLITS, "ensemble": {"learners": 3}, **sections},
    )
    settings["network"] = sections.get("network", settings["network"])
    settings["training"] |= training
    return Pipeline.model_validate(settings)


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let training ask so many times before the time is up."""

    def limit(looks: int) -> None:
        monkeypatch.setattr(runs, "TimeLimit", partial(Looks, looks))

    return limit


def model_bytes(result: RunResult) -> dict[str, bytes]:
    """Return the files of a run's model and its predictions, by name.

    Its sums, and archives of scikit-learn's estimators, hold the time at which they were written.
    """
    paths = RunPaths(Path(result.run_dir))
    files = [path for path in paths.model.iterdir() if path.suffix != ".skops"]
    files = [path for path in files if path.name != "manifest.json"]
    files += paths.predictions("test").parent.iterdir()
    return {path.name: path.read_bytes() for path in files}


def entry(result: RunResult, kind: str) -> dict[str, Any]:
    lines = (Path(result.run_dir) / "journal.jsonl").read_text().splitlines()
    found: dict[str, Any] = [line for line in map(json.loads, lines) if line["kind"] == kind][-1]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_was_ended_goes_on_to_the_bits_of_one_that_was_not(
    kind: str, tmp_path: Path, limited: Callable[[int], None]
) -> None:
    config = config_of(**KINDS[kind])
    whole = run(config, output=tmp_path / "whole", inline=True)
    for looks in (1, 31):
        limited(looks)
        ended = run(config, output=tmp_path, inline=True, time_limit="1h")
        assert np.isfinite(ended.metrics["test/nll"])
        assert len(ensemble_pipe.load(ended.run_dir).members) == ended.members > 0
        assert ended.unfinished
        assert entry(ended, "ended")["status"] == "FINISHED"
        again = resume(ended.run_dir, inline=True, time_limit=1)
        assert len(again.unfinished) <= len(ended.unfinished)
        result = resume(ended.run_dir, inline=True)
        assert (result.unfinished, result.left_undone) == ((), "")
        assert model_bytes(result) == model_bytes(whole)
        assert result.metrics == whole.metrics


def test_a_growth_that_was_ended_goes_on_to_the_bits_of_one_that_was_not(
    tmp_path: Path, limited: Callable[[int], None]
) -> None:
    whole = run(config_of(ensemble={"learners": 4}), output=tmp_path / "whole", inline=True)
    first = run(config_of(ensemble={"learners": 2}), output=tmp_path, inline=True)
    limited(3)
    ended = grow(first.run_dir, 2, inline=True, time_limit="1h")
    assert ended.unfinished == (2, 3)
    assert ended.left_undone.startswith("time limit 1h: learner 2 ")
    assert len(ensemble_pipe.load(ended.run_dir).members) == ended.members >= 2
    result = resume(first.run_dir, inline=True)
    assert (result.unfinished, result.left_undone) == ((), "")
    assert model_bytes(result) == model_bytes(whole)


def test_a_limit_that_is_too_short_for_a_growth_leaves_the_run_as_it_is(tmp_path: Path) -> None:
    first = run(config_of(ensemble={"learners": 1}), output=tmp_path, inline=True)
    before = RunPaths(Path(first.run_dir)).pipeline.read_bytes()
    with pytest.raises(ConfigError, match=r"time_limit: 0\.5s is too short: the start has taken"):
        grow(first.run_dir, 1, inline=True, time_limit=0.5)
    with pytest.raises(ConfigError, match="time_limit: 'soon' is not a duration"):
        grow(first.run_dir, 1, inline=True, time_limit="soon")
    assert RunPaths(Path(first.run_dir)).pipeline.read_bytes() == before
    assert grow(first.run_dir, 1, inline=True).members == 2


def test_a_network_under_way_yields_its_best_row(
    tmp_path: Path, limited: Callable[[int], None]
) -> None:
    training = {"early_stopping": {"patience": 50}, "epochs": 400}
    config = config_of(training=training, ensemble={"learners": 1})
    limited(300)
    result = run(config, output=tmp_path, inline=True, time_limit="1h")
    paths = RunPaths(Path(result.run_dir))
    _, saved = list_checkpoints(paths, 0)
    assert (saved.step, saved.finished, saved.member) == (300, False, None)
    state = load_state(paths, 0, saved.step)
    (member,) = ensemble_pipe.load(result.run_dir).members
    assert isinstance(member, NetworkMember)
    assert member.row.tobytes() == state.slots["best"].tobytes() != state.row.tobytes()


def test_before_the_first_epoch_a_network_yields_its_current_row(
    tmp_path: Path, limited: Callable[[int], None]
) -> None:
    limited(1)
    training = {"early_stopping": {"patience": 5}}
    result = run(config_of(training=training), output=tmp_path, inline=True, time_limit="1h")
    paths = RunPaths(Path(result.run_dir))
    (member,) = ensemble_pipe.load(result.run_dir).members
    assert isinstance(member, NetworkMember)
    assert member.row.tobytes() == load_state(paths, 0, 1).row.tobytes()
    assert read_manifest(paths).run_id == result.run_id
    assert read_schema(paths).classes


def test_what_was_left_undone_is_said_everywhere(
    tmp_path: Path, limited: Callable[[int], None]
) -> None:
    limited(5)
    result = run(config_of(), output=tmp_path, inline=True, time_limit="1h")
    found = entry(result, "result")
    assert (found["limit_s"], found["unfinished"]) == (3600.0, [0, 1, 2])
    (under_way,) = found["under_way"]
    assert (under_way["learner"], under_way["is_member"]) == (0, True)
    assert 0 < under_way["share"] < 1
    assert result.left_undone.startswith("time limit 1h: learner 0 joins as it was at ")
    assert "learners 1, 2 not begun; not measured: baselines" in result.left_undone
    report = (Path(result.run_dir) / "report.html").read_text()
    assert result.left_undone in report
    assert f"ensemble-pipe resume {result.run_dir}" in report
    resume(result.run_dir, inline=True)
    assert "time limit" not in (Path(result.run_dir) / "report.html").read_text()


def test_learners_that_the_ensemble_is_better_without_are_named() -> None:
    behind = [LearnerUnderWay(1, 0.02, False), LearnerUnderWay(2, None, True)]
    assert left_undone(None, [1, 2], behind) == (
        "learner 2 joins as it was when it was halted; "
        "learner 1 does not join, since the ensemble is better without it at 2% of its steps"
    )
    several = [LearnerUnderWay(n, n / 10, n < 4) for n in range(1, 6)]
    assert left_undone(None, [1, 2, 3, 4, 5, 6], [*several, LearnerUnderWay(6, None, True)]) == (
        "learners 1, 2, 3, 6 join as they were at 10% to 30% of their steps or when halted; "
        "learners 4, 5 do not join, since the ensemble is better without them at 40% to 50% of "
        "their steps"
    )
    left_out = LearnerUnderWay(0, 0.5, False, is_left_out=True)
    assert left_undone(None, [0], [left_out]) == (
        "learner 0 is left out of the ensemble at 50% of its steps"
    )
    assert left_undone(60.0, [], []) == ""


def test_a_learner_with_one_step_does_not_spoil_the_ensemble(
    tmp_path: Path, limited: Callable[[int], None]
) -> None:
    config = config_of(training={"epochs": 10}, cluster={"stack": 1})
    alone = run(config_of(training={"epochs": 10}, ensemble={"learners": 1}), output=tmp_path,
                inline=True)  # fmt: skip
    steps = entry(alone, "epoch")["step"]
    limited(steps + 1)
    result = run(config, output=tmp_path, inline=True, time_limit="1h")
    finished, begun = 0, 1
    assert result.unfinished == (begun, 2)
    assert [m.learner for m in ensemble_pipe.load(result.run_dir).members] == [finished]


def test_interrupted_training_yields_what_is_under_way(tmp_path: Path) -> None:
    config = config_of()
    with pytest.raises(KeyboardInterrupt):
        run(config, output=tmp_path, inline=True, display=StopAt(7))
    (run_dir,) = tmp_path.iterdir()
    members = ensemble_pipe.load(run_dir).members
    assert members[0].step > 0
    finished = resume(run_dir, inline=True, train=False)
    assert (finished.members, finished.unfinished) == (len(members), (0, 1, 2))
    assert finished.left_undone.startswith("learners 0, 1 join as they were at ")
    result = resume(run_dir, inline=True)
    whole = run(config, output=tmp_path / "whole", inline=True)
    assert model_bytes(result) == model_bytes(whole)


def test_a_limit_that_has_not_come_is_no_reason(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(config_of(), output=tmp_path, inline=True, display=StopAt(3), time_limit="1h")
    (run_dir,) = tmp_path.iterdir()
    report = (run_dir / "report.html").read_text()
    assert "With more time the run would have gone on: learner 0 joins as it was " in report


def test_folds_that_are_covered_are_the_evidence(
    tmp_path: Path, limited: Callable[[int], None]
) -> None:
    config = config_of(
        splits={"folds": 3},
        ensemble={"learners": 3, "combine": {"temperature": True}},
        cluster={"stack": 1},
    )
    whole = run(config, output=tmp_path, inline=True)
    steps = entry(whole, "epoch")["step"]
    limited(steps + 20)
    result = run(config, output=tmp_path, inline=True, time_limit="1h")
    assert {m.learner for m in ensemble_pipe.load(result.run_dir).members} == {0, 1}
    assert np.isfinite(result.metrics["validation/nll"])


def test_a_learner_under_way_that_is_not_combined_is_said_to_be_left_out(tmp_path: Path) -> None:
    config = config_of(ensemble={"learners": 3, "combine": {"most_members": 1}})
    with pytest.raises(KeyboardInterrupt):
        run(config, output=tmp_path, inline=True, display=StopAt(7))
    (run_dir,) = tmp_path.iterdir()
    (member,) = ensemble_pipe.load(run_dir).members
    other = 1 - member.learner
    told = rf"learner {member.learner} joins .*; learner {other} is left out of the ensemble at "
    assert re.search(told, (run_dir / "report.html").read_text())


@pytest.mark.parametrize("value", ["soon", "5x", 0, -1, "-3s", "", True])
def test_what_is_no_duration_is_refused(value: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^time_limit: .*such as 90"):
        run(config_of(), output=tmp_path, inline=True, time_limit=value)
    with pytest.raises(ValueError, match=r"time_limit"):
        Pipeline.model_validate({"time_limit": value})
    assert list(tmp_path.iterdir()) == []


def test_a_limit_shorter_than_the_start_leaves_nothing(tmp_path: Path) -> None:
    told = r"time_limit: 0\.5s is too short: .* take [\dhm]+[ms] or more"
    with pytest.raises(ConfigError, match=told):
        run(config_of(), output=tmp_path / "runs", inline=True, time_limit=0.5)
    assert list(tmp_path.iterdir()) == []
    config = config_of().model_copy(update={"time_limit": 0.5})
    with pytest.raises(ConfigError, match="too short"):
        run(config, output=tmp_path, inline=True)


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_training_ends_for_what_comes_after_it() -> None:
    clock = _Clock()
    limit = TimeLimit(60.0, clock, writing_s=5.0)
    limit.predicting_s, limit.combining_s = 2.0, 3.0
    assert (limit.left_s, limit.after_training_s) == (60.0, 10.0)
    clock.now = 49.9
    assert not limit.ends_training()
    clock.now = 50.0
    assert limit.ends_training()
    assert limit.allows(5.0)
    assert not limit.allows(5.1)


def test_without_a_limit_nothing_ends_training() -> None:
    limit = TimeLimit()
    assert not limit.is_set
    assert not limit.ends_training()
    assert limit.allows(1e9)
    limit.require_start()
    assert seconds_of(None, None, "time_limit") == math.inf
    assert seconds_of("5m", 60.0, "time_limit") == 300.0
    assert seconds_of(None, 60.0, "time_limit") == 60.0
