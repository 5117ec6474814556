"""A whole run in this process: what it leaves behind, and the members that it has."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from conftest import rendering, shared
from pyarrow import parquet
from small_runs import SMALL, run_here, write_pipeline

import ensemble_pipe
from ensemble_pipe.config.reading import Pipeline
from ensemble_pipe.core.errors import RunDirectoryError, TrainingError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.ensemble.combiners import Weighted
from ensemble_pipe.ensemble.members import NetworkMember
from ensemble_pipe.run.display import Silent
from ensemble_pipe.run.pipeline import RunResult, run, sync
from ensemble_pipe.tracking.journal import read_entries
from ensemble_pipe.tracking.kinds import FinishedEntry, LearnerEntry
from ensemble_pipe.training.checkpoints import list_checkpoints, load_state


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    return write_pipeline(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    path = write_pipeline(tmp_path_factory.mktemp("finished"))
    with rendering():
        return run_here(path)


def test_a_run_directory_holds_what_the_design_names(finished: RunResult) -> None:
    root = Path(finished.run_dir)
    assert {path.name for path in root.iterdir()} >= {
        "pipeline.yaml", "manifest.json", "journal.jsonl", "base", "learners", "predictions",
        "pictures", "model", "report.html", "description.md",
    }  # fmt: skip
    assert {path.name for path in (root / "predictions").iterdir()} == {
        "stop.arrow", "stop.json", "validation.arrow", "validation.json", "test.arrow", "test.json"
    }  # fmt: skip
    assert {path.name for path in (root / "pictures").iterdir()} == {
        "stop_curves.svg", "training_curves.svg", "rates.svg", "ensemble_size.svg",
        "reliability.svg", "rejection.svg", "confusion_matrix.svg", "diversity.svg",
        "members_map.svg", "unfamiliar.svg", "errors_by_group.svg",
    }  # fmt: skip
    assert len(list((root / "learners").glob("*/step-*.safetensors"))) == 3


def test_the_result_compares_mean_best_and_ensemble(finished: RunResult) -> None:
    names = {"accuracy", "nll", "brier", "ece"}
    for prefix in ("", "member_mean/", "member_best/"):
        for part in ("stop", "validation", "test"):
            assert {f"{prefix}{part}/{name}" for name in names} <= finished.metrics.keys()
        assert f"baseline_constant/{part}/nll" in finished.metrics or part == "stop"
    assert finished.members == 3
    # The ensemble's NLL is never above the mean member's (Jensen's inequality).
    assert finished.metrics["test/nll"] <= finished.metrics["member_mean/test/nll"]


def test_predictions_hold_the_members_outputs_and_their_mean(finished: RunResult) -> None:
    path = RunPaths(Path(finished.run_dir)).predictions("test")
    table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    outputs = table.column("outputs").chunk(0).to_numpy_ndarray()
    assert outputs.shape == (table.num_rows, 3, 10)
    probabilities = Weighted.equal(3).probabilities(outputs.transpose(1, 0, 2))
    assert np.array_equal(table.column("probability_7").to_numpy(), probabilities[:, 7])
    right = table.column("prediction").to_numpy() == table.column("target").to_numpy()
    assert right.mean() == pytest.approx(finished.metrics["test/accuracy"])


def test_no_row_is_in_two_parts(finished: RunResult) -> None:
    base = RunPaths(Path(finished.run_dir)).base
    rows = [
        pa.ipc.open_file(pa.memory_map(str(base / f"{part}.arrow"))).read_all().column("row")
        for part in ("train", "stop", "validation", "test")
    ]
    together = np.concatenate([column.to_numpy() for column in rows])
    assert np.array_equal(np.sort(together), np.arange(1797))


def test_the_loaded_model_repeats_the_runs_predictions(finished: RunResult) -> None:
    from sklearn.datasets import load_digits

    paths = RunPaths(Path(finished.run_dir))
    table = pa.ipc.open_file(pa.memory_map(str(paths.predictions("test")))).read_all()
    images = load_digits().images.astype(np.uint8)[table.column("row").to_numpy()]
    model = ensemble_pipe.load(finished.run_dir)
    assert np.array_equal(model.predict_proba(images)[:, 3], table.column("probability_3"))
    assert np.array_equal(model.predict(images), table.column("prediction"))
    assert model.predict_members(images).shape == (3, len(images), 10)


def test_a_result_is_shown_as_a_table_of_what_matters(finished: RunResult) -> None:
    head, *table = repr(finished).splitlines()
    assert head.startswith(f"RunResult of {finished.run_dir}, ")
    assert table[0].split() == ["test", "accuracy", "nll", "brier", "ece"]
    assert [line[:11].strip() for line in table[1:4]] == ["mean member", "best member", "ensemble"]
    assert table[4:] == ["(3 members; best member by validation NLL)"]


def test_the_model_holds_the_averages_of_learners_that_stopped_early(pipeline: Path) -> None:
    settings = {
        "training.epochs": 12,
        "training.early_stopping": {"patience": 1, "min_change": 0.15},
        "training.averaging": {"name": "ema", "decay": 0.9},
    }
    result = run_here(pipeline, **settings)
    paths = RunPaths(Path(result.run_dir))
    for member in ensemble_pipe.load(result.run_dir).members:
        (saved,) = list_checkpoints(paths, member.learner)
        state = load_state(paths, member.learner, saved.step)
        assert isinstance(member, NetworkMember)
        assert (saved.finished, saved.step) == (True, member.step)
        assert saved.epoch < 12
        assert member.row.tobytes() == state.slots["member"].tobytes()
        assert member.row.tobytes() == state.slots["best"].tobytes()
        assert member.row.tobytes() != state.row.tobytes()
    finished = [e.learner for e in read_entries(paths.journal) if isinstance(e, FinishedEntry)]
    assert sorted(finished) == [0, 1, 2]


def test_a_learner_that_diverges_is_named_and_the_others_go_on(pipeline: Path) -> None:
    vary = {"training.optimizer.learning_rate": [0.01, 1e38, 0.01]}
    optimizer = {"name": "sgd", "momentum": 0.0}
    result = run_here(pipeline, **{"ensemble.vary": vary, "training.optimizer": optimizer})
    assert list(result.failed) == [1]
    assert "not finite" in result.failed[1]
    assert result.members == 2


def test_a_regression_that_diverged_to_huge_numbers_costs_no_run(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "task": "regression", "data": {"source": "bundled", "set": "diabetes"},
        "network": {"name": "linear"}, "tracking": {"mlflow": False},
        "training": {"batch_size": "all", "epochs": 20, "optimizer": {"name": "sgd"}},
        "ensemble": {"learners": 2, "vary": {"training.optimizer.learning_rate": [0.01, 20.0]}},
    }  # fmt: skip
    result = run(Pipeline.model_validate(settings), output=tmp_path, inline=True)
    assert result.members + len(result.failed) == 2


def test_a_run_whose_learners_all_diverge_says_why(pipeline: Path) -> None:
    with pytest.raises(TrainingError, match="learner 0: its loss is not finite"):
        run_here(pipeline, **{"training.optimizer": {"name": "sgd", "learning_rate": 1e38}})


@pytest.mark.parametrize("survivors", [1, 2])
def test_a_single_member_is_an_ensemble_too(pipeline: Path, survivors: int) -> None:
    vary = {"training.optimizer.learning_rate": [0.01, 1e38]}
    optimizer = {"name": "sgd", "momentum": 0.0}
    settings = {"ensemble.vary": vary, "training.optimizer": optimizer}
    result = run_here(pipeline, **settings, **{"ensemble.learners": survivors})
    assert result.members == 1
    for name in ("accuracy", "nll", "brier", "ece"):
        assert result.metrics[f"test/{name}"] == result.metrics[f"member_best/test/{name}"]


def test_vary_gives_each_learner_its_own_numbers(pipeline: Path) -> None:
    vary = {
        "training.optimizer.learning_rate": {"low": 1e-4, "high": 1e-2, "scale": "log"},
        "network.hidden": [[8], [16, 8]],
    }
    result = run_here(pipeline, **{"ensemble.vary": vary})
    entries = read_entries(Path(result.run_dir) / "journal.jsonl")
    plans = [entry.plan for entry in entries if isinstance(entry, LearnerEntry)]
    assert [plan["network"]["hidden"] for plan in plans] == [[8], [16, 8], [8]]
    rates = [plan["optimizer"]["learning_rate"] for plan in plans]
    assert len(set(rates)) == 3
    assert all(1e-4 <= rate <= 1e-2 for rate in rates)


def test_snapshots_are_members_of_their_own(pipeline: Path) -> None:
    schedule = {"name": "snapshot", "cycles": 4}
    settings = {"training.schedule": schedule, "ensemble.strategy": "snapshot"}
    result = run_here(pipeline, **settings, **{"ensemble.learners": 2})
    assert result.members == 8
    model = ensemble_pipe.load(result.run_dir)
    assert [(m.learner, m.number) for m in model.members] == [
        (learner, number) for learner in range(2) for number in range(4)
    ]


@pytest.mark.parametrize(
    "settings",
    [
        {"training.schedule": {"name": "snapshot", "cycles": 3}, "ensemble.yields": "cycles"},
        {"training.epochs": 6, "ensemble.yields": "epochs", "ensemble.every": 2},
    ],
    ids=["cycles", "epochs"],
)
def test_members_that_share_weights_are_yielded_several_times(
    pipeline: Path, settings: dict[str, Any]
) -> None:
    shared = {"ensemble.strategy": "shared", "ensemble.members": 2, "ensemble.learners": 2}
    members = ensemble_pipe.load(run_here(pipeline, **shared, **settings).run_dir).members
    assert [(m.learner, m.number) for m in members] == [
        (learner, number) for learner in range(2) for number in range(6)
    ]
    steps = [member.step for member in members[:6]]
    assert steps == sorted(steps)
    assert [steps.count(step) for step in dict.fromkeys(steps)] == [2, 2, 2]


def test_checkpoints_are_members_after_epochs_and_the_last_is_the_trained_network(
    pipeline: Path, finished: RunResult
) -> None:
    epochs = yaml.safe_load(pipeline.read_text())["training"]["epochs"]
    settings = {"ensemble.strategy": "checkpoints", "ensemble.every": 2}
    several = ensemble_pipe.load(run_here(pipeline, **settings).run_dir).members
    of_one = [member for member in several if member.learner == 0]
    assert [member.number for member in of_one] == list(range(-(-epochs // 2)))
    assert [m.step for m in of_one] == sorted({m.step for m in of_one})
    last, trained = of_one[-1], ensemble_pipe.load(finished.run_dir).members[0]
    assert isinstance(last, NetworkMember)
    assert isinstance(trained, NetworkMember)
    assert last.row.tobytes() == trained.row.tobytes()


@pytest.fixture
def boston() -> Path:
    return shared("uci_regression") / "boston.parquet"


def test_a_regression_predicts_in_the_targets_own_units(pipeline: Path, boston: Path) -> None:
    ignore = [f"test_{split}" for split in range(20)]
    data = {"source": "table", "path": str(boston), "label": "y", "ignore": ignore}
    settings: dict[str, Any] = {
        "data": data,
        "task": "regression",
        "scale": {"name": "standardize"},
        "target.scale": "standardize",
        "training.epochs": 150,
        "training.loss": {"name": "squared_error"},
        "training.optimizer": {"name": "adam"},
    }
    result = run_here(pipeline, **settings)
    # Predicting the mean, with the target's standard deviation of 9.2, would give these.
    assert result.metrics["test/rmse"] < 0.75 * 9.2
    assert result.metrics["test/nll"] < 0.5 * np.log(2 * np.pi * np.e * 9.2**2)
    model = ensemble_pipe.load(result.run_dir)
    rows = np.array([[0.1] * len(model.schema.feature_names)])
    assert model.uncertainty(rows)["std"].shape == (1,)
    assert json.loads(json.dumps(result.metrics)) == result.metrics


def test_a_run_without_mlflow_has_nothing_to_sync(finished: RunResult) -> None:
    with pytest.raises(RunDirectoryError, match=r"tracking\.mlflow is false"):
        sync(finished.run_dir, timeout_s=1)


def test_a_test_part_from_before_the_training_is_warned_of(tmp_path: Path) -> None:
    class Told(Silent):
        def __init__(self) -> None:
            self.messages: list[str] = []

        def warn(self, text: str) -> None:
            self.messages.append(text)

    days = np.arange("2026-01-01", "2026-04-11", dtype="datetime64[D]")
    for name, dates in (("train", days), ("test", days[90:] + 5)):
        values = np.arange(len(dates))
        table = pa.table({"day": pa.array(dates), "x": values * 1.0, "y": values % 2})
        parquet.write_table(table, tmp_path / f"{name}.parquet")
    data = {
        "source": "table",
        "path": f"{tmp_path}/train.parquet",
        "test_path": f"{tmp_path}/test.parquet",
        "label": "y",
        "time": "day",
    }
    (tmp_path / "timed.yaml").write_text(yaml.safe_dump({**SMALL, "name": "timed", "data": data}))
    told = Told()
    run_here(tmp_path / "timed.yaml", display=told, **{"training.epochs": 1})
    (warning,) = [text for text in told.messages if text]
    assert "test.parquet: 4 of 10 test rows are earlier than the last row of" in warning
