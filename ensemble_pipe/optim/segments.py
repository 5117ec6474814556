"""Segments: the parts of a row that an update rule treats differently."""

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Segment:
    """One tensor of a row, or several neighbours that are treated alike.

    Attributes:
        start, stop: its positions in the row.
        columns: length of the tensor's last axis, so that column o holds the weights into unit o;
            0 where `max_norm` does not apply.
        decays: whether penalties, weight decay and max_norm apply: to kernels, and not to biases
            and gains, whose size says nothing of a function's roughness (Goodfellow et al. 2016,
            "Deep learning", section 7.1).
        rate_factor: factor of the learning rate. 0 freezes the segment: it is not moved, its slots
            stay as they are, and its gradient does not count in the clipped norm.
        decay_factor: factor of the learning rate that weight decay is multiplied by; None for
            `rate_factor`.
    """

    start: int
    stop: int
    columns: int = 0
    decays: bool = True
    rate_factor: float = 1.0
    decay_factor: float | None = None

    @property
    def effects(self) -> tuple[float, float, float]:
        """The factor of the rate, 1 where penalties apply or else 0, and the decay's factor."""
        own = self.rate_factor if self.decay_factor is None else self.decay_factor
        return self.rate_factor, float(self.decays), own * self.decays


def check_segments(segments: Sequence[Segment], size: int) -> None:
    """Check that segments cover the trainable numbers 0 to T = `size`, in order and without gaps.

    Raises:
        ValueError: they do not, or a segment is no whole number of columns.
    """
    place = 0
    for segment in segments:
        if segment.start != place or segment.stop < segment.start:
            raise ValueError(f"{segment} does not follow on position {place}")
        if segment.columns and (segment.stop - segment.start) % segment.columns:
            raise ValueError(f"{segment} is no whole number of columns")
        place = segment.stop
    if place != size:
        raise ValueError(f"segments end at {place}, trainable numbers at {size}")


def merge_neighbours(segments: Sequence[Segment]) -> list[Segment]:
    """Return the segments that move, with neighbours joined where penalties and rate agree.

    >>> kernel, bias, gain = Segment(0, 6, 2), Segment(6, 8, 0, False), Segment(8, 10, 0, False)
    >>> [(segment.start, segment.stop) for segment in merge_neighbours([kernel, bias, gain])]
    [(0, 6), (6, 10)]
    """
    joined: list[Segment] = []
    for segment in segments:
        last = joined[-1] if joined else None
        alike = last and (last.effects, last.stop) == (segment.effects, segment.start)
        if alike:
            joined[-1] = replace(joined[-1], stop=segment.stop, columns=0)
        elif segment.rate_factor != 0.0 and segment.stop > segment.start:
            joined.append(segment)
    return joined
