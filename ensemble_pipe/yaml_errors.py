"""Where in a YAML file each key stands, and messages that say so."""

import copy
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ensemble_pipe.errors import ConfigError
from ensemble_pipe.messages import shown
from ensemble_pipe.path_kinds import misplaced
from ensemble_pipe.schema_keys import kinds, places_of, valid_keys

KeyPath = tuple[str | int, ...]

# Aliases of aliases can make a short file endless.
MOST_VALUES = 100_000
_UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")
_MISSING = ("missing", "missing_argument")
_MAPPING = "a mapping (key: value)"
_EXPECTED = {
    "dict": _MAPPING, "dataclass": _MAPPING, "model": _MAPPING, "model_attributes": _MAPPING,
    "tuple": "a list ([a, b])", "list": "a list ([a, b])", "string": "text",
    "int": "a whole number", "float": "a number", "bool": "true or false",
}  # fmt: skip
_CONTAINERS = {dict: "a mapping", list: "a list", tuple: "a list", type(None): "nothing"}
_WRONG_BRANCH = ("tuple_type", "dataclass_type", "model_type", "too_short")


@dataclass
class Document:
    """Plain values read from YAML.

    Attributes:
        name: the file, for messages.
        data: its values.
        lines: line number of each key, by path.
        sources: for paths that came from elsewhere, a name of where.
    """

    name: str
    data: dict[str, Any]
    lines: dict[KeyPath, int] = field(default_factory=dict)
    sources: dict[KeyPath, str] = field(default_factory=dict)

    def at(self, path: KeyPath) -> str:
        """Return " (file:line)" for a path, or for the nearest one above it that stands there."""
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

    def overridden(self, overrides: dict[str, Any]) -> "Document":
        """Return a copy with values set by dotted path, as `override` sets one."""
        own = self._copy()
        for key, value in overrides.items():
            own.override(key, copy.deepcopy(value))
        return own

    def with_values(self, values: dict[str, Any], origin: KeyPath) -> "Document":
        """Return a copy with values set by dotted path, named after where they stand."""
        own = self._copy()
        for key, value in values.items():
            line = self.at((*origin, key)).strip(" ()")
            own._set(key, value, f"{'.'.join(map(str, origin))}, {line}")
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
            raise ConfigError(f"{key}: there is no such key ({source})") from None
        self.sources[tuple(steps)] = source


def _steps(key: str) -> list[str | int]:
    """Return the steps of a dotted path; what `vary` and `set` of learners hold are paths again."""
    named = re.fullmatch(r"(ensemble(?:\.pool\.\d+)?\.(?:vary|set))\.(.+)", key, re.DOTALL)
    steps = named[1] if named else key
    rest = [named[2]] if named else []
    return [*(int(step) if step.isdecimal() else step for step in steps.split(".")), *rest]


def read_document(path: Path) -> Document:
    """Read a YAML file of keys and values; tags that would make objects are refused.

    Raises:
        ConfigError: it is missing, not YAML, not keys and values, or has a key twice.
    """
    try:
        wrong = misplaced(path, "a pipeline file")
        text = "" if wrong else path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such pipeline file") from None
    except OSError as error:
        hint = "; name a YAML file" if path.is_dir() else ""
        raise ConfigError(f"{path}: cannot be read ({error.strerror}){hint}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    if wrong:
        raise ConfigError(wrong)
    try:
        loader = yaml.SafeLoader(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    try:
        node = loader.get_single_node()
        lines = dict(islice(_lines(node, (), str(path)), MOST_VALUES + 1)) if node else {}
        data = loader.construct_document(node) if node else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ConfigError(f"{where}: not valid YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    finally:
        loader.dispose()
    if len(lines) > MOST_VALUES:
        raise ConfigError(
            f"{path}: holds more than {MOST_VALUES} values, by its aliases; write them out"
        )
    if not isinstance(data, dict):
        held = "" if data is None else f" (it holds {_CONTAINERS.get(type(data), 'a value alone')})"
        raise ConfigError(
            f"{path}: the file is empty or holds no keys; see pipelines/digits.yaml{held}"
        )
    return Document(str(path), data, lines)


def _lines(
    node: yaml.Node, path: KeyPath, name: str, above: tuple[yaml.Node, ...] = ()
) -> Iterator[tuple[KeyPath, int]]:
    if node in above:
        raise ConfigError(f"{name}:{node.start_mark.line + 1}: this value holds itself by an alias")
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
                    f"{dotted}: stands there twice, first in line {seen[key.value]} ({name}:{line})"
                )
            seen[key.value] = line
            yield (*path, key.value), line
            yield from _lines(value, (*path, key.value), name, above)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield (*path, index), item.start_mark.line + 1
            yield from _lines(item, (*path, index), name, above)


def describe(
    error: ValidationError, document: Document, schema: dict[str, Any]
) -> list[tuple[str, str]]:
    """Return one message for each mistake that pydantic found, and where it was made.

    Args:
        error: what validating `document.data` raised.
        document: where the values came from.
        schema: the JSON schema of the whole, for the valid names.
    """
    messages: dict[KeyPath, str] = {}
    # A value that fits no branch of a union is reported by each, and a list whose items are wrong
    # as one that lacks them; the deepest report says most.
    for mistake in sorted(error.errors(), key=lambda found: found["type"] in _WRONG_BRANCH):
        path = _path_in(document.data, mistake["loc"], mistake["type"] in _MISSING)
        if mistake["type"] in _WRONG_BRANCH and any(p[: len(path)] == path for p in messages):
            continue
        if mistake["type"] == "union_tag_invalid":
            path = (*path, mistake["ctx"]["discriminator"].strip("'_()"))
        messages.setdefault(path, _message(dict(mistake), path, schema))
    return [
        (f"{'.'.join(str(step) for step in path)}: {message}", document.at(path))
        for path, message in messages.items()
    ]


def _path_in(data: Any, location: Sequence[str | int], missing: bool) -> KeyPath:
    """Return pydantic's location without the names of union branches, which are no keys.

    Where a key is missing, it is the last step of the location.
    """
    path: list[str | int] = []
    last = len(location) - 1
    for index, step in enumerate(location):
        inside = isinstance(data, dict) and step in data
        inside = inside or (isinstance(data, list) and isinstance(step, int) and step < len(data))
        if inside:
            data = data[step]
            path.append(step)
        elif missing and index == last:
            path.append(step)
    return tuple(path)


def _message(mistake: dict[str, Any], path: KeyPath, schema: dict[str, Any]) -> str:
    kind = mistake["type"]
    if kind in _UNKNOWN_KEY:
        key = str(path[-1])
        return _unknown(key, valid_keys(schema, mistake["loc"][:-1]), places_of(schema, key))
    if kind == "union_tag_invalid":
        valid = [tag.strip(" '") for tag in mistake["ctx"]["expected_tags"].split(",")]
        return _unknown(mistake["ctx"]["tag"], valid)
    if kind == "literal_error":
        valid = [v.strip(" '") for v in mistake["ctx"]["expected"].replace(" or ", ",").split(",")]
        return _unknown(str(mistake["input"]), valid)
    if kind == "union_tag_not_found":
        return f"{mistake['ctx']['discriminator']} is missing; it says which kind this is"
    if kind in _MISSING:
        return "is missing; it has no default"
    given = mistake["input"]
    if path[-2:-1] == ("vary",) and not isinstance(given, dict):
        return f"expected a list of values, or {{low: ..., high: ...}}, got {shown(given)}"
    if kind in ("too_short", "too_long"):
        count = mistake["ctx"]["actual_length"]
        most, least = mistake["ctx"].get("max_length"), mistake["ctx"].get("min_length")
        return f"has {count} items; " + (f"at most {most}" if most else f"at least {least}")
    for ending, expected in _EXPECTED.items():
        if kind in (f"{ending}_type", f"{ending}_parsing", f"{ending}_from_float"):
            hint = _as_kind(given, mistake["loc"], schema) if expected == _MAPPING else ""
            return f"expected {expected}, got {_CONTAINERS.get(type(given)) or shown(given)}{hint}"
    text = str(mistake["msg"]).removeprefix("Value error, ")
    return f"{text[0].lower()}{text[1:]}, got {shown(given)}"


def _unknown(given: str, valid: Sequence[str], elsewhere: Sequence[str] | None = None) -> str:
    """Return a message about an unknown name, or key, where `elsewhere` says where it stands."""
    near = [shown(name) for name in get_close_matches(given, valid, 1)] or elsewhere
    guess = f"; did you mean {' or '.join(near)}?" if near else ";"
    what = "unknown" if elsewhere is None else "unknown key"
    return f"{what} {shown(given)}{guess} valid: {', '.join(sorted(valid))}"


def _as_kind(given: Any, location: Sequence[str | int], schema: dict[str, Any]) -> str:
    """Return how a kind is named, where its name alone was given for the whole section."""
    key, names = kinds(schema, location)
    if not isinstance(given, str) or not names:
        return ""
    near = get_close_matches(given, names, 1)
    return f"; write {{{key}: {near[0] if near else '...'}}}" + (
        "" if near else f" with one of: {', '.join(names)}"
    )
