"""A trained model: the same numbers however it is loaded, and nothing damaged is accepted."""

import json
import shutil
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import ensemble_pipe
from ensemble_pipe.cli import app
from ensemble_pipe.core.errors import CorruptFileError, DataError, InputError
from ensemble_pipe.core.storage import sha256_of
from ensemble_pipe.run.pipeline import RunResult, run

PIPELINES = {
    "images": """
name: images
network: {hidden: [16]}
training: {epochs: 3, batch_size: 32}
ensemble: {learners: 3, vary: {"network.hidden": [[16], [8]]}}
""",
    "table": """
name: table
task: classification
data: {source: table, path: rows.csv, label: kind}
network: {hidden: [16]}
training: {epochs: 3, batch_size: 32}
ensemble: {learners: 2}
""",
}


def write_rows(path: Path, rows: int = 700) -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(rows, 4)) * [1, 10, 100, 0.1], columns=list("abcd"))
    frame["kind"] = np.where(frame.a + frame.b / 10 > 0, "high", "low")
    frame.to_csv(path, index=False)
    return frame


@pytest.fixture(scope="module", params=PIPELINES.keys())
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[RunResult, Path, str]:
    """A run in a folder of its own, with rows to predict."""
    folder = tmp_path_factory.mktemp(request.param)
    pipeline = folder / "pipeline.yaml"
    with pytest.MonkeyPatch.context() as here:
        here.chdir(folder)
        if request.param == "images":
            from sklearn.datasets import load_digits

            np.save(folder / "rows.npy", load_digits().images.astype(np.uint8)[:, :, :, None])
        else:
            write_rows(folder / "rows.csv")
        pipeline.write_text(PIPELINES[request.param])
        # What a person may have lying beside the data, named like a library.
        (folder / "pandas.py").write_text("open('executed', 'w').close()\n")
        result = run(pipeline, inline=True)
    return result, folder, "rows.npy" if request.param == "images" else "rows.csv"


def predict(model: str, rows: Path, output: Path) -> pd.DataFrame:
    done = CliRunner().invoke(app, ["predict", model, str(rows), "--output", str(output)])
    assert done.exit_code == 0, done.output
    found = pq.read_table(output).to_pandas()
    assert found.pop("row").tolist() == list(range(len(found)))
    return found


def test_run_directory_mlflow_uri_and_pyfunc_agree_bit_for_bit(
    trained: tuple[RunResult, Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    result, folder, name = trained
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
    monkeypatch.setattr("mlflow.tracking._tracking_service.utils._tracking_uri", None)
    from_run = predict(result.run_dir, folder / name, folder / "a.parquet")
    from_uri = predict(str(result.model_uri), folder / name, folder / "b.parquet")
    pd.testing.assert_frame_equal(from_run, from_uri, check_exact=True)

    served = mlflow.pyfunc.load_model(result.model_uri)
    rows = (
        np.load(folder / name)
        if name.endswith(".npy")
        else pd.read_csv(folder / name).drop(columns="kind")
    )
    pd.testing.assert_frame_equal(served.predict(rows), from_run, check_exact=True)
    if not name.endswith(".npy"):
        whole = rows.round().astype({"c": int})
        found, expected = served.predict(whole), served.predict(whole.astype(float))
        pd.testing.assert_frame_equal(found, expected, check_exact=True)
    in_parts = [served.predict(rows[i : i + 97]) for i in range(0, len(rows), 97)]
    together = pd.concat(in_parts, ignore_index=True)
    pd.testing.assert_frame_equal(together, from_run, check_exact=True)


def test_python_files_beside_the_data_are_not_executed(
    trained: tuple[RunResult, Path, str],
) -> None:
    result, folder, _ = trained
    assert result.model_uri is not None
    assert (folder / "pandas.py").is_file()
    assert not (folder / "executed").exists()


def test_predictions_keep_the_inputs_order(trained: tuple[RunResult, Path, str]) -> None:
    result, folder, name = trained
    model = ensemble_pipe.load(result.run_dir)
    rows = (
        np.load(folder / name)
        if name.endswith(".npy")
        else pd.read_csv(folder / name)[list("abcd")].to_numpy()
    )
    forward = model.table(rows).to_pandas()
    backward = model.table(rows[::-1]).to_pandas()
    pd.testing.assert_frame_equal(
        backward.iloc[::-1].reset_index(drop=True), forward, check_exact=True
    )
    one = model.table(rows[5:6]).to_pandas()
    assert one.iloc[0].equals(forward.iloc[5])
    assert len(model.table(rows[:0])) == 0


def test_a_row_has_probabilities_and_uncertainties(trained: tuple[RunResult, Path, str]) -> None:
    result, folder, name = trained
    model = ensemble_pipe.load(result.run_dir)
    frame = predict(result.run_dir, folder / name, folder / "c.parquet")
    columns = [f"probability_{c}" for c in model.schema.classes]
    assert list(frame.columns) == ["prediction", *columns, "entropy"]
    assert np.allclose(frame[columns].sum(axis=1), 1.0)
    assert frame["prediction"].isin(model.schema.classes).all()


@pytest.mark.parametrize("ending", ["csv", "arrow"])
def test_other_endings_hold_the_same(trained: tuple[RunResult, Path, str], ending: str) -> None:
    result, folder, name = trained
    expected = predict(result.run_dir, folder / name, folder / "d.parquet")
    output = folder / f"d.{ending}"
    arguments = ["predict", result.run_dir, str(folder / name), "--output", str(output), "--json"]
    done = CliRunner().invoke(app, arguments)
    assert json.loads(done.stdout.splitlines()[-1])["rows"] == len(expected)
    found = pd.read_csv(output) if ending == "csv" else pd.read_feather(output)
    assert found.pop("row").tolist() == list(range(len(expected)))
    pd.testing.assert_frame_equal(found, expected, check_exact=True, check_dtype=ending != "csv")


@pytest.fixture
def copied(trained: tuple[RunResult, Path, str], tmp_path: Path) -> Path:
    return Path(shutil.copytree(Path(trained[0].run_dir) / "model", tmp_path / "model"))


@pytest.mark.parametrize("name", ["model.json", "members.safetensors"])
def test_a_flipped_bit_is_refused(copied: Path, name: str) -> None:
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(content)
    with pytest.raises(CorruptFileError, match=rf"{name}.*sha256"):
        ensemble_pipe.load(copied)


def change(folder: Path, **facts: object) -> None:
    """Change model.json, and its sum too, as a forger would."""
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))
    sums = {name: sha256_of(folder / name) for name in ("model.json", "members.safetensors")}
    (folder / "manifest.json").write_text(json.dumps({"sums": sums}))


MEMBER = {
    "kind": "network",
    "learner": 0,
    "number": 0,
    "step": 1,
    "noise": [],
    "tensor": "0",
    "dropout": None,
    "network": {"name": "mlp", "hidden": [3]},
    "loss": {"name": "cross_entropy"},
    "features": None,
}


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"format": 99}, "format 99"),
        ({"schema": {"task": "classification"}}, r"schema\.input_shape"),
        ({"members": [{"network": {"name": "os.system"}}]}, r"members\.0"),
        ({"members": [{**MEMBER, "network": {"name": "os.system"}}]}, r"members\.0\.network"),
        ({"members": "none"}, "not a model"),
        ({"members": []}, "at least 1 item"),
        ({"members": [{**MEMBER, "loss": {"name": "hinge", "margin": 0}}]}, r"hinge\.margin"),
        (
            {"members": [{**MEMBER, "loss": {"name": "squared_error"}}]},
            r"model\.json: member 0: it is for regression, the model for classification",
        ),
        (
            {"members": [MEMBER]},
            r"member 0: its tensor is float32 .*; its network needs float32",
        ),
        ({"seed": -1}, "seed"),
        ({"seed": 2**200}, "seed"),
        ({"members": [{**MEMBER, "noise": [-1.0]}]}, r"noise\.0"),
        ({"members": [{**MEMBER, "noise": [float("nan")]}]}, "NaN is no number"),
        ({"members": [{**MEMBER, "noise": [1.0, 1.0, 1.0]}]}, "3 noise variances"),
        ({"combiner": {"name": "weighted", "weights": [0.5, 0.6]}}, "sum to 1"),
        ({"combiner": {"name": "weighted", "weights": [1.0]}}, "1 weights do not fit"),
        ({"combiner": {"name": "os.system"}}, "combiner"),
        (
            {"conformal": [{"method": "normalized", "coverage": 0.9, "threshold": 1.0}]},
            "must be sets of classes",
        ),
        ({"conformal": [{"method": "aps", "coverage": 1.5, "threshold": 1.0}]}, "coverage"),
        ({"conformal": [{"method": "aps", "coverage": 0.5, "threshold": -1.0}]}, "threshold"),
        ({"augment": {"policy": [{"name": "blur"}, {"name": "swap_noise"}]}}, "does not fit"),
        ({"augment": {"policy": [{"name": "blur", "sigma": [0, 1e9]}]}}, "sigma"),
        ({"members": [{**MEMBER, "features": []}]}, "features must lie|are images"),
        ({"members": [{**MEMBER, "features": [999]}]}, "features must lie|are images"),
    ],
)
def test_a_forged_model_is_refused_and_never_executed(
    copied: Path, facts: dict[str, object], message: str
) -> None:
    change(copied, **facts)
    with pytest.raises(CorruptFileError, match=message):
        ensemble_pipe.load(copied)


def test_no_model_there_says_what_would_be_right(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name a run directory, a model directory or an MLflow"):
        ensemble_pipe.load(tmp_path)


def test_wrong_shapes_are_refused_with_both_shapes(trained: tuple[RunResult, Path, str]) -> None:
    model = ensemble_pipe.load(trained[0].run_dir)
    wrong = np.zeros((2, 5, 5, 1), np.uint8) if model.schema.is_image else np.zeros((2, 9))
    both = r"\(5, 5, 1\).*\(8, 8, 1\)" if model.schema.is_image else r"\(2, 9\).*\(R, 4\)"
    with pytest.raises(DataError, match=both):
        model.predict(wrong)
