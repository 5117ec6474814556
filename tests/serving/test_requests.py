"""What MLflow's scoring server makes of requests: every form gives the bits of `predict`."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.pyfunc import scoring_server
from mlflow.types import ColSpec, DataType
from mlflow.types import Schema as Columns

import ensemble_pipe
from ensemble_pipe.core.data_warning import DataWarning
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.run.pipeline import run
from ensemble_pipe.serving import mlflow_logging
from ensemble_pipe.serving.model import Ensemble
from ensemble_pipe.serving.signature import as_signed

CONFIG = {
    "data": {
        "source": "table", "path": "rows.parquet", "label": "kind",
        "columns": {
            "age": {"missing": "median"}, "born": {"kind": "date", "missing": "median"},
            "job": {"kind": "category", "missing": "category"},
            "code": {"kind": "category", "missing": "error"},
            "member": {"missing": "mean", "indicator": True},
            "x": {"missing": "error"}, "self": {"missing": "error"}, "flag": {"missing": "error"},
        },
    },
    "network": {"hidden": [8]}, "training": {"epochs": 2}, "ensemble": {"learners": 2},
    "tracking": {"mlflow": False},
}  # fmt: skip
CLASSES = ["yes/no", "😀\n"]
OPTIONAL = ["age", "born", "job", "member"]


def table(rows: int = 200) -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({
        "age": random.integers(18, 80, rows).astype(float),
        "born": pd.date_range("2000-01-01", periods=rows).astype(str),
        "job": random.choice(["a", "b", "None of them"], rows),
        "flag": random.random(rows) > 0.5,
        "member": random.choice(np.array([True, False, None]), rows),
        "self": random.integers(0, 9, rows),
        "code": random.integers(1, 4, rows),
        "x": random.normal(size=rows),
    })  # fmt: skip
    frame["kind"] = np.where(frame.x + frame.flag > 0.5, *CLASSES)
    for start, name in enumerate(("age", "born", "job")):
        frame.loc[start::7, name] = None
    return frame


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("requests")
    with pytest.MonkeyPatch.context() as here:
        here.chdir(folder)
        table().to_parquet("rows.parquet")
        Path("p.yaml").write_text(yaml.safe_dump(CONFIG))
        return Path(run("p.yaml", inline=True).run_dir)


@pytest.fixture(scope="module")
def ensemble(trained: Path) -> Ensemble:
    return ensemble_pipe.load(trained)


@pytest.fixture(scope="module")
def saved(trained: Path, ensemble: Ensemble) -> Path:
    """The model as MLflow keeps it."""
    return save(trained, ensemble)


def save(trained: Path, ensemble: Ensemble) -> Path:
    """Save the model of a run as MLflow keeps it; return its folder."""
    paths = RunPaths(trained)
    signature, example = mlflow_logging.describe(ensemble, mlflow_logging._example(paths))
    code = Path(mlflow_logging.__file__).with_name("mlflow_model.py")
    mlflow.pyfunc.save_model(
        trained / "saved",
        python_model=str(code),
        artifacts={"model": paths.model.as_uri()},
        signature=signature,
        input_example=example,
        pip_requirements=[],
    )
    return trained / "saved"


@pytest.fixture(scope="module")
def served(saved: Path) -> Any:
    return mlflow.pyfunc.load_model(str(saved))


Post = Callable[..., pd.DataFrame]


@pytest.fixture(scope="module")
def post(served: Any) -> Post:
    """Return a function that answers a request as MLflow's server does."""
    return poster(served)


def poster(served: Any) -> Post:
    def answer(content: Any, kind: str = "application/json") -> pd.DataFrame:
        text = content if isinstance(content, str) else json.dumps(content)
        schema = served.metadata.get_input_schema()
        response = scoring_server.invocations(text, kind, served, schema)
        assert response.status == 200
        return pd.DataFrame(json.loads(response.response)["predictions"])

    return answer


def rows() -> pd.DataFrame:
    return table().drop(columns="kind")


def with_nulls(frame: pd.DataFrame) -> pd.DataFrame:
    objects = frame.astype(object)
    return objects.where(objects.notna(), None)


def as_split(frame: pd.DataFrame) -> dict[str, Any]:
    data = with_nulls(frame).to_numpy().tolist()
    return {"dataframe_split": {"columns": list(frame), "data": data}}


def as_records(frame: pd.DataFrame) -> dict[str, Any]:
    return {"dataframe_records": with_nulls(frame).to_dict("records")}


def as_inputs(frame: pd.DataFrame) -> dict[str, Any]:
    return {"inputs": with_nulls(frame).to_dict("list")}


def as_instances(frame: pd.DataFrame) -> dict[str, Any]:
    return {"instances": with_nulls(frame).to_dict("records")}


JSON = [as_split, as_records, as_inputs, as_instances]
FORMS = [
    *((form, "application/json") for form in JSON),
    (lambda frame: frame.to_csv(index=False), "text/csv"),
]
IDS = ["split", "records", "inputs", "instances", "csv"]


def require_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(found[list(expected)], expected, check_exact=True)


@pytest.mark.parametrize(("form", "kind"), FORMS, ids=IDS)
def test_every_form_gives_the_bits_of_predict(
    form: Callable[..., Any], kind: str, post: Post, ensemble: Ensemble
) -> None:
    require_same(post(form(rows()), kind), ensemble.table(rows()).to_pandas())


@pytest.mark.parametrize(("form", "kind"), FORMS, ids=IDS)
def test_whole_numbers_will_do_for_doubles(
    form: Callable[..., Any], kind: str, post: Post, ensemble: Ensemble
) -> None:
    whole = rows().assign(x=rows().x.round().astype(int), flag=rows().flag.astype(int))
    require_same(post(form(whole), kind), ensemble.table(whole).to_pandas())


@pytest.mark.parametrize(("form", "kind"), FORMS, ids=IDS)
@pytest.mark.parametrize("column", ["x", "self", "code", "flag"])
def test_a_null_that_may_not_be_is_named(
    column: str, form: Callable[..., Any], kind: str, post: Post
) -> None:
    frame = with_nulls(rows().head(3))
    frame.loc[1, column] = None
    with pytest.raises(mlflow.MlflowException) as refused:
        post(form(frame), kind)
    assert refused.value.get_http_status_code() == 400
    assert f"row 1 (from 0), column '{column}': a missing value" in refused.value.message
    assert "unexpected error" not in refused.value.message


@pytest.mark.parametrize(("form", "kind"), FORMS, ids=IDS)
def test_optional_columns_may_be_absent(
    form: Callable[..., Any], kind: str, post: Post, ensemble: Ensemble
) -> None:
    absent = rows().assign(**dict.fromkeys(OPTIONAL))
    expected = ensemble.table(absent).to_pandas()
    require_same(post(form(rows().drop(columns=OPTIONAL)), kind), expected)


@pytest.mark.parametrize(("form", "kind"), FORMS, ids=IDS)
def test_an_optional_column_that_was_renamed_is_asked_for(
    form: Callable[..., Any], kind: str, post: Post
) -> None:
    name = OPTIONAL[0]
    frame = rows().rename(columns={name: name.upper()})
    with pytest.raises(mlflow.MlflowException, match=f"did you mean '{name.upper()}'"):
        post(form(frame), kind)


def test_a_text_that_means_a_missing_value_does_so_in_every_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(1)
    frame = pd.DataFrame({"x": random.normal(size=200), "job": random.choice(["a", "b"], 200)})
    frame["kind"] = np.where(frame.x > 0, "p", "q")
    frame = frame.astype({"x": object})
    frame.loc[::5, ["x", "job"]] = "unknown"
    frame.to_csv("rows.csv", index=False)
    columns = {"x": {"missing": "median"}, "job": {"kind": "category", "missing": "category"}}
    data = {"source": "table", "path": "rows.csv", "label": "kind", "columns": columns}
    config = {**CONFIG, "data": {**data, "missing_values": ["unknown"]}}
    Path("p.yaml").write_text(yaml.safe_dump(config))
    trained = Path(run("p.yaml", inline=True).run_dir)
    ensemble = ensemble_pipe.load(trained)
    expected = ensemble.table(pd.read_csv("rows.csv").head(20)).to_pandas()
    served = mlflow.pyfunc.load_model(str(save(trained, ensemble)))
    for form, kind in FORMS:
        found = poster(served)(form(frame.head(20).drop(columns="kind")), kind)
        require_same(found, expected)
    require_same(served.predict(frame.head(20).drop(columns="kind")), expected)


def test_without_rules_a_null_is_no_error_in_any_form_and_a_forgotten_column_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table().to_parquet("rows.parquet")
    data = {"source": "table", "path": "rows.parquet", "label": "kind"}
    Path("p.yaml").write_text(yaml.safe_dump({**CONFIG, "data": data}))
    trained = Path(run("p.yaml", inline=True).run_dir)
    ensemble = ensemble_pipe.load(trained)
    served = mlflow.pyfunc.load_model(str(save(trained, ensemble)))
    assert served.metadata.get_input_schema().optional_input_names() == OPTIONAL
    frame = rows().head(3).astype({"flag": object, "self": float, "code": float})
    frame.loc[1, ["x", "self", "code", "flag"]] = None
    expected = ensemble.table(frame).to_pandas()
    for form, kind in FORMS:
        require_same(poster(served)(form(frame), kind), expected)
        with pytest.raises(mlflow.MlflowException, match="x"):
            poster(served)(form(frame.drop(columns="x")), kind)
    strange = frame.astype({"x": object, "self": object})
    strange.loc[0, ["x", "self"]] = ["#DIV/0!", "12 kg"]
    expected = ensemble.table(strange.assign(x=[None, None, frame.x[2]])).to_pandas()
    for form, kind in FORMS:
        with pytest.warns(DataWarning, match="column 'x': 1 value that is no number counts as"):
            require_same(poster(served)(form(strange), kind), expected)
    with pytest.warns(DataWarning, match="column 'self': 1 value that is no number .*'12 kg'"):
        require_same(served.predict(strange), expected)


def test_names_of_columns_may_be_numbers() -> None:
    signed = Columns([ColSpec(DataType.double, "0"), ColSpec(DataType.string, "1")])
    found = as_signed(pd.DataFrame({0: [1, 2], 1: ["a", "b"]}), signed)
    assert found.dtypes.astype(str).to_dict() == {"0": "float64", "1": "object"}


def test_the_signature_says_types_and_what_may_be_missing(served: Any) -> None:
    schema = served.metadata.get_input_schema()
    assert schema.optional_input_names() == OPTIONAL
    assert {name: spec.type.name for name, spec in schema.input_dict().items()} == {
        "age": "double", "born": "string", "job": "string", "flag": "string",
        "member": "string", "self": "double", "code": "string", "x": "double",
    }  # fmt: skip
    outputs = served.metadata.get_output_schema().input_names()
    assert {f"probability_{name}" for name in CLASSES} <= set(outputs)


def test_the_logged_example_works_when_pasted(saved: Path, post: Post) -> None:
    content = (saved / "serving_input_example.json").read_text()
    columns = json.loads(content)["dataframe_split"]["columns"]
    assert columns == list(rows())
    assert len(post(content)) == len(json.loads(content)["dataframe_split"]["data"])


FRAMES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "as it is": lambda frame: frame,
    "dates": lambda frame: frame.assign(born=pd.to_datetime(frame.born)),
    "nullable types": lambda frame: frame.convert_dtypes(),
    "truth as numbers": lambda frame: frame.assign(flag=frame.flag.astype(int)),
    "codes as text": lambda frame: frame.assign(code=frame.code.astype(str)),
    "objects": lambda frame: frame.astype(object),
    "further columns": lambda frame: frame.assign(more=1),
}


@pytest.mark.parametrize("change", FRAMES.values(), ids=FRAMES)
def test_pyfunc_takes_frames_of_any_kind(
    change: Callable[[pd.DataFrame], pd.DataFrame], served: Any, ensemble: Ensemble
) -> None:
    require_same(served.predict(change(rows())), ensemble.table(rows()).to_pandas())


def test_pyfunc_takes_columns_and_rows(served: Any, ensemble: Ensemble) -> None:
    expected = ensemble.table(rows()).to_pandas()
    whole = with_nulls(rows())
    require_same(served.predict(whole.to_dict("list")), expected)
    require_same(served.predict({name: rows()[name].to_numpy() for name in rows()}), expected)
    require_same(served.predict(whole.to_dict("records")), expected)
    require_same(served.predict(whole.iloc[0].to_dict()), expected.head(1))
    with pytest.raises(mlflow.MlflowException, match="Model is missing inputs"):
        served.predict({"x": [1.0, 2.0]})
    with pytest.raises(mlflow.MlflowException, match="same length"):
        served.predict(whole.to_dict("list") | {"x": [1]})


def test_a_model_logged_by_an_earlier_version_serves(
    trained: Path, ensemble: Ensemble, tmp_path: Path
) -> None:
    from mlflow.types.schema import AnyType, ColSpec, Schema

    old = tmp_path / "model.py"
    old.write_text(
        "from pathlib import Path\nimport mlflow\nfrom ensemble_pipe.serving.model import load\n"
        "class EnsembleModel(mlflow.pyfunc.PythonModel):\n"
        "    def load_context(self, context):\n"
        "        self.ensemble = load(Path(context.artifacts['model']))\n"
        "    def predict(self, context, model_input, params=None):\n"
        "        return self.ensemble.table(model_input).to_pandas()\n"
        "mlflow.models.set_model(EnsembleModel())\n"
    )
    signature = mlflow.models.ModelSignature(
        Schema([ColSpec(AnyType(), name) for name in ensemble.columns])
    )
    artifacts = {"model": str(RunPaths(trained).model)}
    mlflow.pyfunc.save_model(
        tmp_path / "m", python_model=str(old), artifacts=artifacts, signature=signature,
        pip_requirements=[],
    )  # fmt: skip
    served = mlflow.pyfunc.load_model(str(tmp_path / "m"))
    require_same(served.predict(rows()), ensemble.table(rows()).to_pandas())


def test_other_models_of_the_process_answer_as_before(served: Any) -> None:
    from mlflow.models import Model

    class Chat:  # as MLflow wraps a ChatAgent: it holds no `python_model`
        def predict(self, data: Any) -> Any:
            return data

    flavor = {"python_function": {"loader_module": "mlflow.pyfunc.loaders.code_model"}}
    other = mlflow.pyfunc.PyFuncModel(Model(flavors=flavor), Chat())
    frame = pd.DataFrame({"x": [1, 2]})
    assert other.predict(frame) is frame


@pytest.mark.slow
def test_the_server_answers_over_http(saved: Path, ensemble: Ensemble) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = [
        sys.executable, "-m", "mlflow", "models", "serve", "-m", str(saved),
        "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
    ]  # fmt: skip
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {
        **os.environ,
        "PATH": path,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    server = subprocess.Popen(command, env=environment, start_new_session=True, **quiet)

    def send(content: str, kind: str) -> tuple[int, Any]:
        address = f"http://127.0.0.1:{port}/invocations"
        request = urllib.request.Request(address, content.encode(), {"Content-Type": kind})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            return refused.code, json.load(refused)

    try:
        deadline = time.monotonic() + 90
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert time.monotonic() < deadline
            time.sleep(0.2)
        expected = ensemble.table(rows()).to_pandas()
        for form, kind in FORMS:
            content = form(rows())
            text = content if isinstance(content, str) else json.dumps(content)
            status, answer = send(text, kind)
            assert status == 200
            require_same(pd.DataFrame(answer["predictions"]), expected)
        status, answer = send(json.dumps(as_records(rows().head(1).assign(x=None))), FORMS[0][1])
        assert status == 400
        assert "row 0 (from 0), column 'x': a missing value" in answer["message"]
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)
