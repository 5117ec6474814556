"""A run whose disk is full ends with a message, leaves what is finished, and goes on later."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_pipelines import SPLITS, small_settings

from ensemble_pipe.core.errors import StorageError
from ensemble_pipe.run import preparation
from ensemble_pipe.run.pipeline import resume, run
from ensemble_pipe.tracking.journal import Journal, read_entries
from ensemble_pipe.tracking.kinds import EndedEntry, EpochEntry, KnownEntry

FULL = OSError(errno.ENOSPC, "full")


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    settings = small_settings(hidden=4, epochs=3, splits=SPLITS, ensemble={"learners": 2})
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def fill_at_a_checkpoint(patch: pytest.MonkeyPatch) -> None:
    write = Path.write_bytes

    def write_bytes(path: Path, content: Any) -> int:
        if "step-" in path.name and b'"epoch": 2' in content:
            raise FULL
        return write(path, content)

    patch.setattr(Path, "write_bytes", write_bytes)


def fill_at_an_entry(patch: pytest.MonkeyPatch) -> None:
    append = Journal.append

    def fail(journal: Journal, entry: KnownEntry) -> None:
        if isinstance(entry, EpochEntry) and entry.epoch == 2:
            raise StorageError(f"{journal._path}: cannot be written (full)")
        append(journal, entry)

    patch.setattr(Journal, "append", fail)


def fill_at_the_model(patch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path, contents: Any) -> None:
        raise StorageError(f"{folder}: cannot be written (full)")

    patch.setattr("ensemble_pipe.serving.artifact.replace_files", fail)


@pytest.mark.parametrize(
    ("fill", "named"),
    [
        (fill_at_a_checkpoint, r"step-\d+\.(safetensors|json): cannot be written \(No space"),
        (fill_at_an_entry, r"journal\.jsonl: cannot be written"),
        (fill_at_the_model, "model: cannot be written"),
    ],
)
def test_it_ends_with_the_way_out_and_goes_on_to_the_same_bits(
    pipeline: Path, fill: Callable[[pytest.MonkeyPatch], None], named: str
) -> None:
    whole = Path(run(pipeline, output=pipeline.parent / "whole", inline=True).run_dir)
    with pytest.MonkeyPatch.context() as patch:
        fill(patch)
        way_out = rf"{named}.*what is finished is kept, and `ensemble-pipe resume .*` goes on"
        with pytest.raises(StorageError, match=way_out):
            run(pipeline, output=pipeline.parent / "runs", inline=True)
    (run_dir,) = (pipeline.parent / "runs").iterdir()
    *_, last = read_entries(run_dir / "journal.jsonl")
    assert isinstance(last, EndedEntry)
    assert last.status == "FAILED"
    resume(run_dir, inline=True)
    for name in ("model/members.safetensors", "predictions/test.arrow"):
        assert (run_dir / name).read_bytes() == (whole / name).read_bytes()


def test_a_run_that_has_no_room_to_begin_leaves_nothing(
    pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise FULL

    monkeypatch.setattr(preparation, "save_arrow", fail)
    with pytest.raises(StorageError, match=r"example\.arrow: cannot be written \(No space left"):
        run(pipeline, output=pipeline.parent / "runs", inline=True)
    assert not (pipeline.parent / "runs").exists()
