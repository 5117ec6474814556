"""Compiled embedding of categories: rows of tables, chosen by the codes in a row of numbers."""

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.compilation import kernel


@kernel
def category_of(code: float, categories: int) -> int:
    """Return the category of a code; 0 for codes outside of 0 ... categories - 1 and for NaN."""
    return int(code) if code >= 0 and code < categories else 0


@kernel
def copy_columns(inputs: Floats, columns: Integers, outputs: Floats) -> None:
    """outputs (M, N, ...)[m, n, k] = inputs (A, N, D)[m, n, columns[k]], with A = M or 1."""
    learners, rows = outputs.shape[:2]
    for m in range(learners):
        source = inputs[min(m, len(inputs) - 1)]
        for n in range(rows):
            for k in range(len(columns)):
                outputs[m, n, k] = source[n, columns[k]]


@kernel
def spread_columns(gradient: Floats, columns: Integers, input_gradient: Floats) -> None:
    """input_gradient (M, N, D) = gradient (M, N, ...) at the columns copied, 0 elsewhere."""
    learners, rows = gradient.shape[:2]
    for m in range(learners):
        for n in range(rows):
            input_gradient[m, n] = 0
            for k in range(len(columns)):
                input_gradient[m, n, columns[k]] = gradient[m, n, k]


@kernel
def look_up(inputs: Floats, column: int, table: Floats, first: int, outputs: Floats) -> None:
    """outputs (M, N, ...)[m, n, first:] = table (M, categories, size) at the code in the column."""
    learners, rows = outputs.shape[:2]
    categories, size = table.shape[1:]
    for m in range(learners):
        source = inputs[min(m, len(inputs) - 1)]
        for n in range(rows):
            category = category_of(source[n, column], categories)
            for k in range(size):
                outputs[m, n, first + k] = table[m, category, k]


@kernel
def add_up(
    gradient: Floats, inputs: Floats, column: int, first: int, table_gradient: Floats
) -> None:
    """table_gradient = gradient (M, N, ...)[m, n, first:], summed over each category."""
    learners, rows = gradient.shape[:2]
    categories, size = table_gradient.shape[1:]
    for m in range(learners):
        source = inputs[min(m, len(inputs) - 1)]
        table_gradient[m] = 0
        for n in range(rows):
            category = category_of(source[n, column], categories)
            for k in range(size):
                table_gradient[m, category, k] += gradient[m, n, first + k]
