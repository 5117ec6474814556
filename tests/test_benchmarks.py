"""The benchmarks of speed, memory and time limits run, in a small form."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from benchmark_runs import ROOT, result_of


@pytest.mark.slow
@pytest.mark.alone
def test_the_benchmark_of_training_prints_one_json_line() -> None:
    script = ROOT / "benchmarks" / "training.py"
    done = subprocess.run(
        [sys.executable, script, "--epochs", "3"], capture_output=True, text=True, check=True
    )
    (line,) = done.stdout.splitlines()
    result = json.loads(line)
    for name in ("inline_samples_per_second", "ray_samples_per_second", "sgemm_peak_gflops"):
        assert result[name] > 0
    assert 0 < result["inline_share_of_peak"] < 1
    assert result["network"] == [64, 512, 256, 10]


@pytest.mark.slow
@pytest.mark.alone
def test_the_benchmark_of_the_engine_prints_a_table_and_one_json_line() -> None:
    script = ROOT / "benchmarks" / "engine.py"
    arguments = ["--rounds", "1", "--seconds", "0.05", "--cases", "mlp", "small_32"]
    done = subprocess.run(
        [sys.executable, script, *arguments], capture_output=True, text=True, check=True
    )
    (line,) = done.stdout.splitlines()
    result = json.loads(line)
    assert set(result) == {"mlp", "small_32", "start"}
    assert 0 < result["mlp"]["share_of_peak"] < 1.5
    assert result["small_32"]["samples_per_second"] > 0
    assert "| small_32 |" in done.stderr


@pytest.mark.slow
def test_the_benchmark_of_measuring_has_a_figure_for_each_part_and_size() -> None:
    script = ROOT / "benchmarks" / "measuring.py"
    arguments = ["--members", "6", "12", "--rows", "60", "--classes", "3"]
    done = subprocess.run(
        [sys.executable, script, *arguments], capture_output=True, text=True, check=True
    )
    result = json.loads(done.stdout)
    assert set(result) == {"6", "12"}
    assert {"add", "grow", "curve", "combine: greedy"} <= result["12"].keys()
    assert "| curve |" in done.stderr


@pytest.mark.slow
@pytest.mark.alone
def test_compiling_the_cnn_and_loading_it_again_stay_within_their_limits() -> None:
    code = "import engine, json; print(json.dumps(engine.start_seconds()))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "benchmarks",
        capture_output=True,
        text=True,
        check=True,
    )
    seconds = json.loads(done.stdout)
    # The aims are 30 s and 2 s on a machine with nothing else to do.
    assert seconds["first_step_compiling_s"] < 60
    assert seconds["first_step_cached_s"] < 6


@pytest.mark.slow
def test_the_benchmark_of_voting_measures_a_fit() -> None:
    found = result_of("voting.py", "--epochs", "2", "--rounds", "1", "--without-peer")
    assert found["samples_per_second"]["ensemble_pipe"] > 0


only_linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")


@pytest.mark.slow
@only_linux
def test_trainers_map_the_data_once_and_hold_little_beside_their_state() -> None:
    arguments = ["--gigabytes", "0.2", "--trainers", "2", "--hidden", "1024", "--seconds", "8"]
    result = result_of("memory.py", *arguments)
    (line,) = result["lines"]
    assert len(line["added_private_mb"]) == 2
    assert line["data_mapped_mb"] < 1.1 * result["data_mb"] + 20
    assert line["largest_over_state"] < 1.25  # the aim is 1.1, with a larger state


@pytest.mark.slow
@only_linux
def test_rows_are_never_held_in_memory_all_at_once() -> None:
    result = result_of("larger_than_memory.py", "--gigabytes", "1.0")
    highest = result["highest_private_mb"]
    assert highest["Trainer"] < 300
    assert highest["driver"] < 700
    assert result["test_accuracy"] > 0.9


@pytest.mark.slow
@pytest.mark.alone
def test_trainers_hardly_wait_for_shards(fashion_mnist: Path) -> None:
    arguments = ["--folder", str(fashion_mnist), "--rows", "6000", "--epochs", "4"]
    result = result_of("waiting.py", *arguments)
    # In so short a training the start of those who make the shards is a large part of the whole.
    assert 0 <= result["share_waited_after_the_first_epoch"] < 0.15


@pytest.mark.slow
@pytest.mark.alone
def test_the_benchmark_of_inference_measures_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    inference = importlib.import_module("inference")
    found = inference.measure(inference.CASES["mlp_small"], 2, 4, 1, 0.01, False)
    assert found["us"]["engine"] > 0
    assert "outputs_differ" not in found


@pytest.mark.slow
def test_the_benchmark_of_time_limits_compares_what_they_leave(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": range(600), "b": [1.5, 2.5] * 300, "y": ["no", "yes", "no"] * 200})
    for part in ("train", "test"):
        frame.to_csv(tmp_path / f"{part}.csv", index=False)
    arguments = ["--data", tmp_path, "--label", "y", "--limits", "30", "--ways", "inline"]
    overrides = ["--set", "tracking.mlflow=false", "--set", "training.epochs=1"]
    script = ROOT / "benchmarks" / "time_limit.py"
    done = subprocess.run(
        [sys.executable, script, *map(str, arguments), *overrides],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    runs = json.loads(done.stdout)["runs"]
    assert set(runs) == {"no limit", "inline, 30 s", "inline, resumed"}
    assert all(runs[name]["members"] > 0 for name in ("no limit", "inline, 30 s"))
    assert runs["inline, resumed"]["same_bytes_as_without_limit"]
    assert "| inline, 30 s |" in done.stderr


@pytest.mark.slow
def test_trials_as_stacks_have_the_bits_of_trials_one_by_one(tmp_path: Path) -> None:
    from sklearn.datasets import load_wine

    inputs, labels = load_wine(return_X_y=True)
    frame = pd.DataFrame(inputs, columns=[f"x{column}" for column in range(inputs.shape[1])])
    frame["letter"] = [f"class {label}" for label in labels]
    frame.to_csv(tmp_path / "small.csv", index=False)
    arguments = ["--file", str(tmp_path / "small.csv"), "--trials", "6", "--epochs", "2"]
    result = result_of("search_stacks.py", *arguments, "--only-inline")
    (turn,) = result["results"]["in this process"]["turns"]
    assert turn["same_bits"] is True
