"""What pydantic finds wrong in a YAML file, in plain words and with the line of the key."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from ensemble_pipe.messages import shown
from ensemble_pipe.yaml_documents import Document, KeyPath

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


def describe(error: ValidationError, document: Document, schema: dict[str, Any]) -> list[str]:
    """Return one message for each mistake that pydantic found.

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
        f"{'.'.join(str(step) for step in path)}: {message}{document.at(path)}"
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
