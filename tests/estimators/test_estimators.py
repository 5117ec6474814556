"""EnsembleClassifier and EnsembleRegressor behave as scikit-learn's own estimators do."""

import pickle
import re
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from estimator_data import LABELS, NUMBERS, QUICK, X, labelled
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, make_friedman1
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import ensemble_pipe
from ensemble_pipe import EnsembleClassifier, EnsembleRegressor
from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.errors import ClusterError, TrainingError
from ensemble_pipe.estimators.examples import split_examples
from ensemble_pipe.estimators.parameters import PATHS, pipeline_of

RANDOM = np.random.default_rng(4)
BOTH = [(EnsembleClassifier, LABELS), (EnsembleRegressor, NUMBERS)]


def outputs(estimator: Any, rows: Floats = X) -> Array:
    return np.asarray(estimator.predict_members(rows))


@pytest.mark.parametrize(
    "parameters",
    [{"learners": 2, "hidden": (32,), "epochs": 30}, pytest.param({}, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("kind", [EnsembleClassifier, EnsembleRegressor])
def test_scikit_learns_whole_suite_passes_without_an_expected_failure(
    kind: Any, parameters: dict[str, Any]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(kind(**parameters), expected_failed_checks={})
    found = {result["check_name"]: result["status"] for result in results}
    assert len(found) > 40
    skipped = {name for name, status in found.items() if status != "passed"}
    assert skipped <= {"check_array_api_input"}  # needs SCIPY_ARRAY_API


@pytest.mark.parametrize(("kind", "y"), BOTH)
def test_a_time_limit_ends_the_fit_with_what_it_has(kind: Any, y: Array) -> None:
    estimator = kind(**{**QUICK, "epochs": 1_000_000, "learners": 2}, time_limit=1.5)
    began = time.monotonic()
    with pytest.warns(
        ConvergenceWarning, match=r"time limit 1\.5s: learner 0 joins as it was at 0%"
    ):
        estimator.fit(X, y)
    assert time.monotonic() - began < 30  # of a million epochs
    assert np.isfinite(outputs(estimator)).all()


@pytest.mark.parametrize(("kind", "y"), BOTH)
def test_one_random_state_gives_the_same_bits(kind: Any, y: Array) -> None:
    def bits(state: Any) -> bytes:
        return outputs(kind(**{**QUICK, "random_state": state}).fit(X, y)).tobytes()

    assert bits(5) == bits(5)
    assert bits(np.random.RandomState(5)) == bits(np.random.RandomState(5))
    assert len({bits(5), bits(6), bits(None), bits(None)}) == 4


@pytest.mark.slow
def test_ray_gives_the_same_bits(ray_cluster: None) -> None:
    here = EnsembleClassifier(**QUICK).fit(X, LABELS)
    there = clone(here).set_params(address="auto").fit(X, LABELS)
    assert outputs(here).tobytes() == outputs(there).tobytes()


@pytest.mark.parametrize(("kind", "y"), BOTH)
def test_it_works_inside_pipelines_and_searches(kind: Any, y: Array) -> None:
    pipeline = make_pipeline(StandardScaler(), kind(**QUICK))
    assert len(cross_val_score(pipeline, X, y, cv=2)) == 2
    frame = pd.DataFrame(X, columns=list("abcd"))
    grid = {"epochs": np.array([1, 30]), "learning_rate": np.logspace(-2.5, -2, 2)}
    search = GridSearchCV(kind(**QUICK), grid, cv=2).fit(frame, y)
    assert search.best_params_["epochs"] == 30
    assert search.best_estimator_.feature_names_in_.tolist() == list("abcd")
    assert search.score(frame, y) > 0.7


def test_the_defaults_learn_real_and_made_data() -> None:
    rows, y = load_breast_cancer(return_X_y=True)
    model = EnsembleClassifier(random_state=1).fit(rows[::2], y[::2])
    assert model.score(rows[1::2], y[1::2]) > 0.95
    rows, y = make_friedman1(400, noise=1.0, random_state=1)
    numbers = EnsembleRegressor(random_state=1).fit(rows[::2], y[::2])
    assert numbers.score(rows[1::2], y[1::2]) > 0.75
    mean, std = numbers.predict(rows[1::2], return_std=True)
    assert 0.8 < np.mean(np.abs(y[1::2] - mean) < 1.96 * std) <= 1.0


@pytest.mark.parametrize("labels", [LABELS, LABELS.astype(object), LABELS == "yes", X[:, 0] // 1])
def test_predictions_are_the_most_probable_of_the_users_own_labels(labels: Array) -> None:
    model = EnsembleClassifier(**QUICK).fit(X, labels)
    probabilities = model.predict_proba(X)
    assert model.classes_.tolist() == sorted(set(labels.tolist()))
    assert (model.predict(X) == model.classes_[probabilities.argmax(axis=1)]).all()
    np.testing.assert_allclose(outputs(model).mean(axis=0), probabilities)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert all(values.shape == (len(X),) for values in model.uncertainty(X).values())


def test_a_regressor_tells_mean_and_deviation() -> None:
    model = EnsembleRegressor(**QUICK).fit(X, NUMBERS)
    mean, std = model.predict(X, return_std=True)
    np.testing.assert_array_equal(mean, model.predict(X))
    np.testing.assert_array_equal(std, model.uncertainty(X)["std"])
    np.testing.assert_allclose(outputs(model).mean(axis=0), mean)
    assert (std > outputs(model).std(axis=0)).all()  # the noise comes on top


def test_weights_decide_between_labels_that_contradict_each_other() -> None:
    rows, y = np.vstack([X, X]), np.repeat(["no", "yes"], len(X))
    for heavy in ("no", "yes"):
        weights = np.where(y == heavy, 3.0, 1.0)
        model = EnsembleClassifier(**{**QUICK, "epochs": 30}).fit(rows, y, sample_weight=weights)
        share = model.predict_proba(X)[:, model.classes_ == heavy]
        assert share.mean() == pytest.approx(0.75, abs=0.05)


@pytest.mark.parametrize(("kind", "y"), BOTH)
def test_a_weight_of_zero_is_the_same_as_leaving_out(kind: Any, y: Array) -> None:
    weights = RANDOM.integers(0, 3, len(X))
    weighted = kind(**QUICK).fit(X, y, sample_weight=weights)
    kept = weights > 0
    without = kind(**QUICK).fit(X[kept], y[kept], sample_weight=weights[kept])
    assert outputs(weighted).tobytes() == outputs(without).tobytes()


@pytest.mark.parametrize(("kind", "y"), BOTH)
def test_in_one_batch_a_weight_is_the_same_as_a_repetition(kind: Any, y: Array) -> None:
    counts = RANDOM.integers(0, 4, len(X))
    model = kind(**QUICK, batch_size="all")
    weighted = outputs(clone(model).fit(X, y, sample_weight=counts))
    rows = RANDOM.permutation(np.repeat(np.arange(len(X)), counts))
    assert outputs(model.fit(X[rows], y[rows])).tobytes() == weighted.tobytes()


@pytest.mark.parametrize(("kind", "y"), BOTH)
def test_no_file_is_left_or_needed(
    kind: Any, y: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    model = kind(**QUICK).fit(X, y)
    assert list(tmp_path.iterdir()) == []
    copy = pickle.loads(pickle.dumps(model))
    assert outputs(copy).tobytes() == outputs(model).tobytes()
    model.save("model")
    loaded = ensemble_pipe.load("model")
    assert loaded.predict(X).tolist() == model.predict(X).tolist()
    assert outputs(loaded).tobytes() == outputs(model).tobytes()


def test_saving_leaves_a_users_own_files_and_removes_those_of_earlier_members(
    tmp_path: Path,
) -> None:
    own = ["data.csv", "members.csv", "my_trees-1.safetensors"]
    for name in (*own, "estimator-7.skops", "trees-8.safetensors", "library-9.lightgbm"):
        (tmp_path / name).write_text("earlier")
    EnsembleClassifier(**QUICK).fit(X, LABELS).save(tmp_path)
    model = ["manifest.json", "members.safetensors", "model.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*own, *model])


@pytest.mark.parametrize(("kind", "y", "expected"), [
    (EnsembleRegressor, np.full(20, 7.0), 7.0),
    (EnsembleRegressor, np.zeros(20), 0.0),
    (EnsembleClassifier, np.array(["a"] + 19 * ["b"]), None),
    (EnsembleRegressor, NUMBERS[:2], None),
    (EnsembleClassifier, np.array([0, 1]), None),
])  # fmt: skip
def test_little_and_constant_data(kind: Any, y: Array, expected: float | None) -> None:
    rows = np.hstack([X[: len(y)], np.ones((len(y), 1))])
    found = kind(**QUICK).fit(rows, y).predict(rows)
    assert found.shape == y.shape
    if expected is not None:
        np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize(("labels", "patience", "counts"), [
    ([0] * 50 + [1] * 49, None, (89, 10, 10)),
    ([0] * 50 + [1] * 40, None, (90, 90, 90)),
    ([0] * 100 + [1] * 100, None, (180, 20, 20)),
    ([0] * 100 + [1] * 100, 3, (160, 20, 20)),
    ([0] * 198 + [1] * 2, 3, (162, 19, 19)),  # the rare class goes back
])  # fmt: skip
def test_what_is_held_out(labels: list[int], patience: int | None, counts: tuple[int, ...]) -> None:
    held: dict[str, Any] = {"patience": patience, "validation_fraction": 0.1, "epochs": 5}
    values = EnsembleClassifier(**held).get_params()
    config, plans = pipeline_of(
        {name: values[name] for name in PATHS}, {}, "classification", 1, "test"
    )
    targets = np.array(labels)
    parts = split_examples(config, plans.networks, labelled(labels))
    assert tuple(len(parts[name]) for name in ("train", "stop", "validation")) == counts
    assert set(targets[parts["train"]]) == {0, 1}


def test_equal_rows_are_joined_for_networks_alone() -> None:
    random = np.random.default_rng(3)
    rows = random.integers(0, 3, (600, 1)).astype(float)
    labels = (random.random(600) < np.array([0.1, 0.5, 0.9])[rows[:, 0].astype(int)]).astype(int)
    pool = [{"strategy": "random_forest", "trees": 20}]
    values = {**QUICK, "learners": 5, "batch_size": "all"}
    model = EnsembleClassifier(**values, overrides={"ensemble.pool": pool})
    chances = model.fit(rows, labels).predict_proba([[0.0], [1.0], [2.0]])[:, 1]
    assert chances == pytest.approx([0.1, 0.5, 0.9], abs=0.1)


def test_folds_may_be_the_evidence() -> None:
    overrides = {
        "ensemble.strategy": "cross_validation",
        "ensemble.combine": {"evidence": "out_of_fold", "temperature": True},
    }
    model = EnsembleClassifier(**{**QUICK, "learners": 3}, overrides=overrides).fit(X, LABELS)
    assert len(outputs(model)) == 3
    assert model.model_.combiner.temperature != 1.0


def test_boosting_has_a_stop_part_of_its_own() -> None:
    values = EnsembleClassifier(validation_fraction=0.1).get_params()
    config, plans = pipeline_of(
        {name: values[name] for name in PATHS},
        {"ensemble.strategy": "boosting"}, "classification", 1, "test",
    )  # fmt: skip
    parts = split_examples(config, plans.networks, labelled([0, 1] * 100))
    assert not np.intersect1d(parts["stop"], parts["validation"]).size


def test_a_learner_that_fails_is_named() -> None:
    overrides = {"ensemble.vary": {"training.optimizer.learning_rate": [0.001, 1e30]}}
    model = EnsembleRegressor(**QUICK, optimizer="sgd", overrides=overrides)
    with pytest.warns(ConvergenceWarning, match="learner 1 failed and is no member: its loss"):
        model.fit(X, NUMBERS)
    assert len(outputs(model)) == 1


def test_a_missing_fold_is_not_made_up_for_by_rows_that_were_trained_on() -> None:
    overrides = {
        "ensemble.strategy": "cross_validation",
        "ensemble.vary": {"training.optimizer.learning_rate": [0.001, 1e30]},
        "ensemble.combine": {"evidence": "out_of_fold", "temperature": True, "coverage": 0.8},
    }
    model = EnsembleRegressor(**QUICK, optimizer="sgd", overrides=overrides)
    with pytest.raises(TrainingError, match=r"no group .* no rows are held out .*\(learner 1: its"):
        model.fit(X[:60], NUMBERS[:60])  # of which a tenth is too few to hold out
    with (
        pytest.warns(ConvergenceWarning, match="learner 1 failed"),
        pytest.warns(ConvergenceWarning, match="combined by the validation part"),
    ):
        model.fit(X, NUMBERS)


def test_more_folds_than_rows_are_a_value_error() -> None:
    overrides = {"ensemble.pool": [{"strategy": "linear", "cross_validate": True, "learners": 30}]}
    with pytest.raises(ValueError, match="30 folds are to be left out"):
        EnsembleClassifier(overrides=overrides).fit(X[:20], LABELS[:20])


def test_no_cluster_is_one_message_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: False)  # by tests before this one
    ensemble = EnsembleClassifier(address="127.0.0.1:1")
    with pytest.raises(ClusterError, match="nothing answers there") as told:
        ensemble.fit([[0.0], [1.0]], [0, 1])
    assert "address=None trains without Ray" in told.value.__notes__[0]


def test_the_code_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "estimators.md").read_text()
    names: dict[str, Any] = {}
    for code in re.findall(r"^```python\n(.*?)^```", page, re.M | re.S):
        exec(code, names)
    accuracy = re.search(r"accuracy (\S+)", capsys.readouterr().out)
    assert accuracy is not None
    assert float(accuracy[1]) > 0.95
    for name, default in EnsembleClassifier().get_params().items():
        shown = f'"{default}"' if isinstance(default, str) else str(default)
        row = next(
            line
            for line in page.splitlines()
            if line.startswith("|") and f"`{name}`" in line.split("|")[1]
        )
        assert shown in row.replace("`", "")


def test_the_package_does_not_load_scikit_learn_before_an_estimator_is_asked_for() -> None:
    code = (
        "import sys, ensemble_pipe; assert 'sklearn' not in sys.modules\n"
        "ensemble_pipe.EnsembleClassifier; print('ray' in sys.modules, 'mlflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"


def test_a_regressor_of_several_targets_predicts_each_in_its_own_units() -> None:
    y = np.stack([NUMBERS, 1000 * X[:, 1]], axis=1)
    model = EnsembleRegressor(**{**QUICK, "epochs": 200}).fit(X, y)
    mean, std = model.predict(X, return_std=True)
    assert mean.shape == std.shape == y.shape
    assert outputs(model).shape == (2, *y.shape)
    np.testing.assert_allclose(outputs(model).mean(axis=0), mean)
    assert model.score(X, y) > 0.9
    with pytest.warns(DataConversionWarning):
        first = EnsembleRegressor(**QUICK).fit(X, y[:, :1])
    assert outputs(first).shape == (2, len(X))
    assert outputs(first).tobytes() == outputs(EnsembleRegressor(**QUICK).fit(X, y[:, 0])).tobytes()


@pytest.mark.parametrize(("kind", "y"), BOTH)
def test_an_ensemble_in_folds_holds_nothing_out(kind: Any, y: Array) -> None:
    overrides = {"ensemble.combine.temperature": True}
    settings = {**QUICK, "learners": 6, "folds": 3, "patience": 3, "overrides": overrides}
    estimator = kind(**settings).fit(X, y)
    assert len(outputs(estimator)) == 6
    assert estimator.model_.combiner.temperature != 1.0
    values = {name: estimator.get_params()[name] for name in PATHS}
    config, plans = pipeline_of(values, {}, estimator._task, 1, "test")
    parts = split_examples(config, plans.networks, labelled([0, 1] * 25))
    assert {name: len(places) for name, places in parts.items()} == {"train": 50}
    np.testing.assert_array_equal(outputs(kind(**settings).fit(X, y)), outputs(estimator))


@pytest.mark.parametrize(("kind", "y"), BOTH)
@pytest.mark.parametrize("held", [{"folds": 3}, {"validation_fraction": 0.3}], ids=str)
def test_members_may_be_trained_again_on_all_rows(
    kind: Any, y: Array, held: dict[str, Any]
) -> None:
    settings = {**QUICK, "learners": 3, "patience": 3, **held}
    before, after = (kind(**settings, refit=refit).fit(X, y) for refit in (False, True))
    assert after.model_.combiner == before.model_.combiner
    assert [m.noise for m in after.model_.members] == [m.noise for m in before.model_.members]
    pairs = zip(outputs(after), outputs(before), strict=True)
    assert not any(np.array_equal(new, old) for new, old in pairs)
    again = kind(**settings, refit=True).fit(X, y)
    np.testing.assert_array_equal(outputs(again), outputs(after))


@pytest.mark.parametrize(
    "folds",
    [{"count": 3, "repeats": 2}, {"count": 3, "forward": "expanding", "gap": 2}],
    ids=str,
)
def test_folds_may_be_repeated_or_forward_in_the_order_of_the_rows(folds: dict[str, Any]) -> None:
    settings = {**QUICK, "learners": 6, "patience": 3, "folds": folds}
    model = EnsembleClassifier(**settings).fit(X, LABELS)
    assert len(outputs(model)) == 6
    np.testing.assert_array_equal(
        outputs(EnsembleClassifier(**settings).fit(X, LABELS)), outputs(model)
    )


@pytest.mark.parametrize(("folds", "message"), [
    ({"column": "a"}, "folds.column: is for pipeline files"),
    ({"count": 3, "forward": "sliding", "gap": 40}, "gap: 40 rows leave none of the"),
    ({"count": 0}, "folds.count: input should be greater"),
])  # fmt: skip
def test_folds_that_cannot_be_are_value_errors(folds: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EnsembleClassifier(learners=6, folds=folds).fit(X, LABELS)


def test_where_nothing_is_held_out_nothing_is_trained_again() -> None:
    settings = {**QUICK, "validation_fraction": 2}
    plain, refit = (
        EnsembleClassifier(**settings, refit=refit).fit(X, LABELS) for refit in (False, True)
    )
    np.testing.assert_array_equal(outputs(plain), outputs(refit))


def test_more_folds_than_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="folds are to be left out in turn"):
        EnsembleClassifier(learners=9, folds=9).fit(X[:6], LABELS[:6])
