"""What docs/augmentation.md shows: the augmentations with their defaults, and figures as kept."""

import json
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from ensemble_pipe.config.reading import Pipeline
from ensemble_pipe.data.augment import AUGMENTATIONS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "augmentation.md").read_text()
SCRIPT = ROOT / "benchmarks" / "augmentations.py"


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_page_shows_an_augmentation_with_its_defaults(name: str) -> None:
    (shown,) = re.findall(rf"^\| `{name}` \|.*`(\{{.*\}})` \|$", PAGE, re.M)
    kind: Any = AUGMENTATIONS[name]
    assert TypeAdapter(kind).validate_python(yaml.safe_load(shown)) == kind()
    assert yaml.safe_load(shown).keys() == asdict(kind()).keys()


def test_the_examples_are_valid() -> None:
    for example in re.findall(r"```yaml\n(.*?)```", PAGE, re.S):
        assert Pipeline.model_validate(yaml.safe_load(example)).augment


def test_the_published_figures_are_those_that_are_kept() -> None:
    kept = json.loads((ROOT / "benchmarks" / "results" / "augmentations.json").read_text())
    assert [*kept] == ["28x28x1", "32x32x3"]
    for found in kept.values():
        for name, row in found["augmentations"].items():
            figures = f"{row['images_per_second']:,} | {row['peer']} | "
            figures += f"{row['peer_images_per_second']:,} | {row['over_peer']} |"
            assert f"| `{name}` | {figures}" in PAGE


@pytest.mark.slow
def test_the_benchmark_prints_a_table_and_one_json_line() -> None:
    arguments = ["--rounds", "1", "--seconds", "0.02"]
    done = subprocess.run(
        [sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=True
    )
    (line,) = done.stdout.splitlines()
    for found in json.loads(line).values():
        assert found["images"] == "made up"
        for row in found["augmentations"].values():
            assert row["over_peer"] > 1
    assert "| `rotation` |" in done.stderr
