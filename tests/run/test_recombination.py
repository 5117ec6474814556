"""A finished run combined anew is the run that had these settings from its start."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import StopAt
from small_pipelines import SPLITS, small_settings

import ensemble_pipe
from ensemble_pipe.comparison.runs import cost_of
from ensemble_pipe.config.reading import Pipeline
from ensemble_pipe.core.errors import ConfigError, RunDirectoryError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.run.pipeline import RunResult, grow, resume, run, status_of
from ensemble_pipe.run.recombination import combine
from ensemble_pipe.tracking.journal import read_entries

POOL = [
    {"strategy": "independent", "learners": 2},
    {"strategy": "linear"},
    {"strategy": "bagging", "learners": 1},
]


def pipeline(ensemble: dict[str, Any], **sections: Any) -> Pipeline:
    settings = small_settings(hidden=6, epochs=4, splits=SPLITS, ensemble=ensemble)
    return Pipeline.model_validate(settings | sections)


def run_here(folder: Path, config: Pipeline) -> RunResult:
    return run(config, output=folder, inline=True)


def anew(first: RunResult, how: dict[str, Any], **options: Any) -> RunResult:
    return combine(first.run_dir, **options, **how)


def assert_same(one: RunResult, other: RunResult) -> None:
    """Assert that two runs have the same metrics, models and predictions, bit for bit."""
    assert one.metrics == other.metrics
    first, second = (RunPaths(Path(result.run_dir)) for result in (one, other))
    for name in json.loads((first.model / "manifest.json").read_text())["sums"]:
        if name.endswith(".skops"):  # an archive, which holds the time at which it was written
            continue
        assert (first.model / name).read_bytes() == (second.model / name).read_bytes()
    for part in sorted((first.root / "predictions").iterdir()):
        assert part.read_bytes() == (second.root / "predictions" / part.name).read_bytes()


@pytest.mark.parametrize(
    ("ensemble", "how", "sections"),
    [
        ({"learners": 3}, {"method": "weights", "coverage": 0.8}, {}),
        pytest.param({"pool": POOL}, {"method": "choose"}, {}, marks=pytest.mark.slow),
        (
            {"learners": 4, "combine": {"method": "choose"}},
            {"method": "greedy"},
            {"splits": {"folds": 2}},
        ),
        (
            {"strategy": "snapshot", "learners": 1},
            {"most_members": 2, "temperature": False},
            {"training": {"epochs": 4, "schedule": {"name": "snapshot", "cycles": 3}}},
        ),
        (
            {"strategy": "shared", "learners": 2, "members": 3},
            {"method": "greedy", "most_members": 4},
            {},
        ),
        pytest.param(
            {"learners": 3, "combine": {"keep": 1}},
            {"keep": 2, "coverage": 0.5},
            {"task": "regression", "data": {"source": "bundled", "set": "diabetes"}},
            marks=pytest.mark.slow,
        ),
    ],
    ids=["independent", "pool", "folds", "snapshot", "shared", "numbers"],
)
def test_it_is_the_run_that_had_these_settings_from_its_start(
    tmp_path: Path, ensemble: dict[str, Any], how: dict[str, Any], sections: dict[str, Any]
) -> None:
    first = run_here(tmp_path, pipeline(ensemble, **sections))
    before = {path: path.read_bytes() for path in Path(first.run_dir).rglob("*") if path.is_file()}
    result = anew(first, {f"ensemble.combine.{k}": v for k, v in how.items()})
    whole = run_here(tmp_path, pipeline({**ensemble, "combine": how}, **sections))
    assert_same(result, whole)
    assert (Path(result.run_dir) / "pipeline.yaml").read_text() == (
        Path(whole.run_dir) / "pipeline.yaml"
    ).read_text()
    assert before == {
        path: path.read_bytes() for path in Path(first.run_dir).rglob("*") if path.is_file()
    }


def test_it_is_a_run_of_its_own(tmp_path: Path) -> None:
    first = run_here(tmp_path / "runs", pipeline({"learners": 2}))
    time.sleep(1.5)  # which neither run costs
    how: dict[str, Any] = {"ensemble.combine.temperature": False}
    result = ensemble_pipe.combine(first.run_dir, output=tmp_path / "other", **how)
    assert Path(result.run_dir).parent == tmp_path / "other"
    assert status_of(result.run_dir) == "FINISHED"
    spent, before = (
        cost_of(list(read_entries(RunPaths(Path(one.run_dir)).journal))) for one in (result, first)
    )
    assert spent.learner_steps == before.learner_steps
    assert spent.seconds < before.seconds + result.seconds + 1
    report = (Path(result.run_dir) / "report.html").read_text()
    assert f"the members of {first.run_id}" in report
    grown = grow(result.run_dir, 1, inline=True)
    combine_false = {"learners": 3, "combine": {"temperature": False}}
    assert_same(grown, run_here(tmp_path, pipeline(combine_false)))


def test_what_needs_training_is_refused_by_name(tmp_path: Path) -> None:
    first = run_here(tmp_path, pipeline({"learners": 2}))
    with pytest.raises(ConfigError, match=r"training\.epochs: needs training; without it, "):
        anew(first, {"training.epochs": 9, "ensemble.combine.keep": 1})
    with pytest.raises(ConfigError, match="unknown key 'metod'; did you mean 'method'"):
        anew(first, {"ensemble.combine.metod": "choose"})
    with pytest.raises(ConfigError, match="nothing is to change"):
        anew(first, {"ensemble.combine.method": "mean_probability"})
    assert len(list(tmp_path.iterdir())) == 1


def test_what_a_run_has_not_finished_stays_so(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(pipeline({"learners": 3}), output=tmp_path, inline=True, display=StopAt(12))
    (stopped,) = tmp_path.iterdir()
    first = resume(stopped, inline=True, train=False)
    result = anew(first, {"ensemble.combine.method": "vote"})
    assert (result.members, result.unfinished) == (first.members, first.unfinished)
    assert result.unfinished
    whole = resume(result.run_dir, inline=True)
    ensemble = {"learners": 3, "combine": {"method": "vote"}}
    assert_same(whole, run_here(tmp_path, pipeline(ensemble)))


def test_predictions_of_another_program_are_members_again(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    frame = pd.DataFrame(random.normal(size=(90, 2)), columns=["a", "b"])
    frame["y"] = np.where(frame["a"] > 0, "yes", "no")
    frame.to_csv(tmp_path / "rows.csv", index=False)
    share = np.where(frame["b"] > 0, 0.7, 0.4)
    given = pd.DataFrame({"probability_no": 1 - share, "probability_yes": share})
    given.to_parquet(tmp_path / "other.parquet")
    other = {"strategy": "predictions", "name": "other", "path": str(tmp_path / "other.parquet")}
    data = {"source": "table", "path": str(tmp_path / "rows.csv"), "label": "y"}
    pool = [{"strategy": "independent", "learners": 2}, other]
    first = run_here(tmp_path, pipeline({"pool": pool}, data=data))
    (tmp_path / "other.parquet").unlink()  # the run has a copy
    result = anew(first, {"ensemble.combine.temperature": True})
    assert result.given == ("other",)
    assert result.metrics["member_mean/test/nll"] == first.metrics["member_mean/test/nll"]


def test_a_run_that_has_not_finished_is_refused(tmp_path: Path) -> None:
    first = run_here(tmp_path, pipeline({"learners": 2}))
    journal = RunPaths(Path(first.run_dir)).journal
    *lines, _ = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines))
    with pytest.raises(RunDirectoryError, match=r"has not finished.*resume .* finishes it"):
        anew(first, {"ensemble.combine.method": "vote"})


@pytest.mark.parametrize(
    ("task", "metric", "how"),
    [
        ("classification", "f1", {"method": "greedy"}),
        pytest.param("classification", "auroc", {"method": "choose"}, marks=pytest.mark.slow),
        pytest.param("regression", "mae", {"method": "weights"}, marks=pytest.mark.slow),
        pytest.param("regression", "crps", {"keep": 2}, marks=pytest.mark.slow),
        pytest.param("regression", "rmse", {"method": "choose"}, marks=pytest.mark.slow),
    ],
)
def test_any_metric_can_be_aimed_at_afterwards(
    tmp_path: Path, task: str, metric: str, how: dict[str, Any]
) -> None:
    data = {"source": "bundled", "set": "wine" if task == "classification" else "diabetes"}
    sections = {"task": task, "data": data}
    first = run_here(tmp_path, pipeline({"learners": 3}, **sections))
    aimed = {"metric": metric, **how}
    result = anew(first, {f"ensemble.combine.{k}": v for k, v in aimed.items()})
    whole = run_here(tmp_path, pipeline({"learners": 3, "combine": aimed}, **sections))
    assert_same(result, whole)
    assert f"test/{metric}" in result.metrics
