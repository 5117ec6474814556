"""The fingerprint of a base file is of its rows alone."""

from pathlib import Path

import numpy as np

from ensemble_pipe.data.base import write_base
from ensemble_pipe.data.fingerprint import fingerprint

INPUTS = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
TARGETS = np.arange(10, dtype=np.int32) % 3


def of(folder: Path, inputs: object = INPUTS, shard_rows: int = 4, first: int = 0) -> str:
    path = folder / "x.arrow"
    write_base(path, np.asarray(inputs), TARGETS, np.arange(first, first + 10), shard_rows)
    return fingerprint(path)


def test_it_is_the_same_however_rows_are_cut_into_shards(tmp_path: Path) -> None:
    assert len({of(tmp_path, shard_rows=rows) for rows in (1, 3, 4, 10, 100)}) == 1


def test_it_changes_with_any_value_the_order_and_the_rows_numbers(tmp_path: Path) -> None:
    other = INPUTS.copy()
    other[9, 2] = np.nextafter(other[9, 2], np.float32(9))
    found = [of(tmp_path), of(tmp_path, other), of(tmp_path, INPUTS[::-1]), of(tmp_path, first=1)]
    assert len(set(found)) == 4
