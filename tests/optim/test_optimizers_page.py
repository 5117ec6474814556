"""What docs/optimizers.md shows: the pictures of rules and schedules, and every default."""

import importlib
import sys
from collections.abc import Iterator
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


@pytest.fixture(scope="module", autouse=True)
def _pages() -> Iterator[None]:
    """Let the modules of the technique pages be imported."""
    sys.path.insert(0, str(ROOT / "docs"))
    yield
    sys.path.remove(str(ROOT / "docs"))


def module(name: str) -> Any:
    return importlib.import_module(f"techniques.{name}")


def test_every_rule_goes_from_the_start_to_near_the_minimum() -> None:
    bowl = module("bowl")
    paths = bowl.trajectories()
    assert {rule.name for rule in bowl.RULES.values()} == set(RULES)
    for label, path in paths.items():
        np.testing.assert_array_equal(path[0], bowl.START)
        losses = bowl.bowl(*path.T)
        assert losses[-1] < 0.01, label
        assert losses[-20:].max() < losses[:20].min(), label


def test_there_is_a_panel_for_each_rule_and_each_schedule() -> None:
    bowl = module("bowl")
    figure = bowl.draw_trajectories(bowl.trajectories(steps=3))
    assert len(figure.axes) == len(bowl.RULES)
    curves = module("schedule_curves").draw_schedules(total=40)
    assert [panel.get_title() for panel in curves.axes] == list(SCHEDULES)


@pytest.mark.parametrize("name", COMPONENTS)
def test_the_page_shows_a_component_with_its_defaults(name: str) -> None:
    shown = shown_settings(PAGE, name)
    kind: Any = COMPONENTS[name]
    assert TypeAdapter(kind).validate_python(shown) == kind()
