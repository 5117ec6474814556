"""Scales that learners have of their own: how rows are stored then, and what is fitted beside."""

from collections.abc import Iterator
from dataclasses import astuple, is_dataclass
from typing import Any

from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.data.tables.scaling import LINEAR, MIXING, SCALES, RangeScale, Scale, Standardize
from ensemble_pipe.ensemble.strategies import Learners


def stored_scale(pipeline: Pipeline) -> Scale:
    """Return the scale that rows are stored in.

    It is that of the pipeline, or where learners have scales of their own, one with a way back.
    """
    differ = any(True for _ in _own_values(pipeline))
    return Standardize() if differ and pipeline.scale.name not in LINEAR else pipeline.scale


def further_scales(pipeline: Pipeline) -> tuple[Scale, ...]:
    """Return the scales that learners may have besides the stored one, each kind once.

    A range is from 0 to 1, from which every other follows.
    """
    values = list(_own_values(pipeline))
    if not values:
        return ()
    named = {text for value in values for text in _texts(value)}
    named.add(pipeline.scale.name)
    kinds = [name for name in SCALES if name in named and name not in MIXING]
    return tuple(RangeScale() if name == "range" else SCALES[name]() for name in kinds)


def _own_values(pipeline: Pipeline) -> Iterator[Any]:
    """Yield what learners, or trials of a search, set or vary below `scale`."""
    groups = [group for group in pipeline.ensemble.groups if isinstance(group, Learners)]
    settings = [part for group in groups for part in (group.set, group.vary)]
    search = pipeline.search
    if search is not None:
        spaces = search.space if isinstance(search.space, tuple) else (search.space,)
        settings += [one for one in (*spaces, *search.first) if isinstance(one, dict)]
    for one in settings:
        yield from (value for path, value in (one or {}).items() if path.split(".")[0] == "scale")


def _texts(value: Any) -> Iterator[str]:
    """Yield every text within a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts(tuple(value.values()))
    elif is_dataclass(value) and not isinstance(value, type):
        yield from _texts(astuple(value))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
