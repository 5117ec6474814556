"""Convolutions and batch norms in a row: what they fuse and which buffers they share."""

import numpy as np
import pytest
from gradient_checks import check_gradient

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.nn.layers import (
    BatchNorm,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    Flatten,
    Layer,
    LeakyReLU,
    MaxPool,
    ReLU,
    SeparableConv2d,
    Tanh,
)
from ensemble_pipe.nn.network import BoundNetwork, Network

LEARNERS, ROWS = 3, 4

# Every way to compute a convolution; batch norms overwrite the sums of those before them.
LAYERS: list[Layer] = [
    Conv2d(filters=16, bias=False),
    BatchNorm(),
    LeakyReLU(),
    MaxPool(),
    Conv2d(filters=16),
    BatchNorm(),
    Tanh(),
    DepthwiseConv2d(stride=2),
    ReLU(),
    SeparableConv2d(filters=5, bias=False),
    BatchNorm(),
    Flatten(),
    Dense(units=2),
]


def stack(network: Network, dtype: type[np.floating] = np.float64) -> tuple[Floats, Floats, Floats]:
    """Return rows, inputs and a gradient from above."""
    random = np.random.default_rng(5)
    rows = np.stack([network.initialize(1, learner, dtype) for learner in range(LEARNERS)])
    rows[:, : network.layout.trainable] += 0.1 * random.standard_normal(network.layout.trainable)
    inputs = random.standard_normal((LEARNERS, ROWS, *network.input_shape)).astype(dtype)
    above = random.standard_normal((LEARNERS, ROWS, network.outputs)).astype(dtype)
    return rows, inputs, above


def bind(network: Network, rows: Floats, frozen: frozenset[str] = frozenset()) -> BoundNetwork:
    gradients = np.full((LEARNERS, network.layout.trainable), np.nan, rows.dtype)
    return network.bind(rows, ROWS, gradients, frozen=frozen)


@pytest.mark.slow
def test_the_gradients_of_a_whole_network_are_its_slopes() -> None:
    network = Network((9, 10, 1), LAYERS)
    rows, inputs, above = stack(network)
    trainable = network.layout.trainable
    gradients = np.full((LEARNERS, trainable), np.nan)
    bound = network.bind(rows.copy(), ROWS, gradients)
    bound.forward(inputs)
    bound.backward(above.copy())

    def loss(point: Floats) -> Floats:
        moved = np.concatenate([point, rows[:, trainable:]], axis=1)
        return np.asarray((above * bind(network, moved).forward(inputs)).sum((1, 2)))

    check_gradient(loss, rows[:, :trainable].copy(), gradients)


@pytest.mark.parametrize(
    ("layer", "following", "count"),
    [
        (Conv2d(filters=2), [ReLU(), MaxPool()], 1),
        (Conv2d(filters=2), [BatchNorm(), ReLU()], 0),
        (SeparableConv2d(filters=2), [Tanh()], 1),
        (BatchNorm(), [ReLU(), MaxPool()], 2),
        (BatchNorm(), [MaxPool(size=3, stride=3)], 1),
        (BatchNorm(), [LeakyReLU(), Conv2d(filters=2)], 1),
        (BatchNorm(), [ReLU(), MaxPool(size=3, stride=2)], 1),
        (BatchNorm(), [ReLU(), MaxPool(padding="same")], 1),
        (BatchNorm(), [Tanh(), MaxPool()], 0),
        (BatchNorm(), [], 0),
    ],
)
def test_takes_along_what_fits_into_its_pass(
    layer: Layer, following: list[Layer], count: int
) -> None:
    assert layer.absorbs(following, (6, 6, 2)) == count


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_fused_pool_gives_what_a_pool_on_its_own_gives(size: int) -> None:
    # An identity of overlapping windows in between keeps the batch norm from taking the pool along.
    apart: list[Layer] = [BatchNorm(), ReLU(), MaxPool(size=1, padding="same"), MaxPool(size=size)]
    fused: list[Layer] = [BatchNorm(), ReLU(), MaxPool(size=size)]
    results = []
    for layers in (fused, apart):
        network = Network((7, 5, 3), [*layers, Flatten(), Dense(units=2)])
        rows, inputs, above = stack(network)
        gradients = np.zeros((LEARNERS, network.layout.trainable))
        bound = network.bind(rows, ROWS, gradients)
        results.append((bound.forward(inputs).copy(), gradients, rows))
        bound.backward(above)
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_a_prediction_takes_the_running_statistics_and_leaves_them() -> None:
    network = Network((5, 5, 3), [BatchNorm(), Flatten(), Dense(units=2)])
    rows, inputs, _ = stack(network)
    views = network.layout.views(rows)
    views["batch_norm1/running_mean"][...] = inputs.mean((1, 2, 3))
    views["batch_norm1/running_variance"][...] = inputs.var((1, 2, 3))
    before = rows.copy()
    predicted = network.bind(rows, ROWS).forward(inputs)
    assert rows.tobytes() == before.tobytes()
    trained = bind(network, rows).forward(inputs)
    np.testing.assert_allclose(predicted, trained, atol=1e-12)
    assert rows.tobytes() != before.tobytes()


def test_a_frozen_batch_norm_trains_as_it_predicts() -> None:
    network = Network((5, 5, 3), [Conv2d(filters=4), BatchNorm(), Flatten(), Dense(units=2)])
    rows, inputs, above = stack(network)
    frozen = frozenset({"batch_norm1/gamma", "batch_norm1/beta"})
    predicted = network.bind(rows, ROWS).forward(inputs).copy()
    before = rows.copy()
    bound = bind(network, rows, frozen)
    assert bound.forward(inputs).tobytes() == predicted.tobytes()
    bound.backward(above)
    assert rows.tobytes() == before.tobytes()
