"""A run knows the files that its rows were read from, and says where they are others now."""

import os
from pathlib import Path

import pytest

from ensemble_pipe.data.source_files import changed_files, files_of
from ensemble_pipe.data.sources import Bundled, ImageFolder, Table


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text("a,y\n1,0\n2,1\n")
    return path


def test_files_that_are_as_they_were_did_not_change(rows: Path) -> None:
    recorded = files_of(Table(path=str(rows), label="y"))
    assert (recorded["path"].files, recorded["path"].bytes) == (1, 12)
    assert changed_files(recorded) == {}


def test_files_written_anew_with_the_same_contents_did_not_change(rows: Path) -> None:
    recorded = files_of(Table(path=str(rows), label="y"))
    os.utime(rows, (1, 1))
    assert changed_files(recorded) == {}


@pytest.mark.parametrize(
    ("text", "became"),
    [("a,y\n1,0\n2,0\n", "other contents of the same size"), ("a,y\n1,0\n", "1 file of 8 bytes")],
)
def test_other_contents_are_named_with_the_file_and_its_sizes(
    rows: Path, text: str, became: str
) -> None:
    recorded = files_of(Table(path=str(rows), label="y"))
    rows.write_text(text)
    os.utime(rows, (1, 1))
    line, now = changed_files(recorded)["path"]
    assert line == f"{rows}, 1 file of 12 bytes -> {became}"
    assert changed_files({"path": now}) == {}


def test_of_a_folder_the_files_of_data_count(tmp_path: Path) -> None:
    for name in ("cat/a.png", "dog/b.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    recorded = files_of(ImageFolder(folder=str(tmp_path)))
    (tmp_path / "notes.txt").write_text("other")
    assert changed_files(recorded) == {}
    (tmp_path / "dog" / "c.png").write_bytes(b"yz")
    line, _ = changed_files(recorded)["folder"]
    assert line.endswith("2 files of 2 bytes -> 3 files of 4 bytes")


def test_of_a_pattern_the_files_that_fit_count(tmp_path: Path) -> None:
    for name in ("a.parquet", "b.parquet"):
        (tmp_path / name).write_bytes(b"x")
    recorded = files_of(Table(path=str(tmp_path / "*.parquet"), label="y"))
    (tmp_path / "b.parquet").unlink()
    line, _ = changed_files(recorded)["path"]
    assert line.endswith("2 files of 2 bytes -> 1 file of 1 bytes")


def test_files_that_are_gone_are_not_compared(rows: Path) -> None:
    recorded = files_of(Table(path=str(rows), label="y"))
    rows.unlink()
    assert changed_files(recorded) == {}


def test_files_that_may_not_be_read_are_not_compared(
    rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = files_of(Table(path=str(rows), label="y"))
    rows.write_text("other")

    def forbidden(path: Path) -> bool:
        raise PermissionError(f"permission denied: {path}")

    monkeypatch.setattr(Path, "is_file", forbidden)
    assert changed_files(recorded) == {}


def test_neither_addresses_nor_bundled_sets_are_files() -> None:
    assert files_of(Table(path="s3://bucket/rows.parquet", label="y")) == {}
    assert files_of(Bundled()) == {}


def test_paths_are_taken_from_where_the_run_began(
    rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(rows.parent)
    recorded = files_of(Table(path=rows.name, label="y"))
    monkeypatch.chdir("/")
    rows.write_text("other")
    assert list(changed_files(recorded)) == ["path"]
