"""`evaluate`: labelled rows measured, and rows of another kind found, block by block."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_score, roc_auc_score
from typer.testing import CliRunner

import ensemble_pipe
from ensemble_pipe.cli import app
from ensemble_pipe.config.reading import Pipeline
from ensemble_pipe.data.sources.rows import BLOCK_ROWS
from ensemble_pipe.ensemble.combiners import softmax
from ensemble_pipe.evaluation.detection import Scores, measure_detection, scores_of, scores_of_rows
from ensemble_pipe.evaluation.labelled import evaluate
from ensemble_pipe.evaluation.text import evaluation_text
from ensemble_pipe.run.pipeline import run
from ensemble_pipe.serving.inputs import open_input
from ensemble_pipe.serving.model import Ensemble
from ensemble_pipe.tracking.journal import read_entries
from ensemble_pipe.tracking.kinds import ResultEntry

FEATURES = list("abcd")


def frame(rows: int, seed: int, center: float = 0.0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    table = pd.DataFrame(random.normal(center, 1.0, (rows, 4)), columns=FEATURES)
    score = table.a - table.b * table.c + random.normal(0, 0.3, rows)
    return table.assign(kind=np.select([score > 1, score < -1], ["up", "down"], "<mid>"), y=score)


@pytest.fixture(scope="module", params=["classification", "regression"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, with rows like those it was trained on, and others, which have no labels."""
    made = tmp_path_factory.mktemp(request.param)
    frame(1500, 0).to_csv(made / "train.csv", index=False)
    frame(600, 1).to_csv(made / "same.csv", index=False)
    far = frame(BLOCK_ROWS + 500, 2, center=4.0)[FEATURES]
    far.to_parquet(made / "far.parquet", index=False)
    label, other = ("kind", "y") if request.param == "classification" else ("y", "kind")
    data = {"source": "table", "path": str(made / "train.csv"), "label": label, "ignore": [other]}
    config = {
        "task": request.param,
        "data": data,
        "network": {"name": "mlp", "hidden": [16]},
        "training": {"epochs": 15, "optimizer": {"name": "adam", "learning_rate": 0.01}},
        "ensemble": {"learners": 3, "combine": {"coverage": 0.8}},
        "tracking": {"mlflow": False},
    }
    result = run(Pipeline.model_validate(config), output=made, inline=True)
    (made / "where").write_text(result.run_dir)
    return made


@pytest.fixture
def model(folder: Path) -> Ensemble:
    return ensemble_pipe.load((folder / "where").read_text())


def test_the_verb_shows_tables_and_prints_one_json_line(folder: Path, model: Ensemble) -> None:
    arguments = ["evaluate", (folder / "where").read_text(), str(folder / "same.csv")]
    done = CliRunner().invoke(app, [*arguments, "--ood", str(folder / "far.parquet"), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout.splitlines()[-1])
    metrics, ends = found["metrics"], found["intervals"]
    assert (found["rows"], found["ood_rows"]) == (600, BLOCK_ROWS + 500)
    own = ["mutual_information", "max_probability"] if model.schema.classes else ["std"]
    for name in own:
        assert metrics[f"ood/{name}/auroc"] > 0.6
        low, high = ends[f"ood/{name}/auroc"]
        assert low < metrics[f"ood/{name}/auroc"] < high
        low, high = ends[f"ood/{name}/closed"]
        assert low < metrics[f"ood/{name}/closed"] < high
    assert f"member_mean/ood/{own[-1]}/auroc" in metrics
    assert ends["nll"][0] < metrics["nll"] < ends["nll"][1]
    assert metrics["member_mean/nll"] >= metrics["nll"]
    assert metrics["conformal/stated"] == 0.8
    assert 0.7 < metrics["conformal/coverage"] <= 1.0
    for word in ("mean member", "95% interval", "rows kept", "diversity", "coverage", "auroc"):
        assert word in done.stderr
    assert "class" not in found or [one["name"] for one in found["classes"]] == list(
        model.schema.classes
    )


def test_loss_error_and_calibration_are_measured_for_both_tasks(
    folder: Path, model: Ensemble
) -> None:
    found = evaluate(model, open_input(str(folder / "same.csv"), model.schema))
    names = ["accuracy", "ece", "auroc"] if model.schema.classes else ["rmse", "r2", "coverage_90"]
    assert {"nll", *names} <= found.metrics.keys()
    entries = read_entries(Path((folder / "where").read_text()) / "journal.jsonl")
    (result,) = (entry for entry in entries if isinstance(entry, ResultEntry))
    for name in ("nll", *names):
        assert f"test/{name}" in result.metrics
        assert f"baseline_linear/test/{name}" in result.metrics
    nll, constant = (
        float(result.metrics[f"{who}test/nll"] or 0) for who in ("", "baseline_constant/")
    )
    assert nll < constant


def test_each_class_has_its_own_measures(folder: Path, model: Ensemble) -> None:
    found = evaluate(model, open_input(str(folder / "same.csv"), model.schema))
    if model.schema.task == "regression":
        assert found.classes == []
        return
    whole = pd.read_csv(folder / "same.csv")
    predicted = model.predict(whole)
    for one in found.classes:
        mine = whole.kind == one.name
        assert one.rows == mine.sum()
        assert one.recall == pytest.approx(np.mean(predicted[mine] == one.name))
        expected = precision_score(mine, predicted == one.name)
        assert one.precision == pytest.approx(expected)
    total = sum(one.rows * (one.nll or 0.0) for one in found.classes) / found.rows
    assert total == pytest.approx(found.metrics["nll"])


def test_other_rows_are_scored_block_by_block_as_at_once(folder: Path, model: Ensemble) -> None:
    rows = open_input(str(folder / "far.parquet"), model.schema)
    blocks = scores_of_rows(model, rows)
    whole = scores_of(model.prediction(pd.read_parquet(folder / "far.parquet")))
    for name, values in whole.ensemble.items():
        assert np.array_equal(blocks.ensemble[name], values)
    for name, values in whole.members.items():
        assert values.shape == (3, rows.count)
        assert np.array_equal(blocks.members[name], values)


def test_members_alone_are_scored_by_their_own_outputs(folder: Path, model: Ensemble) -> None:
    same, far = (
        model.prediction(table[FEATURES])
        for table in (pd.read_csv(folder / "same.csv"), pd.read_parquet(folder / "far.parquet"))
    )
    if model.schema.task == "regression":
        return
    found = measure_detection(scores_of(same), scores_of(far), "classification")["max_probability"]
    truth = np.repeat([0, 1], [len(same.outputs[0]), len(far.outputs[0])])
    own = [
        roc_auc_score(truth, 1 - softmax(np.concatenate(pair)).max(axis=1))
        for pair in zip(same.outputs, far.outputs, strict=True)
    ]
    assert found.members == pytest.approx(np.mean(own))
    closed = (found.measures["auroc"].estimate - np.mean(own)) / (1 - np.mean(own))
    assert found.closed is not None
    assert found.closed.estimate == pytest.approx(closed)


def made_up(ensemble: list[float], member: list[float]) -> Scores:
    return Scores({"std": np.array(ensemble)}, {"std": np.array([member])})


def test_the_share_that_is_closed_in_plain_cases() -> None:
    inside = made_up([0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 3.0])
    same = measure_detection(inside, made_up([2.0, 2.5], [2.0, 2.5]), "regression")["std"]
    assert same.closed is not None
    assert tuple(same.closed) == (0.0, 0.0, 0.0)
    best = measure_detection(inside, made_up([8.0, 9.0], [2.0, 2.5]), "regression")["std"]
    assert best.closed is not None
    assert best.closed.estimate == 1.0
    perfect = measure_detection(inside, made_up([8.0, 9.0], [8.0, 9.0]), "regression")["std"]
    assert perfect.closed is None
    assert perfect.members == 1.0


def test_a_class_without_rows_is_shown_without_numbers(folder: Path, model: Ensemble) -> None:
    if model.schema.task == "regression":
        return
    path = folder / "one.csv"
    whole = pd.read_csv(folder / "same.csv")
    whole[whole.kind == "up"][:1].to_csv(path, index=False)
    found = evaluate(model, open_input(str(path), model.schema))
    assert [one.rows for one in found.classes].count(0) == 2
    assert found.intervals == {}  # of one row
    assert "-" in evaluation_text(found)
    json.dumps(found.to_dict(), allow_nan=False)


def test_rows_that_the_model_cannot_read_end_with_status_2(folder: Path) -> None:
    pd.DataFrame({"a": [1.0]}).to_csv(folder / "narrow.csv", index=False)
    run_dir, same = (folder / "where").read_text(), str(folder / "same.csv")
    for arguments, message in (
        ([same, "--ood", str(folder / "narrow.csv")], "narrow.csv"),
        ([same, "--ood", str(folder / "none.csv")], "none.csv"),
        ([str(folder / "far.parquet")], "labels"),
    ):
        done = CliRunner().invoke(app, ["evaluate", run_dir, *arguments])
        assert done.exit_code == 2, done.output
        assert message in done.output


def test_predictions_have_sets_or_intervals(folder: Path, model: Ensemble) -> None:
    rows = pd.read_csv(folder / "same.csv")
    table = model.table(rows).to_pandas()
    if model.schema.task == "classification":
        sets = model.predict_sets(rows)
        names = np.array([str(name) for name in model.schema.classes])
        assert table["set"].tolist() == [" | ".join(names[row]) for row in sets]
        assert np.array_equal(table.set_size, sets.sum(axis=1))
        held = sets[np.arange(len(rows)), [list(names).index(kind) for kind in rows.kind]]
    else:
        ends = model.predict_intervals(rows)
        assert np.array_equal(table[["low", "high"]].to_numpy(), ends)
        held = (ends[:, 0] <= rows.y) & (rows.y <= ends[:, 1])
    assert 0.7 < held.mean() < 1.0
