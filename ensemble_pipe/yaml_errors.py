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
        return _unknown(str(path[-1]), _valid_keys(schema, mistake["loc"][:-1]), "unknown key")
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
    for ending, expected in _EXPECTED.items():
        if kind in (f"{ending}_type", f"{ending}_parsing", f"{ending}_from_float"):
            return f"expected {expected}, got {_CONTAINERS.get(type(given)) or shown(given)}"
    text = str(mistake["msg"]).removeprefix("Value error, ")
    return f"{text[0].lower()}{text[1:]}, got {shown(given)}"


def _unknown(given: str, valid: Sequence[str], what: str = "unknown") -> str:
    near = get_close_matches(given, valid, 1)
    guess = f"; did you mean {shown(near[0])}?" if near else ";"
    return f"{what} {shown(given)}{guess} valid: {', '.join(sorted(valid))}"


def _valid_keys(schema: dict[str, Any], location: Sequence[str | int]) -> list[str]:
    place = schema
    for step in location:
        place = _follow(schema, place)
        if step in place.get("properties", {}):
            place = place["properties"][step]
        elif step in place.get("discriminator", {}).get("mapping", {}):
            place = {"$ref": place["discriminator"]["mapping"][step]}
        elif isinstance(step, int) and (items := _items(schema, place)) is not None:
            place = items
        elif "additionalProperties" in place and isinstance(place["additionalProperties"], dict):
            place = place["additionalProperties"]
        elif f"#/$defs/{step}" in (b.get("$ref") for b in place.get("anyOf", [])):
            place = {"$ref": f"#/$defs/{step}"}
        else:
            place = next((b for b in _branches(schema, place) if _is_kind(b, step)), place)
    return list(_follow(schema, place).get("properties", {}))


def _items(schema: dict[str, Any], place: dict[str, Any]) -> dict[str, Any] | None:
    """Return what the items of a list are, which may be one of several branches."""
    found = (branch["items"] for branch in (place, *_branches(schema, place)) if "items" in branch)
    return next(found, None)


def _branches(schema: dict[str, Any], place: dict[str, Any]) -> list[dict[str, Any]]:
    return [_follow(schema, branch) for branch in place.get("anyOf", [])]


def _is_kind(branch: dict[str, Any], kind: str | int) -> bool:
    return kind in [value.get("const") for value in branch.get("properties", {}).values()]


def _follow(schema: dict[str, Any], place: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in place:
        place = schema["$defs"][place["$ref"].removeprefix("#/$defs/")]
    if "anyOf" in place:  # an optional value, or a list for short: the branch that has properties
        branches = [b for b in place["anyOf"] if b.get("type") not in ("null", "array")]
        if len(branches) == 1:
            return _follow(schema, branches[0])
    return place
