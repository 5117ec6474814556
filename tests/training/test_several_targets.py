"""A regression of several targets, from the table to the prediction, beside that of each alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import Prepared, StopAt

import ensemble_pipe
from ensemble_pipe.config.reading import Pipeline
from ensemble_pipe.core.errors import ConfigError, DataError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.data.sources.files import open_rows
from ensemble_pipe.evaluation.labelled import evaluate
from ensemble_pipe.evaluation.text import evaluation_text
from ensemble_pipe.nn.losses import LOSSES
from ensemble_pipe.run.pipeline import RunResult, resume, run
from ensemble_pipe.run.preparation import prepare as look_through
from ensemble_pipe.training.checkpoints import list_checkpoints, load_state

pytestmark = pytest.mark.slow

TARGETS = ["height", "price"]
REGRESSIONS = [name for name, loss in LOSSES.items() if loss.task == "regression"]
POOL = [
    {"strategy": "independent", "learners": 2},
    {"strategy": "histogram_boosting", "rounds": 20},
    {"strategy": "random_forest", "trees": 5},
    {"strategy": "linear"},
    {"strategy": "nearest_neighbors"},
]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two numbers of one row, of very different units, that share what they depend on."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"x": random.uniform(-2, 2, 400), "z": random.normal(size=400)})
    noise = random.normal(size=(400, 2))
    frame["height"] = 2 + 0.1 * (np.sin(2 * frame.x) + 0.5 * frame.z + 0.2 * noise[:, 0])
    frame["price"] = 5000 + 1000 * (np.cos(2 * frame.x) - frame.z + 0.2 * noise[:, 1])
    path = tmp_path_factory.mktemp("table") / "rows.parquet"
    frame.to_parquet(path)
    return path


def settings_of(path: Path, label: Any = TARGETS, **others: Any) -> dict[str, Any]:
    named = [label] if isinstance(label, str) else label
    ignore = [name for name in TARGETS if name not in named]
    return {
        "task": "regression",
        "data": {"source": "table", "path": str(path), "label": label, "ignore": ignore},
        "network": {"name": "mlp", "hidden": [32], "activation": "tanh"},
        "training": {
            "epochs": 30,
            "batch_size": 32,
            "optimizer": {"learning_rate": 0.01},
            "schedule": {"name": "constant"},
        },
        "ensemble": {"learners": 2},
        "tracking": {"mlflow": False},
        **others,
    }


def run_of(output: Path, settings: dict[str, Any], **options: Any) -> RunResult:
    return run(Pipeline.model_validate(settings), output=output, inline=True, **options)


def test_part(result: RunResult) -> pd.DataFrame:
    path = RunPaths(Path(result.run_dir)).predictions("test")
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all().to_pandas()


test_part.__test__ = False  # type: ignore[attr-defined]


@pytest.mark.parametrize("loss", REGRESSIONS)
def test_both_targets_are_learned_and_told_in_units_of_their_own(
    loss: str, table: Path, tmp_path: Path
) -> None:
    settings = settings_of(table)
    settings["training"]["loss"] = {"name": loss}
    result = run_of(tmp_path, settings)
    # The noise alone is 0.02 and 200; the targets' own deviations are 0.09 and 1200.
    assert result.metrics["test/rmse/height"] < 0.04
    assert result.metrics["test/rmse/price"] < 400
    frame = test_part(result)
    for name in TARGETS:
        error = frame[f"mean_{name}"] - frame[f"target_{name}"]
        std = frame[f"std_{name}"]
        nll = np.mean(0.5 * np.log(2 * np.pi * std**2) + error**2 / (2 * std**2))
        assert result.metrics[f"test/nll/{name}"] == pytest.approx(nll, rel=1e-9)
    own = [result.metrics[f"test/nll/{name}"] for name in TARGETS]
    assert result.metrics["test/nll"] == pytest.approx(np.mean(own), rel=1e-12)


def test_a_loaded_model_repeats_the_runs_predictions_and_metrics(
    table: Path, tmp_path: Path
) -> None:
    pool = {"pool": POOL, "combine": {"method": "stacking", "coverage": 0.9}}
    result = run_of(tmp_path, settings_of(table, ensemble=pool))
    model, frame = ensemble_pipe.load(result.run_dir), test_part(result)
    rows = pd.read_parquet(table).iloc[frame.row]
    pd.testing.assert_frame_equal(
        model.table(rows).to_pandas(), frame[model.table(rows).column_names], check_exact=True
    )
    assert model.predict(rows).shape == (len(rows), 2)
    assert model.predict_members(rows).shape == (len(model.members), len(rows), 2)
    assert all(values.shape == (len(rows), 2) for values in model.uncertainty(rows).values())
    path = tmp_path / "labelled.csv"
    rows.to_csv(path, index=False)
    found = evaluate(model, open_rows(str(path)))
    for measure in ("rmse", "nll/height", "nll/price", "coverage_90/price"):
        assert found.metrics[measure] == pytest.approx(result.metrics[f"test/{measure}"], rel=1e-6)
    assert "nll/height" in evaluation_text(found)
    rows.drop(columns="price").to_csv(path, index=False)
    with pytest.raises(DataError, match="has no column 'price'"):
        evaluate(model, open_rows(str(path)))


def test_several_targets_are_combined_by_what_folds_say_of_them(
    table: Path, tmp_path: Path
) -> None:
    combine = {"method": "weights", "evidence": "out_of_fold"}
    ensemble = {"strategy": "cross_validation", "learners": 3, "combine": combine}
    result = run_of(tmp_path, settings_of(table, ensemble=ensemble))
    assert result.metrics["test/rmse/height"] < 0.06


def test_one_run_says_of_each_target_what_its_own_run_says(table: Path, tmp_path: Path) -> None:
    both = test_part(run_of(tmp_path, settings_of(table)))
    alone = {name: test_part(run_of(tmp_path, settings_of(table, name))) for name in TARGETS}
    by_row = [c for c in alone["height"] if c not in ("row", "outputs")]
    own = [f"{column}_{name}" for column in by_row for name in TARGETS]
    assert sorted(both.columns) == sorted(["row", "outputs", *own])
    for name, frame in alone.items():
        assert (frame.row == both.row).all()
        assert (frame.target == both[f"target_{name}"]).all()
        assert np.corrcoef(frame["mean"], both[f"mean_{name}"])[0, 1] > 0.97


def test_a_list_of_one_label_is_that_label_bit_for_bit(
    prepare: Callable[..., Prepared], table: Path
) -> None:
    found = []
    for label in ("price", ["price"]):
        settings = settings_of(table, label, augment=[{"name": "mixup"}])
        prepared = prepare(**{**settings, "training": {"epochs": 2}})
        base = prepared.paths.base
        files = {p.name: p.read_bytes() for p in base.iterdir() if p.name != "schema.json"}
        rows = [cs[-1].state.row.tobytes() for cs in prepared.train().values()]
        found.append((files, rows, prepared.schema))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"augment": [{"name": "feature_noise"}, {"name": "mixup"}], "shard_rows": 100},
        {"training": {"order": "shared", "loss": {"name": "beta_nll"}}},
    ],
)
def test_a_learner_alone_in_a_stack_or_resumed_has_the_same_bits(
    change: dict[str, Any], prepare: Callable[..., Prepared], table: Path, tmp_path: Path
) -> None:
    parts = {"splits": {"validation": 0.15, "stop": 0.1}}
    settings = {**settings_of(table), "training": {}, **parts, **change}
    constant = {"schedule": {"name": "constant"}}
    settings["training"] = {"epochs": 3, "batch_size": 32, **constant, **settings["training"]}
    prepared = prepare(**settings)
    together = prepared.train()
    for learner in range(2):
        (alone,) = prepared.train(learner).values()
        assert alone[-1].state.row.tobytes() == together[learner][-1].state.row.tobytes()
    with pytest.raises(KeyboardInterrupt):
        run_of(tmp_path, settings, display=StopAt(2))
    (folder,) = tmp_path.glob("pipeline-*")
    resume(folder, inline=True)
    paths = RunPaths(folder)
    for learner in range(2):
        last = load_state(paths, learner, list_checkpoints(paths, learner)[-1].step)
        assert last.row.tobytes() == together[learner][-1].state.row.tobytes()


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"task": "classification"}, ConfigError, "data.label: names 2 columns, but a classifier"),
        ({"classes": [1, 2]}, ConfigError, "classes: chooses rows by one label"),
        ({"label": ["x", "x"]}, DataError, "'x' is named as label and as label"),
        ({"label": ["x", "word"]}, DataError, r"column 'word': target 'a' is not a number"),
        (
            {"label": ["x", "same"]},
            DataError,
            "every training row has the same target, 1.0, in column 'same'",
        ),
        ({"label": ["x", "gap"]}, DataError, r"row 1 .from 0, line 3., column 'gap': the label is"),
        ({"label": ["x", "huge"]}, DataError, "the target 'huge' has values too far apart"),
        ({"label": ["x", "nope"]}, DataError, "has no column 'nope'"),
    ],
)
def test_what_cannot_be_a_target_is_named(
    changes: dict[str, Any], kind: type[Exception], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    random = np.random.default_rng(0)
    gap, huge = ["1", "", *["2"] * 38], [*random.normal(size=39), 1e300]
    columns = {"x": random.normal(size=40), "word": "a", "same": 1, "gap": gap, "huge": huge}
    plain = {name: random.normal(size=40) for name in "yz"}
    pd.DataFrame({**columns, **plain}).to_csv(path, index=False)
    label = changes.pop("label", ["x", "y"])
    ignore = [name for name in ("word", "same", "gap", "huge") if name not in label]
    data = {"source": "table", "path": str(path), "label": label, "ignore": ignore}
    config = Pipeline.model_validate({"task": "regression", "data": data, **changes})
    with pytest.raises(kind, match=message):
        look_through(config)
