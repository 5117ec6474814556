"""A model says in one line what it is."""

from pathlib import Path

import numpy as np
import pandas as pd

import ensemble_pipe
from ensemble_pipe import EnsembleClassifier, EnsembleRegressor

ROWS = np.random.default_rng(8).normal(size=(60, 7))
POOL = [{"strategy": "independent", "learners": 2}, {"strategy": "linear"}]


def test_a_classifier_names_classes_columns_and_kinds_of_members(tmp_path: Path) -> None:
    y = pd.Series(np.array(["a", "b\n", "c"])[np.arange(60) % 3], name="kind")
    pool = {"ensemble.pool": POOL}
    model = EnsembleClassifier(hidden=(4,), epochs=1, overrides=pool).fit(ROWS, y)
    said = (
        "classification of 'kind' (3 classes: a, b\\n, c) from 7 columns (x0, x1, x2, x3, x4, ...) "
        "by 3 members (2 mlp, 1 linear)"
    )
    assert repr(model.model_) == f"<Model: {said}>"
    model.save(tmp_path)
    assert repr(ensemble_pipe.load(tmp_path)) == f"<Ensemble: {said}>"
    assert repr(EnsembleClassifier(epochs=1)) == "EnsembleClassifier(epochs=1)"


def test_a_regressor_names_its_targets() -> None:
    targets = pd.DataFrame(ROWS[:, :2], columns=["width", "height"])
    model = EnsembleRegressor(learners=1, hidden=(4,), epochs=1).fit(ROWS[:, 2:3], targets)
    assert repr(model.model_) == (
        "<Model: regression of 'width', 'height' from 1 column (x0) by 1 member (1 mlp)>"
    )
