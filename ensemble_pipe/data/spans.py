"""Spans: which features of an encoded row came from one source column."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Span:
    """The features that one source column became.

    Attributes:
        start, stop: their places in the row. Behind a number its missing-indicator may stand.
        kind: what they are.
    """

    start: int
    stop: int
    kind: Literal["number", "one_hot", "code"]
