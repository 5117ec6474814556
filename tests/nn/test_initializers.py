"""Initial values: their variance and limits, and their address."""

from math import sqrt

import numpy as np
import pytest
from scipy import stats

from ensemble_pipe.arrays import Floats
from ensemble_pipe.nn.initializers import INITIALIZERS
from ensemble_pipe.nn.layout import Parameter
from ensemble_pipe.nn.networks import Mlp

FAN_IN, FAN_OUT = 200, 50
KERNEL = Parameter("d/kernel", (FAN_IN, FAN_OUT), "he_normal", FAN_IN, FAN_OUT)

# He et al. 2015, eq. 10; Glorot & Bengio 2010, eq. 12 and 16.
VARIANCES = {
    "he_normal": 2 / FAN_IN,
    "he_uniform": 2 / FAN_IN,
    "glorot_normal": 2 / (FAN_IN + FAN_OUT),
    "glorot_uniform": 2 / (FAN_IN + FAN_OUT),
}
LIMITS = {"he_uniform": sqrt(6 / FAN_IN), "glorot_uniform": sqrt(6 / (FAN_IN + FAN_OUT))}


def draw(name: str) -> Floats:
    return INITIALIZERS[name](np.random.default_rng(11), KERNEL)


def row(learner: int, seed: int = 7, dtype: type[np.floating] = np.float32) -> Floats:
    return Mlp(hidden=(9, 5)).build((4, 3, 2), 3).initialize(seed, learner, dtype)


def test_every_initializer_but_zeros_is_in_the_table() -> None:
    assert set(INITIALIZERS) == {*VARIANCES, "zeros"}


@pytest.mark.parametrize("name", INITIALIZERS)
def test_draws_float64_of_the_shape_of_the_parameter(name: str) -> None:
    assert draw(name).shape == KERNEL.shape
    assert draw(name).dtype == np.float64


@pytest.mark.parametrize("name", VARIANCES)
def test_mean_and_variance(name: str) -> None:
    values = draw(name)
    deviation = sqrt(VARIANCES[name])
    # Five standard errors of 10,000 draws.
    assert abs(values.mean()) < 5 * deviation / sqrt(values.size)
    assert values.var() == pytest.approx(VARIANCES[name], rel=5 * sqrt(2 / values.size))


@pytest.mark.parametrize("name", LIMITS)
def test_uniform_draws_fill_the_range_up_to_the_limit(name: str) -> None:
    limit = LIMITS[name]
    values = draw(name).ravel()
    assert np.abs(values).max() <= limit
    assert stats.kstest(values, "uniform", args=(-limit, 2 * limit)).pvalue > 0.001


@pytest.mark.parametrize("name", ["he_normal", "glorot_normal"])
def test_normal_draws_are_normal(name: str) -> None:
    values = draw(name).ravel() / sqrt(VARIANCES[name])
    assert stats.kstest(values, "norm").pvalue > 0.001


def test_zeros_are_zero() -> None:
    assert not draw("zeros").any()


@pytest.mark.parametrize("name", VARIANCES)
def test_a_network_draws_its_kernels_as_named_and_its_biases_at_zero(name: str) -> None:
    network = Mlp(hidden=(FAN_OUT,), initializer=name).build((FAN_IN,), 3)  # type: ignore[arg-type]
    views = network.layout.views(network.initialize(1, 0)[None])
    kernel = views["dense1/kernel"]
    assert kernel.var() == pytest.approx(VARIANCES[name], rel=0.1)
    assert not views["dense1/bias"].any()
    assert not views["dense2/bias"].any()


def test_a_row_is_the_same_whatever_was_drawn_before_it() -> None:
    alone = row(3)
    after_others = [row(learner) for learner in (0, 5, 1, 3)][-1]
    assert alone.tobytes() == after_others.tobytes()


def test_learners_differ() -> None:
    rows = [row(learner).tobytes() for learner in range(20)]
    assert len(set(rows)) == 20


def test_seeds_differ() -> None:
    assert row(3, seed=7).tobytes() != row(3, seed=8).tobytes()


def test_tensors_of_one_learner_are_drawn_apart() -> None:
    network = Mlp(hidden=(6, 6)).build((6,), 6)
    views = network.layout.views(network.initialize(1, 0)[None])
    kernels = [views[f"dense{number}/kernel"].tobytes() for number in (1, 2, 3)]
    assert len(set(kernels)) == 3


def test_a_wider_head_leaves_the_tensors_before_it() -> None:
    narrow, wide = (Mlp(hidden=(9,)).build((5,), outputs) for outputs in (3, 8))
    kernels = [
        network.layout.views(network.initialize(1, 4)[None])["dense1/kernel"].tobytes()
        for network in (narrow, wide)
    ]
    assert kernels[0] == kernels[1]


def test_float32_is_the_rounded_float64() -> None:
    assert row(3).dtype == np.float32
    assert row(3).tobytes() == row(3, dtype=np.float64).astype(np.float32).tobytes()
