"""Embeddings from a pipeline: codes reach the network as they stand in the table."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensemble_pipe import load
from ensemble_pipe.config.reading import Pipeline
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.data.tables.features import VECTOR
from ensemble_pipe.ensemble.members import NetworkMember
from ensemble_pipe.run.pipeline import run

CATEGORIES = 12
CODE = {"kind": "category", "encode": "code"}


def pipeline(path: Path, column: int | str = 1) -> Pipeline:
    embedded = {"column": column, "categories": CATEGORIES + 1, "dimension": 4}
    settings: dict[str, Any] = {
        "data": {"source": "table", "path": str(path), "label": "label", "columns": {"code": CODE}},
        "network": {
            "name": "sequential",
            "layers": [
                {"name": "embedding", "columns": [embedded]},
                {"name": "dense", "units": 16},
                {"name": "relu"},
            ],
        },
        "training": {
            "epochs": 30,
            "batch_size": 64,
            "optimizer": {"learning_rate": 0.01},
            "schedule": {"name": "constant"},
        },
        "ensemble": {"learners": 2},
        "tracking": {"mlflow": False},
    }
    return Pipeline.model_validate(settings)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A label that only the code decides, and in no order of codes."""
    random = np.random.default_rng(0)
    codes = random.integers(0, CATEGORIES, 800)
    labels = np.array([0, 1, 1, 0, 1, 0, 0, 1, 0, 1, 1, 0])[codes]
    rows = np.column_stack([random.normal(size=800), codes, labels])
    path = tmp_path / "codes.csv"
    np.savetxt(path, rows, delimiter=",", header="number,code,label", comments="", fmt="%.6g")
    return path


def test_a_label_that_the_code_decides_is_learned(table: Path, tmp_path: Path) -> None:
    result = run(pipeline(table), output=tmp_path, inline=True)
    assert result.metrics["test/accuracy"] > 0.99


def test_a_column_may_be_named_and_its_categories_are_those_of_the_data(
    table: Path, tmp_path: Path
) -> None:
    # Both as values: what these hold is given, and so not chosen by the data.
    place, name = (pipeline(table, column).model_dump(mode="json") for column in (1, "code"))
    name["network"]["layers"][0]["columns"][0]["categories"] = None
    by_place, by_name = (
        run(Pipeline.model_validate(values), output=tmp_path, inline=True)
        for values in (place, name)
    )
    assert by_name.metrics == by_place.metrics


def test_a_name_without_codes_is_refused_with_those_that_have_some(
    table: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"names column 'number', .* are: code$"):
        run(pipeline(table, column="number"), output=tmp_path, inline=True)


@pytest.mark.parametrize("name", ["mlp", "wide_and_deep"])
def test_every_network_embeds_columns_of_codes(name: str, table: Path, tmp_path: Path) -> None:
    config = pipeline(table).model_dump(mode="json")
    config["network"] = {"name": name, "hidden": [16]}
    result = run(Pipeline.model_validate(config), output=tmp_path, inline=True)
    assert result.metrics["test/accuracy"] > 0.99
    member = load(result.run_dir).members[0]
    assert isinstance(member, NetworkMember)
    vectors = member.built(load(result.run_dir).schema).layout.parameters[0]
    assert (vectors.name, vectors.shape) == ("embedding1/table1", (CATEGORIES + 1, VECTOR))


def test_a_column_that_the_table_does_not_have_is_named(table: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"reads feature 7, .* none of the 2; .*are: 1 code$"):
        run(pipeline(table, column=7), output=tmp_path, inline=True)


def test_a_column_that_holds_no_codes_is_named(table: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"reads feature 0, .* 'number'; .*encode: code.* 1 code$"
    ):
        run(pipeline(table, column=0), output=tmp_path, inline=True)


def test_more_codes_than_the_embedding_has_rows_are_refused(table: Path, tmp_path: Path) -> None:
    config = pipeline(table).model_dump(mode="json")
    config["network"]["layers"][0]["columns"][0]["categories"] = CATEGORIES
    needed = rf"of 'code' has {CATEGORIES} categories, but {CATEGORIES + 1} are needed"
    with pytest.raises(ConfigError, match=needed):
        run(Pipeline.model_validate(config), output=tmp_path, inline=True)


def test_images_have_no_columns(tmp_path: Path) -> None:
    config = pipeline(tmp_path).model_dump(mode="json")
    config["data"] = {"source": "bundled"}
    config["network"]["layers"].insert(0, {"name": "flatten"})
    with pytest.raises(ConfigError, match="reads columns of a table, but the data is images"):
        run(Pipeline.model_validate(config), output=tmp_path, inline=True)
