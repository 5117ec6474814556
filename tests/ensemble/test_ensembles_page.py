"""The examples of docs/ensembles.md can be read and run, and name what there is."""

import re
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest
import yaml
from pyarrow import parquet

from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.ensemble.combining import Combine
from ensemble_pipe.ensemble.strategies import ExternalPredictions, StrategyName
from ensemble_pipe.run.pipeline import run
from ensemble_pipe.training.estimator_settings import EstimatorSettings

PAGE = (Path(__file__).parents[2] / "docs" / "ensembles.md").read_text()
EXAMPLES = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "example",
    EXAMPLES,
    ids=["vary", "pool", "libraries", "shared", "shared snapshots", "boosting", "file", "combine"],
)
def test_the_examples_run(
    example: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    guess = {f"probability_class_{kind}": np.full(178, 1 / 3) for kind in range(3)}
    parquet.write_table(pa.table(guess), "other.parquet")
    small = {
        "task": "classification",
        "data": {"source": "bundled", "set": "wine"},
        "tracking": {"mlflow": False},
    }
    training = {**example.get("training", {}), "epochs": 2}
    config = Pipeline.model_validate({**small, **example, "training": training})
    count = len(make_plans(config).networks) + len(make_plans(config).estimators)
    result = run(config, output=tmp_path / "runs", inline=True)
    assert result.failed == {}
    assert result.members >= 1
    assert count in (1, 3, 4, 6, 8, 10)


def test_every_strategy_method_and_measure_is_on_the_page() -> None:
    fields: dict[str, Any] = Combine.__annotations__
    methods = get_args(fields["method"])
    kinds = [kind.__dataclass_fields__["strategy"].default for kind in get_args(EstimatorSettings)]
    for name in (*get_args(StrategyName), *kinds, ExternalPredictions.strategy, *methods):
        assert f"`{name}`" in PAGE, name
    for name in set(fields) - {"method"}:
        assert f"{name}: " in PAGE, name
