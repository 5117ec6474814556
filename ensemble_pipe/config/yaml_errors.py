"""Validation errors of pydantic in plain words, with the line of each key."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from ensemble_pipe.config.schema_keys import kinds, places_of, valid_keys
from ensemble_pipe.config.yaml_documents import CONTAINERS, Document, KeyPath
from ensemble_pipe.core.addresses import strip_user
from ensemble_pipe.core.messages import quote
from ensemble_pipe.nn.layers import PLAIN_LAYERS
from ensemble_pipe.training.components import OPEN

_UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")
_MISSING = ("missing", "missing_argument")
_MAPPING = "a mapping (key: value)"
_EXPECTED = {
    "dict": _MAPPING, "dataclass": _MAPPING, "model": _MAPPING, "model_attributes": _MAPPING,
    "tuple": "a list ([a, b])", "list": "a list ([a, b])", "string": "text",
    "int": "a whole number", "float": "a number", "bool": "true or false",
}  # fmt: skip
_OWN = (
    "; if it is a component of your own, run the pipeline in Python, with its class: "
    "ensemble_pipe.run(PIPELINE, components=[...])"
)
_TRACKING_URI = ("tracking", "uri")
_WRONG_BRANCH = ("tuple_type", "dataclass_type", "model_type", "too_short")


def describe(
    error: ValidationError, document: Document, schema: dict[str, Any]
) -> list[tuple[str, str]]:
    """Return one message, with its place, for each of pydantic's validation errors.

    Args:
        error: raised by the validation of `document.data`.
        document: the source of the values.
        schema: the JSON schema of the pipeline, for the valid names.
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
    """Return pydantic's location without the names of union branches, which are not keys.

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
        valid, places = valid_keys(schema, mistake["loc"][:-1]), places_of(schema, key)
        if places == [".".join(map(str, path))]:  # of another kind of component
            kind = mistake["loc"][-2]
            return f"unknown key {quote(key)} of {kind}; valid: {', '.join(sorted(valid))}"
        return _unknown(key, valid, places)
    if kind == "union_tag_invalid":
        valid = [tag.strip(" '") for tag in mistake["ctx"]["expected_tags"].split(",")]
        return _unknown_component(mistake["ctx"]["tag"], valid)
    if kind == "literal_error":
        valid = [v.strip(" '") for v in mistake["ctx"]["expected"].replace(" or ", ",").split(",")]
        return _unknown(str(mistake["input"]), valid)
    if kind == "union_tag_not_found":
        return f"{mistake['ctx']['discriminator']} is missing; it selects the kind"
    if kind in _MISSING:
        return "is missing; it has no default"
    given = mistake["input"]
    if path == _TRACKING_URI and isinstance(given, str):
        given = strip_user(given)
    if path[-2:-1] == ("vary",) and not isinstance(given, dict):
        return f"expected a list of values, or {{low: ..., high: ...}}, got {quote(given)}"
    if path[-2:-1] == ("space",) and not isinstance(given, dict):
        return (
            "expected a list of values, or a range such as {log_uniform: [0.001, 0.1]}, "
            f"got {quote(given)}"
        )
    if kind in ("too_short", "too_long"):
        count = mistake["ctx"]["actual_length"]
        most, least = mistake["ctx"].get("max_length"), mistake["ctx"].get("min_length")
        return f"has {count} items; " + (f"at most {most}" if most else f"at least {least}")
    for ending, expected in _EXPECTED.items():
        if kind in (f"{ending}_type", f"{ending}_parsing", f"{ending}_from_float"):
            hint = _as_kind(given, mistake["loc"], schema) if expected == _MAPPING else ""
            return f"expected {expected}, got {CONTAINERS.get(type(given)) or quote(given)}{hint}"
    text = str(mistake["msg"]).removeprefix("Value error, ")
    return f"{text[0].lower()}{text[1:]}, got {quote(given)}"


def _unknown_component(given: str, valid: Sequence[str]) -> str:
    """Return a message about the name of a component, which may be of a caller's own."""
    kind = next((one for one in (*OPEN, PLAIN_LAYERS) if set(one) == set(valid)), None)
    return _unknown(given, valid) if kind is None else _unknown(given, kind.names()) + _OWN


def _unknown(given: str, valid: Sequence[str], elsewhere: Sequence[str] | None = None) -> str:
    """Return a message on an unknown name, or key; `elsewhere` gives the place of a known one."""
    near = [quote(name) for name in get_close_matches(given, valid, 1)] or elsewhere
    guess = f"; did you mean {' or '.join(near)}?" if near else ";"
    what = "unknown" if elsewhere is None else "unknown key"
    return f"{what} {quote(given)}{guess} valid: {', '.join(sorted(valid))}"


def _as_kind(given: Any, location: Sequence[str | int], schema: dict[str, Any]) -> str:
    """Return how a kind is named, where its name alone was given for the whole section."""
    key, names = kinds(schema, location)
    if not isinstance(given, str) or not names:
        return ""
    near = get_close_matches(given, names, 1)
    return f"; write {{{key}: {near[0] if near else '...'}}}" + (
        "" if near else f" with one of: {', '.join(names)}"
    )
