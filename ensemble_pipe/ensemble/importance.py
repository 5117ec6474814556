"""Permutation importance: by how much the loss rises when a column's values change their rows.

Breiman 2001, "Random forests", section 10; for any predictor Fisher, Rudin & Dominici 2019, "All
models are wrong, but many are useful", section 3. It is the importance for this model, on these
rows: of two columns that say the same, either may be unimportant alone.

R rows, D targets, C columns, B resamples.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal
from zlib import crc32

import numpy as np

from ensemble_pipe.core import seeds
from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.ensemble.metrics.resampling import Interval, resampled_means
from ensemble_pipe.ensemble.metrics.row_values import RowValues, resamples_for
from ensemble_pipe.nn.blas import one_thread

REPEATS = 5
Measure = Literal["accuracy", "rmse"]
# values(name, order) returns metrics row by row where row i has the value of row order[i] in the
# column `name`; those of the rows as they are for None.
Values = Callable[[str | None, Integers], Mapping[str, RowValues]]
# Called with the number of predictions that are done, and that there are to be.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ColumnImportance:
    """The importance of one source column, with 95% intervals over rows.

    Attributes:
        name: of the column.
        nll: by how much the NLL rises, in nats.
        score: by how much the accuracy falls, or the RMSE rises.
    """

    name: str
    nll: Interval
    score: Interval


@dataclass(frozen=True)
class Importance:
    """The importance of every source column of a model.

    Attributes:
        rows: R, that the loss was measured on.
        repeats: permutations of each column.
        measure: that `score` is of.
        columns: the most important first.
    """

    rows: int
    repeats: int
    measure: Measure
    columns: tuple[ColumnImportance, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all as plain values, for JSON."""
        columns = [
            {"name": one.name, "nll": one.nll._asdict(), self.measure: one.score._asdict()}
            for one in self.columns
        ]
        return {**asdict(self), "columns": columns}


def permutation_importance(
    columns: Sequence[str],
    rows: int,
    values: Values,
    *,
    repeats: int = REPEATS,
    progress: Progress = lambda done, total: None,
) -> Importance:
    """Return the importance of some columns.

    The draws are keyed by the name of a column, so that they do not depend on which others there
    are. The intervals are those of the mean over rows; all columns see the same resamples.

    Args:
        columns: their names.
        rows: R.
        values: see `Values`; `nll`, and `accuracy` or `rmse`, are used.
        repeats: permutations of each column, whose losses are averaged row by row.
        progress: see `Progress`.

    Raises:
        DataError: there are fewer than two rows.
    """
    if rows < 2:
        raise DataError(f"importance needs at least 2 rows; there are {rows}")
    total = 1 + repeats * len(columns)
    plain = values(None, np.arange(rows))
    measure: Measure = "accuracy" if "accuracy" in plain else "rmse"
    kept = {name: plain[name] for name in ("nll", measure)}
    progress(1, total)
    permuted = {name: np.empty((len(columns), *one.values.shape)) for name, one in kept.items()}
    for place, column in enumerate(columns):
        found = []
        for repeat in range(repeats):
            found.append(values(column, permutation(column, repeat, rows)))
            progress(2 + place * repeats + repeat, total)
        for name, own in permuted.items():
            before = kept[name].values
            # By the differences, so that a column without any effect has exactly none.
            own[place] = before + np.mean([one[name].values - before for one in found], axis=0)
    rises = {name: _rises(one, permuted[name]) for name, one in kept.items()}
    sign = -1.0 if measure == "accuracy" else 1.0
    measured = [
        ColumnImportance(name, _interval(nll), _interval(sign * score))
        for name, nll, score in zip(columns, rises["nll"].T, rises[measure].T, strict=True)
    ]
    ordered = sorted(measured, key=lambda one: -one.nll.estimate)
    return Importance(rows, repeats, measure, tuple(ordered))


def permutation(column: str, repeat: int, rows: int) -> Integers:
    """Return the order (R,) of a column's values in one of its permutations."""
    key = crc32(column.encode())
    random = seeds.generator(0, seeds.Purpose.PERMUTATION, learner=key, step=repeat)
    return random.permutation(rows)


def _rises(plain: RowValues, permuted: Floats) -> Floats:
    """Return by how much a metric rises (1 + B, C): over all rows, then over each resample.

    Args:
        plain: of the rows as they are.
        permuted: values (C, R, D), of each permuted column.
    """
    columns, rows, targets = permuted.shape
    together = np.concatenate([plain.values[None], permuted]).transpose(1, 0, 2)
    flat = together.reshape(rows, -1)
    random = seeds.generator(0, seeds.Purpose.BOOTSTRAP, step=3)
    with one_thread():
        resampled = resampled_means(flat, random, resamples_for(flat.size))
    means = np.concatenate([flat.mean(axis=0)[None], resampled]).reshape(-1, 1 + columns, targets)
    metrics = (np.sqrt(means) if plain.root else means).mean(axis=2)
    rises: Floats = metrics[:, 1:] - metrics[:, :1]
    return rises


def _interval(values: Floats) -> Interval:
    """Return the first value, with the percentile interval of the others."""
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return Interval(float(values[0]), float(low), float(high))
