"""Components of a caller's own: layers, losses, update rules, augmentations and data sources.

Their classes come as arguments, in Python only; a file names them, and never holds code. While a
call runs that they were handed to, their names stand for them in whatever it reads.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.messages import list_names, quote
from ensemble_pipe.core.registry import Registry, component_scope
from ensemble_pipe.data.augment.policy import STEPS
from ensemble_pipe.data.sources import SOURCES
from ensemble_pipe.nn.layers import LAYERS
from ensemble_pipe.nn.losses import LOSSES
from ensemble_pipe.optim import RULES

P = ParamSpec("P")
R = TypeVar("R")

OPEN: tuple[Registry[Any], ...] = (LAYERS, LOSSES, RULES, STEPS, SOURCES)


def custom_components(classes: Collection[type[Any]]) -> AbstractContextManager[None]:
    """Return a context in which the names of a caller's own classes are known.

    Raises:
        ConfigError: they are no list of classes; or a class is no component, lacks something, or
            its name is taken.
    """
    return component_scope(classes, OPEN)


def takes_components(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function's keyword argument `components` be known while it runs."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        classes: Any = kwargs.get("components", ())
        with custom_components(classes):
            return function(*args, **kwargs)

    return run


def names_in(values: Iterable[Any]) -> dict[str, list[str]]:
    """Return the names of a caller's own components in nested settings, sorted, by kind."""
    found: dict[str, set[str]] = {}
    for value in _nested(values):
        for registry in OPEN:
            if registry.matches(type(value)) and type(value) not in registry.values():
                found.setdefault(registry.kind, set()).add(getattr(value, registry.key))
    return {kind: sorted(names) for kind, names in sorted(found.items())}


def require_components(names: Mapping[str, Sequence[str]], where: str) -> None:
    """Check that classes were handed in for names, by kind, as `names_in` returns them.

    Args:
        names: that are needed.
        where: they are needed, for the message.

    Raises:
        ConfigError: lists those that were not.
    """
    kinds = {registry.kind: registry for registry in OPEN}
    missing = [
        f"the {kind} {quote(name)}"
        for kind, own_names in names.items()
        for name in own_names
        if kind not in kinds or kinds[kind].find(name) is None
    ]
    if missing:
        raise ConfigError(
            f"{where}: needs {list_names(missing)}, which ensemble_pipe does not have; load it in "
            "Python, with their classes: ensemble_pipe.load(MODEL, components=[...])"
        )


def _nested(values: Iterable[Any]) -> Iterator[Any]:
    """Yield every dataclass in nested fields and tuples."""
    for value in values:
        if isinstance(value, tuple | list):
            yield from _nested(value)
        elif is_dataclass(value):
            yield value
            yield from _nested(getattr(value, field.name) for field in fields(value))
