"""A run goes on with the files that it began with, and says which settings were changed."""

from pathlib import Path
from typing import Any

import pytest
from conftest import StopAt
from typer.testing import CliRunner

from ensemble_pipe.cli import app
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.core.storage import RunPaths, read_manifest
from ensemble_pipe.run.pipeline import run
from ensemble_pipe.run.unchanged import require_unchanged

PIPELINE: dict[str, Any] = {
    "network": {"hidden": [4]},
    "training": {"epochs": 2},
    "ensemble": {"learners": 1},
    "tracking": {"mlflow": False},
}


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    with pytest.raises(KeyboardInterrupt):
        run(Pipeline.model_validate(PIPELINE), output=tmp_path, inline=True, display=StopAt(1))
    (root,) = tmp_path.iterdir()
    return RunPaths(root)


def test_the_manifest_of_an_unchanged_run_is_returned(paths: RunPaths) -> None:
    assert require_unchanged(paths) == read_manifest(paths)


def test_changed_settings_are_named_with_what_they_were(paths: RunPaths) -> None:
    text = paths.pipeline.read_text()
    other = text.replace("epochs: 2", "epochs: 5").replace("- 4", "- 6")
    paths.pipeline.write_text(other)
    done = CliRunner().invoke(app, ["resume", str(paths.root), "--inline", "--accept-changes"])
    assert done.exit_code == 2
    assert "training.epochs: 2 then, 5 now" in done.stderr
    assert "network.hidden: [4] then, [6] now" in done.stderr
    assert done.stderr.count(" then, ") == 2
    assert f"`ensemble-pipe run {paths.pipeline}`" in done.stderr


@pytest.mark.parametrize("text", ["training: [", "# a remark\n"])
def test_a_file_without_other_settings_is_named_alone(paths: RunPaths, text: str) -> None:
    whole = paths.pipeline.read_text()
    paths.pipeline.write_text(text + (whole if text.startswith("#") else ""))
    with pytest.raises(CorruptFileError, match=r"pipeline\.yaml: its contents do not match"):
        require_unchanged(paths)


def test_a_changed_description_of_the_data_is_named(paths: RunPaths) -> None:
    path = paths.base / "train.json"
    path.write_text(path.read_text() + " ")
    with pytest.raises(CorruptFileError, match=r"train\.json: its contents do not match"):
        require_unchanged(paths)
