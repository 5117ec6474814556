"""Storage: a file appears whole or not at all, and what is damaged is refused."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ensemble_pipe.core.errors import CorruptFileError, RunDirectoryError
from ensemble_pipe.core.storage import (
    RunPaths,
    atomic_write,
    atomic_write_all,
    check_sums,
    sha256_of,
    sums_of,
    write_json,
)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def breaks_off(path: Path) -> None:
    path.write_bytes(b"half of the n")
    raise OSError("no space left")


def writes_nothing(path: Path) -> None:
    """A writer that forgets to write."""


@pytest.fixture
def kept(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """Return a folder with two files, and their sums."""
    atomic_write(tmp_path / "kept" / "a.txt", "first")
    atomic_write(tmp_path / "kept" / "deep" / "b.bin", b"\x00second")
    return tmp_path / "kept", sums_of(tmp_path / "kept", ["deep/b.bin", "a.txt"])


@pytest.mark.parametrize(
    "content",
    [b"n\xc3\xa4h", "näh", lambda path: path.write_bytes(b"n\xc3\xa4h")],
    ids=["bytes", "text", "function"],
)
def test_writes_bytes_text_or_what_a_function_writes(
    tmp_path: Path, content: bytes | str | Callable[[Path], object]
) -> None:
    atomic_write(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes() == b"n\xc3\xa4h"


def test_makes_the_folders_above(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a" / "b" / "file", "text")
    assert (tmp_path / "a" / "b" / "file").read_text() == "text"


def test_replaces_the_old_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    atomic_write(tmp_path / "file", "old")
    atomic_write(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "new"
    assert names_in(tmp_path) == ["file"]


@pytest.mark.parametrize("writer", [breaks_off, writes_nothing])
def test_a_writer_that_fails_leaves_the_old_file_alone(
    tmp_path: Path, writer: Callable[[Path], object]
) -> None:
    atomic_write(tmp_path / "file", "old")
    with pytest.raises(OSError, match=r"no space left|No such file"):
        atomic_write(tmp_path / "file", writer)
    assert (tmp_path / "file").read_text() == "old"
    assert names_in(tmp_path) == ["file"]


def test_a_writer_that_is_interrupted_leaves_no_new_file(tmp_path: Path) -> None:
    def interrupted(path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        atomic_write(tmp_path / "file", interrupted)
    assert names_in(tmp_path) == []


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    seen: list[str] = []

    def slow(path: Path) -> None:
        path.write_text("half")
        seen.append((tmp_path / "file").read_text())
        path.write_text("new")

    atomic_write(tmp_path / "file", "old")
    atomic_write(tmp_path / "file", slow)
    assert seen == ["old"]
    assert (tmp_path / "file").read_text() == "new"


def test_files_that_belong_together_appear_in_order_with_one_flush_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    flush, replace = os.fsync, os.replace

    def seen_flush(descriptor: int) -> None:
        calls.append("flush")
        flush(descriptor)

    def seen_replace(source: Path, target: Path) -> None:
        calls.append(target.name)
        replace(source, target)

    monkeypatch.setattr(os, "fsync", seen_flush)
    monkeypatch.setattr(os, "replace", seen_replace)
    folder = tmp_path / "made"
    atomic_write_all({folder / "arrays": b"1", folder / "facts": b"2"})
    assert calls == ["flush", "flush", "arrays", "facts", "flush"]
    assert [path.read_bytes() for path in sorted(folder.iterdir())] == [b"1", b"2"]


def test_an_open_file_keeps_its_old_contents(tmp_path: Path) -> None:
    atomic_write(tmp_path / "file", "old")
    with open(tmp_path / "file") as reader:
        atomic_write(tmp_path / "file", "new")
        assert reader.read() == "old"


def test_the_sum_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    # The test vector of FIPS 180-2, appendix B.1.
    assert sha256_of(tmp_path / "file") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_sums_name_each_file_relative_to_the_folder(kept: tuple[Path, dict[str, str]]) -> None:
    folder, sums = kept
    assert list(sums) == ["a.txt", "deep/b.bin"]
    assert sums["deep/b.bin"] == sha256_of(folder / "deep" / "b.bin")


def test_files_as_they_were_written_pass(kept: tuple[Path, dict[str, str]]) -> None:
    check_sums(*kept)


def test_files_that_are_not_listed_are_not_looked_at(kept: tuple[Path, dict[str, str]]) -> None:
    folder, sums = kept
    (folder / "more.txt").write_text("more")
    check_sums(folder, sums)


@pytest.mark.parametrize("damaged", [b"\x01second", b"\x00secon", b"\x00second ", b""])
def test_a_changed_file_is_refused(kept: tuple[Path, dict[str, str]], damaged: bytes) -> None:
    folder, sums = kept
    (folder / "deep" / "b.bin").write_bytes(damaged)
    with pytest.raises(CorruptFileError, match=r"b\.bin: its contents do not match"):
        check_sums(folder, sums)


def test_a_missing_file_is_refused(kept: tuple[Path, dict[str, str]]) -> None:
    folder, sums = kept
    (folder / "a.txt").unlink()
    with pytest.raises(CorruptFileError, match=r"a\.txt: missing, though its manifest lists it"):
        check_sums(folder, sums)


def test_a_folder_in_place_of_a_file_is_refused(kept: tuple[Path, dict[str, str]]) -> None:
    folder, sums = kept
    with pytest.raises(CorruptFileError, match="missing"):
        check_sums(folder, {**sums, "deep": sums["a.txt"]})


@pytest.mark.parametrize("name", ["../secret", "deep/../../secret", "/etc/hostname"])
def test_a_name_that_leads_out_of_the_folder_is_refused(
    kept: tuple[Path, dict[str, str]], name: str
) -> None:
    folder, _ = kept
    (folder.parent / "secret").write_text("secret")
    with pytest.raises(CorruptFileError, match="outside the folder"):
        check_sums(folder, {name: sha256_of(folder.parent / "secret")})


def test_a_link_that_leads_out_of_the_folder_is_refused(
    kept: tuple[Path, dict[str, str]],
) -> None:
    folder, _ = kept
    (folder.parent / "secret").write_text("secret")
    (folder / "link").symlink_to(folder.parent / "secret")
    with pytest.raises(CorruptFileError, match="outside the folder"):
        check_sums(folder, {"link": sha256_of(folder / "link")})


def test_a_run_directory_is_known_by_its_manifest(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match=r"has no manifest\.json"):
        RunPaths.open(tmp_path)
    RunPaths(tmp_path).lock.touch()
    with pytest.raises(RunDirectoryError, match=r"was stopped before its data was ready .* again"):
        RunPaths.open(tmp_path)
    write_json(RunPaths(tmp_path).manifest, {})
    RunPaths(tmp_path).journal.touch()
    assert RunPaths.open(tmp_path).root == tmp_path.resolve()


def test_files_of_a_run_lie_where_other_programs_look_for_them() -> None:
    paths = RunPaths(Path("run"))
    assert paths.pipeline == Path("run/pipeline.yaml")
    assert paths.journal == Path("run/journal.jsonl")
    assert paths.checkpoint(3, 1200) == Path("run/learners/0003/step-00001200.safetensors")
    assert paths.predictions("test") == Path("run/predictions/test.arrow")
    assert paths.model == Path("run/model")


def test_checkpoints_sort_by_name_as_by_step() -> None:
    paths = RunPaths(Path("run"))
    steps = [9, 10, 99, 1000, 123456]
    names = [paths.checkpoint(0, step).name for step in steps]
    assert names == sorted(names)
