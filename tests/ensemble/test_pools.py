"""Strategies and pools end to end: what members they yield, and that nothing else changes them."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import plain_schema
from small_pipelines import SPLITS, small_settings

import ensemble_pipe
from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.errors import ConfigError, CorruptFileError
from ensemble_pipe.core.storage import sha256_of
from ensemble_pipe.ensemble.members import EstimatorMember, NetworkMember, member_outputs
from ensemble_pipe.ensemble.members.estimator_files import read_estimator
from ensemble_pipe.nn.sharing import Sharing
from ensemble_pipe.run.pipeline import RunResult, resume, run
from ensemble_pipe.training.estimator_settings import CatBoost, HistogramBoosting, LightGbm
from ensemble_pipe.training.estimators import build_estimator, is_of_plan

TREES = {"strategy": "random_forest", "trees": 8}
POOL = [
    {"strategy": "independent", "learners": 2, "set": {"network.hidden": [5]}},
    TREES,
    {"strategy": "histogram_boosting", "rounds": 5},
    {"strategy": "linear"},
    {"strategy": "nearest_neighbors", "neighbors": 7},
    {
        "strategy": "mc_dropout",
        "learners": 1,
        "passes": 3,
        "set": {"network.dropout": 0.2, "network.hidden": [24]},
    },
    {"strategy": "fast_geometric", "learners": 1},
    {"strategy": "bagging", "learners": 1},
    {"strategy": "shared", "learners": 1, "members": 3, "form": "mini"},
]


def pipeline(**values: Any) -> Pipeline:
    plain = small_settings(hidden=6, epochs=6, splits=SPLITS)
    return Pipeline.model_validate({**plain, **values})


@pytest.fixture(scope="module")
def pooled(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    folder = tmp_path_factory.mktemp("pool")
    return run(pipeline(ensemble={"pool": POOL}), output=folder, inline=True)


def test_a_pool_numbers_its_learners_through_and_each_yields_its_members(
    pooled: RunResult,
) -> None:
    members = ensemble_pipe.load(pooled.run_dir).members
    kinds = [(member.learner, member.kind) for member in members]
    assert kinds == [
        (0, "mlp"), (1, "mlp"), (2, "random_forest"), (3, "histogram_boosting"), (4, "linear"),
        (5, "nearest_neighbors"), *[(6, "mlp with dropout")] * 3, *[(7, "mlp")] * 5, (8, "mlp"),
        *[(9, "mlp that shares weights")] * 3,
    ]  # fmt: skip
    first = members[0]
    assert isinstance(first, NetworkMember)
    assert first.network.hidden == (5,)  # type: ignore[union-attr]
    assert pooled.failed == {}


def test_members_of_a_pool_are_worth_something(pooled: RunResult) -> None:
    lines = (Path(pooled.run_dir) / "journal.jsonl").read_text().splitlines()
    found = [entry for entry in map(json.loads, lines) if entry["kind"] == "member_test"]
    by_learner = {entry["learner"]: entry["metrics"]["test/accuracy"] for entry in found}
    assert set(by_learner) == set(range(10))
    assert all(by_learner[learner] > 0.8 for learner in (2, 3, 4, 5))  # of ten classes


def test_a_pool_is_resumed_and_loaded_to_the_same_predictions(pooled: RunResult) -> None:
    assert resume(pooled.run_dir, inline=True).metrics == pooled.metrics
    images = np.random.default_rng(1).integers(0, 17, (40, 8, 8)).astype(np.uint8)
    model = ensemble_pipe.load(pooled.run_dir)
    whole = model.predict_proba(images)
    np.testing.assert_allclose(whole.sum(axis=1), 1.0)
    # The bits of a row do not depend on the rows beside it.
    assert model.predict_proba(images[7:9]).tobytes() == whole[7:9].tobytes()


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_scikit_learn_learners_are_the_same_on_ray(
    tmp_path: Path,
) -> None:
    small = pipeline(ensemble={"pool": [TREES, {"strategy": "linear"}, POOL[0]]})
    here = run(small, output=tmp_path / "here", inline=True)
    there = run(
        small,
        output=tmp_path / "there",
    )
    assert there.metrics == here.metrics


def test_a_regression_pool_gives_every_member_a_variance(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    inputs = random.standard_normal((300, 3))
    targets = inputs @ [1.0, -2.0, 0.5] + 0.3 * random.standard_normal(300)
    path = tmp_path / "rows.npz"
    np.savez(path, a=inputs[:, 0], b=inputs[:, 1], c=inputs[:, 2], y=targets)
    gaussian = {"training.loss": {"name": "gaussian_nll"}}
    squared = {"training.loss": {"name": "squared_error"}}
    pool = [
        {"strategy": "independent", "learners": 1, "set": squared},
        {"strategy": "independent", "learners": 1, "set": gaussian},
        TREES,
        {"strategy": "histogram_boosting", "rounds": 5},
        {"strategy": "linear"},
        {"strategy": "nearest_neighbors"},
    ]
    data = {"source": "table", "path": str(path), "label": "y"}
    scale = {"name": "standardize"}  # under which the truth is linear
    config = pipeline(task="regression", data=data, scale=scale, ensemble={"pool": pool})
    result = run(config, output=tmp_path / "runs", inline=True)
    members = ensemble_pipe.load(result.run_dir).members
    assert [len(member.noise) for member in members] == [1, 0, 1, 0, 1, 1]
    linear = members[4]
    assert linear.noise[0] * targets.var() == pytest.approx(0.09, rel=0.5)  # what was added


def test_cross_validation_gives_every_learner_the_rows_of_all_folds_but_one() -> None:
    config = pipeline(ensemble={"strategy": "cross_validation", "learners": 4})
    plans = make_plans(config).networks
    assert {plan.view.folds for plan in plans} == {4}
    assert [plan.learner for plan in plans] == [0, 1, 2, 3]


def test_strategies_set_what_they_need() -> None:
    config = pipeline(ensemble={"pool": POOL})
    plans = {plan.learner: plan for plan in make_plans(config).networks}
    assert [plan.learner for plan in make_plans(config).estimators] == [2, 3, 4, 5]
    assert plans[6].dropout_passes == 3
    assert (plans[7].snapshots, plans[7].schedule.name) == (True, "fast_geometric")
    assert plans[9].sharing == Sharing(members=3, form="mini")
    assert (plans[8].view.bootstrap, plans[0].view.bootstrap) == (True, False)


@pytest.mark.parametrize(("ensemble", "message"), [
    ({"strategy": "mc_dropout"}, "needs a network that drops units"),
    ({"strategy": "shared", "pool": None, "members": 0}, "members"),
    ({"strategy": "cross_validation", "learners": 1}, "at least 2 learners"),
    ({"pool": [{"strategy": "linear", "set": {"network.hidden": [3]}}]}, "set"),
    ({"pool": [{"strategy": "independent", "set": {"data.path": "x"}}]}, "cannot differ"),
])  # fmt: skip
def test_what_cannot_be_is_refused(tmp_path: Path, ensemble: Any, message: str) -> None:
    with pytest.raises((ConfigError, ValueError), match=message):
        run(pipeline(ensemble=ensemble), output=tmp_path, inline=True)
    assert not list(tmp_path.iterdir())


def rare_classes(folder: Path, pool: list[dict[str, Any]], counts: list[int]) -> Pipeline:
    """Return the pipeline of a pool on as many rows of each of the classes a, b, c as are wanted.

    By its seed a class of one row has it in the training part.
    """
    labels = np.repeat(list("abc")[: len(counts)], counts)
    numbers = np.random.default_rng(0).normal(size=len(labels)) + np.arange(len(labels))
    path = folder / "rare.csv"
    path.write_text("x,y\n" + "".join(f"{x},{y}\n" for x, y in zip(numbers, labels, strict=True)))
    data = {"source": "table", "path": str(path), "label": "y"}
    splits = {"validation": 0.1, "stop": 2, "test": 0.1}
    return pipeline(seed=2, data=data, splits=splits, ensemble={"pool": pool})


@pytest.mark.parametrize("strategy", ["linear", "histogram_boosting"])
def test_a_learner_that_cannot_be_fitted_is_named_and_the_others_go_on(
    tmp_path: Path, strategy: str
) -> None:
    pool = [{"strategy": strategy, "learners": 2, "cross_validate": True}]
    result = run(rare_classes(tmp_path, pool, [60, 1]), output=tmp_path / "runs", inline=True)
    assert result.members == 1
    assert f"{strategy}: the rows that the learner sees" in result.failed[0]
    assert "all have the class 'a', and it needs two" in result.failed[0]


@pytest.mark.parametrize("counts", [[60, 59, 1], [60, 30, 30], [9, 2, 2]])
def test_boosting_takes_classes_that_cannot_be_divided(tmp_path: Path, counts: list[int]) -> None:
    config = rare_classes(tmp_path, [{"strategy": "histogram_boosting", "rounds": 5}], counts)
    assert run(config, output=tmp_path / "runs", inline=True).members == 1


def test_passes_of_dropout_differ_and_each_is_a_function_of_the_row(pooled: RunResult) -> None:
    model = ensemble_pipe.load(pooled.run_dir)
    passes = [m for m in model.members if m.kind == "mlp with dropout"]
    inputs = np.random.default_rng(3).standard_normal((5, 8, 8, 1)).astype(np.float32)

    def read(start: int, stop: int, out: Any) -> None:
        out[:] = inputs[start:stop]

    outputs = member_outputs(passes, model.schema, [read], 5)
    assert len({one.tobytes() for one in outputs}) == 3
    assert member_outputs(passes, model.schema, [read], 5).tobytes() == outputs.tobytes()
    alone = member_outputs(passes[1:2], model.schema, [read], 5)[0]
    assert alone.tobytes() == outputs[1].tobytes()


def skops_with(member: EstimatorMember, old: bytes, new: bytes) -> bytes:
    """Return an estimator's file in which one text of its description is another."""
    changed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(member.content)) as source,
        zipfile.ZipFile(changed, "w") as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(old, new))
    return changed.getvalue()


def test_an_estimator_file_of_another_type_is_refused_and_never_run(pooled: RunResult) -> None:
    members = ensemble_pipe.load(pooled.run_dir).members
    (linear,) = [m for m in members if isinstance(m, EstimatorMember) and m.kind == "linear"]
    forged = skops_with(linear, b"LogisticRegression", b"os.system")
    with pytest.raises(CorruptFileError, match="refused"):
        read_estimator(forged, "estimator-0004.skops")
    with pytest.raises(CorruptFileError, match=r"estimator-0004\.skops: not an estimator"):
        read_estimator(b"PK no zip", "estimator-0004.skops")


def test_an_estimator_for_other_rows_is_refused(pooled: RunResult, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for path in (Path(pooled.run_dir) / "model").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    facts = json.loads((folder / "model.json").read_text())
    place = next(i for i, m in enumerate(facts["members"]) if m["kind"] == "estimator")
    from sklearn.linear_model import LogisticRegression
    from skops import io as skops

    other = LogisticRegression().fit(np.eye(3), [0, 1, 2])
    name = facts["members"][place]["file"]
    (folder / name).write_bytes(skops.dumps(other))
    sums = {path.name: sha256_of(path) for path in folder.iterdir() if path.name != "manifest.json"}
    (folder / "manifest.json").write_text(json.dumps({"sums": sums}))
    with pytest.raises(CorruptFileError, match="not for rows of 64 numbers"):
        ensemble_pipe.load(folder)


@pytest.mark.parametrize("learner", [0, 1, 4, 5])
def test_an_estimator_is_what_its_plan_fits(learner: int) -> None:
    pool = [{**TREES, "learners": 2}, {**TREES, "trees": 9}, *POOL[2:5]]
    plans = make_plans(pipeline(ensemble={"pool": pool})).estimators
    settings = plans[learner].settings
    assert not isinstance(settings, LightGbm | CatBoost)
    estimator = settings.build("classification", 1)
    assert not any(is_of_plan(estimator, plan, "classification") for plan in plans[:4])
    own = build_estimator(plans[learner], "classification")
    fits = [plan.learner for plan in plans if is_of_plan(own, plan, "classification")]
    assert fits == [learner]


def test_an_estimator_of_several_targets_is_what_its_plan_fits() -> None:
    from sklearn.multioutput import MultiOutputRegressor

    (plan,) = make_plans(pipeline(ensemble={"pool": [POOL[2]]})).estimators
    own = MultiOutputRegressor(build_estimator(plan, "regression").set_params(early_stopping=False))
    assert is_of_plan(own, plan, "regression")
    assert isinstance(plan.settings, HistogramBoosting)
    other = MultiOutputRegressor(plan.settings.build("regression", 1))
    assert not is_of_plan(other, plan, "regression")


def test_the_estimator_of_another_learner_is_refused(tmp_path: Path) -> None:
    settings = pipeline(ensemble={"pool": [{**TREES, "learners": 2}]})
    root = Path(run(settings, output=tmp_path, inline=True).run_dir)
    first, second = (root / "learners" / name for name in ("0000", "0001"))
    (second / "estimator.skops").write_bytes((first / "estimator.skops").read_bytes())
    facts = json.loads((first / "estimator.json").read_text())
    (second / "estimator.json").write_text(json.dumps({**facts, "learner": 1}))
    with pytest.raises(
        CorruptFileError, match=r"0001/estimator\.skops: is not what learner 1 fits"
    ):
        resume(root, inline=True)


def test_one_forest_is_its_member_outputs() -> None:
    from sklearn.ensemble import RandomForestClassifier
    from skops import io as skops

    random = np.random.default_rng(4)
    inputs = random.standard_normal((200, 4)).astype(np.float32)
    labels = (inputs[:, 0] > 0).astype(int) * 2  # class 1 never occurs
    forest = RandomForestClassifier(5, random_state=1).fit(inputs, labels)
    member = EstimatorMember(0, 0, 0, "random_forest", skops.dumps(forest))

    def read(start: int, stop: int, out: Any) -> None:
        out[:] = inputs[start:stop]

    schema = plain_schema("classification", (4,), ("a", "b", "c"))
    (outputs,) = member_outputs([member], schema, [read], 200)
    expected = forest.predict_proba(inputs)
    np.testing.assert_allclose(np.exp(outputs[:, [0, 2]]), expected, atol=1e-5)
    assert (outputs[:, 1] < np.log(1e-5)).all()


@pytest.mark.parametrize("name", ["left_child", "feature"])
def test_a_tree_that_leads_out_of_its_nodes_is_refused(name: str) -> None:
    """Compiled code would follow the number out of its array."""
    from sklearn.ensemble import RandomForestClassifier
    from skops import io as skops

    random = np.random.default_rng(5)
    inputs = random.standard_normal((100, 4))
    forest = RandomForestClassifier(2, random_state=1).fit(inputs, inputs[:, 0] > 0)
    tree = forest.estimators_[1].tree_
    state = tree.__getstate__()
    state["nodes"][name][0] = 10**6
    tree.__setstate__(state)
    with pytest.raises(CorruptFileError, match="a node of a tree"):
        read_estimator(skops.dumps(forest), "estimator-0000.skops")


def test_a_tree_that_asks_for_a_category_is_refused() -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from skops import io as skops

    inputs = np.random.default_rng(5).standard_normal((100, 4))
    boosted = HistGradientBoostingClassifier(max_iter=2).fit(inputs, inputs[:, 0] > 0)
    for predictor in boosted._predictors[0]:
        predictor.nodes["is_categorical"][0] = 1
        predictor.nodes["bitset_idx"][0] = 2**31 - 1
    with pytest.raises(CorruptFileError, match="asks for a category"):
        read_estimator(skops.dumps(boosted), "estimator-0000.skops")


def test_another_estimator_of_scikit_learn_is_refused() -> None:
    from sklearn.naive_bayes import GaussianNB
    from skops import io as skops

    other = GaussianNB().fit(np.eye(3), [0, 1, 2])
    with pytest.raises(CorruptFileError, match="it is a GaussianNB"):
        read_estimator(skops.dumps(other), "estimator-0000.skops")
