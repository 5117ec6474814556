"""Values of encoded rows are those of the table that they were read from."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.data.tables.scaling import Scaling
from ensemble_pipe.report.numbers import read_numbers
from ensemble_pipe.report.rows import column_values, shown_columns
from ensemble_pipe.run.pipeline import run

SCALES = ["standardize", "range", "robust_clip", "quantile"]


def table() -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"number": np.round(random.normal(50, 9, 240), 2)})
    frame["day"] = pd.Timestamp("2024-03-01") + pd.to_timedelta(np.arange(240), "D")
    frame["name"] = np.where(frame.number > 50, "high", "low")
    frame["many"] = [f"n{place % 60}" for place in range(240)]
    frame["kind"] = np.where(random.normal(50, 3, 240) > frame.number, "a", "b")
    frame.loc[::10, "number"] = np.nan
    return frame


def finished(folder: Path, **settings: Any) -> RunPaths:
    table().to_parquet(folder / "rows.parquet")
    columns = {"day": {"kind": "date"}, "many": {"kind": "category", "encode": "code"}}
    data = {"source": "table", "path": str(folder / "rows.parquet"), "label": "kind"}
    pipeline = {
        "data": {**data, "columns": columns},
        "network": {"hidden": [4]},
        "training": {"epochs": 1},
        "ensemble": {"learners": 1},
        "tracking": {"mlflow": False},
        **settings,
    }
    (folder / "p.yaml").write_text(json.dumps(pipeline))
    return RunPaths(Path(run(folder / "p.yaml", output=folder, inline=True).run_dir))


@pytest.mark.parametrize("scale", SCALES)
def test_values_are_those_of_the_table(tmp_path: Path, scale: str) -> None:
    test = read_numbers(finished(tmp_path, scale={"name": scale})).test
    assert test is not None
    stored, source = test.stored(np.arange(len(test.rows))), table().iloc[test.rows]
    assert shown_columns(test.schema) == ("number", "day", "name", "many")
    found = {name: column_values(test.schema, name, stored) for name in shown_columns(test.schema)}
    inner = source.number.quantile([0.1, 0.9])  # beyond its ends a scale of quantiles has none
    for text, value in zip(found["number"], source.number.clip(*inner), strict=True):
        assert (
            text == "missing"
            if np.isnan(value)
            else abs(np.clip(float(text), *inner) - value) < 0.2
        )
    assert found["name"] == source["name"].tolist()
    known = set(found["many"]) - {"another", "a rare name"}
    pairs = zip(found["many"], source.many, strict=True)
    assert all(text == name for text, name in pairs if text in known)
    days = [pd.Timestamp(text) for text in found["day"]]
    apart = [abs((day - own).total_seconds()) for day, own in zip(days, source.day, strict=True)]
    assert max(apart) < 86_400


def test_a_column_of_a_mixture_has_no_numbers() -> None:
    mixed = Scaling("pca", (0.0,), (1.0,), (0.0,), (1.0,), ((1.0,),))
    with pytest.raises(ValueError, match="mixes columns"):
        mixed.inverse(0, np.zeros(1))
