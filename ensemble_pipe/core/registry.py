"""Components by name: for each kind one registry, made of the union of its settings.

A component (a layer, a loss, an update rule, ...) is a frozen settings class with a name of its own
as a `Literal`. The union of a kind's classes is all that is written down: the registry takes the
names from it, and pydantic the branch that a section of a pipeline or a model chooses by its name.

    LOSSES: Registry[Loss] = Registry("loss", Loss)
    LOSSES["hinge"]                       # the class Hinge
    loss: Annotated[Loss, LOSSES]         # a field that pydantic parses

A caller's own classes are handed in for the time of a call, see `component_scope`. They are known
in the context of that call alone (a context variable), not to the registry itself: pydantic
compiles what it parses by once for the process, so the names that are valid must come from where a
call runs; and of two runs in two threads each knows its own.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, is_dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar, get_args, get_origin, get_type_hints

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, SerializationInfo, TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic_core import CoreSchema, core_schema

from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.messages import list_names, quote

T = TypeVar("T")

# It stands in names of tensors.
NAME_PATTERN = r"[a-z][a-z0-9_]*"
Customs = Mapping[str, Mapping[str, "Custom"]]


@dataclass(frozen=True)
class Custom:
    """A class of a caller's own, and what parses it."""

    cls: type[Any]
    adapter: TypeAdapter[Any]


_NO_KIND = (
    "is no component: a layer extends nn.layers.Layer, a loss nn.losses.LossFunction, an update "
    "rule optim.Update; an augmentation has apply, a data source open"
)

# By kind, then by name; that of the call that runs.
_HANDED_IN: ContextVar[Customs] = ContextVar("components", default={})  # noqa: B039  (never changed)


class Registry(Mapping[str, type[T]], Generic[T]):
    """The components of one kind, by name, in the order of their union.

    As the annotation of a field it lets pydantic choose the branch by the name, a caller's own
    among them.

    Attributes:
        kind: what they are, for messages, such as "loss".
        key: the field that holds the name.
    """

    def __init__(
        self,
        kind: str,
        union: Any,
        *,
        key: str = "name",
        base: type[Any] | None = None,
        members: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Take the names from the classes of a union.

        Args:
            kind, key: as the attributes.
            union: of settings.
            base: that a caller's own class must extend; None for none.
            members: that a caller's own class must have, each with the values that it may have, of
                which none are listed where it is a method; without a base the first tells the
                kind. None where the kind is not open.
        """
        self.kind, self.key = kind, key
        self._base, self._members = base, members or {}
        classes = get_args(union) or (union,)
        self._classes: dict[str, type[T]] = {getattr(cls, key): cls for cls in classes}

    def __getitem__(self, name: str) -> type[T]:
        return self._classes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    def __len__(self) -> int:
        return len(self._classes)

    def __hash__(self) -> int:  # annotations of fields are hashed
        return id(self)

    @property
    def is_open(self) -> bool:
        """Whether a caller can hand in classes of this kind."""
        return bool(self._members)

    def names(self) -> list[str]:
        """Return every valid name, those of classes handed in among them."""
        return [*self._classes, *_HANDED_IN.get().get(self.kind, {})]

    def find(self, name: str) -> type[Any] | None:
        """Return the component of a name, the package's or one handed in; None for none."""
        found = _HANDED_IN.get().get(self.kind, {}).get(name)
        return self._classes.get(name) if found is None else found.cls

    def matches(self, cls: type[Any]) -> bool:
        """Whether a class is meant to be of this kind: by its base, or by what it can do."""
        if self._base is not None:
            return issubclass(cls, self._base)
        return hasattr(cls, next(iter(self._members)))

    def violations(self, cls: type[Any]) -> Iterator[str]:
        """Yield what a caller's own class lacks to be a component of this kind."""
        parameters = getattr(cls, "__dataclass_params__", None)
        if not is_dataclass(cls) or not getattr(parameters, "frozen", False):
            yield "is no frozen dataclass; decorate it with ensemble_pipe.core.settings.settings"
        name = getattr(cls, self.key, None)
        if not isinstance(name, str) or _literal(cls, self.key) != (name,):
            yield f'needs the field {self.key}: Literal["..."] = "...", one and the same text'
        elif not re.fullmatch(NAME_PATTERN, name):
            yield f"is named {quote(name)}; a name is of small letters, digits and underscores"
        elif name in self._classes:
            yield f"is named {quote(name)}, as a {self.kind} of the package is; choose another name"
        abstract: frozenset[str] = getattr(cls, "__abstractmethods__", frozenset())
        lacking = [one for one in self._members if not hasattr(cls, one) or one in abstract]
        if lacking:
            yield f"lacks {list_names(lacking)}, which every {self.kind} has"
        for one, values in self._members.items():
            if values and hasattr(cls, one) and getattr(cls, one) not in values:
                yield f"has {one} = {quote(getattr(cls, one))}; valid: {list_names(values)}"

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        choices = {name: handler(cls) for name, cls in self._classes.items()}
        tagged = core_schema.tagged_union_schema(choices, self.key)
        if not self.is_open:
            return tagged
        return core_schema.no_info_wrap_validator_function(
            self._parse,
            tagged,
            serialization=core_schema.wrap_serializer_function_ser_schema(
                self._plain, info_arg=True, schema=tagged
            ),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        found = handler(schema)
        for custom in _HANDED_IN.get().get(self.kind, {}).values():
            branch = handler(custom.adapter.core_schema)
            found["oneOf"] = [*found["oneOf"], *branch["oneOf"]]
            mapping = branch["discriminator"]["mapping"]
            found["discriminator"]["mapping"] = {**found["discriminator"]["mapping"], **mapping}
        return found

    def _parse(self, value: Any, parse: Callable[[Any], Any]) -> Any:
        """Return the component that a value means, one of a caller's own too."""
        name = value.get(self.key) if isinstance(value, dict) else None
        custom = _HANDED_IN.get().get(self.kind, {}).get(name) if isinstance(name, str) else None
        if custom is not None:
            return custom.adapter.validate_python(value)
        cls = type(value)
        if is_dataclass(cls) and self.matches(cls) and not any(self.violations(cls)):
            return value
        return parse(value)

    def _plain(self, value: Any, plain: Callable[[Any], Any], info: SerializationInfo) -> Any:
        if type(value) in self._classes.values() or not is_dataclass(value):
            return plain(value)
        return TypeAdapter(type(value)).dump_python(value, mode=info.mode)  # type: ignore[arg-type]


def handed_in() -> bool:
    """Whether a caller has handed in any class to the call that runs."""
    return bool(_HANDED_IN.get())


@contextmanager
def component_scope(
    classes: Collection[type[Any]], registries: Sequence[Registry[Any]]
) -> Iterator[None]:
    """Let names in what is read meanwhile mean a caller's own classes too.

    Args:
        classes: of components, each of one of the kinds; one that is there twice counts once.
        registries: of the kinds that are open.

    Raises:
        ConfigError: they are no list of classes; or a class is no component, lacks something, or
            its name is taken.
    """
    _require_classes(classes)
    known = {kind: dict(customs) for kind, customs in _HANDED_IN.get().items()}
    mistakes = [
        f"components: {cls.__qualname__} {mistake}"
        for cls in classes
        for mistake in _register(cls, registries, known)
    ]
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    token = _HANDED_IN.set(known)
    try:
        yield
    finally:
        _HANDED_IN.reset(token)


def _require_classes(classes: Any) -> None:
    """Raise ConfigError for what is no list of classes."""
    expected = "components: expected a list of classes, got"
    if isinstance(classes, type):
        name = classes.__name__
        raise ConfigError(f"{expected} the class {name}; write components=[{name}]")
    if isinstance(classes, str | bytes | Mapping) or not isinstance(classes, Collection):
        raise ConfigError(f"{expected} {quote(classes)}")
    odd = [one for one in classes if not isinstance(one, type)]
    if odd:
        raise ConfigError(f"{expected} one with {list_names([quote(one) for one in odd])} in it")


def _register(
    cls: type[Any], registries: Sequence[Registry[Any]], known: dict[str, dict[str, Custom]]
) -> list[str]:
    """Add a class to those that are known, or return why it cannot be one of them."""
    registry = next((one for one in registries if one.matches(cls)), None)
    if registry is None:
        return [_NO_KIND]
    mistakes = list(registry.violations(cls))
    if mistakes:
        return mistakes
    name, others = getattr(cls, registry.key), known.setdefault(registry.kind, {})
    if name in others and others[name].cls is not cls:
        return [f"is named {quote(name)}, as {others[name].cls.__qualname__} is"]
    try:
        marked: Any = Annotated[cls, _OneChoice(registry.key)]
        others[name] = Custom(cls, TypeAdapter(marked))
    except PydanticUserError as error:
        return [f"has a field that cannot be read from a pipeline ({error.message})"]
    return []


class _OneChoice:
    """Marks a class that is chosen by its name, as those of a union are."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.tagged_union_schema(
            {getattr(source, self.key): handler(source)}, self.key
        )


def _literal(cls: type[Any], key: str) -> tuple[Any, ...]:
    """Return the values that a field of a class may have, where it is a `Literal`."""
    try:
        hint = get_type_hints(cls).get(key)
    except (NameError, TypeError):  # of another field, which pydantic tells of
        hint = cls.__annotations__.get(key)
    return get_args(hint) if get_origin(hint) is Literal else ()
