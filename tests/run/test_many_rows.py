"""The untouched default of a table of many rows: learners whose members share weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import ensemble_pipe
from ensemble_pipe import EnsembleClassifier, EnsembleRegressor
from ensemble_pipe.config.defaults import MOST_ROWS_AS_THEY_ARE, MOST_ROWS_IN_FOLDS
from ensemble_pipe.run.pipeline import run

ROWS, MEMBERS = MOST_ROWS_AS_THEY_ARE + 1, 16


def rows() -> pd.DataFrame:
    random = np.random.default_rng(1)
    width, height = random.gamma(2.0, 3.0, ROWS), random.normal(size=ROWS)
    city = random.choice(["Graz", "Linz", "Wien"], ROWS)
    frame = pd.DataFrame({"width": width, "height": height, "city": city})
    area = width * np.exp(0.5 * height) + 4 * (city == "Wien") + random.normal(0, 0.5, ROWS)
    return frame.assign(area=area + 5, large=np.where(area > 7, "yes", "no"))


FRAME = rows()


@pytest.mark.parametrize(("kind", "label", "task"), [
    (EnsembleClassifier, "large", "classification"), (EnsembleRegressor, "area", "regression"),
])  # fmt: skip
def test_a_file_and_a_frame_give_the_same_bits(
    kind: Any, label: str, task: str, tmp_path: Path
) -> None:
    own = FRAME[["width", "height", "city", label]]
    own.to_csv(tmp_path / "rows.csv", index=False)
    features = own.drop(columns=label)
    estimator = kind(epochs=1, random_state=3).fit(features, own[label])
    seed = int(np.random.RandomState(3).randint(np.iinfo(np.int32).max))
    path = str(tmp_path / "rows.csv")
    pipeline = {
        "task": task, "seed": seed, "training": {"epochs": 1}, "tracking": {"mlflow": False},
        "data": {"source": "table", "path": path, "test_path": path, "label": label},
    }  # fmt: skip
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(pipeline))
    result = run(tmp_path / "p.yaml", output=tmp_path, inline=True)
    settled = yaml.safe_load(Path(result.run_dir, "pipeline.yaml").read_text())
    assert settled["ensemble"]["strategy"] == "shared"
    assert settled["network"]["embedding"]["name"] == "piecewise_linear"
    found = ensemble_pipe.load(result.run_dir).predict_members(features)
    assert found.shape[0] == MEMBERS
    assert found.tobytes() == estimator.predict_members(features).tobytes()


def test_of_fewer_rows_networks_share_nothing() -> None:
    for rows, members in ((MOST_ROWS_IN_FOLDS, 10), (MOST_ROWS_IN_FOLDS + 1, MEMBERS)):
        fewer = FRAME.iloc[:rows]
        model = EnsembleClassifier(epochs=1, random_state=3).fit(fewer[["width"]], fewer["large"])
        assert len(model.model_.members) == members


def test_a_table_without_numbers_has_the_same_members() -> None:
    model = EnsembleClassifier(epochs=1, random_state=3).fit(FRAME[["city"]], FRAME["large"])
    assert len(model.model_.members) == MEMBERS
