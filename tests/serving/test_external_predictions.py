"""A model with a member whose predictions come from another program: given, or asked for."""

import json
import shutil
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner, Result

import ensemble_pipe
from ensemble_pipe.cli import app
from ensemble_pipe.config.reading import Pipeline
from ensemble_pipe.core.errors import CorruptFileError, DataError, InputError
from ensemble_pipe.core.storage import sha256_of
from ensemble_pipe.run.pipeline import RunResult, run

NEW_ROWS = 9000  # more than two blocks
COLUMNS = ["probability_no", "probability_yes"]


def rows_of(seed: int, rows: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(random.normal(size=(rows, 3)), columns=list("abc"))
    frame["y"] = np.where(frame.a + random.normal(scale=0.5, size=rows) > 0, "yes", "no")
    return frame


def predicted(rows: int) -> pd.DataFrame:
    yes = np.random.default_rng(rows).uniform(size=rows)
    return pd.DataFrame({"file": "x", "probability_yes": yes, "probability_no": 1 - yes})


pytestmark = pytest.mark.slow  # one long run for all


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with new rows, and what another program predicts of them."""
    folder = tmp_path_factory.mktemp("given")
    rows_of(2, NEW_ROWS).to_parquet(folder / "new.parquet")
    predicted(NEW_ROWS).to_csv(folder / "other_new.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def trained(folder: Path) -> RunResult:
    frame = rows_of(1, 400)
    frame.to_csv(folder / "rows.csv", index=False)
    predicted(400).to_parquet(folder / "other.parquet")
    other = {"strategy": "predictions", "name": "other", "path": str(folder / "other.parquet")}
    config = Pipeline.model_validate({
        "data": {"source": "table", "path": str(folder / "rows.csv"), "label": "y"},
        "network": {"hidden": [5]},
        "training": {"epochs": 2},
        "ensemble": {"pool": [{"learners": 2, "strategy": "independent"}, other]},
    })  # fmt: skip
    with pytest.MonkeyPatch.context() as here:
        here.chdir(folder)
        return run(config, inline=True)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_every_way_of_giving_them_agrees_bit_for_bit(trained: RunResult, folder: Path) -> None:
    output = folder / "out.parquet"
    new, other = folder / "new.parquet", f"other={folder / 'other_new.csv'}"
    done = call("predict", trained.run_dir, new, "--with", other, "--output", output)
    assert done.exit_code == 0, done.output
    from_files = pd.read_parquet(output)
    assert from_files.pop("row").tolist() == list(range(NEW_ROWS))

    model = ensemble_pipe.load(trained.run_dir)
    frame, own = rows_of(2, NEW_ROWS), predicted(NEW_ROWS)
    inputs = frame[list("abc")]
    ways = [
        model.table(inputs.to_numpy(), {"other": own[COLUMNS].to_numpy()}),
        model.table(inputs, given={"other": own}),
        model.table(pa.Table.from_pandas(inputs), given={"other": pa.Table.from_pandas(own)}),
        model.table(inputs.assign(**{f"other:{name}": own[name] for name in COLUMNS})),
    ]
    for table in ways:
        pd.testing.assert_frame_equal(table.to_pandas(), from_files, check_exact=True)

    members = model.predict_members(inputs, {"other": own})
    np.testing.assert_allclose(members[2], own[COLUMNS], rtol=0, atol=2e-6)
    probabilities = model.predict_proba(inputs, {"other": own})
    np.testing.assert_allclose(probabilities, members.mean(axis=0), rtol=1e-6)
    assert (model.predict(inputs, {"other": own}) == from_files.prediction).all()
    assert model.uncertainty(inputs[:3], {"other": own[:3]})["entropy"].shape == (3,)
    assert len(model.predict(inputs[:0], {"other": own[:0]})) == 0


def test_without_them_the_message_says_what_to_give(trained: RunResult, folder: Path) -> None:
    wanted = (
        r"this model has a member whose predictions come from another program, 'other': give them "
        r"for these rows, with --with other=FILE, in Python with given={'other': \.\.\.}, or as "
        r"columns of the input such as 'other:probability_no'; they are, in this order, "
        r"probability_no, probability_yes"
    )
    model = ensemble_pipe.load(trained.run_dir)
    with pytest.raises(InputError, match=wanted):
        model.predict(np.zeros((2, 3)))
    for verb in ("predict", "evaluate"):
        output = ("--output", folder / "none.csv") if verb == "predict" else ()
        done = call(verb, trained.run_dir, folder / "new.parquet", *output)
        assert done.exit_code == 2
        assert "with --with other=FILE" in done.stderr
    assert not (folder / "none.csv").exists()


@pytest.mark.parametrize(("given", "message"), [
    ({"others": np.zeros((2, 2))}, "needs no predictions named 'others'; it needs: 'other'"),
    ({"other": np.full((3, 2), 0.5)}, "are 3 rows, but 2 are to be predicted"),
    ({"other": np.full((2, 3), 0.5)}, r"of shape \(2, 3\); \(R, 2\) numbers are needed: probabil"),
    ({"other": np.full((2, 2), 0.2)}, "row 0 .from 0., column 'other:probability_no': the probabi"),
    ({"other": np.full((2, 2), np.nan)}, "row 0 .from 0., column 'other:probability_no': missing,"),
    ({"other": pd.DataFrame({"probability_no": [0.5, 0.5]})}, "has no column 'probability_yes'"),
])  # fmt: skip
def test_what_cannot_be_given_is_refused(
    trained: RunResult, given: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        ensemble_pipe.load(trained.run_dir).predict(np.zeros((2, 3)), given)


@pytest.mark.parametrize(("given", "message"), [
    (["other=short.csv"], "short.csv: has 8999 rows, but new.parquet has 9000"),
    (["other=bad.csv"], "bad.csv: row 8000 (from 0, line 8002), column 'probability_yes': 1.5 is "),
    (["other"], "--with other: must be NAME=FILE"),
    (["another=short.csv"], "needs no predictions named 'another'; it needs: 'other'"),
    (["other=nowhere.csv"], "nowhere.csv: "),
])  # fmt: skip
def test_a_file_that_cannot_be_given_is_refused(
    trained: RunResult,
    folder: Path,
    given: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    file = predicted(NEW_ROWS)
    file[1:].to_csv("short.csv", index=False)
    file.loc[8000, "probability_yes"] = 1.5
    file.to_csv("bad.csv", index=False)
    options = [option for one in given for option in ("--with", one)]
    done = call("predict", trained.run_dir, "new.parquet", *options, "--output", "none.csv")
    assert done.exit_code == 2, done.output
    assert message in done.stderr
    assert not Path("none.csv").exists()


@pytest.mark.slow
def test_evaluate_takes_them_too(trained: RunResult, folder: Path) -> None:
    rows_of(3, 300).assign(a=5.0).to_parquet(folder / "odd.parquet")
    predicted(300).to_parquet(folder / "other_odd.parquet")
    arguments = [
        "evaluate", trained.run_dir, folder / "new.parquet", "--json",
        "--with", f"other={folder / 'other_new.csv'}", "--ood", folder / "odd.parquet",
    ]  # fmt: skip
    assert call(*arguments).exit_code == 2
    done = call(*arguments, "--ood-with", f"other={folder / 'other_odd.parquet'}")
    assert done.exit_code == 0, done.output
    metrics = json.loads(done.stdout.splitlines()[-1])["metrics"]
    model, own = ensemble_pipe.load(trained.run_dir), predicted(NEW_ROWS)
    frame = rows_of(2, NEW_ROWS)
    found = model.predict(frame[list("abc")], {"other": own})
    assert metrics["accuracy"] == (found == frame.y).mean()
    assert 0 <= metrics["ood/entropy/auroc"] <= 1


def test_mlflow_takes_them_as_columns_of_the_input(
    trained: RunResult, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
    monkeypatch.setattr("mlflow.tracking._tracking_service.utils._tracking_uri", None)
    served = mlflow.pyfunc.load_model(trained.model_uri)
    names = served.metadata.get_input_schema().input_names()
    assert names == ["a", "b", "c", "other:probability_no", "other:probability_yes"]
    inputs, own = rows_of(2, 20)[list("abc")], predicted(20)
    expected = ensemble_pipe.load(trained.run_dir).table(inputs, {"other": own}).to_pandas()
    joined = inputs.assign(**{f"other:{name}": own[name] for name in COLUMNS})
    pd.testing.assert_frame_equal(served.predict(joined), expected, check_exact=True)
    with pytest.raises(mlflow.MlflowException, match="other:probability_no"):
        served.predict(inputs)


def test_a_forged_name_is_refused(trained: RunResult, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(Path(trained.run_dir) / "model", tmp_path / "model"))
    facts = json.loads((folder / "model.json").read_text())
    facts["members"][2]["name"] = "../../other"
    (folder / "model.json").write_text(json.dumps(facts))
    sums = {name: sha256_of(folder / name) for name in ("model.json", "members.safetensors")}
    (folder / "manifest.json").write_text(json.dumps({"sums": sums}))
    with pytest.raises(CorruptFileError, match=r"members\.2\.given\.name"):
        ensemble_pipe.load(folder)


@pytest.mark.slow
def test_images_take_them_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    right = 0.9 * np.eye(10)[digits.target] + 0.01
    own = pd.DataFrame(right, columns=[f"probability_{k}" for k in range(10)])
    own.to_parquet(tmp_path / "own.parquet")
    images = digits.images.astype(np.uint8)[:, :, :, None]
    np.save(tmp_path / "images.npy", images)
    monkeypatch.chdir(tmp_path)
    other = {"strategy": "predictions", "name": "own", "path": "own.parquet"}
    config = Pipeline.model_validate({
        "network": {"hidden": [8]},
        "training": {"epochs": 1},
        "ensemble": {"pool": [{"learners": 1, "strategy": "independent"}, other]},
    })  # fmt: skip
    result = run(config, inline=True)
    model = ensemble_pipe.load(result.run_dir)
    given = ("--with", "own=own.parquet")
    done = call("predict", result.run_dir, "images.npy", *given, "--output", "o.parquet")
    assert done.exit_code == 0, done.output
    found = pd.read_parquet("o.parquet")
    assert found.pop("row").tolist() == list(range(len(images)))
    assert (found.prediction == digits.target).all()
    pd.testing.assert_frame_equal(
        model.table(images, {"own": right}).to_pandas(), found, check_exact=True
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setattr("mlflow.tracking._tracking_service.utils._tracking_uri", None)
    served = mlflow.pyfunc.load_model(result.model_uri)
    with pytest.raises(InputError, match="from another program, 'own': give them"):
        served.predict(images[:2])


def test_a_bad_deviation_is_a_data_error() -> None:
    from conftest import plain_schema

    from ensemble_pipe.ensemble.members.external import (
        external_columns,
        external_outputs,
        external_values,
    )

    schema = plain_schema("regression", (2,), target_means=(100.0,), target_deviations=(20.0,))
    names = external_columns(schema, deviations=True)
    values = np.array([[90.0, 3.0], [130.0, 11.0]])
    outputs = external_outputs(list(map(pa.array, values.T)), names, schema, lambda n: lambda r: n)
    np.testing.assert_allclose(outputs, [[-0.5, 0.0225], [1.5, 0.3025]], rtol=1e-6)
    np.testing.assert_allclose(external_values(outputs, schema), values, rtol=1e-6)
    values[1, 1] = 0.0
    with pytest.raises(DataError, match=r"0\.0 is no standard deviation"):
        external_outputs(list(map(pa.array, values.T)), names, schema, lambda n: lambda r: n)
