"""Queries of the JSON schema of a pipeline: valid keys and kinds at a place, places of a key."""

from collections.abc import Sequence
from typing import Any

Schema = dict[str, Any]


def places_of(schema: Schema, key: str) -> list[str]:
    """Return the dotted path of a key in a pipeline's sections; empty where it is ambiguous."""
    found = []
    waiting = [(name, place) for name, place in schema["properties"].items()]
    while waiting:
        path, place = waiting.pop(0)
        if path.rpartition(".")[2] == key:
            found.append(path)
        for branch in (place, *place.get("anyOf", []), *place.get("oneOf", [])):
            inner = _follow(schema, branch).get("properties", {})
            if path.count(".") < 2:
                waiting += [(f"{path}.{name}", inside) for name, inside in inner.items()]
    places = list(dict.fromkeys(found))
    return places if len(places) == 1 else []


def kinds(schema: Schema, location: Sequence[str | int]) -> tuple[str, list[str]]:
    """Return the key that selects between the kinds allowed at a location, and the kinds.

    Both are empty where there are no kinds.
    """
    place = place_at(schema, location)
    found = [branch.get("discriminator", {}) for branch in (place, *place.get("anyOf", []))]
    one: dict[str, Any] = next((one for one in found if one), {})
    return one.get("propertyName", ""), sorted(one.get("mapping", {}))


def valid_keys(schema: Schema, location: Sequence[str | int]) -> list[str]:
    """Return the keys allowed at a location."""
    return list(_follow(schema, place_at(schema, location)).get("properties", {}))


def place_at(schema: Schema, location: Sequence[str | int]) -> Schema:
    """Return the schema of a location, as pydantic names it."""
    place = schema
    for step in location:
        place = _follow(schema, place)
        if step in place.get("properties", {}):
            place = place["properties"][step]
        elif step in place.get("discriminator", {}).get("mapping", {}):
            place = {"$ref": place["discriminator"]["mapping"][step]}
        elif isinstance(step, int) and (items := _items(schema, place)) is not None:
            place = items
        elif (values := _values(schema, place)) is not None:
            place = values
        elif f"#/$defs/{step}" in (b.get("$ref") for b in place.get("anyOf", [])):
            place = {"$ref": f"#/$defs/{step}"}
        else:
            place = next((b for b in _branches(schema, place) if _is_kind(b, step)), place)
    return place


def _items(schema: Schema, place: Schema) -> Schema | None:
    """Return the schema of a list's items, which may be one of several branches."""
    found = (branch["items"] for branch in (place, *_branches(schema, place)) if "items" in branch)
    return next(found, None)


def _values(schema: Schema, place: Schema) -> Schema | None:
    """Return the schema of a mapping's values, which may be one of several branches."""
    found = (b.get("additionalProperties") for b in (place, *_branches(schema, place)))
    return next((values for values in found if isinstance(values, dict)), None)


def _branches(schema: Schema, place: Schema) -> list[Schema]:
    branches = (*place.get("anyOf", []), *place.get("oneOf", []))
    return [_follow(schema, branch) for branch in branches]


def _is_kind(branch: Schema, kind: str | int) -> bool:
    return kind in [value.get("const") for value in branch.get("properties", {}).values()]


def _follow(schema: Schema, place: Schema) -> Schema:
    while "$ref" in place:
        place = schema["$defs"][place["$ref"].removeprefix("#/$defs/")]
    if "anyOf" in place:  # an optional value, or a list for short: the branch that has properties
        branches = [b for b in place["anyOf"] if b.get("type") not in ("null", "array")]
        if len(branches) == 1:
            return _follow(schema, branches[0])
    return place
