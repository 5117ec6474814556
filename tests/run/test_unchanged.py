"""A run goes on with the files that it began with, or says what differs."""

from pathlib import Path

import pytest
from conftest import StopAt

from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.errors import CorruptFileError, RunDirectoryError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.run.pipeline import run
from ensemble_pipe.run.unchanged import find_differences, require_same_settings


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    settings = {
        "network": {"hidden": [4]},
        "training": {"epochs": 2},
        "ensemble": {"learners": 1},
        "tracking": {"mlflow": False},
    }
    with pytest.raises(KeyboardInterrupt):
        run(Pipeline.model_validate(settings), output=tmp_path, inline=True, display=StopAt(1))
    (root,) = tmp_path.iterdir()
    return RunPaths(root)


def test_nothing_differs_where_nothing_was_changed(paths: RunPaths) -> None:
    assert find_differences(paths).lines == []
    require_same_settings(paths)


def test_changed_settings_are_shown_with_both_values(paths: RunPaths) -> None:
    text = paths.pipeline.read_text()
    paths.pipeline.write_text(text.replace("epochs: 2", "epochs: 5").replace("- 4", "- 6"))
    lines = ["network.hidden: [4] -> [6]", "training.epochs: 2 -> 5"]
    assert find_differences(paths).lines == lines
    with pytest.raises(RunDirectoryError, match=f"resume {paths.root} --accept-changes"):
        require_same_settings(paths)


def test_a_default_that_was_removed_is_that_of_the_data_again(paths: RunPaths) -> None:
    text = paths.pipeline.read_text()
    batch = next(line for line in text.splitlines() if "batch_size: " in line)
    paths.pipeline.write_text(text.replace(f"{batch}\n", ""))
    assert find_differences(paths).lines == ["pipeline.yaml: was rewritten, with the same settings"]


def test_another_text_with_the_same_settings_is_named_as_that(paths: RunPaths) -> None:
    paths.pipeline.write_text("# a remark\n" + paths.pipeline.read_text())
    assert find_differences(paths).lines == ["pipeline.yaml: was rewritten, with the same settings"]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [("seed:", "training: [", "correct it"), ("epochs:", "epoch:", "did you mean 'epochs'")],
)
def test_a_pipeline_that_cannot_be_read_is_named_with_its_mistake(
    paths: RunPaths, old: str, new: str, why: str
) -> None:
    paths.pipeline.write_text(paths.pipeline.read_text().replace(old, new))
    with pytest.raises(CorruptFileError, match=rf"(?s)pipeline\.yaml: was changed.*{why}"):
        find_differences(paths)


@pytest.mark.parametrize("name", ["base/train.json", "pipeline.yaml"])
def test_a_file_that_is_missing_is_named(paths: RunPaths, name: str) -> None:
    (paths.root / name).unlink()
    with pytest.raises(CorruptFileError, match=f"{name}: missing"):
        find_differences(paths)


def test_a_changed_description_of_the_data_is_named(paths: RunPaths) -> None:
    path = paths.base / "train.json"
    path.write_text(path.read_text() + " ")
    with pytest.raises(CorruptFileError, match=r"train\.json: its contents do not match"):
        find_differences(paths)
