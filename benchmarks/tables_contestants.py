"""One contestant of `tables.py` on one table, in a process of its own.

    python benchmarks/tables_contestants.py CONTESTANT TABLE SEED TRAIN TEST OUTPUT.npz

writes what the contestant predicts for the test rows: `probabilities` (R, O), or `mean` and `std`
(R,); with the `truth` (R,), and the CPU and wall `seconds` of the fit. Peers have their own
defaults, in one thread; a peer without a noise of its own gets the deviation of its residuals on a
tenth of the training rows, from a second fit without these, which is not counted. The networks of
`tables_networks.py` get it on the fifth that they stop by.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from tables_data import TABLES, Table, as_categories, read_frames
from tables_networks import NETWORKS, fit_network

Arrays = dict[str, Any]
OURS: dict[str, dict[str, Any]] = {"default": {}, "best": {"ensemble": {"preset": "best"}}}


def main() -> None:
    """Fit and predict; write the file."""
    contestant, name, seed, train, test, output = sys.argv[1:]
    table = TABLES[name]
    if contestant in OURS:
        found = fit_ours(OURS[contestant], table, int(seed), Path(train), Path(test))
    elif contestant in NETWORKS:
        found = fit_network(contestant, table, int(seed), Path(train), Path(test))
    else:
        found = fit_peer(contestant, table, Path(train), Path(test))
    np.savez(output, **found)


def fit_ours(
    settings: dict[str, Any],
    table: Table,
    seed: int,
    train: Path,
    test: Path | None,
    changed: dict[str, Any] | None = None,
) -> Arrays:
    """Run a pipeline that names the data, the task and the seed, and nothing else but `settings`.

    Args:
        settings: sections of the pipeline.
        table: of the files.
        seed: of the run.
        train: file of the rows to learn from.
        test: of those that are predicted; None takes a fifth of the others.
        changed: further settings, by path.
    """
    import yaml

    from ensemble_pipe import load, run

    data: dict[str, Any] = {"source": "table", "path": str(train), "label": table.label}
    if test is not None:
        data["test_path"] = str(test)
    if table.missing:
        data["missing_values"] = list(table.missing)
    pipeline = {"task": table.task, "seed": seed, "data": data, **settings}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pipeline.yaml")
        path.write_text(yaml.safe_dump({**pipeline, "tracking": {"mlflow": False}}))
        began, wall = time.process_time(), time.monotonic()
        result = run(path, output=folder, inline=True, **(changed or {}))
        seconds = time.process_time() - began, time.monotonic() - wall
        predicted = _predicted(Path(result.run_dir), table)
        ensemble = load(result.run_dir)
        metrics = {name: value for name, value in result.metrics.items() if "test/" in name}
    return {
        **predicted,
        "seconds": np.array(seconds),
        "members": len(ensemble.members),
        "names": np.array(list(metrics)),
        "values": np.array(list(metrics.values())),
    }


def _predicted(run_dir: Path, table: Table) -> Arrays:
    """Return the predictions of a run for its test part, in the order of the rows."""
    import pyarrow as pa

    with pa.memory_map(str(run_dir / "predictions" / "test.arrow")) as file:
        rows = pa.ipc.open_file(file).read_all()
    found = {name: rows.column(name).to_numpy() for name in rows.column_names}
    order = np.argsort(found["row"])
    truth = found["target"][order]
    if table.task == "regression":
        return {"mean": found["mean"][order], "std": found["std"][order], "truth": truth}
    names = [name for name in found if name.startswith("probability_")]
    probabilities = np.stack([found[name][order] for name in names], axis=1)
    classes = [name.removeprefix("probability_") for name in names]
    numbers = {name: number for number, name in enumerate(classes)}
    return {
        "probabilities": probabilities,
        "truth": np.array([numbers[str(label)] for label in truth.tolist()]),
    }


def fit_peer(name: str, table: Table, train: Path, test: Path) -> Arrays:
    """Fit a peer with its defaults to all training rows, and predict the test rows."""
    inputs, labels, others, truth = read_frames(train, test, table)
    prepare = _one_hot if name == "mlp" else as_categories
    inputs, others = prepare(inputs, others)
    make = _PEERS[name]
    unit = (labels.mean(), labels.std()) if table.task == "regression" else (0, 1)
    scaled = (labels - unit[0]) / unit[1] if name == "mlp" else labels
    own = unit if name == "mlp" else (0, 1)
    began, wall = time.process_time(), time.monotonic()
    model = make(table.task, inputs).fit(inputs, scaled)
    seconds = np.array([time.process_time() - began, time.monotonic() - wall])
    if table.task == "classification":
        found = {"probabilities": model.predict_proba(others)}
    else:
        mean = model.predict(others) * own[1] + own[0]
        std = _residual_deviation(make, table, inputs, scaled) * own[1]
        found = {"mean": mean, "std": np.full(len(mean), std)}
    return {**found, "truth": truth, "seconds": seconds}


def _residual_deviation(
    make: Callable[[str, Any], Any], table: Table, inputs: Any, labels: Any
) -> float:
    """Return the deviation of the residuals on a tenth of the rows, which a fit did not see."""
    held = np.random.default_rng(0).permutation(len(labels)) < len(labels) // 10
    rows, kept = np.flatnonzero(held), np.flatnonzero(~held)

    def take(places: Any) -> Any:
        return inputs.iloc[places] if hasattr(inputs, "iloc") else inputs[places]

    model = make(table.task, inputs).fit(take(kept), labels[kept])
    residuals = model.predict(take(rows)) - labels[rows]
    return float(np.sqrt(np.mean(residuals**2)))


def _one_hot(train: Any, test: Any) -> tuple[Any, Any]:
    """Return standardised numbers, medians for what is missing, and one-hot categories."""
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    names = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    both = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (names, make_column_selector(dtype_exclude="number")),
    )
    return both.fit_transform(train), both.transform(test)


def _lightgbm(task: str, inputs: Any) -> Any:
    import lightgbm

    kind = lightgbm.LGBMClassifier if task == "classification" else lightgbm.LGBMRegressor
    return kind(n_jobs=1, verbose=-1)


def _xgboost(task: str, inputs: Any) -> Any:
    import xgboost

    kind = xgboost.XGBClassifier if task == "classification" else xgboost.XGBRegressor
    return kind(n_jobs=1, enable_categorical=True)


class _CatBoost:
    """CatBoost, which takes categories as texts."""

    def __init__(self, task: str, inputs: Any) -> None:
        import catboost

        kinds = catboost.CatBoostClassifier, catboost.CatBoostRegressor
        self._names = [n for n in inputs.columns if inputs[n].dtype.name == "category"]
        self._model = kinds[task == "regression"](
            thread_count=1, verbose=False, allow_writing_files=False, cat_features=self._names
        )

    def fit(self, inputs: Any, labels: Any) -> "_CatBoost":
        self._model.fit(self._texts(inputs), labels)
        return self

    def predict(self, inputs: Any) -> Any:
        return self._model.predict(self._texts(inputs))

    def predict_proba(self, inputs: Any) -> Any:
        return self._model.predict_proba(self._texts(inputs))

    def _texts(self, inputs: Any) -> Any:
        inputs = inputs.copy()
        for name in self._names:
            inputs[name] = inputs[name].astype(object).where(inputs[name].notna(), "missing")
        return inputs


def _histogram_boosting(task: str, inputs: Any) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kinds = HistGradientBoostingClassifier, HistGradientBoostingRegressor
    return kinds[task == "regression"]()


def _mlp(task: str, inputs: Any) -> Any:
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    return (MLPRegressor if task == "regression" else MLPClassifier)(random_state=0)


_PEERS: dict[str, Callable[[str, Any], Any]] = {
    "lightgbm": _lightgbm,
    "catboost": _CatBoost,
    "xgboost": _xgboost,
    "histogram_boosting": _histogram_boosting,
    "mlp": _mlp,
}
BOOSTING_AND_MLP = tuple(_PEERS)
PEERS = (*BOOSTING_AND_MLP, *NETWORKS)

if __name__ == "__main__":
    main()
