"""Which networks are chains of dense layers, and what a chain computes with."""

import numpy as np
import pytest

from ensemble_pipe.nn.dense_chain import BLOCK_ROWS, DenseChain
from ensemble_pipe.nn.kernels.row_product import FEW_ROWS
from ensemble_pipe.nn.layers import Dense, Dropout, Flatten, ReLU
from ensemble_pipe.nn.layers.base import Layer
from ensemble_pipe.nn.network import Network
from ensemble_pipe.nn.networks import LinearModel, Mlp, WideAndDeep

CHAINS = {
    "linear": LinearModel().build((4, 4, 1), 3),
    "mlp": Mlp(hidden=(7, 6), dropout=0.5).build((5,), 3),
    "leaky": Mlp(hidden=(7,), activation="leaky_relu").build((5,), 3),
    "ends with an activation": Network((5,), [Dense(units=7), Dense(units=3), ReLU()]),
}
OTHERS = {
    "tanh": Mlp(activation="tanh").build((5,), 3),
    "residual": WideAndDeep().build((5,), 3),
    "classic dropout": Network((5,), [Dropout(form="classic"), Dense(units=3)]),
    "two activations": Network((5,), [Dense(units=3), ReLU(), ReLU()]),
    "no dense layer": Network((5,), [Flatten()]),
}


class OwnDense(Dense):
    """A layer of a caller's own, which may compute anything."""


@pytest.mark.parametrize("network", CHAINS.values(), ids=CHAINS)
@pytest.mark.parametrize("count", [1, FEW_ROWS, FEW_ROWS + 1, BLOCK_ROWS + 1])
def test_a_chain_computes_what_its_layers_do(network: Network, count: int) -> None:
    chain = DenseChain.of(network, count)
    assert chain is not None
    rows = np.stack([network.initialize(1, m) for m in range(2)])
    inputs = np.random.default_rng(2).standard_normal((count, *network.input_shape), np.float32)
    out = np.full((2, count + 2, network.outputs), np.nan, np.float32)
    chain.run(rows, {}, inputs, out, 1)
    for m in range(2):
        alone = network.bind(rows[m : m + 1].copy(), count, row_products=True).forward(inputs)
        assert out[m, 1:-1].tobytes() == alone[0].tobytes()
    assert np.isnan(out[:, [0, -1]]).all()


@pytest.mark.parametrize("network", OTHERS.values(), ids=OTHERS)
def test_other_networks_are_no_chains(network: Network) -> None:
    assert DenseChain.of(network, 5) is None


def test_a_layer_of_a_callers_own_makes_no_chain() -> None:
    own: Layer = OwnDense(units=3)
    assert DenseChain.of(Network((5,), [own]), 5) is None
