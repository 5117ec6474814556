"""Wall time of fitting an ensemble of four MLPs, beside TorchEnsemble's VotingClassifier.

    pip install torch==2.13.0 torchensemble==0.2.0     # for comparison only
    python benchmarks/voting.py --folder /path/to/fashion-mnist

Each fits four networks 784-512-256-10 to Fashion-MNIST by Adam in batches of 128, on all cores:
this package by trainers on a Ray that stays, TorchEnsemble by the faster of one process with all
threads and a process for each core. Both begin with standardised float32 rows in memory, and the
time to prepare and share them counts. They alternate, round after round; a rate is in rows times
learners per second of wall time, and the ratio is the median over rounds of that round's two rates.
After what TorchEnsemble prints, the last line is JSON; `--write` keeps it under benchmarks/results.
"""

import argparse
import logging
import os
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np
from keeping import circumstances, publish

from ensemble_pipe import EnsembleClassifier
from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.data.sources import Bundled, Idx
from ensemble_pipe.data.sources.rows import IMAGE, LABEL

LEARNERS, HIDDEN, BATCH_ROWS, RATE = 4, (512, 256), 128, 0.001

Fit = Callable[[], float]


def main() -> None:
    """Measure, print, and with --write keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", help="of Fashion-MNIST's IDX files; by default the digits")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without-peer", action="store_true", help="measure this package alone")
    parser.add_argument("--write", action="store_true", help="keep the result")
    asked = parser.parse_args()
    inputs, labels = rows_of(asked.folder)
    fits = {"ensemble_pipe": own_fit(inputs, labels, asked.epochs)}
    if not asked.without_peer:
        for jobs in (1, os.cpu_count() or 1):
            fits[f"torchensemble, n_jobs {jobs}"] = peer_fit(inputs, labels, asked.epochs, jobs)
    own_fit(inputs[:1000], labels[:1000], 1)()  # starts Ray, and compiles the kernels
    rates: dict[str, list[float]] = {name: [] for name in fits}
    for _ in range(asked.rounds):
        for name, fit in fits.items():
            began = time.perf_counter()
            rows = fit()
            rates[name].append(LEARNERS * rows * asked.epochs / (time.perf_counter() - began))
    publish("voting", summary(rates), asked.write)


def summary(rates: dict[str, list[float]]) -> dict[str, Any]:
    """Return rates and ratio; the peer of a round is its faster setting."""
    own, *peers = rates.values()
    result = circumstances("python benchmarks/voting.py --folder fashion-mnist")
    result["samples_per_second"] = {name: round(median(found)) for name, found in rates.items()}
    if peers:
        ratios = [rate / max(best) for rate, *best in zip(own, *peers, strict=True)]
        result["over_torchensemble"] = round(median(ratios), 2)
        result["ratios"] = [round(ratio, 2) for ratio in ratios]
    return result


def rows_of(folder: str | None) -> tuple[Floats, Array]:
    """Return standardised rows (R, D) float32 and their classes (R,)."""
    rows, _ = (Idx(folder=folder) if folder else Bundled()).open()
    batches = list(rows.read([IMAGE, LABEL]))
    images = np.concatenate([batch.column(IMAGE).to_numpy_ndarray() for batch in batches])
    labels = np.concatenate([batch.column(LABEL).to_numpy() for batch in batches])
    pixels = images.reshape(len(images), -1).astype(np.float32)
    return (pixels - pixels.mean()) / pixels.std(), labels.astype(np.int64)


def own_fit(inputs: Floats, labels: Array, epochs: int) -> Fit:
    """Return a function that fits this package's ensemble, and returns its number of rows."""
    import ray

    ray.init(ignore_reinit_error=True, logging_level="error")
    model = EnsembleClassifier(
        learners=LEARNERS, hidden=HIDDEN, epochs=epochs, batch_size=BATCH_ROWS,
        learning_rate=RATE, schedule="constant", validation_fraction=0.01,
        random_state=1, address="auto",
    )  # fmt: skip

    def fit() -> float:
        model.fit(inputs, labels)
        return 0.99 * len(inputs)

    return fit


def peer_fit(inputs: Floats, labels: Array, epochs: int, jobs: int) -> Fit:
    """Return a function that fits TorchEnsemble's ensemble, and returns its number of rows."""
    import torch  # type: ignore[import-not-found]
    from torchensemble import VotingClassifier  # type: ignore[import-not-found]

    batches = Batches(torch.from_numpy(inputs), torch.from_numpy(labels))
    widths = (inputs.shape[1], *HIDDEN)
    classes = len(np.unique(labels))

    def fit() -> float:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // jobs))
        layers: list[Any] = []
        for before, after in pairwise(widths):
            layers += [torch.nn.Linear(before, after), torch.nn.ReLU()]
        network = torch.nn.Sequential(*layers, torch.nn.Linear(widths[-1], classes))
        model = VotingClassifier(estimator=network, n_estimators=LEARNERS, cuda=False, n_jobs=jobs)
        logging.getLogger().setLevel(logging.ERROR)
        model.set_criterion(torch.nn.CrossEntropyLoss())
        model.set_optimizer("Adam", lr=RATE, fused=True)
        model.fit(batches, epochs=epochs, log_interval=10**9, save_model=False)
        return float(len(inputs))

    return fit


class Batches:
    """Shuffled batches of tensors in memory: faster than a DataLoader, which takes row by row."""

    def __init__(self, inputs: Any, labels: Any) -> None:
        self._inputs, self._labels = inputs, labels
        self.dataset = SimpleNamespace(classes=np.unique(labels))  # which TorchEnsemble counts

    def __len__(self) -> int:
        return -(-len(self._inputs) // BATCH_ROWS)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        import torch

        torch.set_flush_denormal(True)  # here, for it holds only in the process that trains
        for chosen in torch.randperm(len(self._inputs)).split(BATCH_ROWS):
            yield self._inputs[chosen], self._labels[chosen]


if __name__ == "__main__":
    main()
