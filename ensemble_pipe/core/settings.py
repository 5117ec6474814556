"""The decorator for frozen settings of components, and the part of them that stacks share.

Components (update rules, schedules, layers, augmentations, ...) declare their numbers as such
classes, with bounds from annotated_types. The pipeline schema checks and documents them; a
component itself receives nothing but plain values.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def settings(cls: type[T]) -> type[T]:
    """Make `cls` a frozen, keyword-only dataclass that refuses unknown keys when it is parsed."""
    cls.__pydantic_config__ = {"extra": "forbid", "allow_inf_nan": False}  # type: ignore[attr-defined]
    make: Callable[[type[T]], type[T]] = dataclass(frozen=True, kw_only=True)
    return make(cls)


def structure(value: Any) -> Any:
    """Return the settings that learners of one stack must share: all but their numbers.

    The fields that a class names in `numbers` are (M,) vectors in a stack, so they may differ,
    but not in whether they are set at all.
    """
    if isinstance(value, tuple):
        return tuple(structure(item) for item in value)
    if not is_dataclass(value):
        return value
    numbers = getattr(value, "numbers", ())
    kept = {
        field.name: "a number"
        if field.name in numbers and getattr(value, field.name) is not None
        else structure(getattr(value, field.name))
        for field in fields(value)
    }
    return (type(value).__name__, *kept.items())
