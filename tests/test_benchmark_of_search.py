"""The benchmark of searches runs in a small form, and its kept figures are those that are shown."""

import importlib
import json
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import shared

ROOT = Path(__file__).parents[1]


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("search_tables")


def search_of(*scores: float | None) -> dict[str, Any]:
    """Return what a search found whose trials of two epochs have these scores."""
    trials: list[Any] = [{"epochs": 2, "score": score, "values": {}} for score in scores]
    return {"trials": trials, "nll": 0.5, "accuracy": 0.8, "members": 1, "cpu_s": 1.0}


@pytest.mark.slow
def test_drivers_and_ensembles_are_compared_seed_by_seed(tmp_path: Path) -> None:
    """Two seeds of few short trials; a second call searches nothing."""
    script, data = str(ROOT / "benchmarks" / "search.py"), str(shared("letter").parent)
    arguments = ["--data", data, "--work", str(tmp_path), "--seeds", "2", "--epochs", "2"]
    arguments += ["--most-trials", "6", "--names", "letter"]
    arguments += ["--arms", "random", "hyperband 18", "single", "deep"]
    found, told = [], []
    for _ in range(2):
        command = [sys.executable, script, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout))
        told.append(done.stderr)
    assert "letter random 2" in told[0]
    assert "letter random 2" not in told[1]
    assert found[0] == found[1]
    drivers, ensembles = found[0]["drivers"]["letter"], found[0]["ensembles"]["letter"]
    assert drivers["arms"]["random"]["epochs"] == 12
    assert drivers["arms"]["hyperband 18"]["epochs"] <= 12
    assert drivers["arms"]["random"]["reached_after"][0] in range(2, 13, 2)
    assert ensembles["deep"]["members"] == 5
    apart = ensembles["deep"]["nll_less_single"]
    assert apart["low"] < apart["mean"] < apart["high"]
    assert apart["mean"] == pytest.approx(ensembles["deep"]["nll"] - ensembles["single"]["nll"])


def test_the_best_of_some_trials_is_the_mean_over_all_choices_of_them(tables: Any) -> None:
    scores = np.array([0.7, 0.2, np.inf, 0.4, 0.2])
    for count in (3, 4, 5):
        chosen = [min(some) for some in combinations(scores, count)]
        assert tables.expected_lowest(scores, count) == pytest.approx(np.mean(chosen))


def test_trials_of_a_driver_that_learns_count_in_their_order(tables: Any) -> None:
    found = search_of(0.4, None, 0.2)
    assert tables.best_so_far("tpe", found).tolist() == [0.4, 0.4, 0.2]
    assert tables.best_trial(found)["score"] == 0.2


def test_random_draws_are_reached_after_the_epochs_of_a_search(tables: Any) -> None:
    arms = {
        "random": [search_of(0.5, 0.3), search_of(0.4, 0.6)],
        "tpe": [search_of(0.5, 0.2), search_of(0.4, 0.5)],
        "grid": [search_of(0.5, 0.4), search_of(0.3, 0.7)],
        "median 2": [search_of(0.1, None), search_of(None, 0.5)],
    }
    found = tables.driver_study(arms, {})["arms"]
    after = {arm: own["reached_after"] for arm, own in found.items()}
    assert after == {
        "random": [4, 2], "tpe": [4, 2], "grid": [None, 2], "median 2": [4, None],
    }  # fmt: skip
    assert found["tpe"]["best_less_random"]["mean"] == pytest.approx(-0.05)
    assert found["grid"]["above_lowest"] == pytest.approx([0.3, 0.0])
    assert "| grid | 2 | 4 | 0.3500 |" in tables.driver_table({"arms": found})


def test_the_published_figures_of_searches_are_those_that_are_kept(tables: Any) -> None:
    kept = json.loads((ROOT / "benchmarks" / "results" / "search.json").read_text())
    page = (ROOT / "benchmarks" / "README.md").read_text()
    assert len(tables.tables(kept)) == 4
    for table in tables.tables(kept).values():
        assert table in page


def test_the_page_of_time_limits_shows_the_kept_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    kept = json.loads((ROOT / "benchmarks" / "results" / "time_limit.json").read_text())
    page = (ROOT / "docs" / "time_limit.md").read_text()
    assert importlib.import_module("time_limit").table(kept["runs"]) in page
