"""The rows that MLflow shows beside a model."""

import json
from decimal import Decimal

import pyarrow as pa

from ensemble_pipe.serving.mlflow_logging import _as_users_have


def test_decimals_become_floats_which_json_has() -> None:
    rows = pa.table({"price": pa.array([Decimal("1.50"), Decimal("2.25")]), "name": ["a", "b"]})
    frame = _as_users_have(rows, is_image=False)
    assert json.loads(json.dumps(frame.to_dict("list"))) == {
        "price": [1.5, 2.25], "name": ["a", "b"]
    }  # fmt: skip
