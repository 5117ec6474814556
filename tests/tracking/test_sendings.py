"""A store that was restored from an older copy is noticed, and receives what it lacks, once."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from journal_entries import write_journal
from test_shipping_calls import content

from ensemble_pipe.core.addresses import sqlite_address
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.tracking.companion_loop import Companion
from ensemble_pipe.tracking.cursor import Cursor
from ensemble_pipe.tracking.shipping import Shipper


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return write_journal(tmp_path / "run-1", 3)


@pytest.fixture
def store(empty_store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(empty_store, tmp_path / "store.db"))


@pytest.fixture
def ship(paths: RunPaths, store: Path) -> Callable[[], Shipper]:
    """Return what ships as a companion does that is told to finish; it returns its shipper."""

    def run() -> Shipper:
        companion = Companion(
            paths, sqlite_address(store), "test", lambda *_: "models:/none", False,
            lambda: None, lambda _: None,
        )  # fmt: skip
        companion.finish(0.0)
        companion.run()
        assert companion.last.problem is None
        return companion._shipper

    return run


def test_what_an_older_copy_lacks_is_sent_again_and_nothing_twice(
    paths: RunPaths, store: Path, ship: Callable[[], Shipper], tmp_path: Path
) -> None:
    whole, empty = paths.journal.read_bytes(), tmp_path / "empty.db"
    shutil.copy(store, empty)
    lines = whole.splitlines(keepends=True)
    paths.journal.write_bytes(b"".join(lines[: len(lines) // 2]))
    ship()
    older = shutil.copy(store, tmp_path / "older.db")
    paths.journal.write_bytes(whole)
    expected = content(sqlite_address(store), ship())
    for copy in (older, older, empty):
        shutil.copy(copy, store)
        assert content(sqlite_address(store), ship()) == expected


def test_a_store_that_has_all_is_sent_nothing(
    paths: RunPaths, ship: Callable[[], Shipper], monkeypatch: pytest.MonkeyPatch
) -> None:
    ship()
    before = paths.cursor.read_bytes()
    taken: list[Any] = []
    monkeypatch.setattr(Shipper, "take", lambda _, entry: taken.append(entry))
    ship()
    assert taken == []
    assert paths.cursor.read_bytes() == before


def test_the_cursor_of_an_earlier_version_is_believed(
    paths: RunPaths, ship: Callable[[], Shipper]
) -> None:
    ship()
    cursor = Cursor.load(paths.cursor)
    cursor.sendings = 0
    cursor.save(paths.cursor)
    assert ship().cursor.offset == cursor.offset
