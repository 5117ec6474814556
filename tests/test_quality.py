"""How good the results are, on real data, against scikit-learn and against the best member."""

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.run.pipeline import RunResult, run

PIPELINES = Path(__file__).parents[1] / "pipelines"
SEEDS = (1, 2, 3, 4, 5)


def part(result: RunResult, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels (R, D) and labels (R,) of one part of a run's data."""
    path = RunPaths(Path(result.run_dir)).base / f"{name}.arrow"
    table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    images = np.concatenate([c.to_numpy_ndarray() for c in table.column("input").chunks])
    return images.reshape(len(images), -1).astype(float), table.column("target").to_numpy()


def scikit_learn_accuracy(result: RunResult, seed: int) -> float:
    """Return the test accuracy of scikit-learn's MLP of the same shape on the same split."""
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    network = MLPClassifier(hidden_layer_sizes=(128,), max_iter=300, random_state=seed)
    model = make_pipeline(StandardScaler(), network).fit(*part(result, "train"))
    return float(model.score(*part(result, "test")))


def run_pipeline(name: str, output: Path, **settings: Any) -> RunResult:
    settings = {"tracking.mlflow": False, **settings}
    return run(PIPELINES / name, output=output, inline=True, **settings)


@pytest.mark.slow
def test_the_digits_over_five_seeds(tmp_path: Path) -> None:
    runs = [run_pipeline("digits.yaml", tmp_path, seed=seed) for seed in SEEDS]
    metrics = [result.metrics for result in runs]
    ensemble = np.mean([m["test/accuracy"] for m in metrics])
    member = np.mean([m["member_mean/test/accuracy"] for m in metrics])
    peer = np.mean([scikit_learn_accuracy(r, s) for r, s in zip(runs, SEEDS, strict=True)])
    gain = np.mean([m["member_best/test/nll"] - m["test/nll"] for m in metrics])
    print(f"ensemble {ensemble:.4f}  member {member:.4f}  scikit-learn {peer:.4f}  gain {gain:.4f}")
    assert ensemble >= 0.97
    assert member >= peer - 0.005
    assert gain > 0


@pytest.mark.slow
def test_fashion_mnist_against_its_best_member(tmp_path: Path, fashion_mnist: Path) -> None:
    result = run_pipeline("fashion_mnist.yaml", tmp_path, **{"data.folder": str(fashion_mnist)})
    metrics = result.metrics
    print({name: round(value, 4) for name, value in metrics.items() if "test/" in name})
    assert metrics["member_mean/test/accuracy"] >= 0.88
    assert metrics["test/accuracy"] >= 0.89
    assert metrics["test/accuracy"] > metrics["member_best/test/accuracy"]
    assert metrics["test/nll"] < metrics["member_best/test/nll"]


@pytest.mark.slow
def test_snapshots_of_fashion_mnist_beat_their_best_member(
    tmp_path: Path, fashion_mnist: Path
) -> None:
    settings = {
        "data.folder": str(fashion_mnist),
        # In place of its convolutions, which need longer cycles.
        "network": {"name": "mlp", "hidden": [512, 256]},
        "training.optimizer": {"name": "adam", "learning_rate": 0.001},
        "training.epochs": 25,
    }
    metrics = run_pipeline("fashion_mnist_snapshot.yaml", tmp_path, **settings).metrics
    print({name: round(value, 4) for name, value in metrics.items() if "test/" in name})
    assert metrics["test/accuracy"] >= 0.89
    assert metrics["test/nll"] < metrics["member_best/test/nll"]


@pytest.mark.slow
def test_checkpoints_of_the_digits_beat_their_mean_member(tmp_path: Path) -> None:
    settings = {"training.epochs": 20, "ensemble.every": 2}
    metrics = run_pipeline("digits_checkpoints.yaml", tmp_path, **settings).metrics
    print({name: round(value, 4) for name, value in metrics.items() if "test/" in name})
    assert metrics["test/accuracy"] >= 0.95
    assert metrics["test/nll"] < 0.9 * metrics["member_mean/test/nll"]


def logistic_regression(folder: Path) -> tuple[float, float]:
    """Return test accuracy and NLL of scikit-learn's, on one-hot columns and all training rows."""
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    train, test = (pd.read_csv(folder / f"{part}.csv.gz") for part in ("train", "test"))
    features = train.drop(columns=["income", "fnlwgt"])
    numbers = list(features.select_dtypes("number").columns)
    texts = [name for name in features.columns if name not in numbers]
    columns = make_column_transformer(
        (StandardScaler(), numbers), (OneHotEncoder(handle_unknown="ignore"), texts)
    )
    model = make_pipeline(columns, LogisticRegression(max_iter=3000))
    model.fit(features, train["income"])
    accuracy = model.score(test, test["income"])
    return float(accuracy), float(log_loss(test["income"], model.predict_proba(test)))


@pytest.mark.slow
def test_a_mixed_table_against_logistic_regression(tmp_path: Path, adult: Path) -> None:
    paths = {f"data.{key}": str(adult / f"{part}.csv.gz") for key, part in
             (("path", "train"), ("test_path", "test"))}  # fmt: skip
    metrics = run_pipeline("adult.yaml", tmp_path, **paths).metrics
    accuracy, nll = logistic_regression(adult)
    print(
        f"ensemble {metrics['test/accuracy']:.4f} / {metrics['test/nll']:.4f}  "
        f"logistic regression {accuracy:.4f} / {nll:.4f}"
    )
    assert metrics["test/accuracy"] >= 0.855
    assert metrics["test/nll"] < nll


@pytest.mark.slow
def test_a_pool_of_networks_and_trees_beats_its_best_member_and_its_best_kind(
    tmp_path: Path, adult: Path
) -> None:
    sys.path.insert(0, str(PIPELINES.parent / "benchmarks"))
    pools = importlib.import_module("pools")
    row = pools.measure(adult, 1, tmp_path)
    for rival in pools.RIVALS:
        best = min(row[rival], key=lambda name: row[rival][name]["test_nll"])
        print(f"pool {row['pool']['test_nll']:.4f}  {best} {row[rival][best]['test_nll']:.4f}")
        assert row["pool"]["test_nll"] < row[rival][best]["test_nll"]
