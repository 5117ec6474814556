"""Opens a data source; what one of a caller's own returns is checked before it is read."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import pyarrow as pa

from ensemble_pipe.core.errors import InputError
from ensemble_pipe.core.own_code import is_own
from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.data.tables.columns import Roles


class AnySource(Protocol):
    """A data source, as `sources.SOURCES` has them."""

    @property
    def source(self) -> str:
        """Its name."""

    def open(self) -> tuple[Rows, Rows | None]:
        """Return the rows, and those of an official test part."""

    def roles(self, rows: Rows) -> Roles:
        """Return what each column is for."""


def open_source(source: AnySource) -> tuple[Rows, Rows | None, Roles]:
    """Return the rows of a source, those of its official test part, and what columns are for.

    Raises:
        DataError: the data cannot be read.
        InputError: a source of a caller's own returned something else.
    """
    if not is_own(type(source)):
        rows, test = source.open()
        return rows, test, source.roles(rows)
    what = f"data source {source.source!r}"
    found: object = source.open()
    if not (isinstance(found, tuple) and len(found) == 2):
        raise InputError(f"{what}: open returned {_kind(found)}, must be (Rows, Rows or None)")
    rows, test = found
    if not (isinstance(rows, Rows) and isinstance(test, Rows | None)):
        raise InputError(
            f"{what}: open returned ({_kind(rows)}, {_kind(test)}), must be (Rows, Rows or None)"
        )
    roles: object = source.roles(rows)
    if not isinstance(roles, Roles):
        raise InputError(f"{what}: roles returned {_kind(roles)}, must be Roles")
    return _checked(rows, what), None if test is None else _checked(test, what), roles


def _checked(rows: Rows, what: str) -> Rows:
    """Return rows whose batches are checked against their schema."""

    def read(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        announced = [(name, rows.schema.field(name).type) for name in names]
        for batch in rows.read(names):
            if not isinstance(batch, pa.RecordBatch):
                raise InputError(f"{what}: read yielded {_kind(batch)}, must be a RecordBatch")
            found = [(field.name, field.type) for field in batch.schema]
            if found != announced:
                raise InputError(
                    f"{what}: read yielded columns {_columns(found)}, must be those of its schema: "
                    f"{_columns(announced)}"
                )
            yield batch

    return replace(rows, read=read)


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__


def _columns(columns: Sequence[tuple[str, pa.DataType]]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns[:12]) or "none"
