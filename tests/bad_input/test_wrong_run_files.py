"""Files of runs and models of any wrong shape: one message that names the file, status 2."""

import io
import json
import shutil
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import skops.io
from earlier_runs import VERSIONS, copy_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

import ensemble_pipe
from ensemble_pipe.cli import app
from ensemble_pipe.comparison.runs import read_run
from ensemble_pipe.core.errors import CorruptFileError, EnsemblePipeError
from ensemble_pipe.core.storage import RunPaths, atomic_write, sums_of, write_json
from ensemble_pipe.ensemble.members.estimator_files import read_estimator
from ensemble_pipe.report.writing import write_report
from ensemble_pipe.tracking.cursor import Cursor
from ensemble_pipe.tracking.journal import read_entries
from ensemble_pipe.tracking.kinds import PicturesEntry

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import faults_documents


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    paths = copy_of(VERSIONS[-1], "finished", tmp_path_factory.mktemp("whole"))
    for entry in read_entries(paths.journal):
        if isinstance(entry, PicturesEntry):
            for name in entry.names:  # so that no report draws them anew
                atomic_write(paths.picture(name), b"a picture")
    return paths


@pytest.fixture
def paths(whole: RunPaths, tmp_path: Path) -> RunPaths:
    return RunPaths(Path(shutil.copytree(whole.root, tmp_path / "copied")))


DOORS: tuple[Callable[[RunPaths], object], ...] = (
    faults_documents.resume_without_training,
    write_report,
    lambda paths: read_run(paths.root),
    lambda paths: ensemble_pipe.load(paths.root),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.sampled_from([-1, 10**30, 10**400, 1.5, 1e308, "", "x"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab"), inner, max_size=2),
    max_leaves=4,
)
TEXTS = ("", "[", "[" * 100_000, '{"a":' * 100_000, "{}", "[]", "null", '{"sums": null}', "\0")


def try_every_door(paths: RunPaths) -> None:
    """Use a run in all ways; each works, or refuses the run with the name of a file of it."""
    for door in DOORS:
        told = None
        try:
            door(paths)
        except EnsemblePipeError as error:
            told = str(error)
        assert told is None or str(paths.root) in told


FILES = [
    "manifest.json", "base/schema.json", "base/train.json", "learners/0000/step-00000018.json",
    "learners/0002/estimator.json", "model/manifest.json", "model/model.json",
]  # fmt: skip


@pytest.mark.parametrize("name", [*FILES, "mlflow.json"])
@settings(
    max_examples=15, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(draw=st.data())
def test_a_document_of_any_shape_is_read_or_refused(
    whole: RunPaths, name: str, draw: st.DataObject
) -> None:
    path = whole.root / name
    before = path.read_bytes() if path.is_file() else json.dumps(asdict(Cursor())).encode()
    try:
        path.write_text(json.dumps(faults_documents.changed(draw.draw, json.loads(before), VALUES)))
        try_every_door(whole)
    finally:
        path.write_bytes(before)


@settings(
    max_examples=40, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(draw=st.data())
def test_a_journal_of_any_shape_is_read_or_refused(whole: RunPaths, draw: st.DataObject) -> None:
    before = whole.journal.read_bytes()
    lines = before.decode().splitlines()
    try:
        number = draw.draw(st.integers(0, len(lines) - 1))
        lines[number] = json.dumps(
            faults_documents.changed(draw.draw, json.loads(lines[number]), VALUES)
        )
        whole.journal.write_text("\n".join([*lines, ""]))
        try_every_door(whole)
    finally:
        whole.journal.write_bytes(before)


@pytest.mark.parametrize("name", FILES)
def test_a_text_that_is_no_document_is_refused_by_name(whole: RunPaths, name: str) -> None:
    path = whole.root / name
    before = path.read_bytes()
    door = DOORS[3 if name.startswith("model/") else 0]
    try:
        for text in TEXTS:
            path.write_text(text)
            with pytest.raises(CorruptFileError, match=path.name):
                door(whole)
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        *((name, "resume") for name in (*FILES[:5], "pipeline.yaml", "journal.jsonl")),
        ("base/train.arrow", "resume"), ("learners/0000", "resume"), ("driver.lock", "resume"),
        ("learners/0001/step-00000018.safetensors", "resume"), ("growth.json", "resume"),
        ("journal.jsonl", "report"), ("manifest.json", "report"), ("base/schema.json", "report"),
        ("report.html", "report"), ("predictions/test.arrow", "compare"),
        ("model/model.json", "predict"), ("model/manifest.json", "predict"),
        ("model/members.safetensors", "predict"), ("model/estimator-0002.skops", "predict"),
    ],
)  # fmt: skip
def test_a_folder_where_a_file_should_be(paths: RunPaths, name: str, command: str) -> None:
    path = paths.root / name
    if path.is_dir():  # and a file where a folder should be
        shutil.rmtree(path)
        path.touch()
    else:
        path.unlink(missing_ok=True)
        path.mkdir()
    options = {
        "resume": ["--inline", "--accept-changes"],
        "predict": [str(paths.root / "none.csv"), "--output", "out.csv"],
    }
    done = CliRunner().invoke(app, [command, str(paths.root), *options.get(command, [])])
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output
    assert str(paths.root) in done.stderr


def with_right_sums(paths: RunPaths) -> None:
    manifest = paths.model / "manifest.json"
    sums = json.loads(manifest.read_text())["sums"]
    manifest.write_text(json.dumps({"sums": sums_of(paths.model, sums)}))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_model_with_weights_that_are_not_finite(paths: RunPaths, value: float) -> None:
    weights = paths.model / "members.safetensors"
    tensors = load_file(weights)
    name = next(iter(tensors))
    tensors[name][3] = value
    save_file(tensors, weights)
    with_right_sums(paths)
    with pytest.raises(CorruptFileError, match=f"{name} holds numbers that are not finite"):
        ensemble_pipe.load(paths.root)


@pytest.mark.parametrize("name", ["coef_", "intercept_"])
def test_an_estimator_with_numbers_that_are_not_finite(paths: RunPaths, name: str) -> None:
    path = paths.model / "estimator-0002.skops"
    estimator = skops.io.load(path)
    getattr(estimator, name)[..., 0] = np.nan
    skops.io.dump(estimator, path)
    with_right_sums(paths)
    with pytest.raises(CorruptFileError, match=f"its {name} holds numbers that are not finite"):
        ensemble_pipe.load(paths.root)


@pytest.mark.parametrize("command", ["report", "compare"])
def test_predictions_with_another_number_are_refused(paths: RunPaths, command: str) -> None:
    """They lie in a form without sums, so that their sum lies beside them."""
    path = paths.predictions("test")
    write_json(path.with_suffix(".json"), {"sums": sums_of(path.parent, [path.name])})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    done = CliRunner().invoke(app, [command, str(paths.root)])
    assert done.exit_code == 2
    assert f"{path}: its contents do not match the sha256 sum" in done.stderr


def test_an_archive_that_unpacks_to_far_more_is_refused_unread() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", b" " * (1 << 26))
    tracemalloc.start()
    with pytest.raises(CorruptFileError, match=r"e\.skops: .* bytes unpack to 67108864"):
        read_estimator(stream.getvalue(), "e.skops")
    assert tracemalloc.get_traced_memory()[1] < 1 << 24
    tracemalloc.stop()
