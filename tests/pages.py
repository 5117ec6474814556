"""What the tables of the pages in docs/ say of a component."""

import re
from dataclasses import MISSING, fields
from typing import Any

import yaml
from pydantic import TypeAdapter


def shown_settings(page: str, name: str) -> Any:
    """Return the settings in the last cell of the one line of a page that is about a component."""
    (line,) = re.findall(rf"^\| `{name}` \|.*$", page, re.M)
    (shown,) = re.findall(r"`(\{.*\})` \|$", line)
    return yaml.safe_load(shown)


def assert_shown_with_defaults(page: str, name: str, kind: Any) -> None:
    """Assert that a page shows every setting of a component, with its default where it has one."""
    shown = shown_settings(page, name)
    component = TypeAdapter(kind).validate_python(shown)
    assert set(shown) == {field.name for field in fields(kind)}
    for field in fields(kind):
        if field.default is not MISSING:
            assert getattr(component, field.name) == field.default
