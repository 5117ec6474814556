"""From rows as they are stored to rows of another scale, which a learner may have of its own."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.tables.scaling import LINEAR, RangeScale, Scale, Scaling

_LARGEST = float(np.finfo(np.float32).max)


class Rescaling:
    """Makes numbers of another scale of those that are stored, linearly scaled.

    The stored numbers are float32 and the way back to the column's own is float64, so results are
    those of a schema of the other scale up to the rounding of the stored numbers. Each row is a
    function of itself alone. What is no number passes by as it is.
    """

    def __init__(
        self, stored: Scaling, wanted: Scaling, scale: Scale, places: Sequence[int]
    ) -> None:
        """Combine two scalings of the same C columns, or channels.

        Args:
            stored: of the rows, a linear one.
            wanted: of the other scale; of a range from 0 to 1, whatever its ends are.
            scale: the other scale.
            places: (C,) of the numbers among the last axis of a row.
        """
        self._stored, self._wanted = stored, wanted
        self._places = np.array(places, np.int64)
        low, high = (scale.low, scale.high) if isinstance(scale, RangeScale) else (0.0, 1.0)
        self._low, self._width = low, high - low

    def apply(self, rows: Floats, out: Floats) -> None:
        """Write rows (..., D) of the other scale, of stored ones, to `out` of their shape."""
        np.copyto(out, rows)
        numbers: Floats = rows.reshape(-1, rows.shape[-1])[:, self._places].astype(np.float64)
        slope, shift = self._line
        numbers *= slope
        numbers += shift
        if self._wanted.name not in LINEAR:
            numbers = self._wanted.apply(np.ascontiguousarray(numbers.T)).T
        np.clip(numbers, -_LARGEST, _LARGEST, out=numbers)
        out.reshape(-1, rows.shape[-1])[:, self._places] = numbers

    @cached_property
    def _line(self) -> tuple[Floats, Floats]:
        """Slope and shift (C,): of linear scales to the end, of others back to the columns' own."""
        units, centers = np.array(self._stored.units), np.array(self._stored.centers)
        if self._wanted.name not in LINEAR:
            return units, centers
        divisors = np.array(self._wanted.units)
        shift = (centers - np.array(self._wanted.centers)) / divisors
        return units / divisors * self._width, shift * self._width + self._low


def rescaling_of(schema: Schema, scale: Scale | None) -> Rescaling | None:
    """Return the way from the rows of a schema to those of a learner's own scale.

    Args:
        schema: of the stored rows.
        scale: of the learner; None where it is theirs, and there is no way to go.

    Raises:
        ConfigError: no such scale was fitted, or there is no way back from the stored numbers.
    """
    if scale is None:
        return None
    stored, further = schema.scaling, schema.further_scalings
    wanted = next((one for one in further if one.name == scale.name), None)
    if wanted is None or stored.name not in LINEAR:
        known = ", ".join(one.name for one in (stored, *further))
        raise ConfigError(
            f"scale.name: a learner has {scale.name} of its own, but the rows have {known}"
        )
    places = range(schema.input_shape[-1]) if schema.is_image else schema.number_places
    return Rescaling(stored, wanted, scale, places)
