"""The name of a pipeline that states none: its file's, or that of its data."""

import re
from dataclasses import replace
from pathlib import Path

from ensemble_pipe.config.yaml_documents import Document

_UNNAMED = "pipeline"  # the stem of a file whose name says nothing
MOST_CHARACTERS = 64


def name_of(location: str) -> str:
    """Return a pipeline's name for a file: its own, without what names may not have.

    >>> name_of("data/my people.csv.gz"), name_of("s3://rows/2026/")
    ('my_people', '2026')
    """
    last = location.rstrip("/").rsplit("/", 1)[-1]
    stem = re.sub(r"(\.csv)?\.\w+$", "", last) or last
    name = re.sub(r"^[^A-Za-z0-9]+|[^A-Za-z0-9_.-]+", "_", stem).strip("_")
    return name[:MOST_CHARACTERS] or _UNNAMED


def with_name(document: Document, path: Path) -> Document:
    """Return the document of a pipeline file with a name."""
    if "name" in document.data:
        return document
    name, data = name_of(path.name), document.data.get("data")
    if name == _UNNAMED and isinstance(data, dict):
        places = (data.get(key) for key in ("path", "folder"))
        name = next((name_of(place) for place in places if isinstance(place, str)), name)
    return replace(document, data={**document.data, "name": name})
