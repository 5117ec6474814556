"""The schema in JSON, and what is refused of it."""

import json
from typing import Any

import numpy as np
import pytest
from fitted_schemas import ROWS, SCALES, fit, fit_images, images, mixed, place, table
from tables_as_rows import batch_of

from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.tables.scaling import Standardize

FITTED: dict[str, Schema] = {
    "numbered classes": fit(table()),
    "named classes": fit(table(["x", "y"] * 30)),
    "images": fit_images(images(3), Standardize()),
    **{scale.name: fit(mixed(ROWS)[0], "regression", mixed(ROWS)[1], scale) for scale in SCALES},
}


@pytest.mark.parametrize("schema", FITTED.values(), ids=FITTED)
def test_a_schema_survives_json_exactly(schema: Schema) -> None:
    text = json.dumps(schema.to_json(), allow_nan=False)
    found = Schema.from_json(json.loads(text), "schema.json")
    assert found == schema
    if not schema.is_image and schema.task == "regression":
        block = batch_of(mixed(ROWS)[0])
        expected = schema.encode_inputs(block, place)
        assert np.array_equal(found.encode_inputs(block, place), expected)


@pytest.mark.parametrize("value", [{"colour": "red"}, {"task": "classification"}, [], None, 3])
def test_what_is_no_schema_is_refused(value: Any) -> None:
    with pytest.raises(CorruptFileError, match=r"^s\.json: not a schema of this version \("):
        Schema.from_json(value, "s.json")


@pytest.mark.parametrize("schema", FITTED.values(), ids=FITTED)
@pytest.mark.parametrize(
    "field", ["centers", "units", "means", "deviations", "matrix", "quantiles"]
)
def test_a_schema_whose_parts_do_not_agree_is_refused(schema: Schema, field: str) -> None:
    value = schema.to_json()
    if not value["scaling"][field]:
        return
    value["scaling"][field] = value["scaling"][field][1:]
    with pytest.raises(CorruptFileError, match=r"^s\.json: .* do not agree$"):
        Schema.from_json(value, "s.json")
