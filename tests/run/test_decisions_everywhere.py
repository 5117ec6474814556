"""A run that decides by a threshold or by costs: every door decides so."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from small_pipelines import SPLITS, small_settings

import ensemble_pipe
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.errors import ConfigError, CorruptFileError
from ensemble_pipe.core.storage import RunPaths, sums_of, write_json
from ensemble_pipe.data.sources import Table
from ensemble_pipe.data.sources.checked import open_source
from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.evaluation.labelled import evaluate
from ensemble_pipe.run.pipeline import RunResult, run
from ensemble_pipe.run.recombination import combine

COSTS = [[0, 1], [20, 0]]


def rare(rows: int = 400) -> pd.DataFrame:
    """Return rows of which few are "yes", and features that say a little about it."""
    random = np.random.default_rng(6)
    yes = random.random(rows) < 0.15
    columns = {name: random.normal(size=rows) + yes * 0.8 for name in "ab"}
    return pd.DataFrame({**columns, "y": np.where(yes, "yes", "no")})


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rare") / "rare.csv"
    rare().to_csv(path, index=False)
    return path


def pipeline(table: Path, **sections: Any) -> Pipeline:
    data = {"source": "table", "path": str(table), "label": "y"}
    defaults = {"data": data, "splits": SPLITS, "ensemble": {"learners": 2}}
    return Pipeline.model_validate(small_settings(hidden=6, epochs=6, **{**defaults, **sections}))


@pytest.fixture(scope="module")
def plain(table: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return run(pipeline(table), output=tmp_path_factory.mktemp("runs"), inline=True)


def labelled(table: Path) -> Rows:
    source, _, _ = open_source(Table(path=str(table), label="y"))
    return source


def decided(first: RunResult, folder: Path, decide: dict[str, Any]) -> RunResult:
    how: dict[str, Any] = {"ensemble.decide": decide}
    return combine(first.run_dir, output=folder, **how)


def test_a_fitted_threshold_is_used_at_every_door(
    plain: RunResult, table: Path, tmp_path: Path
) -> None:
    result = decided(plain, tmp_path, {"threshold": "auto", "metric": "f1"})
    model, before = ensemble_pipe.load(result.run_dir), ensemble_pipe.load(plain.run_dir)
    assert model.decision is not None
    assert model.decision.threshold is not None
    assert before.decision is None
    frame = rare().drop(columns="y")
    shares = model.predict_proba(frame)
    np.testing.assert_array_equal(shares, before.predict_proba(frame))
    expected = np.where(shares[:, 1] >= model.decision.threshold, "yes", "no")
    assert (expected != before.predict(frame)).any()
    np.testing.assert_array_equal(model.predict(frame), expected)
    assert model.table(frame)["prediction"].to_pylist() == expected.tolist()
    assert result.metrics["test/f1"] != plain.metrics["test/f1"]
    assert result.metrics["test/nll"] == plain.metrics["test/nll"]
    report = (Path(result.run_dir) / "report.html").read_text()
    assert "yes where its probability is at least" in report
    found = evaluate(model, labelled(table))
    truth = rare()["y"].to_numpy()
    assert found.metrics["accuracy"] == np.mean(expected == truth)
    assert found.classes[1].recall == np.mean(expected[truth == "yes"] == "yes")


@pytest.mark.slow  # MLflow takes seconds to import
def test_a_served_model_decides_so(plain: RunResult, tmp_path: Path) -> None:
    from types import SimpleNamespace

    from ensemble_pipe.serving.pyfunc import EnsembleModel

    result = decided(plain, tmp_path, {"threshold": 0.05})
    served = EnsembleModel()
    served.load_context(SimpleNamespace(artifacts={"model": f"{result.run_dir}/model"}))
    found = served.predict(None, rare().drop(columns="y"))  # type: ignore[no-untyped-call]
    expected = np.where(found["probability_yes"] >= 0.05, "yes", "no")
    assert found["prediction"].tolist() == expected.tolist()
    assert (expected == "yes").mean() > 0.3


def test_it_is_the_run_that_decided_so_from_its_start(
    plain: RunResult, table: Path, tmp_path: Path
) -> None:
    result = decided(plain, tmp_path, {"costs": COSTS})
    ensemble = {"learners": 2, "decide": {"costs": COSTS}}
    whole = run(pipeline(table, ensemble=ensemble), output=tmp_path, inline=True)
    assert result.metrics == whole.metrics
    found = evaluate(ensemble_pipe.load(whole.run_dir), labelled(table)).metrics
    for metrics, prefix in ((whole.metrics, "test/"), (found, "")):
        assert 0 < metrics[f"{prefix}cost"] < 1
        assert 0 < metrics[f"member_mean/{prefix}cost"] < 1
    paths = [RunPaths(Path(one.run_dir)).model / "model.json" for one in (result, whole)]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_threshold_is_fitted_out_of_fold(table: Path, tmp_path: Path) -> None:
    ensemble = {"learners": 2, "decide": {"threshold": "auto"}}
    config = pipeline(table, splits={"folds": 2}, ensemble=ensemble)
    result = run(config, output=tmp_path, inline=True)
    decision = ensemble_pipe.load(result.run_dir).decision
    assert decision is not None
    assert decision.metric == "f1"
    assert decision.threshold is not None
    path = RunPaths(Path(result.run_dir)).predictions("validation")
    found = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    shares = found["probability_yes"].to_numpy()
    expected = np.where(shares >= decision.threshold, "yes", "no")
    assert found["prediction"].to_pylist() == expected.tolist()


def test_a_damaged_decision_is_refused(plain: RunResult, tmp_path: Path) -> None:
    result = decided(plain, tmp_path, {"threshold": 0.3})
    folder = RunPaths(Path(result.run_dir)).model
    path = folder / "model.json"
    values = json.loads(path.read_text())
    assert values["format"] == 5  # earlier versions do not read it, and leave the decision out
    for wrong in ({"threshold": 1.5}, {"threshold": None}, {"costs": [[0, 1, 1]] * 3}):
        write_json(path, values | {"decision": {"threshold": None, "costs": None, **wrong}})
        sums = json.loads((folder / "manifest.json").read_text())["sums"]
        write_json(folder / "manifest.json", {"sums": sums_of(folder, sums)})
        with pytest.raises(CorruptFileError, match="decision"):
            ensemble_pipe.load(result.run_dir)


def test_what_does_not_fit_the_data_is_refused_before_training(
    plain: RunResult, table: Path, tmp_path: Path
) -> None:
    three = {"costs": [[0, 1, 1], [1, 0, 1], [1, 1, 0]]}
    text = r"ensemble\.decide\.costs: are for 3 classes, but here are 2"
    with pytest.raises(ConfigError, match=text):
        decided(plain, tmp_path, three)
    with pytest.raises(ConfigError, match=text):
        run(pipeline(table, ensemble={"decide": three}), output=tmp_path, inline=True)
    assert list(tmp_path.iterdir()) == []


def test_an_estimator_decides_so_too() -> None:
    frame = rare()
    labels = frame.pop("y")
    model = ensemble_pipe.EnsembleClassifier(
        learners=2, epochs=6, overrides={"ensemble.decide": {"threshold": 0.1}}
    ).fit(frame, labels)
    expected = np.where(model.predict_proba(frame)[:, 1] >= 0.1, "yes", "no")
    np.testing.assert_array_equal(model.predict(frame), expected)
    assert (expected == "yes").mean() > 0.2
