"""Networks: what an Mlp is built of, and a stack of them against each one alone."""

import numpy as np
import pytest

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.nn.network import Network
from ensemble_pipe.nn.networks import Mlp

MLPS = {
    "linear": (Mlp(hidden=()), (5,)),
    "odd": (Mlp(hidden=(7, 3)), (5,)),
    "tanh": (Mlp(hidden=(13,), activation="tanh"), (1,)),
    "image": (Mlp(hidden=(9,)), (5, 3, 1)),
}
every_mlp = pytest.mark.parametrize(("mlp", "shape"), MLPS.values(), ids=MLPS)


def stack_of(network: Network, learners: int) -> Floats:
    return np.stack([network.initialize(2, m) for m in range(learners)])


def draw(*shape: int) -> Floats:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def passed(network: Network, rows: Floats, inputs: Floats, above: Floats) -> tuple[Floats, Floats]:
    """Return outputs and gradient rows of one training pass."""
    gradients = np.full_like(rows, np.nan)
    bound = network.bind(rows, above.shape[1], gradients)
    outputs = bound.forward(inputs).copy()
    bound.backward(above.copy())
    return outputs, gradients


def test_an_mlp_is_dense_layers_that_end_in_a_linear_one() -> None:
    network = Mlp(hidden=(7, 3)).build((4, 2, 1), 5)
    assert {p.name: p.shape for p in network.layout.parameters} == {
        "dense1/kernel": (8, 7),
        "dense1/bias": (7,),
        "dense2/kernel": (7, 3),
        "dense2/bias": (3,),
        "dense3/kernel": (3, 5),
        "dense3/bias": (5,),
    }
    assert network.outputs == 5
    assert network.layout.size == 8 * 7 + 7 + 7 * 3 + 3 + 3 * 5 + 5


def test_without_hidden_layers_it_is_a_linear_model() -> None:
    network = Mlp(hidden=()).build((5,), 2)
    rows = stack_of(network, 1)
    rows[:, -2:] = [[0.5, -0.5]]
    inputs = draw(1, 6, 5)
    expected = inputs[0] @ rows[0, :10].reshape(5, 2) + [0.5, -0.5]
    np.testing.assert_allclose(network.bind(rows, 6).forward(inputs)[0], expected, rtol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_outputs_are_those_of_the_formula(activation: str) -> None:
    mlp = Mlp(hidden=(7,), activation=activation)  # type: ignore[arg-type]
    network = mlp.build((5,), 3)
    rows = stack_of(network, 3) + np.float32(0.1)
    views = network.layout.views(rows)
    inputs = draw(3, 6, 5)
    sums = inputs @ views["dense1/kernel"] + views["dense1/bias"][:, None]
    hidden = np.maximum(sums, 0.0) if activation == "relu" else np.tanh(sums)
    expected = hidden @ views["dense2/kernel"] + views["dense2/bias"][:, None]
    outputs = network.bind(rows, 6).forward(inputs)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)


@every_mlp
@pytest.mark.parametrize("outputs", [1, 4])
@pytest.mark.parametrize("batch_rows", [1, 33])
@pytest.mark.parametrize("shared", [False, True], ids=["own", "shared"])
def test_a_learner_of_three_is_bitwise_the_one_alone(
    mlp: Mlp, shape: tuple[int, ...], outputs: int, batch_rows: int, shared: bool
) -> None:
    network = mlp.build(shape, outputs)
    rows = stack_of(network, 3)
    inputs = draw(*(() if shared else (3,)), batch_rows, *shape)
    above = draw(3, batch_rows, outputs)
    together = passed(network, rows, inputs, above)
    for m in range(3):
        one = slice(m, m + 1)
        own_inputs = inputs if shared else inputs[one].copy()
        alone = passed(network, rows[one].copy(), own_inputs, above[one].copy())
        for stacked, single in zip(together, alone, strict=True):
            assert stacked[m].tobytes() == single[0].tobytes()


@every_mlp
def test_the_place_in_a_stack_changes_no_bit(mlp: Mlp, shape: tuple[int, ...]) -> None:
    network = mlp.build(shape, 4)
    rows, inputs, above = stack_of(network, 3), draw(3, 33, *shape), draw(3, 33, 4)
    forward = passed(network, rows, inputs, above)
    order = [2, 0, 1]
    shuffled = passed(network, rows[order], inputs[order], above[order])
    for values, others in zip(forward, shuffled, strict=True):
        assert values[order].tobytes() == others.tobytes()


@every_mlp
def test_backward_writes_every_place_of_the_gradient_rows(mlp: Mlp, shape: tuple[int, ...]) -> None:
    network = mlp.build(shape, 4)
    _, gradients = passed(network, stack_of(network, 3), draw(3, 33, *shape), draw(3, 33, 4))
    assert np.isfinite(gradients).all()


def test_a_bound_network_sees_its_rows_move() -> None:
    network = Mlp(hidden=(7,)).build((5,), 3)
    rows, inputs = stack_of(network, 1), draw(1, 6, 5)
    bound = network.bind(rows, 6)
    before = bound.forward(inputs).copy()
    rows[:, -3:] += 1.0  # the bias of the outputs
    np.testing.assert_allclose(bound.forward(inputs), before + 1.0, rtol=1e-5, atol=1e-6)


def test_rows_of_another_network_are_refused() -> None:
    network = Mlp(hidden=(7,)).build((5,), 3)
    with pytest.raises(ValueError, match=f"contiguous \\(M, {network.layout.size}\\)"):
        network.bind(np.zeros((1, 3), np.float32), 6)
