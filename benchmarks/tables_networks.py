"""The networks of pytabkit that `tables.py` compares with: RealMLP-TD and TabM-D.

Both hold out a fifth of the rows that they are given and keep their best epoch by it. RealMLP-TD
is set as its authors advise where the NLL counts: classes without label smoothing, and the epoch by
cross-entropy. Needs pytabkit and torch.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
from tables_data import Table, as_categories, read_frames

NETWORKS = ("realmlp", "tabm")


def fit_network(name: str, table: Table, seed: int, train: Path, test: Path) -> dict[str, Any]:
    """Fit a network of pytabkit in one thread, and predict the test rows.

    The noise of a regression is the deviation of the residuals on the rows that were held out.
    """
    import torch  # type: ignore[import-not-found]

    torch.set_num_threads(1)
    inputs, labels, others, truth = read_frames(train, test, table)
    inputs, others = _without_gaps(*as_categories(inputs, others))
    held = _held_out(labels, table.task, seed)
    began, wall = time.process_time(), time.monotonic()
    model = _make(name, table.task, seed).fit(inputs, labels, val_idxs=held)
    seconds = np.array([time.process_time() - began, time.monotonic() - wall])
    if table.task == "classification":
        found = {"probabilities": model.predict_proba(others)}
    else:
        residuals = np.ravel(model.predict(inputs.iloc[held])) - labels[held]
        mean = np.ravel(model.predict(others))
        std = float(np.sqrt(np.mean(residuals**2)))
        found = {"mean": mean, "std": np.full(len(mean), std)}
    return {**found, "truth": truth, "seconds": seconds}


def _make(name: str, task: str, seed: int) -> Any:
    from pytabkit import (
        RealMLP_TD_Classifier,
        RealMLP_TD_Regressor,
        TabM_D_Classifier,
        TabM_D_Regressor,
    )

    common = {"device": "cpu", "n_threads": 1, "random_state": seed}
    of_classes = {"val_metric_name": "cross_entropy"} if task == "classification" else {}
    if name == "realmlp":
        kind = RealMLP_TD_Classifier if task == "classification" else RealMLP_TD_Regressor
        return kind(**common, **of_classes, **({"use_ls": False} if of_classes else {}))
    kind = TabM_D_Classifier if task == "classification" else TabM_D_Regressor
    return kind(**common, **of_classes)


def _held_out(labels: Any, task: str, seed: int) -> Any:
    """Return the places of a fifth of the rows, of classes with their shares."""
    from sklearn.model_selection import train_test_split

    classes = labels if task == "classification" else None
    places = np.arange(len(labels))
    _, held = train_test_split(places, test_size=0.2, random_state=seed, stratify=classes)
    return np.sort(held)


def _without_gaps(train: Any, test: Any) -> tuple[Any, Any]:
    """Return frames in which missing numbers have the median, and missing texts a category."""
    for column in train.columns:
        if train[column].dtype.name == "category":
            for part in (train, test):
                part[column] = part[column].cat.add_categories("missing").fillna("missing")
        else:
            middle = train[column].median()
            for part in (train, test):
                part[column] = part[column].astype(np.float64).fillna(middle)
    return train, test
