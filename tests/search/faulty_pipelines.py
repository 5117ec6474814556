"""Pipelines with a fault planted in each: real data of scikit-learn, spoilt in one way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_diabetes

from ensemble_pipe.config.sections import Pipeline

Settings = dict[str, Any]
Fault = Callable[[Path], Settings]


def digits(**settings: Any) -> Settings:
    """Return a sound pipeline of images; a list of settings replaces whole sections."""
    training = {
        "epochs": 30, "batch_size": 32, "optimizer": {"name": "adam", "learning_rate": 0.004},
        "schedule": {"name": "cosine"},
    }  # fmt: skip
    sound = {"splits": {"test": 0.2, "folds": 4}, "network": {"hidden": [64]}, "training": training}
    return {**sound, **settings}


def trained(optimizer: Settings | None = None, **training: Any) -> Settings:
    sound = digits()["training"]
    return digits(training={**sound, "optimizer": optimizer or sound["optimizer"], **training})


def tumours() -> pd.DataFrame:
    frame = load_breast_cancer(as_frame=True).frame
    return frame.rename(columns={"target": "benign"})


def disease() -> pd.DataFrame:
    return load_diabetes(as_frame=True, scaled=False).frame.rename(columns={"target": "progress"})


def table(folder: Path, frame: pd.DataFrame, label: str, **data: Any) -> Settings:
    """Return the pipeline of a frame, written to a file."""
    path = folder / "rows.parquet"
    frame.to_parquet(path, index=False)
    regression = label == "progress"
    task = "regression" if regression else "classification"
    return {"task": task, "data": {"source": "table", "path": str(path), "label": label, **data}}


def sound_table(folder: Path) -> Settings:
    return table(folder, tumours(), "benign")


def shuffled_labels(folder: Path) -> Settings:
    frame = tumours()
    frame["benign"] = np.random.default_rng(0).permutation(frame["benign"])
    return table(folder, frame, "benign")


def label_among_features(folder: Path) -> Settings:
    frame = tumours()
    frame["outcome"] = np.where(frame["benign"] == 1, "good", "bad")
    return table(folder, frame, "benign")


def label_with_noise(folder: Path) -> Settings:
    frame = disease()
    noise = np.random.default_rng(0).normal(size=len(frame))
    frame["later"] = frame["progress"] + 0.25 * frame["progress"].std() * noise
    return table(folder, frame, "progress")


def label_with_noise_beside_good_features(folder: Path) -> Settings:
    frame = tumours()
    frame["biopsy"] = frame["benign"] + np.random.default_rng(0).normal(0, 0.3, len(frame))
    return table(folder, frame, "benign")


def shared_rows(folder: Path) -> Settings:
    frame = tumours()
    test = pd.concat([frame[400:], frame[:40]])
    test.to_parquet(folder / "test.parquet", index=False)
    return table(folder, frame[:400], "benign", test_path=str(folder / "test.parquet"))


def repeated_rows(folder: Path) -> Settings:
    frame = tumours()
    return table(folder, pd.concat([frame, frame[:150]]), "benign")


def identity_column(folder: Path) -> Settings:
    frame = tumours()
    frame["patient_id"] = np.random.default_rng(0).permutation(len(frame)) * 7 + 1001
    return table(folder, frame, "benign", columns={"patient_id": {"kind": "number"}})


def identity_column_left_out(folder: Path) -> Settings:
    frame = tumours()
    frame.insert(0, "row", np.arange(len(frame)))
    return table(folder, frame, "benign")


def series() -> pd.DataFrame:
    """Return a demand by the hour that follows itself, with the weather of the hour."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"at": pd.date_range("2024-01-01", periods=800, freq="h")})
    frame["warmth"] = np.sin(np.arange(800) * 2 * np.pi / 24) + random.normal(0, 0.3, 800)
    demand = np.zeros(800)
    for hour in range(1, 800):
        demand[hour] = 0.8 * demand[hour - 1] + frame["warmth"][hour] + random.normal(0, 0.5)
    frame["before"] = np.r_[0.0, demand[:-1]]
    frame["progress"] = demand
    return frame


def future_values(folder: Path) -> Settings:
    frame = series()
    frame["ahead"] = np.r_[frame["progress"][1:], 0.0]
    return table(folder, frame, "progress", time="at")


def constant_column(folder: Path) -> Settings:
    return table(folder, tumours().assign(hospital="north"), "benign")


def one_class_in_validation(folder: Path) -> Settings:
    frame = tumours()
    frame["day"] = np.arange(len(frame))
    frame.loc[300:, "benign"] = 0
    settings = table(folder, frame, "benign", time="day")
    return {**settings, "splits": {"test": 0.2, "validation": 0.15, "stop": 0.1}}


def wrong_task(folder: Path) -> Settings:
    return {**table(folder, tumours(), "benign"), "task": "regression"}


def duplicate_columns(folder: Path) -> Settings:
    frame = tumours()
    frame["radius in inches"] = frame["mean radius"] / 2.54
    return table(folder, frame, "benign")


def imbalance(folder: Path) -> Settings:
    frame = tumours()
    rare = frame[frame["benign"] == 0][:6]
    common = pd.concat([frame[frame["benign"] == 1]] * 17)[:6000]
    noise = np.random.default_rng(0).normal(1, 0.01, common.shape)
    common = common * noise
    return table(folder, pd.concat([common, rare]).assign(
        benign=np.r_[np.ones(len(common), int), np.zeros(len(rare), int)]
    ), "benign")  # fmt: skip


def numbers_as_text(folder: Path) -> Settings:
    frame = tumours()
    frame["mean area"] = [f"{1000 * value:,.0f}" for value in frame["mean area"]]
    return table(folder, frame, "benign")


def plain_numbers_as_text(folder: Path) -> Settings:
    frame = tumours()
    frame["mean area"] = frame["mean area"].astype(str)
    return table(folder, frame, "benign")


def group_leak(folder: Path) -> Settings:
    frame = tumours().sort_values("benign")
    patients = np.random.default_rng(0).permutation(len(frame))
    frame["patient_id"] = patients[np.arange(len(frame)) // 4]
    return table(folder, frame.sample(frac=1, random_state=0), "benign",
                 columns={"patient_id": {"kind": "number"}})  # fmt: skip


def time_leak(folder: Path) -> Settings:
    return table(folder, series(), "progress")


# What is planted, what is found, and how.
OF_DATA: dict[str, tuple[str, Fault]] = {
    "inputs not scaled": (
        "inputs-not-scaled", lambda folder: digits(scale={"name": "range", "low": 0, "high": 255}),
    ),
    "label column left among the features": ("label-among-features", label_among_features),
    "a copy of the label with noise": ("label-with-noise", label_with_noise),
    "a copy of the label with noise, beside good features": (
        "label-with-noise", label_with_noise_beside_good_features,
    ),
    "rows shared by train and test": ("shared-rows", shared_rows),
    "repeated rows on both sides of a split": ("shared-rows", repeated_rows),
    "an identity column": ("identity-column", identity_column),
    "an identity column that is left out": ("identity-column", identity_column_left_out),
    "future values": ("future-values", future_values),
    "a constant column": ("constant-column", constant_column),
    "one class only in validation": ("one-class", one_class_in_validation),
    "wrong loss for the task": ("wrong-task", wrong_task),
    "duplicate columns": ("duplicate-columns", duplicate_columns),
    "1,000 to 1 imbalance": ("class-imbalance", imbalance),
    "numbers stored as text": ("numbers-as-text", numbers_as_text),
    "plain numbers stored as text": ("numbers-as-text", plain_numbers_as_text),
    "rows of one person on both sides of a split": ("identity-leak", group_leak),
    "neighbours in time on both sides of a split": ("time-leak", time_leak),
}  # fmt: skip
OF_TRAINING: dict[str, tuple[str, Fault]] = {
    "rate 100 times too high": (
        "rate-too-high", lambda folder: trained({"name": "adam", "learning_rate": 0.4}),
    ),
    "rate 100 times too low": (
        "rate-too-low", lambda folder: trained({"name": "adam", "learning_rate": 4e-5}),
    ),
    "labels shuffled": ("no-signal", shuffled_labels),
    "all-zero start": (
        "equal-start", lambda folder: digits(network={"hidden": [64], "initializer": "zeros"}),
    ),
    "dead ReLUs from a far too large first step": (
        "dead-units", lambda folder: trained({"name": "sgd", "learning_rate": 50.0}),
    ),
    "an exploding scale of the first weights": (
        "exploding-start",
        lambda folder: digits(
            network={"hidden": [64], "initializer": {"name": "normal", "deviation": 3.0}}
        ),
    ),
    "a penalty that is too strong": (
        "penalty-too-strong",
        lambda folder: trained({"name": "adam", "learning_rate": 0.004, "l2": 3.0}),
    ),
    "too few epochs": ("too-few-epochs", lambda folder: trained(epochs=2)),
}  # fmt: skip


def pipeline(settings: Settings) -> Pipeline:
    return Pipeline.model_validate({**settings, "tracking": {"mlflow": False}})
