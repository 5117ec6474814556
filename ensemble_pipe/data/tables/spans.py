"""Spans: the features of an encoded row that come from one source column."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ensemble_pipe.core.arrays import Integers


@dataclass(frozen=True)
class Span:
    """The features start .. stop - 1 of an encoded row that one source column became.

    The spans of a row stand in the order of its features, and leave none out.

    Attributes:
        start, stop: of the features.
        kind: "number": `start` is the number, scaled; the features behind it are not scaled: its
            missing-indicator, a feature of 0 or 1 for each of its frequent values, and the parts of
            a date. "one_hot": features of 0 or 1 (or those behind a number, where numbers are
            mixed and stand in front); "code": the number of a category, 0 is the unknown one.
        mean, deviation: of a number as encoded, on the training part; 0 and 1 where standardised.
    """

    start: int
    stop: int
    kind: Literal["number", "one_hot", "code"]
    mean: float = 0.0
    deviation: float = 1.0


def code_places(spans: Sequence[Span]) -> Integers:
    """Return the places of the features that are codes, ascending."""
    return np.array([span.start for span in spans if span.kind == "code"], np.int64)


def columns_of(spans: Sequence[Span], width: int) -> Integers:
    """Return (D,), for each of D = `width` features the number of the span it lies in.

    Raises:
        ValueError: the spans leave features out, or overlap, or stand in another order.
    """
    lengths = [span.stop - span.start for span in spans]
    ends = np.cumsum([0, *lengths]).tolist()
    if [*(span.start for span in spans), width] != ends or min(lengths, default=1) < 1:
        raise ValueError(f"spans must follow one another from feature 0 to {width - 1}: {spans}")
    return np.repeat(np.arange(len(spans)), lengths)
