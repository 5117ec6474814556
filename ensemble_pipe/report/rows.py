"""The values of encoded rows as a person wrote them, as far as the encoding keeps them."""

import base64
import io
from datetime import UTC, datetime, timedelta

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.tables.features import CategoryColumn, NumberColumn

MISSING, UNKNOWN = "missing", "another"
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


def shown_columns(schema: Schema) -> tuple[str, ...]:
    """Return the columns whose values can be read from encoded rows, in their order."""
    mixed = schema.scaling.mixes
    return tuple(c.name for c in schema.columns if isinstance(c, CategoryColumn) or not mixed)


def column_values(schema: Schema, name: str, stored: Array) -> list[str]:
    """Return the values (n,) of a column, as text.

    Args:
        schema: of the data.
        name: of one of `shown_columns`.
        stored: (n, D) encoded rows.
    """
    place = schema.feature_names.index(name)
    column = schema.columns[place]
    start, stop = schema.feature_places[name]
    own = stored[:, start:stop]
    if isinstance(column, CategoryColumn):
        return _categories(column, own)
    numbers = _numbers(schema, place, own[:, 0].astype(np.float64))
    missing = own[:, 1] > 0 if column.indicator else np.zeros(len(own), bool)
    texts = [_text(column, number) for number in numbers.tolist()]
    return [MISSING if gone else text for gone, text in zip(missing, texts, strict=True)]


def column_numbers(schema: Schema, name: str, stored: Array) -> Floats:
    """Return the numbers (n,) of a column of numbers, dates or of categories that are numbers.

    They have the digits of their texts; what is missing, or no number, is NaN.

    Args:
        schema: of the data.
        name: of one of `shown_columns`.
        stored: (n, D) encoded rows.
    """
    place = schema.feature_names.index(name)
    column = schema.columns[place]
    if isinstance(column, CategoryColumn):
        texts = column_values(schema, name, stored)
        return np.array([number_of(text) for text in texts])
    start, _ = schema.feature_places[name]
    found = _numbers(schema, place, stored[:, start].astype(np.float64)) + column.offset
    if column.kind == "number":
        found = np.array([float(f"{value:.5g}") for value in found.tolist()])
    if column.indicator:
        found[stored[:, start + 1] > 0] = np.nan
    return found


def number_of(text: str) -> float:
    """Return a text as a number; NaN where it is none.

    >>> number_of("12.5"), number_of("missing")
    (12.5, nan)
    """
    try:
        return float(text)
    except ValueError:
        return float("nan")


def number_text_of(schema: Schema, name: str, value: float) -> str:
    """Return a number of a column, of those of `column_numbers`, as text."""
    column = schema.columns[schema.feature_names.index(name)]
    if isinstance(column, CategoryColumn):
        return f"{value:.6g}"
    return _text(column, value - column.offset)


def _numbers(schema: Schema, place: int, encoded: Floats) -> Floats:
    """Return numbers (n,) in the units of their column, less its offset."""
    before = schema.columns[:place]
    number = sum(isinstance(column, NumberColumn) for column in before)
    return schema.scaling.inverse(number, encoded)


def _text(column: NumberColumn, number: float) -> str:
    value = number + column.offset
    if column.kind == "date":
        try:
            return f"{_FIRST + timedelta(seconds=round(value)):%Y-%m-%d %H:%M}".removesuffix(
                " 00:00"
            )
        except OverflowError:
            return f"{value:.6g} s"
    return f"{value:.5g}" if abs(value) < 1e5 else f"{value:,.0f}"


def _categories(column: CategoryColumn, own: Array) -> list[str]:
    names = [name or MISSING for name in column.categories]
    if column.encode == "one_hot":
        known, places = own.max(axis=1) > 0, own.argmax(axis=1)
        pairs = zip(known.tolist(), places.tolist(), strict=True)
        return [names[place] if one else UNKNOWN for one, place in pairs]
    codes = np.rint(own[:, 0]).astype(int) - 1 - column.buckets
    return [
        names[code] if code >= 0 else UNKNOWN if code == -1 - column.buckets else "a rare name"
        for code in codes.tolist()
    ]


def image_data(image: Array, *, brighten: bool = True) -> str:
    """Return a data: address of the PNG file of an image (H, W, C) uint8; dark ones brightened."""
    from PIL import Image

    pixels = image if image.shape[2] == 3 else np.rint(image.mean(axis=2)).astype(np.uint8)
    if brighten and pixels.max(initial=0) <= 127:  # else all would look black
        pixels = (pixels.astype(float) * (255 / max(1, int(pixels.max())))).astype(np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, format="png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
