"""A whole run in this process: what it leaves behind, how it ends, and how it goes on."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from conftest import StopAt, rendering, shared
from pyarrow import parquet
from small_pipelines import small_settings

import ensemble_pipe
from ensemble_pipe.config.reading import Pipeline
from ensemble_pipe.core.errors import CorruptFileError, RunDirectoryError, TrainingError
from ensemble_pipe.core.storage import RunPaths, read_manifest, write_json
from ensemble_pipe.ensemble.combiners import Weighted
from ensemble_pipe.ensemble.members import NetworkMember
from ensemble_pipe.run import executors
from ensemble_pipe.run.display import Silent
from ensemble_pipe.run.pipeline import RunResult, resume, run, sync
from ensemble_pipe.tracking.journal import read_entries
from ensemble_pipe.tracking.kinds import (
    EndedEntry,
    EpochEntry,
    FinishedEntry,
    LearnerEntry,
    Numbers,
)
from ensemble_pipe.training.checkpoints import list_checkpoints, load_state

SMALL = small_settings(
    name="small",
    hidden=16,
    epochs=4,
    splits={"validation": 0.15, "stop": 0.1},
    ensemble={"learners": 3, "combine": {"temperature": False}},
)
SMALL["training"]["schedule"] = {"name": "constant"}


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    return path


def run_here(pipeline: Path, **settings: Any) -> RunResult:
    return run(pipeline, output=pipeline.parent / "runs", inline=True, **settings)


def kinds(result_dir: Path) -> list[str]:
    return [entry.kind for entry in read_entries(RunPaths(result_dir).journal)]


def epochs_of(run_dir: Path) -> list[tuple[tuple[int, int], Numbers]]:
    """Return learner and epoch of each epoch's entry, and its metrics."""
    entries = read_entries(RunPaths(run_dir).journal)
    return [((e.learner, e.epoch), e.metrics) for e in entries if isinstance(e, EpochEntry)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    path = tmp_path_factory.mktemp("finished") / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL))
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


def test_a_finished_run_resumes_to_the_same_result(finished: RunResult) -> None:
    before = RunPaths(Path(finished.run_dir)).model / "members.safetensors"
    bits = before.read_bytes()
    again = resume(finished.run_dir, inline=True)
    assert again.metrics == finished.metrics
    assert before.read_bytes() == bits


def test_a_finished_run_resumes_without_ray_and_says_so(
    finished: RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Said(Silent):
        def message(self, text: str) -> None:
            said.append(text)

    said: list[str] = []
    monkeypatch.setattr(executors, "_on_ray", None)  # which nothing calls
    resume(finished.run_dir, display=Said())
    assert "finished already; combining and reporting anew" in said


@pytest.mark.parametrize(
    "checkpoints",
    [pytest.param(1, marks=pytest.mark.slow), 5, pytest.param(11, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"augment": [{"name": "shift_crop"}]},
        {
            "training.schedule": {"name": "snapshot", "cycles": 3},
            "ensemble.strategy": "snapshot",
        },
        {"ensemble.strategy": "checkpoints", "ensemble.every": 1, "ensemble.last": 2},
        {
            "ensemble.strategy": "shared",
            "ensemble.members": 2,
            "ensemble.yields": "epochs",
            "ensemble.every": 1,
        },
        {
            "training.epochs": 8,
            "training.early_stopping": {"patience": 1, "min_change": 0.15},
            "training.averaging": {"name": "ema", "decay": 0.9},
        },
    ],
    ids=[
        "independent",
        "augmented",
        "snapshot",
        "checkpoints",
        "shared",
        "averages that stop early",
    ],
)
def test_interrupted_equals_uninterrupted(
    pipeline: Path, finished: RunResult, checkpoints: int, settings: dict[str, Any]
) -> None:
    whole = run_here(pipeline, **settings) if settings else finished
    with pytest.raises(KeyboardInterrupt):
        run_here(pipeline, display=StopAt(checkpoints), **settings)
    stopped = max((pipeline.parent / "runs").iterdir(), key=lambda path: path.stat().st_mtime)
    assert kinds(stopped)[-1] == "ended"
    result = resume(stopped, inline=True)
    assert result.metrics == whole.metrics
    for name in ("model/members.safetensors", "predictions/test.arrow"):
        assert (stopped / name).read_bytes() == (Path(whole.run_dir) / name).read_bytes()
    epochs = epochs_of(stopped)
    assert dict(epochs) == dict(epochs_of(Path(whole.run_dir)))
    assert len(epochs) == len(dict(epochs))


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


def command(*arguments: object) -> list[str]:
    code = "from ensemble_pipe.cli import app; app()"
    return [sys.executable, "-c", code, *(str(argument) for argument in arguments)]


def begin_long_run(pipeline: Path) -> tuple["subprocess.Popen[str]", Path]:
    """Start a run that would take minutes, and wait for its first checkpoint."""
    runs = pipeline.parent / "long"
    arguments = ("run", pipeline, "--output", runs, "--inline", "--set", "training.epochs=4000")
    process = subprocess.Popen(command(*arguments), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(runs.glob("*/learners/*/*.json")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    return process, next(runs.iterdir())


@pytest.mark.parametrize("how", [
    signal.SIGTERM,
    pytest.param(signal.SIGINT, marks=pytest.mark.slow),
    pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
])  # fmt: skip
def test_a_signal_ends_a_run_that_can_be_resumed(pipeline: Path, how: signal.Signals) -> None:
    process, run_dir = begin_long_run(pipeline)
    with pytest.raises(RunDirectoryError, match="another process is driving this run"):
        resume(run_dir, inline=True)
    process.send_signal(how)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + how
    assert "Traceback" not in errors
    assert errors.count("stopped") == errors.count("ensemble-pipe resume") == 1
    *_, last = read_entries(run_dir / "journal.jsonl")
    assert isinstance(last, EndedEntry)
    assert last.status == "KILLED"


def test_a_killed_run_can_be_resumed(pipeline: Path) -> None:
    process, run_dir = begin_long_run(pipeline)
    process.kill()
    process.communicate(timeout=60)
    with open(run_dir / "journal.jsonl", "a") as journal:
        journal.write('{"kind": "epoch", "lear')  # torn by the kill

    stop = StopAt(3)
    with pytest.raises(KeyboardInterrupt):
        resume(run_dir, inline=True, display=stop)
    assert kinds(run_dir)[-1] == "ended"
    assert "resumed" in kinds(run_dir)


def test_a_resume_under_other_versions_says_so(finished: RunResult) -> None:
    manifest = RunPaths(Path(finished.run_dir)).manifest
    facts = json.loads(manifest.read_text())
    del facts["crc"]
    numpy = facts["environment"]["numpy"]
    try:
        write_json(manifest, {**facts, "environment": {**facts["environment"], "numpy": "1.0"}})
        with pytest.raises(RunDirectoryError, match=f"numpy: 1.0 -> {numpy}"):
            resume(finished.run_dir, inline=True)
        assert resume(finished.run_dir, inline=True, accept_changes=True).members == 3
        kept = read_manifest(RunPaths(Path(finished.run_dir)))
        assert [one.changes for one in kept.accepted] == [[f"numpy: 1.0 -> {numpy}"]]
        assert resume(finished.run_dir, inline=True).members == 3  # it is asked once
    finally:
        write_json(manifest, facts)


@pytest.mark.parametrize("name", ["base/train.arrow", "pipeline.yaml"])
def test_a_changed_file_is_refused_on_resume(pipeline: Path, name: str) -> None:
    path = Path(run_here(pipeline).run_dir) / name
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises((CorruptFileError, ensemble_pipe.core.errors.ConfigError)):
        resume(path.parents[name.count("/")], inline=True)


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


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("manifest.json", "{}", "lacks environment"),
        ("manifest.json", "[]", "is no JSON object"),
        ("learners/0000/step-00000001.json", '{"x": 1}', "lacks learner"),
    ],
)
def test_a_damaged_run_directory_is_named(
    finished: RunResult, tmp_path: Path, name: str, text: str, message: str
) -> None:
    copied = Path(shutil.copytree(finished.run_dir, tmp_path / "copied"))
    (copied / name).write_text(text)
    with pytest.raises(CorruptFileError, match=rf"{Path(name).name}: {message}"):
        resume(copied, inline=True)


def test_a_resume_removes_what_a_kill_left_half_written(
    finished: RunResult, tmp_path: Path
) -> None:
    copied = Path(shutil.copytree(finished.run_dir, tmp_path / "copied"))
    for name in ("step-00000001.safetensors", ".step-00000002.safetensors.ab12.tmp"):
        (copied / "learners" / "0001" / name).write_bytes(b"half")
    resume(copied, inline=True)
    left = sorted(path.suffix for path in (copied / "learners" / "0001").iterdir())
    assert left == [".json", ".safetensors"]


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
