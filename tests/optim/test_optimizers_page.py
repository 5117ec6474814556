"""What docs/optimizers.md shows: the pictures of rules and schedules, and every default."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages import shown_settings
from pydantic import TypeAdapter

from ensemble_pipe.optim import AVERAGES, RULES, SCHEDULES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "optimizers.md").read_text()
COMPONENTS = {**RULES, **SCHEDULES, **AVERAGES}


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "benchmarks" / "optimizers.py"))


def test_every_rule_goes_from_the_start_to_near_the_minimum(script: dict[str, Any]) -> None:
    paths = script["trajectories"]()
    assert {rule.name for rule in script["RULES"].values()} == set(RULES)
    for label, path in paths.items():
        np.testing.assert_array_equal(path[0], script["START"])
        losses = script["bowl"](*path.T)
        assert losses[-1] < 0.01, label
        assert losses[-20:].max() < losses[:20].min(), label


def test_there_is_a_panel_for_each_rule_and_each_schedule(script: dict[str, Any]) -> None:
    figure = script["draw_trajectories"](script["trajectories"](steps=3))
    assert len(figure.axes) == len(script["RULES"])
    titles = [panel.get_title() for panel in script["draw_schedules"](total=40).axes]
    assert titles == list(SCHEDULES)


@pytest.mark.parametrize("name", COMPONENTS)
def test_the_page_shows_a_component_with_its_defaults(name: str) -> None:
    shown = shown_settings(PAGE, name)
    kind: Any = COMPONENTS[name]
    assert TypeAdapter(kind).validate_python(shown) == kind()
