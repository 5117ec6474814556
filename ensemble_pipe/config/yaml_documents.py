"""Safe reading of YAML files as plain values, with the line of each key.

The size, depth and number of values are bounded; nothing in a file is executed.
"""

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from ensemble_pipe.core.documents import MOST_DEPTH
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.path_kinds import describe_misplaced, near_pipeline

KeyPath = tuple[str | int, ...]

# Aliases of aliases can make a short file endless.
MOST_VALUES = 100_000
MOST_BYTES = 1 << 22
MOST_BITS = 1023
CONTAINERS = {dict: "a mapping", list: "a list", tuple: "a list", type(None): "nothing"}
_OF_PATHS = r"(ensemble(?:\.pool\.\d+)?\.(?:vary|set)|search\.space)\.(.+)"
_TOO_MANY = f"it holds more than {MOST_VALUES} values"
_TOO_DEEP = f"values are nested more than {MOST_DEPTH} deep"


@dataclass
class Document:
    """Plain values read from YAML.

    Attributes:
        name: the file, for messages.
        data: its values.
        lines: line number of each key, by path.
        sources: for paths that are not from the file, the name of their source.
    """

    name: str
    data: dict[str, Any]
    lines: dict[KeyPath, int] = field(default_factory=dict)
    sources: dict[KeyPath, str] = field(default_factory=dict)

    def at(self, path: KeyPath) -> str:
        """Return " (file:line)" for a path, or for its nearest parent in the file."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.sources:
                return f" ({self.sources[path[:length]]})"
            if path[:length] in self.lines:
                return f" ({self.name}:{self.lines[path[:length]]})"
        return f" ({self.name})"

    def override(self, key: str, value: Any) -> None:
        """Set one value by its dotted path.

        Raises:
            ConfigError: the path leads through a value that has no keys.
        """
        self._set(key, value, f"--set {key}")

    def with_overrides(self, overrides: dict[str, Any]) -> "Document":
        """Return a copy with values set by dotted path, as `override` sets one."""
        own = self._copy()
        for key, value in overrides.items():
            own.override(key, copy.deepcopy(value))
        return own

    def with_values(self, values: dict[str, Any], origin: KeyPath) -> "Document":
        """Return a copy with values set by dotted path, with their own places for messages."""
        own = self._copy()
        for key, value in values.items():
            line = self.at((*origin, key)).strip(" ()")
            own._set(key, copy.deepcopy(value), f"{'.'.join(map(str, origin))}, {line}")
        return own

    def _copy(self) -> "Document":
        return Document(self.name, copy.deepcopy(self.data), self.lines, dict(self.sources))

    def _set(self, key: str, value: Any, source: str) -> None:
        *parents, last = steps = _steps(key)
        place: Any = self.data
        try:
            for step in parents:
                if isinstance(place, dict) and place.get(step) is None:
                    place[step] = {}
                place = place[step]
            place[last] = value
        except (TypeError, IndexError, AttributeError):
            mistake = (f"{key}: there is no such key", f" ({source})")
            raise ConfigError(mistakes=[mistake]) from None
        self.sources[tuple(steps)] = source


def _steps(key: str) -> list[str | int]:
    """Return the steps of a dotted path; keys of `vary`, `set` and `space` are paths themselves."""
    named = re.fullmatch(_OF_PATHS, key, re.DOTALL)
    steps = named[1] if named else key
    rest = [named[2]] if named else []
    return [*(int(step) if step.isdecimal() else step for step in steps.split(".")), *rest]


class _Loader(yaml.SafeLoader):
    """Constructs plain values only; too many, or nested too deep, are refused at once."""

    depth, values = 0, 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.depth += 1
        self.values += 1
        if self.values > 2 * MOST_VALUES:  # keys are nodes too
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem=_TOO_MANY, problem_mark=mark)
        if self.depth > MOST_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem=_TOO_DEEP, problem_mark=mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _whole(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    """Return an integer; a hexadecimal one could be too long to print."""
    value = int(loader.construct_yaml_int(node))
    if value.bit_length() > MOST_BITS:
        raise yaml.MarkedYAMLError(
            problem="a number is far too large", problem_mark=node.start_mark
        )
    return value


_Loader.add_constructor("tag:yaml.org,2002:int", _whole)


def read_document(path: Path) -> Document:
    """Read a YAML file with a mapping; tags that construct objects are refused.

    Raises:
        ConfigError: it is missing, too large, not YAML, not a mapping, or has a duplicate key.
    """
    wrong = describe_misplaced(path, "a pipeline file")
    if wrong:
        raise ConfigError(wrong)
    try:
        with open(path, "rb") as stream:
            text = stream.read(MOST_BYTES + 1).decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such pipeline file{near_pipeline(path)}") from None
    except OSError as error:
        hint = "; name a YAML file" if path.is_dir() else ""
        raise ConfigError(f"{path}: cannot be read ({error.strerror}){hint}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    if len(text) > MOST_BYTES:
        raise ConfigError(f"{path}: has more than {MOST_BYTES} bytes, which no pipeline needs")
    data, lines = _read(text, str(path))
    if not isinstance(data, dict):
        held = "" if data is None else f" (it holds {CONTAINERS.get(type(data), 'a value alone')})"
        raise ConfigError(
            f"{path}: the file is empty or holds no keys; see pipelines/digits.yaml{held}"
        )
    return Document(str(path), data, lines)


def read_value(text: str, name: str) -> Any:
    """Return the value of YAML text, parsed as in a pipeline file.

    Args:
        text: of one value.
        name: its place, for messages.

    Raises:
        ConfigError: it is not YAML, or nested too deep.
    """
    return _read(text, name)[0]


def _read(text: str, name: str) -> tuple[Any, dict[KeyPath, int]]:
    """Return the values of YAML text, and the line of each key."""
    try:
        loader = _Loader(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: not valid YAML: {error}") from None
    try:
        node = loader.get_single_node()
        lines = dict(islice(_lines(node, (), name), MOST_VALUES + 1)) if node else {}
        if len(lines) > MOST_VALUES:
            raise ConfigError(
                f"{name}: holds more than {MOST_VALUES} values, by its aliases; write them out"
            )
        return loader.construct_document(node) if node else None, lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        raise ConfigError(f"{where}: not valid YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, KeyError, AttributeError) as error:  # of dates and tags too
        raise ConfigError(f"{name}: not valid YAML: {error}") from None
    finally:
        loader.dispose()


def _lines(
    node: yaml.Node, path: KeyPath, name: str, above: tuple[yaml.Node, ...] = ()
) -> Iterator[tuple[KeyPath, int]]:
    if node in above:
        raise ConfigError(f"{name}:{node.start_mark.line + 1}: this value holds itself by an alias")
    if len(above) > MOST_DEPTH:  # by aliases of aliases
        raise ConfigError(f"{name}:{node.start_mark.line + 1}: {_TOO_DEEP}")
    above = (*above, node)
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(f"{name}:{line}: a list or mapping cannot be a key; name a word")
            if key.value in seen:
                dotted = ".".join(str(step) for step in (*path, key.value))
                raise ConfigError(
                    f"{dotted}: duplicate key, first in line {seen[key.value]} ({name}:{line})"
                )
            seen[key.value] = line
            yield (*path, key.value), line
            yield from _lines(value, (*path, key.value), name, above)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield (*path, index), item.start_mark.line + 1
            yield from _lines(item, (*path, index), name, above)
    elif not _is_text(node.value):
        raise ConfigError(f"{name}:{node.start_mark.line + 1}: holds half of a surrogate pair")


def _is_text(value: str) -> bool:
    """Return whether text can be encoded, surrogate escapes of file names included."""
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True
