"""Embeddings of numbers from a pipeline to a served model: bins, rates and transfer."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ensemble_pipe import RunResult, load
from ensemble_pipe.config.reading import Pipeline
from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.ensemble.members import NetworkMember
from ensemble_pipe.run.pipeline import run

ROWS = 600
LARGEST = 50.0
PIECEWISE = {"name": "sequential", "layers": [{"name": "piecewise_linear", "bins": 8}]}


def pipeline(path: Path, network: dict[str, Any], **sections: Any) -> Pipeline:
    settings: dict[str, Any] = {
        "data": {
            "source": "table",
            "path": str(path),
            "label": "label",
            "columns": {
                "job": {"kind": "category", "encode": "code"},
                "place": {"kind": "category"},
            },
        },
        "network": network,
        "training": {"epochs": 3, "batch_size": 64},
        "ensemble": {"learners": 2},
        "tracking": {"mlflow": False},
    }
    return Pipeline.model_validate({**settings, **sections})


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A label that a wave of one number decides, beside a category and a code; one outlier."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "place": random.choice(["here", "there"], ROWS),
            "wave": random.uniform(-3, 3, ROWS),
            "job": random.choice(["a", "b", "c"], ROWS),
            "noise": random.normal(size=ROWS),
        }
    )
    frame["label"] = np.where(np.cos(2 * frame["wave"]) > 0, "up", "down")
    frame.loc[17, "noise"] = LARGEST
    path = tmp_path_factory.mktemp("table") / "waves.csv"
    frame.to_csv(path, index=False)
    return path


def tensors(result: RunResult) -> list[dict[str, Floats]]:
    """Return the tensors of each member by name."""
    model = load(result.run_dir)
    members = [one for one in model.members if isinstance(one, NetworkMember)]
    layouts = [member.built(model.schema).layout for member in members]
    return [
        {name: view[0] for name, view in layout.views(member.row[None]).items()}
        for layout, member in zip(layouts, members, strict=True)
    ]


@pytest.mark.parametrize("name", ["realmlp", "tabm"])
def test_a_network_for_tables_learns_a_wave_and_is_served(
    name: str, table: Path, tmp_path: Path
) -> None:
    training = {"epochs": 60, "batch_size": 64}
    config = pipeline(table, {"name": name, "hidden": [32, 32]}, training=training)
    result = run(config, output=tmp_path, inline=True)
    assert result.metrics["test/accuracy"] > 0.85
    model, frame = load(result.run_dir), pd.read_csv(table)
    whole = model.predict_proba(frame)
    assert model.predict_proba(pa.Table.from_pandas(frame)).tobytes() == whole.tobytes()
    assert model.predict_proba(frame.iloc[5:6]).tobytes() == whole[5:6].tobytes()


def test_each_learner_has_the_bins_of_the_rows_that_it_sees(table: Path, tmp_path: Path) -> None:
    splits = {"folds": 2, "test": 0.1}
    scaled = {"scale": {"name": "range"}, "splits": splits, "seed": 4}
    result = run(pipeline(table, PIECEWISE, **scaled), output=tmp_path, inline=True)
    tops = [
        own["piecewise_linear1/lowest"][1] + own["piecewise_linear1/widths"][1].sum()
        for own in tensors(result)
    ]
    # The outlier, in the training part, becomes 1; one of the two learners leaves it out.
    assert max(tops) == pytest.approx(1.0, abs=1e-6)
    assert min(tops) < 0.2


def test_transferred_weights_bring_their_bins(table: Path, tmp_path: Path) -> None:
    source = run(pipeline(table, PIECEWISE), output=tmp_path, inline=True)
    transfer: dict[str, Any] = {"weights": str(source.run_dir)}
    moved = run(pipeline(table, PIECEWISE, transfer=transfer), output=tmp_path, inline=True)
    for old, new in zip(tensors(source), tensors(moved), strict=True):
        for name in ("piecewise_linear1/lowest", "piecewise_linear1/widths"):
            np.testing.assert_array_equal(old[name], new[name])
    transfer["fresh"] = ["piecewise_linear1/*"]
    with pytest.raises(ConfigError, match=r"widths follows from the rows|lowest follows from"):
        run(pipeline(table, PIECEWISE, transfer=transfer), output=tmp_path, inline=True)


def test_rates_of_kinds_of_tensors_and_the_ntk_form_leave_the_decay_alone(table: Path) -> None:
    from ensemble_pipe.nn.layers import Dense, FeatureScale
    from ensemble_pipe.nn.network import Network
    from ensemble_pipe.training.tensors import segments_of

    layers = [FeatureScale(rate=6.0), Dense(units=3, form="ntk", bias_rate=0.1)]
    scale, kernel, bias = segments_of(Network((16,), layers).layout)
    assert scale.effects == (6.0, 1.0, 6.0)
    assert kernel.effects == (0.25, 1.0, 1.0)
    assert bias.effects == (0.1, 0.0, 0.0)
