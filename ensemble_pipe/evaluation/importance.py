"""Permutation importance of a model's source columns, on labelled rows: see `ensemble.importance`.

The values of a column are permuted before rows are encoded, so all features that it becomes move
together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ensemble_pipe.core import seeds
from ensemble_pipe.core.arrays import Array, Integers
from ensemble_pipe.core.errors import DataError, InputError
from ensemble_pipe.core.messages import list_names
from ensemble_pipe.data.labelled import chosen_rows
from ensemble_pipe.data.sources.rows import Rows, rows_of
from ensemble_pipe.ensemble.importance import (
    REPEATS,
    Importance,
    Progress,
    permutation_importance,
)
from ensemble_pipe.ensemble.measures import row_values
from ensemble_pipe.ensemble.metrics.row_values import RowValues
from ensemble_pipe.serving.external import with_predictions
from ensemble_pipe.serving.files import open_for, outputs_of, targets_of
from ensemble_pipe.serving.in_memory import as_column, columns_of
from ensemble_pipe.serving.inputs import batch_of
from ensemble_pipe.serving.model import Ensemble, ExternalPredictions, Inputs, load

# Of more rows a draw is taken, which is kept in memory.
MOST_ROWS = 10_000


def importance(
    model: Ensemble | str | Path,
    inputs: Inputs | str | Path,
    targets: Any = None,
    *,
    given: ExternalPredictions = None,
    rows: int = MOST_ROWS,
    repeats: int = REPEATS,
    progress: Progress = lambda done, total: None,
) -> Importance:
    """Return the permutation importance of a model's source columns, with 95% intervals.

    Args:
        model: an ensemble, or what `load` takes.
        inputs: rows as `Ensemble.predict` takes them, or the path of a file.
        targets: (R,) true classes or numbers, or (R, D) of several targets; None where `inputs` has
            them, in the columns that the model was trained on.
        given: predictions of external members, as for `predict`; they stay as they are.
        rows: how many are used at most; of more a draw is taken, always the same.
        repeats: permutations of each column, whose losses are averaged.
        progress: called with the number of predictions done, and of all.

    Raises:
        InputError: the model is for images, or there is no such model or file.
        DataError: there are fewer than two rows, a label is missing, or a value is invalid.
    """
    ensemble = model if isinstance(model, Ensemble) else load(model)
    require_table(ensemble)
    if isinstance(inputs, str | Path):
        if targets is not None or given is not None:
            raise InputError("targets and given go with rows in memory, not with a file")
        labelled = open_for(ensemble, str(inputs))
    else:
        labelled = _in_memory(ensemble, inputs, targets, given)
    return importance_on(ensemble, labelled, most_rows=rows, repeats=repeats, progress=progress)


def importance_on(
    model: Ensemble,
    rows: Rows,
    *,
    most_rows: int = MOST_ROWS,
    repeats: int = REPEATS,
    progress: Progress = lambda done, total: None,
) -> Importance:
    """Return the importance of a model's source columns on labelled rows.

    The arguments and errors are those of `importance`.
    """
    require_table(model)
    table, drawn = _drawn(model, rows, most_rows)
    targets = targets_of(model, drawn)

    def values(name: str | None, order: Integers) -> Mapping[str, RowValues]:
        changed = table
        if name is not None:
            place = table.schema.get_field_index(name)
            moved = table.column(name).take(pa.array(order))
            changed = table.set_column(place, table.schema.field(name), moved)
        return _values(model, _with_table(drawn, changed), targets)

    columns = model.schema.source_columns
    return permutation_importance(columns, drawn.count, values, repeats=repeats, progress=progress)


def _drawn(model: Ensemble, rows: Rows, most: int) -> tuple[pa.Table, Rows]:
    """Return the rows that are used, in memory: as a table, and as a source."""
    if rows.count > most:
        random = seeds.generator(0, seeds.Purpose.PERMUTATION, shard=1)
        rows = chosen_rows(rows, np.sort(random.choice(rows.count, most, replace=False)))
    labels = [name for name in model.schema.target_names if name in rows.schema.names]
    blocks = [block for _, block in rows.blocks([*model.columns, *labels])]
    if not blocks:
        raise DataError(f"{rows.where}: has no rows, so nothing can be measured")
    table = pa.Table.from_batches(blocks)
    return table, _with_table(rows, table)


def _with_table(rows: Rows, table: pa.Table) -> Rows:
    """Return rows that are read from a table in memory."""
    return replace(rows, read=lambda names: iter(table.select(list(names)).to_batches()))


def _values(model: Ensemble, rows: Rows, targets: Array) -> dict[str, RowValues]:
    """Return the metrics of rows, row by row, predicted block by block."""
    blocks = [
        row_values(model.of_outputs(outputs), targets[first : first + outputs.shape[1]])
        for first, outputs in outputs_of(model, rows)
    ]
    return {
        name: RowValues(np.concatenate([block[name].values for block in blocks]), one.root)
        for name, one in blocks[0].items()
    }


def require_table(model: Ensemble) -> None:
    """Raise InputError for a model without columns."""
    if model.schema.is_image:
        raise InputError("importance is that of the columns of a table; this model is for images")


def _in_memory(model: Ensemble, inputs: Inputs, targets: Any, given: ExternalPredictions) -> Rows:
    """Return labelled rows in memory as a source."""
    schema = model.schema
    block = with_predictions(batch_of(inputs, schema), inputs, given, model.members, schema)
    found = columns_of(inputs if targets is None else targets)
    names = schema.target_names
    if found is not None:
        labels = {name: found.values(name) for name in names if name in found.names}
    elif targets is None:
        raise DataError(f"an array has no labels; give them as targets: {list_names(names)}")
    else:
        labels = _named(np.asarray(targets), names, block.num_rows)
    table = pa.Table.from_batches([block])
    for name, values in labels.items():
        table = table.append_column(name, as_column(values, name))
    return rows_of("the table", table)


def _named(targets: Array, names: Sequence[str], rows: int) -> dict[str, Array]:
    """Return the targets of rows by name."""
    if targets.shape not in {(rows, len(names)), (rows,) if len(names) == 1 else ()}:
        raise DataError(
            f"the targets have shape {targets.shape}; for {rows} rows of {list_names(names)} "
            f"({rows}, {len(names)}) is needed"
        )
    return dict(zip(names, targets.reshape(rows, -1).T, strict=True))
