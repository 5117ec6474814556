"""What docs/layers.md shows: every layer with its defaults, and an example that can be built."""

import re
from pathlib import Path

import pytest
import yaml
from pages import assert_shown_with_defaults
from pydantic import TypeAdapter

from ensemble_pipe.nn.layers import LAYERS
from ensemble_pipe.nn.networks import Sequential

PAGE = (Path(__file__).parents[2] / "docs" / "layers.md").read_text()


@pytest.mark.parametrize("name", LAYERS)
def test_the_page_shows_a_layer_with_its_defaults(name: str) -> None:
    assert_shown_with_defaults(PAGE, name, LAYERS[name])


def test_the_example_can_be_built() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    network = TypeAdapter(Sequential).validate_python(yaml.safe_load(example)["network"])
    assert network.build((28, 28, 1), 10).outputs == 10
