"""Damage to a base file is never silent: of 1,000 flipped bits each one is noticed."""

from pathlib import Path

import numpy as np
import pytest
from conftest import plain_schema

from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.data.augment import HorizontalFlip
from ensemble_pipe.data.augment.policy import Augment
from ensemble_pipe.data.base import open_base, sums_path, verify_all, write_base
from ensemble_pipe.data.batches import Batches
from ensemble_pipe.data.learner_view import View
from ensemble_pipe.data.shard_view import ShardView
from ensemble_pipe.data.shards import Recipe, TrainingData

ROWS, SHARD_ROWS = 40, 16
IMAGE = (5, 4, 1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (ROWS, *IMAGE)).astype(np.uint8)
    path = tmp_path / "train.arrow"
    weights = random.random(ROWS).astype(np.float32)
    classes = np.arange(ROWS, dtype=np.int32) % 3
    write_base(path, images, classes, np.arange(ROWS), SHARD_ROWS, weight=weights)
    return path


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def test_an_undamaged_file_passes(path: Path) -> None:
    verify_all(path)


def test_each_of_a_thousand_flipped_bits_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    bits = np.random.default_rng(1).choice(8 * len(whole), 1000, replace=False)
    unnoticed = []
    for bit in bits:
        flip(path, int(bit))
        try:
            verify_all(path)
            unnoticed.append(bit)
        except CorruptFileError:
            pass
        path.write_bytes(whole)
    assert unnoticed == []


def test_a_flipped_bit_stops_training_where_it_is_first_read(path: Path) -> None:
    """Every bit of the file, in strides that hit schema, offsets, padding and all columns."""
    whole = path.read_bytes()
    schema = plain_schema("classification", IMAGE, (0, 1, 2))
    for bit in range(3, 8 * len(whole), 997):
        flip(path, bit)
        with pytest.raises(CorruptFileError, match=r"train\.arrow"):
            Batches(TrainingData(Recipe(path.parent, {}, 1), schema), [0], ROWS, "own").read(0)
        path.write_bytes(whole)


def test_the_message_names_column_and_rows(path: Path) -> None:
    places = open_base(path).places
    start, _, _ = places["weight"][1]
    flip(path, 8 * start + 5)
    message = r"train\.arrow: column 'weight' of rows 16 to 31 \(from 0\) does not match its record"
    with pytest.raises(CorruptFileError, match=message):
        verify_all(path)


def test_shards_are_checked_before_they_are_augmented(path: Path) -> None:
    start, _, _ = open_base(path).places["input"][2]
    flip(path, 8 * start)
    recipe = Recipe(path.parent, {}, 1, Augment(policy=(HorizontalFlip(),)))
    data = TrainingData(recipe, plain_schema("classification", IMAGE, (0, 1, 2)))
    with pytest.raises(CorruptFileError, match="column 'input' of rows 32 to 39"):
        data.make_shards(data.request(0, 0, None))
    data.make_shards(data.request(0, 0, (0, 1)))  # the others are sound


def test_a_window_checks_the_shards_it_reads_and_no_others(path: Path) -> None:
    start, _, _ = open_base(path).places["target"][2]
    flip(path, 8 * start)
    base = open_base(path)
    view = ShardView(
        [base.table], np.ones(IMAGE, np.float32), np.zeros(IMAGE, np.float32), verify=base.verify
    )
    inputs = np.empty((32, *IMAGE), np.float32)
    view.read(0, 32, inputs)
    with pytest.raises(CorruptFileError, match="column 'target' of rows 32 to 39"):
        view.read(30, 34, inputs[:4])


@pytest.mark.parametrize("damage", ["missing", "empty", "no JSON", "lacks a key"])
def test_damaged_sums_are_refused(damage: str, path: Path) -> None:
    sums = sums_path(path)
    if damage == "missing":
        sums.unlink()
    else:
        sums.write_text({"empty": "", "no JSON": "{", "lacks a key": "{}"}[damage])
    with pytest.raises(CorruptFileError, match=r"train\.json"):
        open_base(path)


def test_a_file_of_another_length_is_refused(path: Path) -> None:
    with open(path, "ab") as stream:
        stream.write(b"\0")
    with pytest.raises(CorruptFileError, match=r"train\.arrow: does not match the sums"):
        open_base(path)


def test_views_are_computed_from_checked_columns_only(tmp_path: Path) -> None:
    """Also of shards that a learner would never read."""
    path = tmp_path / "train.arrow"
    rows = np.zeros((ROWS, 2), np.float32)
    classes, groups = np.arange(ROWS, dtype=np.int32) % 3, np.arange(ROWS) // 4
    write_base(path, rows, classes, np.arange(ROWS), SHARD_ROWS, group=groups)
    whole = path.read_bytes()
    schema = plain_schema("classification", (2,), (0, 1, 2))
    view = View(folds=5, bootstrap=True, balance_classes=True)
    for name in ("row", "target", "group"):
        for start, length, _ in open_base(path).places[name]:
            for bit in range(8 * start, 8 * (start + length), 61):
                flip(path, bit)
                data = TrainingData(Recipe(tmp_path, {}, 1), schema)
                with pytest.raises(CorruptFileError, match=f"column '{name}'"):
                    data.stream(0, view)
                path.write_bytes(whole)
