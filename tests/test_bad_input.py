"""Bad input through the real command line: one message that teaches, status 2, nothing started."""

import gzip
import os
import re
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet
from typer.testing import CliRunner

from ensemble_pipe.arrays import Array
from ensemble_pipe.cli import app
from ensemble_pipe.data.augment.policy import Augment
from ensemble_pipe.data.augment.prediction import PredictionDraws
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.sources.rows import IMAGE, LABEL, Rows, image_array, rows_of
from ensemble_pipe.data.splits import split_rows
from ensemble_pipe.data.tables.columns import Roles
from ensemble_pipe.data.tables.scaling import Standardize
from ensemble_pipe.data.tables.side_columns import read_targets
from ensemble_pipe.ensemble.combiners import Weighted
from ensemble_pipe.ensemble.members import NetworkMember
from ensemble_pipe.errors import DataError
from ensemble_pipe.nn.losses import CrossEntropy
from ensemble_pipe.nn.networks import Mlp
from ensemble_pipe.serving.artifact import Model, write_artifact
from ensemble_pipe.serving.model import load
from ensemble_pipe.training.plan import build

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in an empty folder, and keep the signals of the tests as they are."""
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


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


def refused_in_a_process(*arguments: str) -> str:
    """Do the same in a process of its own, which does not even import Ray."""
    before = sorted(Path().rglob("*"))
    code = (
        "import atexit, sys; from ensemble_pipe.cli import app; "
        "atexit.register(lambda: print('ray' in sys.modules)); app()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 2
    assert result.stdout == "False\n"
    assert sorted(Path().rglob("*")) == before
    return one_message(result.stderr)


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
    return write_model(rows_of("t", pa.table(columns())), Roles(("a", "b"), "y"))


def image_model() -> str:
    images = {IMAGE: image_array(images_of(60, 8)), LABEL: np.arange(60) % 3}
    return write_model(rows_of("i", pa.table(images)), Roles((IMAGE,), LABEL))


def predict(model: str, path: str, output: str = "out.csv") -> str:
    return refused("predict", model, path, "--output", output)


# The pipeline


def test_an_unknown_key_names_the_nearest_valid_one() -> None:
    assert run("seed: 1\ntraining:\n  epoch: 3\n") == (
        "training.epoch: unknown key 'epoch'; did you mean 'epochs'? "
        "valid: averaging, batch_size, early_stopping, epochs, loss, optimizer, order, schedule "
        "(p.yaml:3)"
    )


def test_an_unknown_optimizer_names_the_nearest_valid_one() -> None:
    message = run("training:\n  optimizer:\n    name: adm\n")
    assert message.startswith("training.optimizer.name: unknown 'adm'; did you mean 'adam'? valid")
    assert message.endswith(" (p.yaml:3)")


def test_all_mistakes_are_reported_at_once() -> None:
    message = run("sed: 1\nshard_rows: 0\n", "training.epochs=none", "cluster.retries=-1")
    keys = [line.split(":")[0] for line in message.splitlines()]
    assert keys == ["shard_rows", "training.epochs", "cluster.retries", "sed"]
    places = [line[line.rindex("(") :] for line in message.splitlines()]
    assert places[:2] == ["(p.yaml:2)", "(--set training.epochs)"]
    assert places[2:] == ["(--set cluster.retries)", "(p.yaml:1)"]


def test_a_missing_pipeline_file() -> None:
    assert refused("run", "absent.yaml") == "absent.yaml: no such pipeline file"


@pytest.mark.parametrize("text", ["epochs", "=3"])
def test_an_override_without_a_key_or_value(text: str) -> None:
    assert run("seed: 1\n", text) == (f"--set {text}: must be KEY=VALUE, such as training.epochs=3")


def test_an_override_that_is_no_yaml() -> None:
    message = run("seed: 1\n", "network.hidden=[1")
    assert message == "--set network.hidden=[1: '[1' is not a YAML value"


def test_an_override_below_a_value() -> None:
    assert run("seed: 1\n", "seed.x=2") == "seed.x: there is no such key (--set seed.x)"


def test_a_key_that_stands_there_twice() -> None:
    message = run("seed: 1\ntraining:\n  epochs: 1\n  epochs: 2\n")
    assert message == "training.epochs: stands there twice, first in line 3 (p.yaml:4)"


def test_a_tracking_server_of_no_known_kind() -> None:
    assert "tracking.uri" in run("seed: 1", "tracking.uri=banana://x")


def test_broken_yaml() -> None:
    message = run("seed: 1\nnetwork: {hidden: [8}\n")
    assert message.startswith("p.yaml:2: not valid YAML: expected ',' or ']', but got '}'")


def test_a_vary_of_what_cannot_differ() -> None:
    assert run("ensemble:\n  vary:\n    data.source: [digits]\n") == (
        "ensemble.vary: 'data.source' cannot differ between learners; name keys below network, "
        "training or view, such as training.optimizer.learning_rate (p.yaml:3)"
    )


def test_a_vary_of_a_key_that_does_not_exist() -> None:
    message = run("ensemble:\n  vary:\n    training.optimizer.learningrate: [0.1]\n")
    assert message.startswith("training.optimizer.learningrate: unknown key 'learningrate'; ")
    assert "did you mean 'learning_rate'?" in message
    assert message.endswith("(ensemble.vary, p.yaml:3)")


def test_the_snapshot_strategy_without_its_schedule() -> None:
    assert run("ensemble:\n  strategy: snapshot\n") == (
        "ensemble.strategy: snapshot needs a training.schedule with cycles (snapshot, sgdr, "
        "triangular or fast_geometric), not 'constant' (p.yaml:2)"
    )


def test_more_snapshots_than_steps() -> None:
    pipeline = "{ensemble: {strategy: snapshot}, training: {schedule: {name: snapshot}}}"
    message = run(pipeline, "training.epochs=1", "training.schedule.cycles=1000")
    assert re.fullmatch(
        r"training\.schedule: 1000 cycles do not fit into the \d+ steps of the training; "
        "take fewer or raise epochs",
        message,
    )


def test_augmentations_of_a_table() -> None:
    message = run_table(write_parquet(), "augment=[{name: shift_crop}]")
    assert message == "augment: shift_crop is for images, but the data is a table"


# Tables

# What a model that is there already advises: a rule in a pipeline comes too late for it.
INSTEAD = "fill in what the model can take, or leave the row out, or train with"
ROWS_OF_CSV = "1,2,0\n3,4,1\n" * 30

CSV: dict[str, tuple[str, str]] = {
    "an empty file": ("", r"t\.csv: the file is empty"),
    "a header only": ("a,b,y\n", r"t\.csv: has no rows"),
    "a broken row": (
        f"a,b,y\n{ROWS_OF_CSV}5,6\n",
        r"t\.csv: row 61 \(line 62\): has 2 fields where the header has 3",
    ),
    "a feature that is no number": (
        f"a,b,y\n{ROWS_OF_CSV}5,tall,0\n",
        r"t\.csv: row 61 \(line 62\), column 'b': 'tall' is not a number; "
        r"declare it by `columns: \{b: \{kind: category\}\}`, or name it in `ignore`",
    ),
    "a missing feature": (
        f"a,b,y\n{ROWS_OF_CSV}5,,0\n",
        r"t\.csv: row 61 \(line 62\), column 'b': a missing value or NaN; "
        r"say what stands for it, such as `columns: \{b: \{missing: mean\}\}` \(median or a number "
        r"will do too\), or remove such rows",
    ),
    "an infinite feature": (
        f"a,b,y\n-inf,6,0\n{ROWS_OF_CSV}",
        r"t\.csv: row 1 \(line 2\), column 'a': infinity; every feature must be a finite number.*",
    ),
    "a missing label": (
        f"a,b,y\n{ROWS_OF_CSV}5,6,\n",
        r"t\.csv: row 61 \(line 62\), column 'y': the label is missing; remove such rows",
    ),
    "a missing label among names": (
        "a,b,y\n1,2,no\n3,4,\n" + "5,6,yes\n7,8,no\n" * 30,
        r"t\.csv: row 2 \(line 3\), column 'y': the label is missing; remove such rows",
    ),
    "no label column": (
        "a,b,z\n1,2,0\n",
        r"t\.csv: has no column 'y'; its columns are: a, b, z",
    ),
    "one class only": (
        "a,b,y\n" + "1,2,7\n" * 50,
        r"t\.csv: all 50 rows have the one class 7; a classifier needs at least two",
    ),
    "a column twice": (
        f"a,a,y\n{ROWS_OF_CSV}",
        r"t\.csv: column 'a' stands there more than once",
    ),
    "nothing but labels": ("y\n0\n1\n", r"t\.csv: has no feature columns beside 'y'"),
}


@pytest.mark.parametrize("what", CSV)
def test_a_csv_file_with(what: str) -> None:
    text, message = CSV[what]
    assert re.fullmatch(message, run_table(write("t.csv", text)))


def rows_of_csv(rows: int, wrong: str, at: int) -> str:
    """Return a CSV file of so many rows, of which one, counted from 1, is `wrong`."""
    lines = [f"{row % 7},{row % 5},{row % 2}" for row in range(rows)]
    lines[at - 1] = wrong
    return "a,b,y\n" + "\n".join(lines) + "\n"


def first_row_of_test_part(rows: int) -> int:
    """Return the number, from 1, of a row late in such a file that the schema is not fitted to."""
    sizes = {"test": 0.2, "validation": 0.15, "stop": 0.1}
    parts = split_rows(np.arange(rows) % 2, rows, sizes, 1, "here")
    return int(next(row for row in parts["test"] if row >= rows - 1000)) + 1


def test_a_wrong_value_that_is_found_while_files_are_written() -> None:
    at = first_row_of_test_part(6000)
    assert at >= 5000
    message = run_table(write("t.csv", rows_of_csv(6000, f"1,inf,{(at - 1) % 2}", at)))
    assert message.startswith(f"t.csv: row {at} (line {at + 1}), column 'b': infinity; every feat")


def test_a_wrong_value_in_the_middle_of_an_official_test_part() -> None:
    write("test.csv", rows_of_csv(6000, "1,,1", 5000))
    message = run_table(write_parquet(), "data.test_path=test.csv", "shard_rows=64")
    assert message.startswith("test.csv: row 5000 (line 5001), column 'b': a missing value")


@pytest.mark.parametrize("value", ["tall", "1,5", "12 kg"])
def test_a_text_far_down_among_numbers(value: str) -> None:
    write("test.csv", rows_of_csv(6000, f'1,"{value}",1', 5000))
    where = f"test.csv: row 5000 (line 5001), column 'b': {value!r} is not a number; declare it by"
    assert run_table("test.csv").startswith(where)
    assert run_table(write_parquet(), "data.test_path=test.csv").startswith(where)
    assert predict(table_model(), "test.csv") == where.replace("declare it by", INSTEAD) + (
        " `columns: {b: {kind: category}}`"
    )


def test_folders_that_were_there_before_a_wrong_run_stay() -> None:
    Path("there").mkdir()
    Path("p.yaml").write_text("data: {source: table, path: test.csv, label: y}\n")
    at = first_row_of_test_part(6000)
    write("test.csv", rows_of_csv(6000, f"1,inf,{(at - 1) % 2}", at))
    refused("run", "p.yaml", "--output", "there")
    refused("run", "p.yaml", "--output", "there/or/not")


def test_a_missing_data_file() -> None:
    message = run_table("absent.csv")
    assert message == "absent.csv: no such file; paths are taken from the current directory"


def test_an_unknown_format() -> None:
    message = run_table(write("t.xlsx", "x"))
    assert message.startswith("t.xlsx: unknown format '.xlsx'; .parquet, .arrow, .feather, .csv")


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (np.nan, "a missing value or NaN; say what stands for it, such as `columns: {b: {missing:"),
        (np.inf, "infinity; every feature must be a finite number"),
    ],
)
def test_the_first_feature_that_is_not_finite(value: float, what: str) -> None:
    path = write_parquet(**with_value("b", 41, value))
    assert run_table(path).startswith(f"t.parquet: row 42, column 'b': {what}")


def test_a_label_that_is_nan() -> None:
    path = write_parquet(**with_value("y", 6, np.nan))
    message = run_table(path)
    assert message == "t.parquet: row 7, column 'y': the label is missing; remove such rows"


def test_labels_that_are_dates() -> None:
    days = np.array(["2020-01-01", "2020-01-02"] * 50, "datetime64[D]")
    assert run_table(write_parquet(y=days)) == (
        "t.parquet: label 'y' is of type date32[day]; labels are numbers, text in UTF-8, or true "
        "and false"
    )


def test_a_numeric_target_without_saying_so() -> None:
    message = run_table(write_parquet(y=np.linspace(0, 1, 100)))
    assert message.startswith("t.parquet: row 2, column 'y': label 0.01")
    assert message.endswith("is not a class; for a numeric target set `task: regression`")


def test_more_test_rows_than_rows() -> None:
    assert run_table(write_parquet(), "splits.test=5000") == (
        "t.parquet: the splits need 5025 rows (test 5000, validation 15, stop 10) and training at "
        "least one, but there are 100; make splits smaller"
    )


def test_a_class_without_a_row_in_the_training_part() -> None:
    labels = np.array(["common"] * 96 + [f"rare {i}" for i in range(4)])
    sizes = ("splits.test=0.4", "splits.validation=0.3", "splits.stop=0.2")
    message = run_table(write_parquet(y=labels), *sizes)
    assert re.fullmatch(
        r"t\.parquet: class 'rare \d' has no row in the training part; make the other splits "
        "smaller, or remove or merge the class",
        message,
    )


def test_a_test_file_without_a_column_of_the_training_file() -> None:
    path = write_parquet()
    write("test.csv", "a,y\n1,0\n")
    message = run_table(path, "data.test_path=test.csv")
    assert message == "test.csv: has no column 'b'; its columns are: a, y"


def test_a_test_file_with_a_class_of_its_own() -> None:
    path = write_parquet()
    write("test.csv", "a,b,y\n1,2,0\n1,2,5\n")
    message = run_table(path, "data.test_path=test.csv")
    assert message == (
        "test.csv: row 2 (line 3), column 'y': label 5 is no class of the training data; its "
        "classes are: 0, 1"
    )


def test_a_truncated_parquet_file() -> None:
    path = Path(write_parquet())
    path.write_bytes(path.read_bytes()[:-50])
    assert run_table("t.parquet").startswith("t.parquet: cannot be read (Parquet magic bytes not")


def test_a_parquet_page_with_a_flipped_bit() -> None:
    table = pa.table(columns(5000))
    parquet.write_table(table, "t.parquet", compression="none", write_page_checksum=True)
    content = bytearray(Path("t.parquet").read_bytes())
    content[len(content) // 3] ^= 1
    message = run_table(write("t.parquet", bytes(content)))
    assert message.startswith("t.parquet: cannot be read (")
    assert "CRC checksum verification failed" in message


def test_compressed_garbage() -> None:
    message = run_table(write("t.csv.gz", b"\x1f\x8bgarbage of some length"))
    assert message.startswith("t.csv.gz: cannot be read (")


class Harmful:
    """Makes a file where it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, str]]:
        return write, ("harm", "done")


def test_an_npz_file_of_pickled_objects_is_not_unpickled() -> None:
    objects = np.array([Harmful()] * 4, dtype=object)
    np.savez("t.npz", a=objects, y=np.arange(4) % 2)
    message = run_table("t.npz")
    assert message.startswith("t.npz: array 'a' is object of shape (4,); a column (R,), a block")
    assert not Path("harm").exists()


# Images


def test_a_missing_folder_of_images() -> None:
    message = run("data: {source: idx, folder: absent}\n")
    assert message.startswith("absent: no such folder; set data.folder to where the IDX files lie")


def test_a_folder_without_images() -> None:
    assert run_idx() == ".: has no train-images-idx3-ubyte, with .gz or without"


def test_test_images_of_another_size() -> None:
    write_training_idx(side=8)
    write_idx(TEST_IMAGES, images_of(5, 6))
    write_idx(TEST_LABELS, np.arange(5) % 3)
    assert run_idx() == (
        f"{TEST_IMAGES}: images of shape (6, 6, 1), but the training data has (8, 8, 1)"
    )


def test_a_label_of_test_images_that_no_training_image_has() -> None:
    write_training_idx()
    write_idx(TEST_IMAGES, images_of(5, 8))
    write_idx(TEST_LABELS, np.array([0, 1, 2, 7, 0]))
    assert run_idx() == (
        f"{TEST_LABELS}: row 4: label 7 is no class of the training data; its classes are: 0, 1, 2"
    )


def test_a_label_that_is_no_class_is_named_by_its_array() -> None:
    np.savez("t.npz", x=np.ones((40, 2)), labels=np.array([0.0, 1.0, 0.5, 1.0] * 10))
    message = run("data: {source: table, path: t.npz, label: labels}\n")
    assert message.startswith("t.npz: row 3, column 'labels': label 0.5 is not a class; for")


def test_another_number_of_labels() -> None:
    write_training_idx()
    write_idx(TRAIN_LABELS, np.arange(59) % 3)
    assert run_idx() == f"{TRAIN_LABELS}: holds shape (59,), but there are 60 images"


def test_images_that_are_cut_short() -> None:
    write_training_idx()
    write(TRAIN_IMAGES, idx_bytes(images_of(60, 8))[:-10])
    assert run_idx() == (
        f"{TRAIN_IMAGES}: its header announces 3840 bytes for shape (60, 8, 8), "
        "but it holds only 3830"
    )


def test_compressed_images_that_are_cut_short() -> None:
    write_training_idx()
    Path(TRAIN_IMAGES).unlink()
    write(f"{TRAIN_IMAGES}.gz", gzip.compress(idx_bytes(images_of(60, 8)))[:-500])
    assert run_idx().startswith(f"{TRAIN_IMAGES}.gz: cannot be read (Compressed file ended")


def test_images_of_another_number_type() -> None:
    write_training_idx()
    write(TRAIN_IMAGES, idx_bytes(images_of(60, 8), code=0x0D))
    assert run_idx() == (
        f"{TRAIN_IMAGES}: not an IDX file of unsigned bytes (it starts with 00 00 0d 03; "
        "00 00 08 followed by 01 to 04 is right)"
    )


def test_images_that_are_garbage() -> None:
    write_training_idx()
    write(TRAIN_IMAGES, b"\x1f\x8bgarbage of some length")
    assert run_idx().startswith(f"{TRAIN_IMAGES}: cannot be read (")


def test_a_compressed_bomb_of_a_gigabyte_takes_little_memory() -> None:
    write_training_idx()
    Path(TRAIN_IMAGES).unlink()
    zeros = gzip.compress(bytes(4 << 20))
    write(f"{TRAIN_IMAGES}.gz", gzip.compress(idx_bytes(images_of(60, 8))) + 256 * zeros)
    tracemalloc.start()
    try:
        message = run_idx()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert message == (
        f"{TRAIN_IMAGES}.gz: its header announces 3840 bytes for shape (60, 8, 8), "
        "but it holds more"
    )
    assert peak < 32 << 20


# Models


def test_a_missing_model() -> None:
    message = predict("absent", write("t.csv", "a,b\n1,2\n"))
    assert message == (
        "absent: no model there; name a run directory, a model directory or an MLflow model URI"
    )


@pytest.mark.parametrize("name", ["members.safetensors", "model.json"])
def test_a_model_with_a_flipped_bit(name: str) -> None:
    path = Path(table_model()) / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    message = predict("model", write("t.csv", "a,b\n1,2\n"))
    assert message.startswith(f"model/{name}: its contents do not match the sha256 sum in its mani")


def test_a_model_without_its_members() -> None:
    (Path(table_model()) / "members.safetensors").unlink()
    message = predict("model", write("t.csv", "a,b\n1,2\n"))
    assert message == "model/members.safetensors: missing, though its manifest lists it"


def test_predictions_into_an_unknown_ending() -> None:
    message = predict(table_model(), write("t.csv", "a,b\n1,2\n"), "out.xlsx")
    assert message == (
        "out.xlsx: predictions are written as .parquet, .arrow, .csv; choose such an ending"
    )


TABLES: dict[str, tuple[str, str]] = {
    "a column too few": (
        "a\n1\n",
        "t.csv: has no column 'b'; its columns are: a",
    ),
    "no rows": ("a,b\n", "t.csv: has no rows"),
    "a missing value": (
        "b,a\n1,2\n1,\n",
        "t.csv: row 2 (line 3), column 'a': a missing value or NaN; "
        f"{INSTEAD} `columns: {{a: {{missing: mean}}}}`",
    ),
    "text": ("a,b\n1,2\n1,x\n", "t.csv: row 2 (line 3), column 'b': 'x' is not a number"),
}


@pytest.mark.parametrize("what", TABLES)
def test_predictions_for_a_table_with(what: str) -> None:
    text, message = TABLES[what]
    assert predict(table_model(), write("t.csv", text)).startswith(message)


@pytest.mark.parametrize("values", [[0.5, 10**30], [10**30, "x"], [1, "x"]])
def test_predictions_for_objects_that_are_no_numbers(values: list[object]) -> None:
    model = load(table_model())
    objects = np.array([[value, 1.0] for value in values], object)
    with pytest.raises(DataError, match="several kinds in one column, or one too large"):
        model.predict(pd.DataFrame(objects, columns=["a", "b"]))
    with pytest.raises(DataError, match="no number of at most 64 bits or text"):
        model.predict(objects)


def test_predictions_for_a_missing_file() -> None:
    assert predict(table_model(), "absent.csv").startswith("absent.csv: no such file; paths are")


def test_predictions_for_a_table_by_a_model_of_images() -> None:
    message = predict(image_model(), write("t.csv", "a,b\n1,2\n"))
    assert message == "t.csv: holds features, but the model needs images"


def test_predictions_for_images_of_another_size() -> None:
    path = write_idx(TEST_IMAGES, images_of(5, 6))
    assert predict(image_model(), path) == (
        f"{TEST_IMAGES}: images of shape (6, 6, 1), but the training data has (8, 8, 1)"
    )


def test_predictions_for_an_npy_array_with_another_number_of_features() -> None:
    np.save("t.npy", np.array([[1.0, 2.0], [3.0, np.nan]]))
    assert predict(table_model(), "t.npy").startswith("t.npy: row 2, column 'b': a missing value")
    np.save("t.npy", np.ones((4, 3)))
    assert predict("model", "t.npy") == "t.npy: rows of 3 numbers, but the model needs 2: a, b"


@pytest.mark.parametrize("content", [b"no array", b"PK\x03\x04 a zip file", b"\x93NUMPY\x01\x00"])
def test_predictions_for_what_is_no_npy_file(content: bytes) -> None:
    message = predict(table_model(), write("t.npy", content))
    assert message.startswith("t.npy: cannot be read (")


def test_an_npy_file_of_pickled_objects_is_not_unpickled() -> None:
    np.save("t.npy", np.array([Harmful()], dtype=object))
    message = predict(table_model(), "t.npy")
    assert message.startswith("t.npy: object of shape (1,); (R, D) numbers or uint8 images")
    assert not Path("harm").exists()


def test_an_evaluation_without_labels() -> None:
    message = refused("evaluate", table_model(), write("t.csv", "a,b\n1,2\n"))
    assert message == "t.csv: has no column 'y', which holds the labels; it has: a, b"


def test_an_evaluation_of_images_without_labels_beside_them() -> None:
    path = write_idx(TEST_IMAGES, images_of(5, 8))
    assert refused("evaluate", image_model(), path) == (
        f"{TEST_IMAGES}: no label file beside it; its name would be that of the images with "
        "labels-idx1 for images-idx3"
    )


def test_an_evaluation_of_an_array_without_labels() -> None:
    np.save("t.npy", np.ones((4, 2)))
    message = refused("evaluate", table_model(), "t.npy")
    assert message == "t.npy: an NPY file has no labels; put both into an NPZ file"


def test_an_evaluation_with_an_unknown_class() -> None:
    message = refused("evaluate", table_model(), write("t.csv", "a,b,y\n1,2,1\n1,2,9\n"))
    assert message == (
        "t.csv: row 2 (line 3), column 'y': label 9 is no class of the training data; its classes "
        "are: 0, 1"
    )


# What a terminal would obey, and what would fill it

SIGNS = "\x1b]0;title\x07\x1b[2J"


def test_escape_sequences_are_shown_not_obeyed() -> None:
    rows = "".join(f"{SIGNS}{row % 3},{row % 2},1\n" for row in range(60))
    write("t.csv", f"a{SIGNS},y,b\n{rows}")
    shown = r"a\x1b]0;title\x07\x1b[2J"
    assert f"column '{shown}': '{shown[1:]}0' is not a number" in run_table("t.csv")
    assert f"its columns are: {shown}, y, b" in run_table("t.csv", "data.label=q")
    result = CliRunner().invoke(app, ["data", "inspect", "t.csv", "--label", f"a{SIGNS}"])
    assert result.exit_code == 0
    assert "\x1b" not in result.output
    assert f"label '{shown}': 3 classes\n  {shown[1:]}0  20" in result.output
    assert "\x1b" not in refused("data", "inspect", f"{SIGNS}.csv")
    assert "\x1b" not in run("seed: 1", f"na{SIGNS}me=1", f"name={SIGNS}")


def test_long_names_and_values_are_cut() -> None:
    name, value = "n" * 5000, "v" * 5000
    write("t.csv", f"{name},y\n" + f"{value},0\n{value},1\n" * 30)
    assert len(run_table("t.csv")) < 400
    assert len(run_table("t.csv", "data.label=q")) < 400
    assert len(run_table("t.csv", f"data.ignore=[{name}]")) < 400
    write("t.csv", "a,y\n" + f"1,{value}\n2,{value}\n" * 30)
    assert len(run_table("t.csv")) < 400
    write("t.csv", f"a,b,y\n{value[:4000]}\xff,1,2\n")
    assert len(run_table("t.csv")) < 400


# What the operating system refuses


@pytest.fixture
def no_rights(folder: Path) -> Iterator[None]:
    """Be nobody, whom rights bind; by the folder's own name nothing above it need be entered."""
    folder.chmod(0o777)
    table_model()  # imports what it needs
    own = os.geteuid()
    if own == 0:
        os.seteuid(65534)
    yield
    os.seteuid(own)


@pytest.mark.usefixtures("no_rights")
@pytest.mark.parametrize(
    "closed", ["t.csv", "t.parquet", "t.npy", "t.npz", "images/a/0.png", "images/a", "images"]
)
def test_what_may_not_be_read(closed: str) -> None:
    Path("images/a").mkdir(parents=True)
    for name in ("t.csv", "t.parquet", "t.npy", "t.npz", "images/a/0.png"):
        write(name, "x")
    Path(closed).chmod(0)
    try:
        message = refused("data", "inspect", closed.split("/")[0])
        assert message == f"{closed}: cannot be read (Permission denied)"
        if closed == "t.parquet":
            assert refused("data", "inspect", "t*.parquet") == message
    finally:
        Path(closed).chmod(0o700)


@pytest.mark.usefixtures("no_rights")
def test_a_folder_that_may_not_be_written_to() -> None:
    write("t.csv", "a,b\n1,2\n")
    Path("closed").mkdir(mode=0o500)
    message = predict("model", "t.csv", "closed/out.csv")
    right = "no file can be written there (Permission denied); choose another folder"
    assert message == f"closed: {right}"
    message = refused("data", "fetch", "adult", "--folder", "closed")
    assert message == f"closed/adult: {right}"


def test_a_folder_below_a_file_or_where_none_can_be_made() -> None:
    write("t.csv", "a,b\n1,2\n")
    assert predict("model", "t.csv", "t.csv/out.csv").startswith("t.csv: no file can be written")
    assert refused("data", "fetch", "adult", "--folder", "/proc/x").startswith(
        "/proc/x/adult: no f"
    )
    assert refused("data", "inspect", "t.csv/t.csv").startswith("t.csv/t.csv: no such file")


# In a process of its own


def test_a_wrong_pipeline_ends_a_process_before_ray_is_imported() -> None:
    Path("p.yaml").write_text("training:\n  epoch: 3\n")
    message = refused_in_a_process("run", "p.yaml")
    assert message.startswith("training.epoch: unknown key 'epoch'; did you mean 'epochs'?")


def test_a_wrong_data_file_ends_a_process_before_ray_is_imported() -> None:
    Path("p.yaml").write_text("data: {source: table, path: t.csv, label: y}\n")
    write("t.csv", f"a,b,y\n{ROWS_OF_CSV}5,tall,0\n")
    message = refused_in_a_process("run", "p.yaml", "--json")
    assert message.startswith("t.csv: row 61 (line 62), column 'b': 'tall' is not a number")


def test_a_damaged_model_ends_a_process_before_ray_is_imported() -> None:
    path = Path(table_model()) / "members.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    write("t.csv", "a,b\n1,2\n")
    message = refused_in_a_process("predict", "model", "t.csv", "--output", "out.csv", "--json")
    assert message.startswith("model/members.safetensors: its contents do not match the sha256")
