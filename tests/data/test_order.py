"""The order of a learner's rows: windows of whole shards, shuffled, readable from any place."""

from itertools import pairwise

import numpy as np
import pytest

from ensemble_pipe.core.arrays import Array, Integers
from ensemble_pipe.data.order import RowStream
from ensemble_pipe.data.shard_view import Grid

GRID = Grid(rows=50, shard_rows=8)  # seven shards, the last of two rows
# Some rows never, some several times, a whole shard (8 to 15) never.
COUNTS = np.array([(row * 7) % 4 * (not 8 <= row < 16) for row in range(50)], np.int32)

each_window = pytest.mark.parametrize("window_rows", [1, 8, 20, 49, 50, 10**6])
each_count = pytest.mark.parametrize("counts", [None, COUNTS], ids=["all once", "counted"])


def stream_of(
    window_rows: int, counts: Integers | None = None, *, seed: int = 1, learner: int = 0
) -> RowStream:
    return RowStream(seed, learner, GRID, window_rows, counts)


def read(stream: RowStream, start: int, count: int) -> Array:
    """Return `count` rows from a place of the stream on."""
    found: list[int] = []
    while len(found) < count:
        window = stream.window(start + len(found))
        assert window.start <= start + len(found) < window.stop
        found += stream.ids(window)[start + len(found) - window.start :].tolist()
    return np.array(found[:count])


@each_window
@each_count
def test_a_pass_holds_every_row_as_often_as_it_counts(
    window_rows: int, counts: Integers | None
) -> None:
    stream = stream_of(window_rows, counts)
    wanted = np.ones(50, int) if counts is None else counts
    assert stream.rows == wanted.sum()
    for number in range(3):
        rows = read(stream, number * stream.rows, stream.rows)
        assert np.array_equal(np.bincount(rows, minlength=50), wanted)


@each_window
@each_count
def test_any_place_can_be_read_without_those_before(
    window_rows: int, counts: Integers | None
) -> None:
    whole = read(stream_of(window_rows, counts), 0, 3 * stream_of(window_rows, counts).rows)
    for place in range(0, len(whole) - 5, 3):
        fresh = stream_of(window_rows, counts)
        assert np.array_equal(read(fresh, place, 5), whole[place : place + 5])


@each_window
def test_windows_cover_the_stream_without_gaps(window_rows: int) -> None:
    stream = stream_of(window_rows, COUNTS)
    places = range(2 * stream.rows)
    windows = list(dict.fromkeys(stream.window(place) for place in places))
    assert windows[0].start == 0
    assert all(before.stop == after.start for before, after in pairwise(windows))
    assert all(before.number < after.number for before, after in pairwise(windows))


def test_a_window_reads_no_shard_but_its_own() -> None:
    stream = stream_of(20)
    for place in range(0, 150, 5):
        window = stream.window(place)
        assert window.shards is not None
        assert len(window.shards) <= 2  # of 8 rows each: no more than 20 rows are shuffled
        assert set(stream.ids(window) // GRID.shard_rows) <= set(window.shards)


def test_a_window_of_all_rows_reads_all_shards_and_shuffles_globally() -> None:
    stream = stream_of(50)
    assert stream.windows == 1
    assert stream.window(0).shards is None
    first = read(stream, 0, 25) // GRID.shard_rows
    assert len(set(first.tolist())) == 7


def test_passes_choose_other_windows_and_other_orders() -> None:
    stream = stream_of(20)
    passes = [read(stream, number * 50, 50) for number in range(4)]
    assert len({tuple(rows) for rows in passes}) == 4
    assert len({stream.window(number * 50).shards for number in range(4)}) > 1


@each_window
@pytest.mark.parametrize("other", [{"seed": 2}, {"learner": 1}], ids=str)
def test_seed_and_learner_decide(window_rows: int, other: dict[str, int]) -> None:
    rows = read(stream_of(window_rows), 0, 50)
    assert np.array_equal(read(stream_of(window_rows), 0, 50), rows)
    assert not np.array_equal(read(stream_of(window_rows, None, **other), 0, 50), rows)


def test_learners_want_the_same_shards_at_the_same_time_each_in_its_own_order() -> None:
    first, second = stream_of(20), stream_of(20, learner=5)
    for place in range(0, 150, 5):
        assert first.window(place).shards == second.window(place).shards
    assert not np.array_equal(read(first, 0, 50), read(second, 0, 50))
