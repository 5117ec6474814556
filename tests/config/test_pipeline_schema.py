"""What is shipped, and the JSON schema of a pipeline file."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from loading import Load, refusal
from typer.testing import CliRunner

from ensemble_pipe.cli import app
from ensemble_pipe.config.defaults import DataFacts, settle
from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.config.reading import load_pipeline, resolve

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "pipelines").rglob("*.yaml"))


@cache
def json_schema() -> dict[str, Any]:
    printed = CliRunner().invoke(app, ["schema"])
    assert printed.exit_code == 0
    schema: dict[str, Any] = json.loads(printed.stdout)
    return schema


# What is shipped


def test_pipelines_are_shipped() -> None:
    assert "digits.yaml" in {path.name for path in SHIPPED}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_pipeline_loads_under_its_own_name(path: Path) -> None:
    assert load_pipeline(path)[0].name == path.stem


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_pipeline_begins_with_how_to_launch_it(path: Path) -> None:
    header = path.read_text(encoding="utf-8").split("\nname:")[0]
    assert [w for w in ("Purpose", "Command", "Override", "Expect") if f"# {w}" not in header] == []
    verb = "search" if path.stem.endswith("_search") else "run"
    assert f"ensemble-pipe {verb} {path.relative_to(ROOT).as_posix()}" in header


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_json_schema_accepts_a_shipped_pipeline(path: Path) -> None:
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert list(Draft202012Validator(json_schema()).iter_errors(values)) == []


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_resolved_pipeline_gives_the_same_plans(path: Path, load: Load) -> None:
    pipeline, plans = load_pipeline(path)
    pipeline = settle(pipeline, DataFacts())
    again = load(yaml.safe_dump(resolve(pipeline), sort_keys=False))
    assert again == pipeline
    assert make_plans(again) == make_plans(pipeline) == plans


# The JSON schema


def test_the_json_schema_is_valid() -> None:
    Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"training": {"optimizer": {"learning_rate": 0.01}, "schedule": {}}},
        {"data": {"source": "table", "path": "x.csv", "label": "y", "ignore": ["id"]}},
        {"data": {"source": "table", "path": "x", "label": "y", "columns": {"a": {}}}},
        {"data": {"source": "table", "path": "x", "label": "y", "columns": {"a*": {"missing": 0}}}},
        {"splits": {"test": 100, "stop": 0.5, "train": 50}},
        {"augment": [{"name": "shift_crop", "pixels": 1}]},
        {"augment": {"policy": [{"name": "shift_crop"}], "pool": 3, "share": "per_learner"}},
        {"network": {"hidden": [50], "dropout": 0.2}, "classes": [0, "1"]},
        {"training": {"batch_size": "all", "loss": {"name": "hinge", "margin": 2}}},
        {"training": {"averaging": {"name": "last"}, "early_stopping": {"patience": 3}}},
        {"training": {"schedule": {"name": "warm_up", "then": {"name": "plateau"}}}},
        {"transfer": {"weights": "runs/a", "freeze": ["dense1/*"], "rate_factors": {"*": 0.1}}},
        {"ensemble": {"vary": {"training.epochs": [1, 2], "network.hidden": [[8], [16]]}}},
        {"ensemble": {"vary": {"training.optimizer.learning_rate": {"low": 0.1, "high": 1}}}},
    ],
)
def test_the_json_schema_accepts_what_the_loader_accepts(values: Any, load: Load) -> None:
    load(yaml.safe_dump({"seed": 1, **values}))
    assert list(Draft202012Validator(json_schema()).iter_errors(values)) == []


@pytest.mark.parametrize(
    "values",
    [
        {"sed": 1},
        {"seed": -1},
        {"training": {"optimizer": {"name": "adm"}}},
        {"training": {"epochs": 0}},
        {"data": {"source": "table", "path": "x.csv"}},
        {"augment": [{"name": "shift_crop", "pixel": 1}]},
        {"augment": [{"pixels": 1}]},
        {"augment": {"policy": [{"pixels": 1}]}},
        {"augment": {"share": "none"}},
        {"data": {"source": "table", "path": "x", "label": "y", "columns": {"a": {"encode": 1}}}},
        {"splits": {"test": 0}},
        {"classes": [1]},
        {"training": {"batch_size": "most"}},
        {"training": {"loss": {"smoothing": 0.1}}},
        {"training": {"averaging": {"name": "ema", "decay": 1}}},
        {"training": {"early_stopping": {"patience": 0}}},
        {"transfer": {"freeze": ["dense1/*"]}},
        {"transfer": {"weights": "runs/a", "rate_factors": {"*": -1}}},
    ],
)
def test_the_json_schema_refuses_what_the_loader_refuses(values: Any, load: Load) -> None:
    refusal(load, yaml.safe_dump(values))
    assert list(Draft202012Validator(json_schema()).iter_errors(values)) != []
