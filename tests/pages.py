"""What the tables of the pages in docs/ say of a component."""

import re
from typing import Any

import yaml


def shown_settings(page: str, name: str) -> Any:
    """Return the settings in the last cell of the one line of a page that is about a component."""
    (line,) = re.findall(rf"^\| `{name}` \|.*$", page, re.M)
    (shown,) = re.findall(r"`(\{.*\})` \|$", line)
    return yaml.safe_load(shown)
