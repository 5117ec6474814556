"""Learners with a scale of their own: each is trained as if it were the scale of the run."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from conftest import StopAt
from sklearn.datasets import load_wine
from small_pipelines import SPLITS, noisy_columns, small_settings, write_rows

import ensemble_pipe
from ensemble_pipe import EnsembleClassifier
from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.run.pipeline import RunResult, resume, run
from ensemble_pipe.search.pipeline import search
from ensemble_pipe.tracking.run_summary import read_run_summary
from ensemble_pipe.training.stacks import stack_kind

SCALES: dict[str, dict[str, Any]] = {
    "standardize": {"name": "standardize"},
    "range": {"name": "range", "low": -1.0, "high": 1.0},
    "robust_clip": {"name": "robust_clip"},
    "quantile": {"name": "quantile"},
}
TRAINING = {"epochs": 3, "batch_size": 16, "optimizer": {"name": "sgd", "learning_rate": 0.05}}
WINE = {"source": "bundled", "set": "wine"}


def config_of(**sections: Any) -> Pipeline:
    """Return a pipeline whose rule does not blow up the rounding of small gradients."""
    common = {"data": WINE, "splits": SPLITS, "training": TRAINING, **sections}
    return Pipeline.model_validate(small_settings(hidden=8, epochs=3, batch_size=16, **common))


def pool_of(**others: Any) -> dict[str, Any]:
    group = {"strategy": "independent", "learners": 2, **others}
    return {"pool": [{**group, "set": {"scale": one}} for one in SCALES.values()]}


def run_here(config: Pipeline, folder: Path) -> RunResult:
    return run(config, output=folder, inline=True)


def tensors_of(result: RunResult) -> dict[int, list[Floats]]:
    """Return the numbers of every member, by learner."""
    found: dict[int, list[Floats]] = {}
    for member in ensemble_pipe.load(result.run_dir).members:
        found.setdefault(member.learner, []).extend(member.tensors().values())
    return found


def bits_of(result: RunResult) -> dict[str, bytes]:
    """Return the bytes of a run's model and predictions, by name."""
    paths = RunPaths(Path(result.run_dir))
    files = [paths.model / "model.json", paths.model / "members.safetensors"]
    return {path.name: path.read_bytes() for path in (*files, paths.predictions("test"))}


@pytest.fixture(scope="module")
def of_one_scale(tmp_path_factory: pytest.TempPathFactory) -> list[dict[int, list[Floats]]]:
    """The numbers of a run of each scale."""
    folder = tmp_path_factory.mktemp("alike")
    return [
        tensors_of(run_here(config_of(scale=scale, ensemble={"learners": 8}), folder))
        for scale in SCALES.values()
    ]


@pytest.mark.parametrize(
    "stored", [None, {"name": "quantile"}, {"name": "range", "low": -1.0, "high": 1.0}], ids=str
)
def test_a_learner_has_the_numbers_of_a_run_of_its_scale(
    stored: Any, of_one_scale: list[dict[int, list[Floats]]], tmp_path: Path
) -> None:
    sections = {} if stored is None else {"scale": stored}
    own = tensors_of(run_here(config_of(ensemble=pool_of(), **sections), tmp_path))
    assert len(own) == 8
    for place, alike in enumerate(of_one_scale):
        for learner in (2 * place, 2 * place + 1):
            for tensor, expected in zip(own[learner], alike[learner], strict=True):
                np.testing.assert_allclose(tensor, expected, atol=2e-6)


@pytest.mark.parametrize(
    ("group", "sections"),
    [
        ({"strategy": "shared", "learners": 1, "members": 3, "form": "packed"}, {}),
        ({"strategy": "shared", "learners": 1, "members": 3}, {"network": {"name": "tabm"}}),
        ({"strategy": "boosting", "rounds": 2}, {}),
        ({"strategy": "mc_dropout", "passes": 2}, {"network": {"hidden": [8], "dropout": 0.2}}),
        ({"strategy": "bagging"}, {"network": {"name": "realmlp", "hidden": [8]}}),
        ({"strategy": "cross_validation"}, {}),
        ({}, {"augment": [{"name": "mixup"}], "training": {**TRAINING, "order": "shared"}}),
    ],
    ids=str,
)
def test_every_kind_of_learner_may_have_one(
    group: dict[str, Any], sections: dict[str, Any], tmp_path: Path
) -> None:
    """Of columns of several kinds, with holes; a model is read as it was written."""
    random = np.random.default_rng(4)
    columns = noisy_columns(random, 240)
    columns["b"] = pa.array(columns["b"], mask=random.random(240) < 0.2)
    columns["place"] = random.choice(["north", "south", "east"], 240)
    rules = {"b": {"missing": "median", "indicator": True}}
    rules |= {"place": {"kind": "category", "encode": "code"}}
    data = {
        "source": "table", "path": str(write_rows(tmp_path, columns)), "label": "y",
        "ignore": ["z"], "columns": rules,
    }  # fmt: skip
    sections = {"data": data, "scale": SCALES["standardize"], **sections}
    one = {"strategy": "independent", "learners": 2, **group}
    scale = "range" if "augment" in sections else "robust_clip"  # rows are mixed before
    pool = [{**one, "set": {"scale": SCALES[scale]}}, one]
    result = run_here(config_of(ensemble={"pool": pool}, **sections), tmp_path / "own")
    whole = {**sections, "scale": SCALES[scale], "ensemble": {"pool": [one, one]}}
    expected = run_here(config_of(**whole), tmp_path / "whole")
    own, alike = tensors_of(result), tensors_of(expected)
    half = len(own) // 2
    for learner in range(half):
        for tensor, other in zip(own[learner], alike[learner], strict=True):
            np.testing.assert_allclose(tensor, other, atol=1e-4)
    assert not np.allclose(own[half][0], alike[half][0], atol=1e-4)
    rows = pa.table({name: columns[name] for name in ("a", "b", "c", "place")}).to_pandas()
    predicted = ensemble_pipe.load(result.run_dir).predict_members(rows)
    members = len(predicted) // 2
    wanted = ensemble_pipe.load(expected.run_dir).predict_members(rows)
    np.testing.assert_allclose(predicted[:members], wanted[:members], atol=1e-3)


def test_images_of_another_scale_are_learned_too(tmp_path: Path) -> None:
    digits = {"data": {"source": "bundled", "set": "digits"}}
    network = {"name": "cnn", "filters": [4], "hidden": [8]}
    ensemble = {"pool": [{"strategy": "independent", "set": {"scale.name": "range"}}]}
    own = run_here(config_of(ensemble=ensemble, network=network, **digits), tmp_path)
    whole = config_of(scale={"name": "range"}, network=network, **digits)
    assert own.metrics["test/nll"] == pytest.approx(
        run_here(whole, tmp_path).metrics["test/nll"], rel=1e-3
    )


def test_learners_share_a_stack_where_their_scales_agree() -> None:
    plans = make_plans(config_of(ensemble=pool_of())).networks
    assert [plan.scale is None for plan in plans] == [True, True, *[False] * 6]
    kinds = [stack_kind(plan) for plan in plans]
    assert kinds[::2] == kinds[1::2]
    assert len(set(kinds)) == 4
    assert "scale" not in plans[0].to_dict()
    assert plans[2].to_dict()["scale"] == SCALES["range"]


def test_stacks_of_any_width_and_runs_that_went_on_have_the_same_bits(tmp_path: Path) -> None:
    found = []
    for width in (1, 3):
        config = config_of(ensemble=pool_of(learners=3), cluster={"stack": width})
        found.append(bits_of(run_here(config, tmp_path / str(width))))
    assert found[0] == found[1]
    for checkpoints in (2, 17):
        output = tmp_path / f"cut-{checkpoints}"
        with pytest.raises(KeyboardInterrupt):
            run(config, output=output, inline=True, display=StopAt(checkpoints))
        (cut,) = output.iterdir()
        assert bits_of(resume(cut, inline=True)) == found[0]


def test_scales_vary_within_a_group(tmp_path: Path) -> None:
    vary = {"scale.name": ["range", "quantile"]}
    result = run_here(config_of(ensemble={"learners": 4, "vary": vary}), tmp_path)
    plans = read_run_summary(RunPaths(Path(result.run_dir))).plans
    assert [plans[n]["scale"]["name"] for n in range(4)] == ["range", "quantile"] * 2


@pytest.mark.parametrize("driver", ["grid", "random"])
def test_scales_are_searched(driver: str, tmp_path: Path) -> None:
    space = {
        "scale.name": ["standardize", "range", "robust_clip", "quantile"],
        "scale.low": {"uniform": [-1.0, 0.5], "when": {"scale.name": "range"}},
    }
    if driver == "grid":
        del space["scale.low"]
    section = {"space": space, "driver": driver, "top": 2}
    if driver == "random":
        section["trials"] = 16
    found = {}
    for stack in (None, 1):
        config = config_of(search=section, cluster={"stack": stack})
        found[stack] = search(config, output=tmp_path, inline=True)
    trials = found[None].trials
    assert trials == found[1].trials
    assert {trial.values["scale.name"] for trial in trials} == set(space["scale.name"])
    assert len({trial.score for trial in trials}) == len(trials)
    model = ensemble_pipe.load(found[1].run.run_dir)
    inputs = load_wine(as_frame=True).data
    assert np.isfinite(model.predict_proba(inputs)).all()


def test_the_estimators_take_them() -> None:
    inputs, targets = load_wine(return_X_y=True)
    vary = {"ensemble": {"learners": 4, "vary": {"scale.name": ["standardize", "quantile"]}}}
    model = EnsembleClassifier(epochs=8, overrides=vary, random_state=1).fit(inputs, targets)
    assert model.score(inputs, targets) > 0.9


@pytest.mark.parametrize(
    ("values", "sections", "message"),
    [
        ({"scale.name": "pca"}, {}, "scale.name: pca mixes columns, so all learners have it"),
        ({"scale.name": "rang"}, {}, "scale.name: unknown 'rang'; did you mean"),
        (
            {"scale.low": 1.0},
            {"scale": SCALES["quantile"]},
            "scale.low: unknown key 'low'; valid: name",
        ),
        ({"scale.low": 2.0}, {"scale": SCALES["range"]}, r"low \(2.0\) must be less than high"),
        (
            {"scale.name": "quantile"},
            {"data": {"source": "bundled", "set": "digits"}},
            "scale: quantile is for tables; images take standardize or range",
        ),
    ],
)
def test_what_a_learner_cannot_have_of_its_own_is_refused(
    values: dict[str, Any], sections: dict[str, Any], message: str, tmp_path: Path
) -> None:
    group = {"strategy": "independent", "learners": 1, "set": values}
    with pytest.raises(ConfigError, match=message):
        run_here(config_of(ensemble={"pool": [group]}, **sections), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_mixes_columns_has_no_other_scale(tmp_path: Path) -> None:
    pool = [{"strategy": "independent", "learners": 1}]
    pool.append({**pool[0], "set": {"scale.name": "range"}})
    config = config_of(scale={"name": "zca"}, ensemble={"pool": pool})
    with pytest.raises(ConfigError, match=r"scale\.name: zca mixes columns"):
        run_here(config, tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_trainers_on_ray_have_the_same_bits(tmp_path: Path) -> None:
    config = config_of(ensemble=pool_of(), cluster={"stack": 1})
    here = run_here(config, tmp_path / "here")
    assert bits_of(run(config, output=tmp_path / "ray", address="local")) == bits_of(here)
