"""The benchmark of tables runs, in a small form, and its kept figures are those that are shown."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import shared

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_untouched_default_is_compared_with_a_peer_on_a_table(tmp_path: Path) -> None:
    """One seed on titanic, beside a peer of scikit-learn; a second call fits nothing."""
    script = ROOT / "benchmarks" / "tables.py"
    arguments = ["--folder", str(shared("tables").parent), "--work", str(tmp_path / "work")]
    arguments += ["--tables", "titanic", "--ours", "default", "--peers", "mlp", "--seeds", "1"]
    found, told = [], []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, script, *arguments], capture_output=True, text=True, check=True
        )
        found.append(json.loads(done.stdout)["tables"]["titanic"])
        told.append(done.stderr)
    assert found[0] == found[1]
    assert "titanic: default, seed 1" in told[0]
    assert "titanic: default, seed 1" not in told[1]
    lines = found[0]["contestants"]
    assert lines["default"]["nll"] < 0.5
    assert lines["default"]["cpu_seconds"] > 0
    apart, low, high = found[0]["against"]["default"]["mlp"]["nll"]
    assert low < apart < high
    assert apart == pytest.approx(lines["default"]["nll"] - lines["mlp"]["nll"], abs=1e-9)


def test_a_bootstrap_interval_of_differences_holds_their_mean(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    tables = importlib.import_module("tables")
    random = np.random.default_rng(0)
    ours, theirs = random.normal(size=(2, 400))
    apart, low, high = tables.interval(ours, theirs)
    assert low < apart < high
    assert apart == pytest.approx((ours - theirs).mean())
    assert tables.interval(theirs, ours)[0] == pytest.approx(-apart)
    losses = {"nll": [-0.1, -0.2, 0.1], "error": [0.2, 0.1, 0.3]}
    found = tables.standings(
        {"titanic": {"against": {"default": {"mlp": losses}}}}, "default", ("mlp",)
    )
    assert found["titanic/nll"]["verdict"] == "wins"
    assert found["titanic/error"]["verdict"] == "loses"


def test_the_overview_of_tables_is_that_of_the_kept_figures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    kept = json.loads((ROOT / "benchmarks" / "results" / "tables.json").read_text())
    page = (ROOT / "benchmarks" / "README.md").read_text()
    assert importlib.import_module("tables").overview(kept["tables"]) in page
