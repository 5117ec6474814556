"""The command line as a user calls it, and the files that it is given."""

import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
from pyarrow import parquet
from typer.testing import CliRunner

from ensemble_pipe.cli import app
from ensemble_pipe.core.arrays import Array
from ensemble_pipe.data.augment.policy import Augment
from ensemble_pipe.data.augment.prediction import PredictionDraws
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.sources.rows import IMAGE, LABEL, Rows, image_array, rows_of
from ensemble_pipe.data.tables.columns import NumberRule, Roles
from ensemble_pipe.data.tables.scaling import Standardize
from ensemble_pipe.data.tables.side_columns import read_targets
from ensemble_pipe.ensemble.combiners import Weighted
from ensemble_pipe.ensemble.members import NetworkMember
from ensemble_pipe.nn.building import build
from ensemble_pipe.nn.losses import CrossEntropy
from ensemble_pipe.nn.networks import Mlp
from ensemble_pipe.serving.artifact import Model, write_artifact

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


# What a model that is there already advises: a rule in a pipeline comes too late for it.
INSTEAD = "fill in what the model can take, or leave the row out, or train with"
ROWS_OF_CSV = "1,2,0\n3,4,1\n" * 30


def ray_is_running() -> bool:
    return "ray" in sys.modules and bool(sys.modules["ray"].is_initialized())


def one_message(text: str) -> str:
    """Return the message, which is all that was printed."""
    assert text.startswith("error: ")
    assert "Traceback" not in text
    return text.removeprefix("error: ").removesuffix("\n")


def refused(*arguments: str) -> str:
    """Run the command line; return the message with which it refuses its input."""
    before, ray_before = sorted(Path().rglob("*")), ray_is_running()
    result = CliRunner().invoke(app, list(arguments))
    message = one_message(result.stderr)
    assert isinstance(result.exception, SystemExit)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert sorted(Path().rglob("*")) == before
    assert ray_is_running() == ray_before
    return message


def refused_in_a_process(*arguments: str, while_ray_starts: bool = False) -> str:
    """Do the same in a process of its own, which does not import Ray, or leaves none behind."""
    before = sorted(Path().rglob("*"))
    code = (
        "import atexit, sys; from ensemble_pipe.cli import app; "
        "atexit.register(lambda: print('ray' in sys.modules)); app()"
    )
    mark = uuid.uuid4().hex
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True, text=True, timeout=60, env={**os.environ, "REFUSED": mark},
    )  # fmt: skip
    assert result.returncode == 2
    assert result.stdout == f"{while_ray_starts}\n"
    assert not any(is_marked(process, mark) for process in psutil.process_iter())
    assert sorted(Path().rglob("*")) == before
    return one_message(result.stderr)


def is_marked(process: psutil.Process, mark: str) -> bool:
    with suppress(psutil.Error):
        return bool(process.environ().get("REFUSED") == mark)
    return False


def run(pipeline: str, *overrides: str) -> str:
    """Refuse a run of a pipeline text; return the message."""
    Path("p.yaml").write_text(pipeline, encoding="utf-8")
    return refused("run", "p.yaml", *(part for text in overrides for part in ("--set", text)))


def run_table(path: str, *overrides: str) -> str:
    return run(f"data: {{source: table, path: {path}, label: y}}\n", *overrides)


def run_idx() -> str:
    return run("data: {source: idx, folder: .}\n")


def write(name: str, content: str | bytes) -> str:
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


def columns(rows: int = 100) -> dict[str, Array]:
    random = np.random.default_rng(0)
    return {"a": random.normal(size=rows), "b": random.normal(size=rows), "y": np.arange(rows) % 2}


def write_parquet(**changed: Any) -> str:
    parquet.write_table(pa.table({**columns(), **changed}), "t.parquet")
    return "t.parquet"


def with_value(name: str, row: int, value: float) -> dict[str, Array]:
    values = columns()[name].astype(np.float64)
    values[row] = value
    return {name: values}


def images_of(rows: int, side: int) -> Array:
    random = np.random.default_rng(side)
    return random.integers(0, 256, (rows, side, side)).astype(np.uint8)


def idx_bytes(values: Array, code: int = 8) -> bytes:
    sizes = np.array(values.shape, ">u4").tobytes()
    return bytes([0, 0, code, values.ndim]) + sizes + values.astype(np.uint8).tobytes()


def write_idx(name: str, values: Array) -> str:
    return write(name, idx_bytes(values))


def write_training_idx(side: int = 8, rows: int = 60) -> None:
    write_idx(TRAIN_IMAGES, images_of(rows, side))
    write_idx(TRAIN_LABELS, np.arange(rows) % 3)


def write_model(rows: Rows, roles: Roles) -> str:
    """Write an untrained model of these rows to the folder `model`."""
    train, targets = np.ones(rows.count, bool), read_targets(rows, roles)
    schema = Schema.fit(rows, roles, "classification", train, Standardize(), targets)
    network, loss = Mlp(hidden=(3,)), CrossEntropy()
    row = build(network, loss, schema).initialize(seed=1, learner=0)
    member = NetworkMember(0, 0, 1, network, loss, row)
    write_artifact(
        Path("model"), Model(schema, [member], Weighted.equal(1), PredictionDraws(Augment(), 1))
    )
    return "model"


def table_model() -> str:
    strict = {"*": NumberRule(missing="error")}
    return write_model(rows_of("t", pa.table(columns())), Roles(("a", "b"), "y", rules=strict))


def image_model() -> str:
    images = {IMAGE: image_array(images_of(60, 8)), LABEL: np.arange(60) % 3}
    return write_model(rows_of("i", pa.table(images)), Roles((IMAGE,), LABEL))


def predict(model: str, path: str, output: str = "out.csv") -> str:
    return refused("predict", model, path, "--output", output)


class Harmful:
    """Makes a file where it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, str]]:
        return write, ("harm", "done")
