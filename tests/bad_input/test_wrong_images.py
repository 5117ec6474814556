"""Wrong images: one message that names the file, status 2, nothing started."""

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from commands import (
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    idx_bytes,
    images_of,
    run,
    run_idx,
    write,
    write_idx,
    write_training_idx,
)

pytestmark = pytest.mark.usefixtures("empty_folder")


def test_a_missing_folder_of_images() -> None:
    message = run("data: {source: idx, folder: absent}\n")
    assert message.startswith("absent: no such folder; set data.folder to where the IDX files lie")


def test_a_folder_without_images() -> None:
    assert run_idx() == ".: has no train-images-idx3-ubyte, with .gz or without"


def test_test_images_of_another_size() -> None:
    write_training_idx(side=8)
    write_idx(TEST_IMAGES, images_of(5, 6))
    write_idx(TEST_LABELS, np.arange(5) % 3)
    assert run_idx() == (
        f"{TEST_IMAGES}: images of shape (6, 6, 1), but the training data has (8, 8, 1)"
    )


def test_a_label_of_test_images_that_no_training_image_has() -> None:
    write_training_idx()
    write_idx(TEST_IMAGES, images_of(5, 8))
    write_idx(TEST_LABELS, np.array([0, 1, 2, 7, 0]))
    assert run_idx() == (
        f"{TEST_LABELS}: row 3 (from 0): label 7 is no class of the training data; its classes "
        "are: 0, 1, 2"
    )


def test_a_label_that_is_no_class_is_named_by_its_array() -> None:
    np.savez("t.npz", x=np.ones((40, 2)), labels=np.array([0.0, 1.0, 0.5, 1.0] * 10))
    message = run("data: {source: table, path: t.npz, label: labels}\n")
    assert message.startswith("t.npz: row 2 (from 0), column 'labels': label 0.5 is not a class; f")


def test_another_number_of_labels() -> None:
    write_training_idx()
    write_idx(TRAIN_LABELS, np.arange(59) % 3)
    assert run_idx() == f"{TRAIN_LABELS}: holds shape (59,), but there are 60 images"


def test_images_that_are_cut_short() -> None:
    write_training_idx()
    write(TRAIN_IMAGES, idx_bytes(images_of(60, 8))[:-10])
    assert run_idx() == (
        f"{TRAIN_IMAGES}: its header announces 3840 bytes for shape (60, 8, 8), "
        "but it holds only 3830"
    )


def test_compressed_images_that_are_cut_short() -> None:
    write_training_idx()
    Path(TRAIN_IMAGES).unlink()
    write(f"{TRAIN_IMAGES}.gz", gzip.compress(idx_bytes(images_of(60, 8)))[:-500])
    assert run_idx().startswith(f"{TRAIN_IMAGES}.gz: cannot be read (Compressed file ended")


def test_images_of_another_number_type() -> None:
    write_training_idx()
    write(TRAIN_IMAGES, idx_bytes(images_of(60, 8), code=0x0D))
    assert run_idx() == (
        f"{TRAIN_IMAGES}: not an IDX file of unsigned bytes (it starts with 00 00 0d 03; "
        "00 00 08 followed by 01 to 04 is right)"
    )


def test_images_that_are_garbage() -> None:
    write_training_idx()
    write(TRAIN_IMAGES, b"\x1f\x8bgarbage of some length")
    assert run_idx().startswith(f"{TRAIN_IMAGES}: cannot be read (")


def test_a_compressed_bomb_of_a_gigabyte_takes_little_memory() -> None:
    write_training_idx()
    Path(TRAIN_IMAGES).unlink()
    zeros = gzip.compress(bytes(4 << 20))
    write(f"{TRAIN_IMAGES}.gz", gzip.compress(idx_bytes(images_of(60, 8))) + 256 * zeros)
    tracemalloc.start()
    try:
        message = run_idx()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert message == (
        f"{TRAIN_IMAGES}.gz: its header announces 3840 bytes for shape (60, 8, 8), "
        "but it holds more"
    )
    assert peak < 32 << 20
