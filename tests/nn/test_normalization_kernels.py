"""Batch norm, with the activation and the pooling in its pass, against the formulas by hand."""

from dataclasses import dataclass

import numpy as np
import pytest
from gradient_checks import check_gradient

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.nn.kernels import normalization as kernels
from ensemble_pipe.nn.kernels.moments import measure

EPSILON, MOMENTUM, SLOPES = [1e-5, 1e-3, 0.1], [0.1, 0.5, 1.0], [0.0, 0.01, 1.0]
CASES = [
    pytest.param((5, 6, 7, 3), 1, id="image"),
    pytest.param((5, 6, 8, 20), 2, id="pool-2"),
    pytest.param((5, 7, 5, 16), 2, id="pool-2-drops-a-row-and-a-column"),
    pytest.param((4, 7, 8, 3), 3, id="pool-3-drops"),
    pytest.param((17, 1, 1, 5), 1, id="table"),
]
every_case = pytest.mark.parametrize(("shape", "pool"), CASES)


@dataclass
class Norm:
    """One batch norm of M learners with all that its kernels read and write."""

    x: Floats
    gamma: Floats
    beta: Floats
    pool: int

    def __post_init__(self) -> None:
        learners, images, height, width, channels = self.x.shape
        dtype, pool = self.x.dtype, self.pool
        center, inverse, scale = np.zeros((3, learners, channels), dtype)
        self.affine = kernels.Affine(center, inverse, scale, self.beta, self.vector(SLOPES))
        self.mean, self.variance = np.zeros((2, learners, channels))
        self.running_mean = np.ones((learners, channels), dtype)
        self.running_variance = np.ones((learners, channels), dtype)
        self.windows = kernels.pool_of(pool, width, channels)
        self.y = np.full((learners, images, height // pool, width // pool, channels), np.nan, dtype)
        self.winners = np.full_like(self.y, np.nan) if pool > 1 else self.x

    def vector(self, values: list[float]) -> Floats:
        return np.array(values[: len(self.x)], self.x.dtype)

    def forward(self) -> Floats:
        measure(
            self.x,
            self.vector(MOMENTUM),
            self.running_mean,
            self.running_variance,
            self.mean,
            self.variance,
        )
        return self.apply()

    def apply(self) -> Floats:
        kernels.prepare(self.mean, self.variance, self.vector(EPSILON), self.gamma, self.affine)
        kernels.normalize(self.x, self.affine, self.windows, self.y, self.winners)
        return self.y

    def backward(
        self, gradient: Floats, *, fixed: bool = False, in_place: bool = False
    ) -> tuple[Floats, Floats, Floats]:
        """Return the gradients of x, gamma and beta."""
        gamma, beta = np.zeros((2, *self.gamma.shape), self.x.dtype)
        kernels.parameter_gradients(gradient, self.winners, self.affine, gamma, beta)
        below = self.x if in_place else np.full_like(self.x, np.nan)
        through = (np.zeros_like(gamma),) * 2 if fixed else (gamma, beta)
        kernels.input_gradient(
            gradient, self.winners, self.x, self.affine, *through, self.windows, below
        )
        return below, gamma, beta


def draw(shape: tuple[int, ...], pool: int, learners: int = 3, dtype: type = np.float64) -> Norm:
    random = np.random.default_rng(shape[0])
    x = 2.0 + random.standard_normal((learners, *shape))
    gamma, beta = random.standard_normal((2, learners, shape[-1]))
    return Norm(x.astype(dtype), gamma.astype(dtype), beta.astype(dtype), pool)


def upstream(norm: Norm) -> Floats:
    values = np.empty(norm.y.shape, norm.x.dtype)
    values[...] = np.random.default_rng(7).standard_normal(norm.y.shape)
    return values


def formula(
    x: Floats, gamma: Floats, beta: Floats, pool: int, moments: tuple[Floats, Floats] | None = None
) -> Floats:
    """y by the definition; with the batch's own moments where none are given."""
    per_channel = (slice(None), None, None, None)
    slopes, epsilon = (np.array(v)[: len(x), None, None, None, None] for v in (SLOPES, EPSILON))
    mean, variance = moments or (x.mean((1, 2, 3)), x.var((1, 2, 3)))
    v = (x - mean[per_channel]) / np.sqrt(variance[per_channel] + epsilon)
    v = v * gamma[per_channel] + beta[per_channel]
    v = np.where(v > 0, v, slopes * v)
    learners, images, height, width, channels = x.shape
    rows, columns = height // pool, width // pool
    v = v[:, :, : rows * pool, : columns * pool]
    return np.asarray(v.reshape(learners, images, rows, pool, columns, pool, channels).max((3, 5)))


@every_case
def test_follows_the_formula(shape: tuple[int, ...], pool: int) -> None:
    norm = draw(shape, pool)
    np.testing.assert_allclose(
        norm.forward(), formula(norm.x, norm.gamma, norm.beta, pool), atol=1e-12
    )


@every_case
def test_running_statistics_move_towards_the_batch(shape: tuple[int, ...], pool: int) -> None:
    norm = draw(shape, pool)
    norm.forward()
    momentum = np.array(MOMENTUM)[:, None]
    axes = (1, 2, 3)
    mean = 1 + momentum * (norm.x.mean(axes) - 1)
    variance = 1 + momentum * (norm.x.var(axes, ddof=1) - 1)
    np.testing.assert_allclose(norm.running_mean, mean, atol=1e-12)
    np.testing.assert_allclose(norm.running_variance, variance, atol=1e-12)


@every_case
@pytest.mark.parametrize("fixed", [False, True], ids=["batch-moments", "fixed-moments"])
def test_gradients_are_the_slopes(shape: tuple[int, ...], pool: int, fixed: bool) -> None:
    norm = draw(shape, pool)
    norm.forward()
    moments = (norm.mean.copy(), norm.variance.copy()) if fixed else None
    above = upstream(norm)
    point = {"x": norm.x, "gamma": norm.gamma, "beta": norm.beta}
    for name, gradient in zip(point, norm.backward(above, fixed=fixed), strict=True):

        def loss(value: Floats, name: str = name) -> Floats:
            at = point | {name: value}
            y = formula(at["x"], at["gamma"], at["beta"], pool, moments)
            return np.asarray((above * y).reshape(len(y), -1).sum(1))

        check_gradient(loss, point[name], gradient)


@every_case
def test_the_gradient_may_overwrite_the_input(shape: tuple[int, ...], pool: int) -> None:
    apart, in_place = draw(shape, pool), draw(shape, pool)
    apart.forward()
    in_place.forward()
    above = upstream(apart)
    want = apart.backward(above)[0]
    assert in_place.backward(above, in_place=True)[0].tobytes() == want.tobytes()


@every_case
def test_a_learner_of_three_is_bitwise_the_one_alone(shape: tuple[int, ...], pool: int) -> None:
    # Only the first learner: the numbers of the others differ from a stack of one.
    three = draw(shape, pool, dtype=np.float32)
    one = Norm(three.x[:1].copy(), three.gamma[:1].copy(), three.beta[:1].copy(), pool)
    above = upstream(three)
    together = (three.forward(), *three.backward(above))
    alone = (one.forward(), *one.backward(above[:1].copy()))
    for stacked, single in zip(together, alone, strict=True):
        assert stacked[0].tobytes() == single[0].tobytes()


def test_a_large_mean_costs_no_digits() -> None:
    norm = draw((32, 8, 8, 4), 1, dtype=np.float32)
    norm.x[...] = 4096 + norm.x.round(3)
    norm.forward()
    exact = norm.x.astype(np.float64)
    np.testing.assert_allclose(norm.variance, exact.var((1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(norm.mean, exact.mean((1, 2, 3)), rtol=1e-7)


def test_among_equals_the_first_of_a_window_wins() -> None:
    norm = draw((1, 2, 2, 1), 2, learners=1)
    norm.x[...] = np.array([[1.0, 5.0], [5.0, 2.0]]).reshape(norm.x.shape)
    norm.mean[...], norm.variance[...] = 0, 1
    norm.gamma[...], norm.beta[...] = 1, 0
    norm.apply()
    below, _, _ = norm.backward(np.ones_like(norm.y), fixed=True)
    assert (below.reshape(2, 2) != 0).tolist() == [[False, True], [False, False]]


def test_a_nan_stays_one() -> None:
    norm = draw((2, 2, 2, 3), 2, learners=1)
    norm.x[0, 1, 1, 0, 1] = np.nan
    assert np.isnan(norm.forward()).any((0, 1, 2, 3)).tolist() == [False, True, False]
