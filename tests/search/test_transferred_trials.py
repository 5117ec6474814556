"""Searches whose trials begin with weights of an earlier run: rates, frozen layers, and sources."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from test_search import bits, search_here
from test_shared_trials import Stops
from typer.testing import CliRunner

import ensemble_pipe
from ensemble_pipe import EnsembleClassifier
from ensemble_pipe.cli import app
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.ensemble.members import NetworkMember
from ensemble_pipe.run.pipeline import run
from ensemble_pipe.run.transfer import read_sources
from ensemble_pipe.search.pipeline import resume

BASE: dict[str, Any] = {
    "data": {"source": "bundled", "set": "wine"},
    "network": {"hidden": [6, 5]},
    "training": {"epochs": 3, "batch_size": 16, "optimizer": {"name": "adamw"}},
    "splits": {"validation": 0.3},
    "tracking": {"mlflow": False},
}
RATE = "training.optimizer.learning_rate"
FREEZE, FRESH = "transfer.freeze", "transfer.fresh"
SLOWER = "transfer.rate_factors.dense2/*"
SPACE: dict[str, Any] = {
    RATE: {"log_uniform": [0.003, 0.03]},
    FREEZE: [[], ["dense1/*"]],
    FRESH: [None, ["dense[23]/*"]],
    SLOWER: {"log_uniform": [0.1, 1.0], "when": {FRESH: None}},
}
# Each is a search with another way through its trials.
SEARCHES: dict[str, dict[str, Any]] = {
    "grid": {"space": {RATE: [0.01, 0.03], FREEZE: SPACE[FREEZE]}, "driver": "grid"},
    "pruned": {"trials": 4, "pruning": "successive_halving"},
    "tpe": {"driver": "tpe", "trials": 12, "batch": 2},
    "hyper_deep": {"trials": 4, "ensemble": "hyper_deep"},
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run of two networks on two of the three classes."""
    values = {
        **BASE,
        "name": "source",
        "classes": ["class_0", "class_1"],
        "ensemble": {"learners": 2},
    }
    folder = tmp_path_factory.mktemp("source")
    return run(Pipeline.model_validate(values), output=folder, inline=True).run_dir


def pipeline(source: str, stack: int | None = None, **settings: Any) -> Pipeline:
    search = {"space": SPACE, "top": 2, **settings}
    transfer, cluster = {"weights": source}, {"stack": stack}
    return Pipeline.model_validate(
        {**BASE, "transfer": transfer, "cluster": cluster, "search": search}
    )


def tensors_of(run_dir: str) -> dict[str, Floats]:
    """Return the tensors of the one member of a run by name."""
    (member,) = ensemble_pipe.load(run_dir).members
    assert isinstance(member, NetworkMember)
    (one,) = read_sources(Path(run_dir))
    return one.tensors


@pytest.mark.parametrize("name", SEARCHES)
def test_stopped_and_in_other_stacks_a_search_has_the_same_bits(
    source: str, tmp_path: Path, name: str
) -> None:
    whole = search_here(tmp_path / "whole", pipeline(source, **SEARCHES[name]))
    with pytest.raises(KeyboardInterrupt):
        search_here(
            tmp_path / "stopped", pipeline(source, stack=1, **SEARCHES[name]), display=Stops(5)
        )
    (stopped,) = (tmp_path / "stopped").iterdir()
    resume(stopped, inline=True)
    assert bits(stopped) == bits(whole.run.run_dir)


def test_a_trial_is_the_run_that_has_its_values_from_the_start(source: str, tmp_path: Path) -> None:
    values = {RATE: 0.01, FREEZE: ["dense1/*"], FRESH: ["dense3/*"], SLOWER: 0.2}
    searched = search_here(
        tmp_path, pipeline(source, driver="manual", space=[values, {RATE: 0.03}], top=2)
    )
    (trial,) = (one for one in searched.trials if one.number == 0)
    transfer = {
        "weights": source,
        "freeze": values[FREEZE],
        "fresh": values[FRESH],
        "rate_factors": {"dense2/*": 0.2},
    }
    training = {**BASE["training"], "optimizer": {"name": "adamw", "learning_rate": 0.01}}
    alone = run(
        Pipeline.model_validate(
            {**BASE, "training": training, "transfer": transfer, "ensemble": {"learners": 1}}
        ),
        output=tmp_path,
        inline=True,
    )
    assert alone.metrics["member_mean/validation/nll"] == trial.score
    first, last = read_sources(Path(source))[0].tensors, tensors_of(alone.run_dir)
    assert {name for name in first if np.array_equal(first[name], last[name])} == {
        "dense1/kernel",
        "dense1/bias",
    }


def test_a_search_compares_sources_and_none_at_all(source: str, tmp_path: Path) -> None:
    space = [{RATE: 0.01}, {"transfer": None}, {"transfer.weights": f"{source}/model"}]
    found = search_here(tmp_path, pipeline(source, driver="manual", space=space, top=3))
    scratch = {**BASE, "ensemble": {"learners": 2}}
    alone = run(Pipeline.model_validate(scratch), output=tmp_path, inline=True)
    member = ensemble_pipe.load(alone.run_dir).members[1]
    second = next(one for one in ensemble_pipe.load(found.run.run_dir).members if one.learner == 1)
    assert isinstance(member, NetworkMember)
    assert isinstance(second, NetworkMember)
    assert member.row.tobytes() == second.row.tobytes()


def test_groups_of_a_pool_may_begin_differently(source: str, tmp_path: Path) -> None:
    weights = "transfer.weights"
    one: dict[str, Any] = {"strategy": "independent", "learners": 1}
    pool = [{**one, "set": {weights: source, FREEZE: ["dense1/*"]}}, one]
    config = Pipeline.model_validate({**BASE, "ensemble": {"pool": pool}})
    found = ensemble_pipe.load(run(config, output=tmp_path, inline=True).run_dir)
    plain = Pipeline.model_validate({**BASE, "ensemble": {"learners": 2}})
    fresh = ensemble_pipe.load(run(plain, output=tmp_path, inline=True).run_dir)
    rows = [
        [one.row for one in m.members if isinstance(one, NetworkMember)] for m in (found, fresh)
    ]
    assert rows[0][1].tobytes() == rows[1][1].tobytes()
    assert rows[0][0].tobytes() != rows[1][0].tobytes()


MISTAKES = {
    "a pattern of no tensor": (
        {FREEZE: [[], ["conv1/*"]]},
        "transfer.freeze: 'conv1/*' fits no tensor of the network; it has dense1/kernel,",
    ),
    "what is drawn anew is frozen": (
        {FREEZE: [[], ["dense3/bias"]]},
        "transfer.freeze: dense3/bias is drawn anew, so it must be trained",
    ),
    "a network of another shape": (
        {"network.hidden": [[6, 5], [6, 7]]},
        "transfer.weights: dense2/kernel has shape (6, 5)",
    ),
    "a source that is not there": (
        {"transfer.weights": ["runs/absent-*"]},
        "transfer.weights: runs/absent-* is no run directory with a model",
    ),
}


@pytest.mark.parametrize(("space", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_what_does_not_fit_a_trial_is_refused_before_anything_is_made(
    source: str, tmp_path: Path, space: dict[str, Any], message: str
) -> None:
    path = tmp_path / "s.yaml"
    search = {"space": space, "trials": 1}
    path.write_text(yaml.safe_dump({**BASE, "transfer": {"weights": source}, "search": search}))
    done = CliRunner().invoke(
        app, ["search", str(path), "--inline", "--output", str(tmp_path / "runs")]
    )
    assert done.exit_code == 2
    assert message in done.stderr
    assert [one.name for one in tmp_path.iterdir()] == ["s.yaml"]


def test_an_estimator_begins_every_trial_anew() -> None:
    space = {"space": {"transfer.weights": ["runs/x"]}, "trials": 1}
    rows = np.random.default_rng(0).normal(size=(60, 3))
    labels = (rows[:, 0] > 0).astype(int)
    with pytest.raises(ValueError, match=r"search\.space: transfer is for pipeline files; an est"):
        EnsembleClassifier(search=space).fit(rows, labels)
