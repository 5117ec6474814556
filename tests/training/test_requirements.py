"""What does not fit the data is refused before anything is trained."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from conftest import plain_schema

from ensemble_pipe import EnsembleClassifier, EnsembleRegressor
from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.data.learner_view import folds_of
from ensemble_pipe.run.requirements import require_fit

FLAT = (3,)
IMAGE = (4, 4, 1)
DENSE: list[dict[str, Any]] = [{"name": "dense", "units": 4}, {"name": "batch_norm"}]
CONV: list[dict[str, Any]] = [
    {"name": "conv2d", "filters": 3, "kernel_size": 3},
    {"name": "batch_norm"},
]
POOLED = [CONV[0], {"name": "max_pool", "size": 4}, CONV[1]]
END = {"name": "global_average_pool"}
INSIDE = [{"name": "residual", "layers": [{"name": "dense", "units": 3}, {"name": "batch_norm"}]}]


def layers(*named: dict[str, Any]) -> dict[str, Any]:
    return {"name": "sequential", "layers": list(named)}


def require(
    network: dict[str, Any],
    shape: tuple[int, ...],
    batch_size: int | str,
    rows: int = 100,
    groups: Array | None = None,
    **settings: Any,
) -> None:
    training = {"batch_size": batch_size, **settings.pop("training", {})}
    # A learner sees all of the training part, not all but a fold of it.
    values = {"splits": {"validation": 0.15, "stop": 0.1}, **settings}
    config = Pipeline.model_validate({"network": network, "training": training, **values})
    schema = plain_schema("classification", shape, ("a", "b"))
    require_fit(config, make_plans(config).networks, schema, rows, groups)


# Batch norm needs more than one value per channel


@pytest.mark.parametrize(
    ("network", "shape", "layer"),
    [
        (layers(*DENSE), FLAT, "batch_norm1"),
        (layers({"name": "batch_norm"}), (1,), "batch_norm1"),
        (layers(*INSIDE), FLAT, "residual1/batch_norm1"),
        (layers(*POOLED, END), IMAGE, "batch_norm1"),
        (layers(*CONV, {"name": "relu"}, END), (1, 1, 2), "batch_norm1"),
        ({"name": "resnet", "filters": [4, 8, 8]}, IMAGE, "residual5/batch_norm2"),
    ],
    ids=["dense", "first", "residual", "last shape of 1x1", "image of 1x1", "resnet"],
)
def test_one_value_per_channel_is_refused(
    network: dict[str, Any], shape: tuple[int, ...], layer: str
) -> None:
    message = (
        rf"^training\.batch_size: {layer} needs more than 1 value per channel in training, "
        r"but batches of 1 row give it 1; take 2 rows or more"
    )
    with pytest.raises(ConfigError, match=message):
        require(network, shape, 1)
    require(network, shape, 2)
    require(network, shape, "all")
    with pytest.raises(ConfigError, match=r"give it 1, since a learner sees 1 in all; take"):
        require(network, shape, 64, rows=1)


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (layers(*CONV, END), IMAGE),
        ({"name": "cnn", "filters": [4], "hidden": [8]}, IMAGE),
        ({"name": "mlp"}, FLAT),
        (layers({"name": "dense", "units": 4}, {"name": "layer_norm"}), FLAT),
    ],
    ids=["pixels", "cnn", "mlp", "layer norm"],
)
def test_batches_of_one_row_are_taken_where_a_channel_has_more_values(
    network: dict[str, Any], shape: tuple[int, ...]
) -> None:
    require(network, shape, 1)


def test_the_batch_size_of_one_learner_counts_too() -> None:
    varied = {"learners": 3, "vary": {"training.batch_size": [8, 1, 4]}}
    with pytest.raises(ConfigError, match=r"^training\.batch_size: batch_norm1 needs more than 1"):
        require(layers(*DENSE), FLAT, 64, ensemble=varied)


def test_the_rows_outside_a_fold_count() -> None:
    folds = {"strategy": "cross_validation", "learners": 2}
    with pytest.raises(ConfigError, match="since a learner sees 1 in all"):
        require(layers(*DENSE), FLAT, 64, rows=3, ensemble=folds)
    require(layers(*DENSE), FLAT, 64, rows=4, ensemble=folds)


def test_a_frozen_batch_norm_takes_its_running_statistics() -> None:
    frozen = {"weights": "any", "freeze": ["batch_norm1/*"]}
    require(layers(*DENSE), FLAT, 1, transfer=frozen)
    half = {"weights": "any", "freeze": ["batch_norm1/gamma"]}
    with pytest.raises(ConfigError, match="needs more than 1 value per channel"):
        require(layers(*DENSE), FLAT, 1, transfer=half)


def test_layer_norm_over_one_value_is_refused() -> None:
    message = "^network: layer_norm1 takes mean and variance over the last axis of its inputs"
    with pytest.raises(ConfigError, match=message):
        require(layers({"name": "layer_norm"}), (1,), 64)
    with pytest.raises(ConfigError, match=message):
        require(layers({"name": "layer_norm"}, END), IMAGE, 64)


@pytest.mark.parametrize("kind", [EnsembleClassifier, EnsembleRegressor])
def test_an_estimator_says_so_too(kind: Any) -> None:
    inputs = np.random.default_rng(0).normal(size=(30, 3))
    model = kind(batch_size=1, overrides={"network": layers(*DENSE)})
    with pytest.raises(ValueError, match=r"^training\.batch_size: batch_norm1 needs more than 1"):
        model.fit(inputs, inputs[:, 0] > 0)


# Cycles have a step each


@pytest.mark.parametrize(
    "more",
    [
        {"ensemble": {"strategy": "snapshot"}},
        {"training": {"averaging": {"name": "swa", "at": "cycle"}}},
    ],
    ids=["snapshots", "averages"],
)
@pytest.mark.parametrize(
    "schedule",
    [
        {"name": "snapshot", "cycles": 10},
        {"name": "sgdr", "cycles": 10, "t_mult": 3},
        {"name": "triangular", "cycles": 10},
    ],
    ids=lambda schedule: str(schedule["name"]),
)
def test_more_cycles_than_steps_are_refused(schedule: dict[str, Any], more: dict[str, Any]) -> None:
    def plan(epochs: int) -> None:
        training = {"epochs": epochs, "schedule": schedule, **more.get("training", {})}
        rest = {key: value for key, value in more.items() if key != "training"}
        require({"name": "mlp"}, FLAT, 50, training=training, **rest)

    plan(epochs=5)
    with pytest.raises(ConfigError, match=r"^training\.schedule: 10 cycles do not fit into the 8 "):
        plan(epochs=4)


# Nearest neighbours are rows that there are


def nearest(neighbors: int, **more: Any) -> dict[str, Any]:
    group = {"strategy": "nearest_neighbors", "neighbors": neighbors, **more}
    return {"pool": [{"strategy": "linear"}, group]}


GROUPS = np.repeat([0, 1, 2, 3], [9, 5, 3, 3])
LARGEST = int(np.bincount(folds_of(2, 1, np.arange(20), np.zeros(20), GROUPS)).max())


@pytest.mark.parametrize(
    ("most", "folds", "groups"),
    [(20, None, None), (13, 3, None), (20 - LARGEST, 2, GROUPS)],
    ids=["all rows", "a fold left out", "a fold of groups left out"],
)
def test_more_neighbors_than_rows_are_refused(
    most: int, folds: int | None, groups: Array | None
) -> None:
    group = {} if folds is None else {"learners": folds, "cross_validate": True}
    require({"name": "mlp"}, FLAT, 64, 20, groups, seed=1, ensemble=nearest(most, **group))
    without = "" if folds is None else " without the largest fold"
    message = (
        rf"^ensemble\.pool\.1\.neighbors: {most + 1} rows are to be the nearest, but the "
        rf"training part has {most}{without}; take at most as many$"
    )
    with pytest.raises(ConfigError, match=message):
        require({"name": "mlp"}, FLAT, 64, 20, groups, seed=1, ensemble=nearest(most + 1, **group))


SMALL: Sequence[dict[str, Any]] = [
    {"strategy": "random_forest", "trees": 3, "leaf_rows": 1000},
    {"strategy": "histogram_boosting", "rounds": 3},
    {"strategy": "linear"},
    {"strategy": "nearest_neighbors", "neighbors": 1},
]


@pytest.mark.parametrize("group", SMALL, ids=lambda group: str(group["strategy"]))
def test_estimators_of_a_pool_take_few_rows(group: dict[str, Any]) -> None:
    inputs = np.arange(8.0)[:, None]
    for rows, folds in [(2, {}), (8, {}), (8, {"learners": 4, "cross_validate": True})]:
        pool = {"ensemble": {"pool": [{**group, **folds}]}}
        X, y = inputs[:rows], np.arange(rows) % 2  # noqa: N806
        assert EnsembleClassifier(overrides=pool).fit(X, y).predict(X).shape == (rows,)
        assert np.isfinite(EnsembleRegressor(overrides=pool).fit(X, y).predict(X)).all()
    # One row is left of two where a fold is left out.
    pool = {"ensemble": {"pool": [{**group, "learners": 2, "cross_validate": True}]}}
    assert np.isfinite(
        EnsembleRegressor(overrides=pool).fit(inputs[:2], [0, 1]).predict(inputs[:2])
    ).all()
