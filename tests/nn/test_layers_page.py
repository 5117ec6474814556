"""What docs/layers.md shows: every layer with its defaults, and an example that can be built."""

import re
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from pages import shown_settings
from pydantic import TypeAdapter

from ensemble_pipe.nn.layers import LAYERS
from ensemble_pipe.nn.networks import Sequential

PAGE = (Path(__file__).parents[2] / "docs" / "layers.md").read_text()


@pytest.mark.parametrize("name", LAYERS)
def test_the_page_shows_a_layer_with_its_defaults(name: str) -> None:
    shown = shown_settings(PAGE, name)
    kind: Any = LAYERS[name]
    layer = TypeAdapter(kind).validate_python(shown)
    assert set(shown) == {field.name for field in fields(kind)}
    for field in fields(kind):
        if field.default is not MISSING:
            assert getattr(layer, field.name) == field.default


def test_the_example_can_be_built() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    network = TypeAdapter(Sequential).validate_python(yaml.safe_load(example)["network"])
    assert network.build((28, 28, 1), 10).outputs == 10
