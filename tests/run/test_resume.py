"""How a run in this process ends before its end, and how it goes on."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import StopAt
from small_runs import epochs_of, kinds, run_here, write_pipeline

import ensemble_pipe
from ensemble_pipe.core.errors import CorruptFileError, RunDirectoryError
from ensemble_pipe.core.storage import RunPaths, read_manifest, write_json
from ensemble_pipe.run import executors
from ensemble_pipe.run.display import Silent
from ensemble_pipe.run.pipeline import RunResult, resume
from ensemble_pipe.tracking.journal import read_entries
from ensemble_pipe.tracking.kinds import EndedEntry


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    return write_pipeline(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return run_here(write_pipeline(tmp_path_factory.mktemp("finished")))


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
