"""Initial values: their variance, limits and shape, and their address."""

from math import sqrt

import numpy as np
import pytest
from layer_cases import CASES, LayerCase
from scipy import stats

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.nn.initializers import Constant, Initializer, Normal, draw
from ensemble_pipe.nn.layers import Conv2d, Dense, DepthwiseConv2d, DropConnect, Layer
from ensemble_pipe.nn.layout import Parameter
from ensemble_pipe.nn.network import Network
from ensemble_pipe.nn.networks import Mlp

FAN_IN, FAN_OUT = 200, 50

# He et al. 2015, eq. 10; Glorot & Bengio 2010, eq. 12 and 16; LeCun et al. 1998, eq. 16.
VARIANCES: dict[str, tuple[Initializer, float]] = {
    "he_normal": ("he_normal", 2 / FAN_IN),
    "he_uniform": ("he_uniform", 2 / FAN_IN),
    "glorot_normal": ("glorot_normal", 2 / (FAN_IN + FAN_OUT)),
    "glorot_uniform": ("glorot_uniform", 2 / (FAN_IN + FAN_OUT)),
    "lecun_normal": ("lecun_normal", 1 / FAN_IN),
    "lecun_uniform": ("lecun_uniform", 1 / FAN_IN),
    "normal": (Normal(deviation=0.3), 0.09),
}
LIMITS: dict[str, tuple[Initializer, float]] = {
    "he_uniform": ("he_uniform", sqrt(6 / FAN_IN)),
    "glorot_uniform": ("glorot_uniform", sqrt(6 / (FAN_IN + FAN_OUT))),
    "lecun_uniform": ("lecun_uniform", sqrt(3 / FAN_IN)),
}
every_random = pytest.mark.parametrize(
    ("initializer", "variance"), VARIANCES.values(), ids=VARIANCES
)


def drawn(initializer: Initializer, *shape: int) -> Floats:
    kernel = Parameter("d/kernel", shape or (FAN_IN, FAN_OUT), initializer, FAN_IN, FAN_OUT)
    return draw(initializer, np.random.default_rng(11), kernel)


def row(learner: int, seed: int = 7, dtype: type[np.floating] = np.float32) -> Floats:
    return Mlp(hidden=(9, 5)).build((4, 3, 2), 3).initialize(seed, learner, dtype)


@every_random
def test_mean_and_variance(initializer: Initializer, variance: float) -> None:
    values = drawn(initializer)
    assert values.shape == (FAN_IN, FAN_OUT)
    assert values.dtype == np.float64
    # Five standard errors of 10,000 draws.
    assert abs(values.mean()) < 5 * sqrt(variance / values.size)
    assert values.var() == pytest.approx(variance, rel=5 * sqrt(2 / values.size))


@pytest.mark.parametrize(("initializer", "limit"), LIMITS.values(), ids=LIMITS)
def test_uniform_draws_fill_the_range_up_to_the_limit(
    initializer: Initializer, limit: float
) -> None:
    values = drawn(initializer).ravel()
    assert np.abs(values).max() <= limit
    assert stats.kstest(values, "uniform", args=(-limit, 2 * limit)).pvalue > 0.001


@pytest.mark.parametrize("name", [name for name in VARIANCES if name not in LIMITS])
def test_normal_draws_are_normal(name: str) -> None:
    initializer, variance = VARIANCES[name]
    values = drawn(initializer).ravel() / sqrt(variance)
    assert stats.kstest(values, "norm").pvalue > 0.001


@pytest.mark.parametrize(
    "shape", [(7, 7), (9, 4), (4, 9), (3, 3, 2, 5), (1, 1, 2, 5), (3, 3, 1, 16)], ids=str
)
def test_orthogonal_has_orthonormal_columns_or_rows(shape: tuple[int, ...]) -> None:
    matrix = drawn("orthogonal", *shape).reshape(-1, shape[-1])
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    np.testing.assert_allclose(tall.T @ tall, np.eye(tall.shape[1]), atol=1e-12)


def test_orthogonal_turns_either_way() -> None:
    random = np.random.default_rng(0)
    square = Parameter("d/kernel", (2, 2), "orthogonal", 2, 2)
    corners = np.array([draw("orthogonal", random, square)[0] for _ in range(2000)])
    # A uniform angle: without the sign of R's diagonal the first column would point one way.
    assert stats.kstest(np.arctan2(*corners.T), "uniform", args=(-np.pi, 2 * np.pi)).pvalue > 0.001


@pytest.mark.parametrize(
    ("initializer", "value"), [("zeros", 0.0), ("ones", 1.0), (Constant(value=-0.25), -0.25)]
)
def test_constants_are_constant(initializer: Initializer, value: float) -> None:
    np.testing.assert_array_equal(drawn(initializer, 3, 5), np.full((3, 5), value))


@pytest.mark.parametrize(
    ("layer", "shape", "fan_in"),
    [
        (Dense(units=400), (100,), 100),
        (DropConnect(units=400), (100,), 100),
        (Conv2d(filters=200, kernel_size=3), (8, 8, 20), 180),
        (DepthwiseConv2d(kernel_size=5), (8, 8, 2000), 25),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_unit_sums_as_many_inputs_as_its_fan_in_says(
    layer: Layer, shape: tuple[int, ...], fan_in: int
) -> None:
    kernel, bias = layer.parameters(shape)
    values = draw(kernel.initializer, np.random.default_rng(2), kernel)
    assert kernel.fan_in == fan_in
    assert values.var() == pytest.approx(2 / fan_in, rel=5 * sqrt(2 / values.size))
    assert bias.initializer == "zeros"


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_weights_decay_and_gains_and_statistics_do_not(case: LayerCase) -> None:
    for parameter in case.layout.parameters:
        own = parameter.name.split("/")[-1]
        assert parameter.decays == (
            own in ("kernel", "depthwise_kernel", "pointwise_kernel", "scale")
        )
        assert parameter.trainable != (
            own in ("running_mean", "running_variance", "lowest", "widths")
        )


def test_each_tensor_is_drawn_at_its_own_address() -> None:
    network = Network((6,), [Dense(units=6, initializer="orthogonal"), Dense(units=6)])
    row = network.initialize(3, 2, np.float64)
    for name, offset in network.layout.offsets.items():
        tensor = network.draw(name, 3, 2)
        np.testing.assert_array_equal(row[offset : offset + tensor.size], tensor.ravel())
    # The first kernel takes another number of draws now; the second one does not notice.
    other = Network((6,), [Dense(units=6, initializer="zeros"), Dense(units=6)])
    kernels = [net.draw("dense2/kernel", 3, 2).tobytes() for net in (network, other)]
    assert kernels[0] == kernels[1]


def test_tensors_of_one_learner_are_drawn_apart() -> None:
    network = Mlp(hidden=(6, 6)).build((6,), 6)
    kernels = [network.draw(f"dense{number}/kernel", 1, 0).tobytes() for number in (1, 2, 3)]
    assert len(set(kernels)) == 3


def test_a_row_is_the_same_whatever_was_drawn_before_it() -> None:
    alone = row(3)
    after_others = [row(learner) for learner in (0, 5, 1, 3)][-1]
    assert alone.tobytes() == after_others.tobytes()


def test_learners_and_seeds_differ() -> None:
    rows = {row(learner, seed).tobytes() for learner in range(20) for seed in (7, 8)}
    assert len(rows) == 40


def test_a_wider_head_leaves_the_tensors_before_it() -> None:
    narrow, wide = (Mlp(hidden=(9,)).build((5,), outputs) for outputs in (3, 8))
    kernels = [network.draw("dense1/kernel", 1, 4).tobytes() for network in (narrow, wide)]
    assert kernels[0] == kernels[1]


def test_float32_is_the_rounded_float64() -> None:
    assert row(3).dtype == np.float32
    assert row(3).tobytes() == row(3, dtype=np.float64).astype(np.float32).tobytes()
