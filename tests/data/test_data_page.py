"""The examples of docs/data.md can be read, and name what there is."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ensemble_pipe.config.reading import Pipeline
from ensemble_pipe.data.sources import SOURCES
from ensemble_pipe.data.tables.scaling import SCALES

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
EXAMPLES = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: next(iter(example)))
def test_the_examples_can_be_read(example: dict[str, Any]) -> None:
    pipeline = Pipeline.model_validate(example)
    for key, value in example.items():
        given = getattr(pipeline, key)
        if isinstance(value, dict):
            assert value.keys() <= vars(given).keys()
        else:
            assert given == value


def test_every_source_and_scale_is_on_the_page() -> None:
    assert len(EXAMPLES) >= 3
    for name in SOURCES:
        assert f"| `{name}` |" in PAGE
    for name in SCALES:
        assert f"`{{name: {name}" in PAGE
