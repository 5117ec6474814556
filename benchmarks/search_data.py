"""The data, networks and spaces of `search.py`: rows drawn by the seed, small networks, few epochs.

Each seed has training and test rows of its own. In the spaces of drivers the learning rate matters
much, and the others little (Bergstra & Bengio 2012); every network has one architecture there.
"""

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tables_data import LETTER_TRAIN_ROWS

from ensemble_pipe.config.search_settings import Parameter
from ensemble_pipe.core.arrays import Array

Settings = dict[str, Any]

# Training rows and test rows of each seed.
ROWS = {"letter": (2000, 3000), "fashion": (1200, 3000), "adult": (3000, 6000)}
EPOCHS = {"letter": 9, "fashion": 9, "adult": 9}
_LABELS = {"letter": "letter", "adult": "income"}
_HIDDEN = {"letter": [64], "fashion": [32], "adult": [32]}
_TRAIN_IMAGES, _TEST_IMAGES = "train", "t10k"

DRIVER_SPACE = {
    "training.optimizer.learning_rate": Parameter(log_uniform=(1e-4, 1.0)),
    "training.optimizer.l2": Parameter(log_uniform=(1e-7, 1e-3)),
    "training.loss.smoothing": Parameter(uniform=(0.0, 0.1)),
    "network.dropout": Parameter(uniform=(0.0, 0.3)),
}
ENSEMBLE_SPACE = {
    "network.hidden": [[32], [64], [64, 64]],
    "network.dropout": {"uniform": [0.0, 0.3]},
    "training.optimizer.learning_rate": {"log_uniform": [0.001, 0.05]},
    "training.optimizer.l2": {"log_uniform": [1e-6, 1e-3]},
}
LEVELS = 3  # of each hyperparameter in a grid


def settings_of(name: str, seed: int, data: Path, work: Path) -> Settings:
    """Return a pipeline, but for its search, on rows that a seed draws.

    Args:
        name: of the data, one of ROWS.
        seed: of the rows and of the pipeline.
        data: the folder that has all rows, as `tables.py` has it, with `fashion-mnist` beside.
        work: where the drawn rows are written.
    """
    folder = work / "rows" / f"{name}-{seed}"
    if not folder.exists():
        beside = folder.with_name(f"unfinished-{folder.name}")
        beside.mkdir(parents=True, exist_ok=True)
        (_draw_images if name == "fashion" else _draw_rows)(name, seed, data, beside)
        beside.rename(folder)
    source: Settings = {"source": "idx", "folder": str(folder)}
    if name != "fashion":
        files = {"path": str(folder / "train.csv"), "test_path": str(folder / "test.csv")}
        source = {"source": "table", "label": _LABELS[name], **files}
    if name == "letter":
        source["columns"] = {"x*": {"kind": "number"}}
    return {
        "name": f"search_{name}",
        "seed": seed,
        "data": source,
        "scale": {"name": "standardize"},
        "splits": {"validation": 0.25, "stop": "validation"},
        "network": {"name": "mlp", "hidden": _HIDDEN[name]},
        "training": {
            "epochs": EPOCHS[name],
            "batch_size": 32,
            "loss": {"name": "cross_entropy"},
            "optimizer": {"name": "adam"},
        },
        "tracking": {"mlflow": False},
    }


def grid_space(seed: int) -> Settings:
    """Return a grid over the space of the drivers, each level in the same place of its cell.

    The place is drawn by the seed for each hyperparameter, so that no lucky one decides.
    """
    places = np.random.default_rng(seed).random(len(DRIVER_SPACE))
    return {
        path: [_value(one, (level + place) / LEVELS) for level in range(LEVELS)]
        for (path, one), place in zip(DRIVER_SPACE.items(), places, strict=True)
    }


def written(space: Mapping[str, Parameter]) -> Settings:
    """Return ranges as a pipeline has them."""
    kinds = {path: "log_uniform" if one.log_uniform else "uniform" for path, one in space.items()}
    return {path: {kinds[path]: list(one.bounds or ())} for path, one in space.items()}


def _value(parameter: Parameter, share: float) -> float:
    low, high = parameter.bounds or (0.0, 1.0)
    if parameter.log_uniform is not None:
        return float(low * (high / low) ** share)
    return float(low + share * (high - low))


def _draw_rows(name: str, seed: int, data: Path, folder: Path) -> None:
    """Write training and test rows of a table, drawn without replacement from those it has."""
    import pandas as pd

    if name == "letter":
        whole = pd.read_csv(data / "letter" / "letter.csv")
        parts = [whole[:LETTER_TRAIN_ROWS], whole[LETTER_TRAIN_ROWS:]]
    else:
        files = [data / "adult" / f"{part}.csv.gz" for part in ("train", "test")]
        parts = [pd.read_csv(file) for file in files]
    random = np.random.default_rng(seed)
    for part, rows, wanted in zip(("train", "test"), parts, ROWS[name], strict=True):
        chosen = random.permutation(len(rows))[:wanted]
        rows.iloc[chosen].to_csv(folder / f"{part}.csv", index=False)


def _draw_images(name: str, seed: int, data: Path, folder: Path) -> None:
    """Write training and test images and their labels, drawn from those of the IDX files."""
    random = np.random.default_rng(seed)
    for part, wanted in zip((_TRAIN_IMAGES, _TEST_IMAGES), ROWS[name], strict=True):
        chosen: Array | None = None
        for kind, head, width in (("images-idx3", 16, 28 * 28), ("labels-idx1", 8, 1)):
            file = f"{part}-{kind}-ubyte.gz"
            content = gzip.decompress((data / "fashion-mnist" / file).read_bytes())
            rows = np.frombuffer(content, np.uint8, offset=head).reshape(-1, width)
            if chosen is None:
                chosen = random.permutation(len(rows))[:wanted]
            start = bytearray(content[:head])
            start[4:8] = len(chosen).to_bytes(4, "big")
            (folder / file).write_bytes(gzip.compress(bytes(start) + rows[chosen].tobytes()))
