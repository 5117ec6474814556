"""Learners with an augmentation of their own: each is trained as if the run augmented so."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_pipelines import SPLITS, small_settings

import ensemble_pipe
from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.ensemble.members import NetworkMember
from ensemble_pipe.run.pipeline import RunResult, run
from ensemble_pipe.search.pipeline import search
from ensemble_pipe.tracking.run_summary import read_run_summary
from ensemble_pipe.training.stacks import stack_kind

SHIFT = {"name": "shift_crop", "pixels": 1}
POLICIES: dict[str, list[dict[str, Any]]] = {
    "none": [],
    "shift": [SHIFT],
    "mixed": [SHIFT, {"name": "mixup"}],
}


def config_of(**sections: Any) -> Pipeline:
    settings = small_settings(hidden=8, epochs=2, batch_size=64, **{"splits": SPLITS, **sections})
    return Pipeline.model_validate(settings)


def pool_of(*policies: str, **others: Any) -> dict[str, Any]:
    groups = [
        {
            "strategy": "independent",
            "learners": 2,
            "set": {"augment.policy": POLICIES[one], **others},
        }
        for one in policies
    ]
    return {"pool": groups}


def rows_of(result: RunResult) -> dict[int, bytes]:
    """Return the weights of each member, by learner."""
    members = ensemble_pipe.load(result.run_dir).members
    return {m.learner: m.row.tobytes() for m in members if isinstance(m, NetworkMember)}


@pytest.fixture(scope="module", params=["all", "per_learner"])
def alike(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, list[dict[int, bytes]]]:
    """A way to share, and the weights of a run with each policy."""
    share, folder = request.param, tmp_path_factory.mktemp("alike")
    configs = [
        config_of(augment={"policy": policy, "share": share}, ensemble={"learners": 6})
        for policy in POLICIES.values()
    ]
    return share, [rows_of(run(config, output=folder, inline=True)) for config in configs]


@pytest.mark.parametrize("stack", [None, 1])
def test_a_learner_has_the_bits_of_a_run_that_augments_as_it_does(
    alike: tuple[str, list[dict[int, bytes]]], stack: int | None, tmp_path: Path
) -> None:
    share, runs = alike
    cluster = {"stack": stack}
    base = {"policy": POLICIES["shift"], "share": share}
    config = config_of(augment=base, ensemble=pool_of("none", "shift", "mixed"), cluster=cluster)
    own = rows_of(run(config, output=tmp_path, inline=True))
    assert len(own) == 6
    for place, weights in enumerate(runs):
        for learner in (2 * place, 2 * place + 1):
            assert own[learner] == weights[learner]


def test_learners_share_a_stack_where_their_augmentation_agrees() -> None:
    config = config_of(augment={"policy": [SHIFT]}, ensemble=pool_of("none", "shift", "mixed"))
    plans = make_plans(config).networks
    assert [plan.augment is None for plan in plans] == [False, False, True, True, False, False]
    kinds = [stack_kind(plan) for plan in plans]
    assert kinds[0] == kinds[1] != kinds[2] == kinds[3] != kinds[4]
    assert "augment" in plans[0].to_dict()
    assert "augment" not in plans[2].to_dict()


def test_the_strength_of_augmentation_is_searched(tmp_path: Path) -> None:
    space = {
        "augment.policy.0.pixels": {"integer": [1, 2]},
        "augment.share": ["all", "per_learner"],
    }
    section = {"space": space, "driver": "grid", "top": 2}
    found = {}
    for stack in (None, 1):
        config = config_of(augment=[SHIFT], search=section, cluster={"stack": stack})
        found[stack] = search(config, output=tmp_path, inline=True)
    assert found[None].trials == found[1].trials
    assert len({trial.score for trial in found[1].trials}) == 4
    summary = read_run_summary(RunPaths(Path(found[1].run.run_dir)))
    policies = [summary.plans[n].get("augment") for n in range(4)]
    assert policies[0] is None  # as the run augments
    assert [own["policy"][0]["pixels"] for own in policies[1:] if own] == [1, 2, 2]


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ([], {"augment.policy.0.pixels": 2}, "augment.policy.0.pixels: there is no such key"),
        ([SHIFT], {"augment.policy.0.pixels": -1}, "should be greater than or equal to 0, got -1"),
        ([SHIFT], {"augment.memory_mb": 5}, "augment.memory_mb: is of all learners alike"),
        ([SHIFT], {"augment.test_draws": 5}, "augment.test_draws: is of all learners alike"),
        (
            {"policy": [SHIFT], "test_draws": 2},
            {"augment.policy.0.pixels": 2},
            "so say in augment.test_policy how rows are drawn",
        ),
        (
            [],
            {"augment.policy": [{"name": "feature_noise"}]},
            "feature_noise is for rows of tables",
        ),
        ([], {"augment.policy": [{"name": "shift_crop", "pixels": 20}]}, "may leave nothing of"),
        ([], {"data.set": "wine"}, "'data.set' cannot differ between learners"),
    ],
)
def test_what_a_learner_cannot_have_of_its_own_is_refused(
    section: Any, values: dict[str, Any], message: str, tmp_path: Path
) -> None:
    group = {"strategy": "independent", "learners": 1, "set": values}
    with pytest.raises(ConfigError, match=message):
        run(config_of(augment=section, ensemble={"pool": [group]}), output=tmp_path, inline=True)
    assert list(tmp_path.iterdir()) == []


def test_a_space_that_does_not_fit_the_rows_is_refused_before_training(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "data: {source: bundled, set: digits}\ntracking: {mlflow: false}\n"
        "augment: [{name: shift_crop, pixels: 1}]\n"
        "search: {trials: 12, driver: tpe, space: {augment.policy.0.pixels: {integer: [1, 8]}}}\n"
    )
    with pytest.raises(ConfigError, match="by up to 8 pixels may leave nothing of images of 8x8"):
        search(path, output=tmp_path / "runs", inline=True)
    assert not (tmp_path / "runs").exists()


def test_versions_at_prediction_are_of_one_policy(tmp_path: Path) -> None:
    section = {"policy": [SHIFT], "test_draws": 2, "test_policy": [SHIFT]}
    config = config_of(augment=section, ensemble=pool_of("none", "shift"))
    result = run(config, output=tmp_path, inline=True)
    assert np.isfinite(result.metrics["test/nll"])


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_trainers_on_ray_augment_each_learner_in_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(ensemble=pool_of("none", "shift", "mixed"), cluster={"stack": 1})
    here = rows_of(run(config, output=tmp_path, inline=True))
    assert rows_of(run(config, output=tmp_path, address="local")) == here
    monkeypatch.setattr("ensemble_pipe.cluster.ray.SHARED_BYTES", 1)  # by a service of shards
    assert rows_of(run(config, output=tmp_path, address="local")) == here
