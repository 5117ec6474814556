"""Members without steps on a table whose categories are codes."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_pipelines import SPLITS

import ensemble_pipe
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.run.pipeline import run

KINDS: list[dict[str, Any]] = [{"strategy": "linear"}, {"strategy": "nearest_neighbors"}]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind["strategy"]))
def test_estimators_that_add_up_or_take_distances_tell_categories_apart(
    kind: dict[str, Any], tmp_path: Path
) -> None:
    """Whose codes follow the names, and mean nothing."""
    random = np.random.default_rng(0)
    code = random.integers(0, 30, 900)
    frame = pd.DataFrame({"shop": [f"s{n:02d}" for n in code], "good": code % 2})
    path = tmp_path / "rows.parquet"
    frame.to_parquet(path)
    settings = {
        "data": {"source": "table", "path": str(path), "label": "good"},
        "splits": SPLITS,
        "ensemble": {"pool": [kind]},
        "tracking": {"mlflow": False},
    }
    result = run(Pipeline.model_validate(settings), output=tmp_path, inline=True)
    assert result.metrics["test/accuracy"] > 0.95
    model = ensemble_pipe.load(result.run_dir)
    assert (model.predict(frame[["shop"]]) == frame.good).mean() > 0.95
