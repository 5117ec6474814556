"""From every kind of source: batches restored at every step of two epochs go on the same."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import Prepared
from PIL import Image

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.data.batches import Batches
from ensemble_pipe.training.stacks import batches_of

ROWS = 60
LABELS = np.arange(ROWS) % 3
IMAGES = np.random.default_rng(0).integers(0, 256, (ROWS, 6, 5), np.uint8)
FRAME = pd.DataFrame(
    {
        "size": np.random.default_rng(1).normal(size=ROWS),
        "colour": np.array(["red", "green", "blue"])[np.arange(ROWS) // 20],
        "label": LABELS,
    }
)
COLUMNS = {"colour": {"kind": "category"}}


def idx(folder: Path) -> dict[str, Any]:
    for name, values in (("images-idx3", IMAGES), ("labels-idx1", LABELS.astype(np.uint8))):
        header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
        path = folder / f"train-{name}-ubyte.gz"
        path.write_bytes(gzip.compress(header + values.tobytes()))
    return {"source": "idx", "folder": str(folder)}


def image_folder(folder: Path) -> dict[str, Any]:
    for row, (image, label) in enumerate(zip(IMAGES, LABELS, strict=True)):
        path = folder / f"class{label}" / f"{row:03d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(path)
    return {"source": "image_folder", "folder": str(folder)}


def npz(folder: Path) -> dict[str, Any]:
    np.savez(folder / "t.npz", image=IMAGES, label=LABELS)
    return {"source": "table", "path": str(folder / "t.npz"), "label": "label"}


def table(path: Path) -> dict[str, Any]:
    return {"source": "table", "path": str(path), "label": "label", "columns": COLUMNS}


def parquet(folder: Path) -> dict[str, Any]:
    for part in range(3):
        FRAME[part * 20 : part * 20 + 20].to_parquet(folder / f"{part}.parquet", row_group_size=7)
    return table(folder)


def arrow(folder: Path) -> dict[str, Any]:
    values = pa.Table.from_pandas(FRAME)
    with pa.ipc.new_file(str(folder / "t.arrow"), values.schema) as writer:
        writer.write_table(values, max_chunksize=11)
    return table(folder / "t.arrow")


def csv(folder: Path) -> dict[str, Any]:
    FRAME.to_csv(folder / "t.csv.gz", index=False)
    return table(folder / "t.csv.gz")


def bundled(folder: Path) -> dict[str, Any]:
    return {"source": "bundled", "set": "iris"}


ON_IMAGES = [{"name": "shift_crop"}, {"name": "rotation"}, {"name": "cutmix"}]
ON_TABLES = [{"name": "feature_noise"}, {"name": "swap_noise"}, {"name": "mixup"}]


@pytest.mark.parametrize(
    ("source", "policy"),
    [
        (idx, ON_IMAGES), (image_folder, ON_IMAGES), (npz, ON_IMAGES),
        (parquet, ON_TABLES), (arrow, ON_TABLES), (csv, ON_TABLES), (bundled, ON_TABLES),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)  # fmt: skip
def test_batches_are_restored_at_every_step(
    prepare: Callable[..., Prepared],
    tmp_path: Path,
    source: Callable[[Path], dict[str, Any]],
    policy: list[dict[str, Any]],
) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    prepared = prepare(
        data=source(folder),
        augment=policy,
        view={"bootstrap": True},
        shard_rows=7,
        window_rows=15,
        ensemble={"learners": 2},
        training={"epochs": 2, "batch_size": 4},
    )
    plans = prepared.plans

    def batches() -> Batches:
        return batches_of(plans, prepared.data, outputs=3)

    def read(reader: Batches, step: int) -> tuple[Array, ...]:
        reader.read(step)
        return reader.inputs.copy(), reader.targets.copy(), reader.weights.copy()

    steps = plans[0].steps(prepared.data.rows).total
    running = batches()
    whole = [read(running, step) for step in range(steps)]
    assert len({batch[0].tobytes() for batch in whole}) == steps
    for first in range(steps):
        restored = batches()
        for step in range(first, steps):
            found = read(restored, step)
            assert all(map(np.array_equal, found, whole[step]))
