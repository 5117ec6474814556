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
