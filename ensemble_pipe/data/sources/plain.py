"""Normalisation of Arrow columns: validation, decoding of dictionaries, one type of text and
image."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import list_names, quote
from ensemble_pipe.data.sources.paths import (
    bare_names,
    reading,
    require_few_columns,
    require_unique,
)
from ensemble_pipe.data.sources.rows import IMAGE, TEXT_BYTES, as_images, image_type, is_images

_TEXTS = (
    pa.string(), pa.large_string(), pa.string_view(),
    pa.binary(), pa.large_binary(), pa.binary_view(),
)  # fmt: skip


@dataclass(frozen=True)
class Plain:
    """The conversion of a file's columns to those of `Rows`.

    Attributes:
        where: the file, for messages.
        schema: of the `Rows`: dictionaries decoded, text as `string`, images as "image".
        names: the file's own name of each column, which may have blanks around it.
    """

    where: str
    schema: pa.Schema
    names: dict[str, str]

    @classmethod
    def of(cls, where: str, schema: pa.Schema) -> "Plain":
        """Derive the conversion from a file's schema.

        Raises:
            DataError: two columns have one name, or there are several columns of images.
        """
        require_few_columns(where, len(schema))
        with reading(where):
            own = list(schema.names)
        images = [field.name for field in schema if is_images(field.type)]
        if len(images) > 1:
            raise DataError(
                f"{where}: holds several columns of images ({list_names(images)}); keep one"
            )
        declared = bare_names(IMAGE if name in images else name for name in own)
        require_unique(where, declared)
        kinds = [_plain_type(where, field) for field in schema]
        fields = [pa.field(name, kind) for name, kind in zip(declared, kinds, strict=True)]
        return cls(where, pa.schema(fields), dict(zip(declared, own, strict=True)))

    def batches(
        self, batch: pa.RecordBatch, names: Sequence[str], place: Callable[[int], str]
    ) -> Iterator[pa.RecordBatch]:
        """Yield columns of one batch as `schema` declares them; place(row) names its rows.

        The batch is divided where its decoded dictionary texts would take too much memory.

        Raises:
            DataError: the batch is damaged, or an image is missing.
        """
        fields = pa.schema([self.schema.field(name) for name in names])
        with reading(self.where):
            batch.validate(full=True)
            own = [batch.column(self.names[name]) for name in names]
            length = max(1, TEXT_BYTES // max(1, sum(map(longest_text, own))))
        for first in range(0, batch.num_rows, length):
            with reading(self.where):
                columns = [
                    self._column(column.slice(first, length), name, place, first)
                    for column, name in zip(own, names, strict=True)
                ]
            yield pa.RecordBatch.from_arrays(columns, schema=fields)

    def _column(
        self, column: pa.Array, name: str, place: Callable[[int], str], first: int
    ) -> pa.Array:
        kind = self.schema.field(name).type
        if is_images(kind):
            _require_all(column, name, lambda row: place(first + row))
            return as_images(column.storage.flatten(), kind.shape)
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        return column.cast(kind)


def is_text(kind: pa.DataType) -> bool:
    """Return whether a column is text or binary, plain or dictionary-encoded."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return kind in _TEXTS


def longest_text(column: pa.Array) -> int:
    """Return the bytes of the longest text in a column's dictionary; 0 where it has none."""
    if not (pa.types.is_dictionary(column.type) and is_text(column.type)):
        return 0
    texts = column.dictionary
    if not len(texts):
        return 0
    lengths = pc.binary_length(texts.cast(pa.large_binary()))
    return int(pc.max(lengths).as_py() or 0)


def _plain_type(where: str, field: pa.Field) -> pa.DataType:
    kind = field.type
    if is_images(kind):
        if len(kind.shape) not in (2, 3) or kind.permutation not in (
            None,
            [*range(len(kind.shape))],
        ):
            raise DataError(
                f"{where}: column {quote(field.name)} is {kind}; images are (H, W) or (H, W, C), "
                "in this order"
            )
        return image_type(kind.shape)
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    return kind


def _require_all(images: pa.ExtensionArray, name: str, place: Callable[[int], str]) -> None:
    storage = images.storage
    if storage.null_count or storage.flatten().null_count:
        missing = storage.is_null().to_pylist()
        row = missing.index(True) if True in missing else 0
        raise DataError(
            f"{place(row)}, column {quote(name)}: the image is missing; remove such rows"
        )
