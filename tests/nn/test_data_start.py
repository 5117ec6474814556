"""First values that follow from the data: their definition, and that they are a learner's own."""

import numpy as np
import pytest
from layer_cases import draw

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.nn.layers import Dense, Dropout, Layer, ReLU, Residual
from ensemble_pipe.nn.network import Network


def network_of(*layers: Layer) -> Network:
    return Network((6,), layers)


def started(network: Network, inputs: Floats, learner: int = 0, number: int = 0) -> Floats:
    row = network.initialize(1, learner, number=number)
    network.fit(row, inputs, 1, learner, number=number)
    return row


def hidden(count: int) -> list[Layer]:
    return [Dense(units=9, start="data"), ReLU(), Dropout(rate=0.5)] * count


def test_every_unit_has_a_deviation_of_one_and_is_zero_among_the_data() -> None:
    inputs = (5 + 3 * draw(500, 6)).astype(np.float32)
    network = network_of(*hidden(2), Dense(units=3, start="data"))
    row = started(network, inputs)
    views = network.layout.views(row[None])
    values = inputs
    for layer in ("dense1", "dense2", "dense3"):
        sums = values @ views[f"{layer}/kernel"][0] + views[f"{layer}/bias"][0]
        np.testing.assert_allclose(sums.std(axis=0), 1, rtol=1e-4)
        assert ((sums.min(axis=0) <= 0) & (sums.max(axis=0) >= 0)).all()
        values = np.maximum(sums, 0)


def test_layers_in_a_residual_start_too() -> None:
    inputs = (5 + 3 * draw(500, 6)).astype(np.float32)
    network = network_of(Residual(layers=(Dense(units=6, start="data"),)))
    views = network.layout.views(started(network, inputs)[None])
    sums = inputs @ views["residual1/dense1/kernel"][0]
    np.testing.assert_allclose(sums.std(axis=0), 1, rtol=1e-4)


def test_units_that_are_constant_over_the_data_keep_their_draws() -> None:
    network = network_of(Dense(units=4, start="data"))
    row = started(network, np.ones((50, 6), np.float32))
    drawn = network.initialize(1, 0)
    kernel = slice(0, 24)
    np.testing.assert_array_equal(row[kernel], drawn[kernel])
    assert np.isfinite(row).all()


@pytest.mark.parametrize(("learner", "number"), [(1, 0), (0, 1)])
def test_learners_and_networks_of_a_chain_draw_their_own_rows(learner: int, number: int) -> None:
    inputs = draw(500, 6).astype(np.float32)
    network = network_of(Dense(units=4, start="data"))
    first = started(network, inputs)
    assert first.tobytes() == started(network, inputs).tobytes()
    other = started(network, inputs, learner, number)
    assert not np.isclose(first[24:], other[24:]).any()
