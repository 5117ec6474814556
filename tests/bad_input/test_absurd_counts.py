"""Counts that cannot be: refused before anything begins, by the key, within moments."""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from commands import run
from conftest import plain_schema

from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.run.growth import add_learners
from ensemble_pipe.run.requirements import require_affordable, require_space

pytestmark = pytest.mark.usefixtures("empty_folder")

MANY = 10**9
WIDE = "network.hidden=[65536, 65536, 65536, 65536, 65536, 65536, 65536, 65536]"


@pytest.mark.parametrize(("key", "settings"), [
    ("ensemble.learners", [f"ensemble.learners={MANY}"]),
    ("ensemble.learners", [f"ensemble.learners={MANY}", "ensemble.strategy=cross_validation"]),
    ("ensemble.passes", [f"ensemble.passes={MANY}", "ensemble.strategy=mc_dropout"]),
    ("ensemble.members", [f"ensemble.members={MANY}", "ensemble.strategy=shared"]),
    ("ensemble.rounds", [f"ensemble.rounds={MANY}", "ensemble.strategy=boosting"]),
    ("ensemble.pool.0.learners", [f"ensemble.pool=[{{strategy: bagging, learners: {MANY}}}]"]),
    ("ensemble.pool.0.learners", [f"ensemble.pool=[{{strategy: linear, learners: {MANY}}}]"]),
    ("ensemble.pool.0.trees", [f"ensemble.pool=[{{strategy: random_forest, trees: {MANY}}}]"]),
    ("ensemble", ["ensemble.pool=[{strategy: bagging, learners: 6000},"
                  "{strategy: independent, learners: 6000}]"]),
    ("training.epochs", [f"training.epochs={MANY}"]),
    ("training.epochs", ["training.epochs=1e12"]),
    ("training.batch_size", [f"training.batch_size={MANY**4}"]),
    ("training.epochs", ["training.epochs=10000000", "training.batch_size=1",
                         "splits.validation=1", "splits.stop=1", "splits.test=1"]),
    ("training.epochs", ["ensemble.vary={training.epochs: [1, 1000000000]}"]),
    ("training.schedule.cycles", ["training.schedule.name=snapshot",
                                  f"training.schedule.cycles={MANY}"]),
    ("training.schedule.members", ["training.schedule.name=fast_geometric",
                                   f"training.schedule.members={MANY}"]),
    ("network.hidden.0", [f"network.hidden=[{MANY}]"]),
    ("network.hidden", [f"network.hidden=[{', '.join(['8'] * 2000)}]"]),
    ("network", [WIDE]),
    ("ensemble.learners", ["network.hidden=[16000, 16000]", "ensemble.learners=10000"]),
    ("augment.test_draws", [f"augment.test_draws={MANY}", "augment.policy=[{name: shift_crop}]"]),
    ("scikit-learn's digits", [f"view.folds={MANY}"]),
    ("scikit-learn's digits", [f"splits.test={MANY}"]),
])  # fmt: skip
def test_a_run_names_the_key(key: str, settings: list[str]) -> None:
    began = time.monotonic()
    message = run("seed: 1\n", *settings)
    assert message.startswith(f"{key}: ")
    assert time.monotonic() - began < 8.0  # half a second where nothing else runs


def test_a_growth_beyond_all_bounds() -> None:
    config = Pipeline.model_validate({"ensemble": {"learners": 3}})
    with pytest.raises(ConfigError, match=r"--learners 1000000000: the run has 3, and no run has"):
        add_learners(config, MANY)
    assert add_learners(config, 9997).ensemble.learners == 10_000


def test_the_message_says_what_is_needed_and_what_there_is() -> None:
    assert " takes " in run("seed: 1\n", WIDE)
    assert "but this machine's memory has " in run("seed: 1\n", WIDE)
    steps = ["training.epochs=10000000", "training.batch_size=1", "splits.stop=1"]
    message = run("seed: 1\n", *steps, "splits.test=1", "splits.validation=1")
    assert "10,000,000 epochs are 17,940,000,000 steps" in message
    assert "take 21 days at the least" in message


def test_what_does_not_fit_onto_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    # With epochs there is no early stopping, which would keep the best row too.
    values = {"network": {"hidden": [100]}, "training": {"epochs": 20}, "ensemble": {"learners": 4}}
    config = Pipeline.model_validate(values)
    schema = plain_schema("classification", (9,), (0, 1))
    plans = make_plans(config).networks
    require_affordable(plans, schema, rows=100)
    parameters = 9 * 100 + 100 + 100 * 2 + 2
    needed = 4 * 4 * parameters * (3 + 1)  # a row with Adam's two slots, and the member
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=needed))
    require_space(plans, schema, Path.cwd() / "not" / "there" / "yet")
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=needed - 1))
    with pytest.raises(ConfigError, match=r"of 4 learners take 76\.9 kB, but the disk of .* free"):
        require_space(plans, schema, Path.cwd())
