"""The benchmarks run, in a small form."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
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
def test_the_table_of_transfer_has_a_cell_for_each_way(fashion_mnist: Path, tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import transfer

    other = fashion_mnist.parent / "notmnist"
    rows = transfer.compare(
        str(fashion_mnist), str(other), seeds=1, sizes={60: 2}, epochs=1, runs=tmp_path
    )
    assert len(rows) == 2 * len(transfer.WAYS)
    assert all(0.05 < row["accuracy"] <= 1 for row in rows)
    assert transfer.table(rows).count("\n") == 3


def test_the_published_figures_are_those_that_are_kept() -> None:
    kept = json.loads((ROOT / "benchmarks" / "results" / "engine.json").read_text())
    page = (ROOT / "docs" / "engine.md").read_text()
    for name in ("mlp", "cnn", "separable_cnn", "small_32", "small_100"):
        assert f"| {kept[name]['samples_per_second']:,} |" in page
        assert f"| {kept[name]['torch_samples_per_second']:,} |" in page
    rows = json.loads((ROOT / "benchmarks" / "results" / "transfer.json").read_text())
    table = (ROOT / "docs" / "transfer.md").read_text()
    for row in rows:
        assert f"{row['accuracy']:.4f} / {row['nll']:.3f}" in table
