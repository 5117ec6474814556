"""Mixing of batches: which rows meet, in what shares, and what that does to their loss."""

import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest

from ensemble_pipe.core import seeds
from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.data.augment.mixing import MIXINGS, CutMix, Mixing, Mixup, mix
from ensemble_pipe.nn.losses import BinaryCrossEntropy, CrossEntropy, Loss, SquaredError, numbers_of

STRONG: dict[str, Mixing] = {
    "mixup": Mixup(alpha=1, probability=1),
    "cutmix": CutMix(alpha=1, probability=1),
}
SHAPE = (8, 6, 2)
NO_CODES = np.zeros(0, np.int64)

Arrays = tuple[Floats, Floats, Floats]  # inputs, targets and weights

each = pytest.mark.parametrize("name", MIXINGS)


def at(step: int = 0, learner: int = 0) -> np.random.Generator:
    return seeds.generator(1, seeds.Purpose.AUGMENT, learner=learner, step=step)


def batch(rows: int, shape: tuple[int, ...] = SHAPE, classes: int = 3) -> Arrays:
    """Inputs (N, *shape), targets (N, C) of one class each, weights (N,)."""
    random = np.random.default_rng(rows)
    inputs = random.standard_normal((rows, *shape)).astype(np.float32)
    inputs[inputs < -1] = -0.0
    targets = np.eye(classes, dtype=np.float32)[random.integers(0, classes, rows)]
    return inputs, targets, random.uniform(0, 2, rows).astype(np.float32)


def mixed(
    mixing: Mixing, arrays: Arrays, random: np.random.Generator, codes: Sequence[int] = ()
) -> Arrays:
    """Return the arrays after mixing; those given stay."""
    inputs, targets, weights = (array.copy() for array in arrays)
    scratch = np.full_like(inputs, np.nan)
    mix(mixing, inputs, targets, weights, random, scratch, np.array(codes, np.int64))
    return inputs, targets, weights


def parts(mixing: Mixing, rows: int, random: np.random.Generator) -> Array:
    """Return (N, N): how much each mixed row (first axis) has of each row (second axis).

    Row n is 1 in channel n and 0 in the others, and so is its target: both must tell the same.
    """
    identity = np.eye(rows, dtype=np.float32)
    inputs = np.broadcast_to(identity[:, None, None], (rows, 8, 6, rows)).copy()
    arrays = (inputs, identity, np.ones(rows, np.float32))
    inputs, targets, weights = mixed(mixing, arrays, random)
    assert np.allclose(inputs.mean((1, 2)), targets, rtol=0, atol=1e-6)
    assert np.allclose(weights, 1)
    return targets


def test_every_mixing_is_tested() -> None:
    assert {name: type(mixing) for name, mixing in STRONG.items()} == MIXINGS
    assert all(mixing.name == name for name, mixing in STRONG.items())


@each
def test_probability_zero_is_the_identity(name: str) -> None:
    arrays = batch(9)
    out = mixed(MIXINGS[name](probability=0), arrays, at())
    assert [a.tobytes() for a in out] == [a.tobytes() for a in arrays]


@each
@pytest.mark.parametrize("rows", [0, 1])
def test_a_row_without_another_stays_as_it_is(name: str, rows: int) -> None:
    arrays = batch(rows)
    for step in range(20):
        out = mixed(STRONG[name], arrays, at(step))
        assert [a.tobytes() for a in out] == [a.tobytes() for a in arrays]


@each
def test_the_same_address_gives_the_same_bits(name: str) -> None:
    arrays = batch(20)
    first = mixed(STRONG[name], arrays, at(step=4))
    again = mixed(STRONG[name], arrays, at(step=4))
    assert [a.tobytes() for a in first] == [a.tobytes() for a in again]
    assert {a.dtype for a in first} == {np.dtype(np.float32)}
    assert not np.array_equal(first[0], mixed(STRONG[name], arrays, at(step=5))[0])


@each
def test_learners_mix_apart_from_each_other(name: str) -> None:
    arrays = batch(20)
    draws = seeds.Draws(1, seeds.Purpose.AUGMENT, [2, 5, 7]).at(3, name)
    together = [mixed(STRONG[name], arrays, random)[0] for random in draws]
    alone = seeds.Draws(1, seeds.Purpose.AUGMENT, [5]).at(3, name)[0]
    assert np.array_equal(together[1], mixed(STRONG[name], arrays, alone)[0])
    assert len({inputs.tobytes() for inputs in together}) == 3


@each
def test_each_row_is_given_to_one_other(name: str) -> None:
    found = parts(STRONG[name], 12, at())
    given = found - np.diag(np.diag(found))
    assert found.sum(1) == pytest.approx(1)
    assert ((given > 0).sum(0) <= 1).all()
    assert ((given > 0).sum(1) <= 1).all()
    assert (given > 0).any()


@each
def test_every_pair_of_rows_meets_equally_often(name: str) -> None:
    rows, turns = 5, 1500
    met = np.mean([parts(STRONG[name], rows, at(step)) > 0 for step in range(turns)], axis=0)
    apart = met[~np.eye(rows, dtype=bool)]
    assert apart == pytest.approx(apart.mean(), abs=0.04)


@pytest.mark.parametrize("probability", [0.25, 1.0])
def test_rows_are_mixed_with_their_probability(probability: float) -> None:
    mixing, rows = Mixup(alpha=5, probability=probability), 10
    kept = np.array([np.diag(parts(mixing, rows, at(step))) for step in range(400)])
    assert (kept < 1).mean() == pytest.approx(probability * (1 - 1 / rows), abs=0.03)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_every_row_has_a_beta_distributed_share_of_its_own(alpha: float) -> None:
    rows = 3000
    inputs = np.arange(rows, dtype=np.float32)[:, None]
    arrays = (inputs, np.ones((rows, 1), np.float32), np.ones(rows, np.float32))
    out = mixed(Mixup(alpha=alpha, probability=1), arrays, at())[0][:, 0].astype(np.float64)
    own, partners = np.arange(rows), at().permutation(rows)
    apart = np.abs(own - partners) > 10
    shares = (out - partners)[apart] / (own - partners)[apart]
    assert shares.mean() == pytest.approx(0.5, abs=0.03)
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.08)
    assert (shares > 1 / 4).mean() == pytest.approx((shares < 3 / 4).mean(), abs=0.04)
    neighbours = np.corrcoef(shares[1:], shares[:-1])[0, 1]
    assert neighbours == pytest.approx(0, abs=0.06)


@each
@pytest.mark.parametrize("loss", [CrossEntropy(), CrossEntropy(smoothing=0.1)], ids=str)
def test_the_loss_of_a_mixed_batch_is_the_mixed_loss(name: str, loss: Loss) -> None:
    classes, rows = 3, 40
    inputs, targets, weights = batch(rows, (8, 6, rows), classes)
    inputs[:] = np.eye(rows)[:, None, None]
    weights[:5] = 0
    out, new_targets, new_weights = mixed(STRONG[name], (inputs, targets, weights), at())
    shares = out.mean((1, 2), dtype=np.float64)
    kept = shares.diagonal()
    others = shares - np.diag(kept)
    partners = np.where(others.any(1), others.argmax(1), np.arange(rows))
    assert new_targets.sum(1) == pytest.approx(1, abs=1e-6)
    assert new_weights == pytest.approx(kept * weights + (1 - kept) * weights[partners], rel=1e-5)

    outputs = np.random.default_rng(8).standard_normal((rows, classes)).astype(np.float32)
    whole = judged(loss, outputs, new_targets, new_weights)
    own = judged(loss, outputs, targets, kept * weights)
    other = judged(loss, outputs, targets[partners], (1 - kept) * weights[partners])
    for found, first, second in zip(whole, own, other, strict=True):
        assert found == pytest.approx(first + second, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("loss", [SquaredError(), BinaryCrossEntropy()], ids=str)
def test_the_gradient_of_one_output_is_mixed_too(loss: Loss) -> None:
    rows = 30
    targets = np.random.default_rng(2).uniform(0, 1, (rows, 1)).astype(np.float32)
    arrays = (np.eye(rows, dtype=np.float32), targets, batch(rows)[2])
    shares, new_targets, new_weights = mixed(Mixup(alpha=1), arrays, at())
    outputs = np.random.default_rng(8).standard_normal((rows, 1)).astype(np.float32)
    found = judged(loss, outputs, new_targets, new_weights)[1]
    expected = sum(
        judged(loss, outputs, np.tile(targets[p], (rows, 1)), shares[:, p] * arrays[2][p])[1]
        for p in range(rows)
    )
    assert found == pytest.approx(expected, abs=1e-6)


def judged(loss: Loss, outputs: Floats, targets: Floats, weights: Floats) -> tuple[Array, Array]:
    """Return the loss (1,) and gradient (N, O) of one learner."""
    gradient, losses = np.empty_like(outputs[None]), np.empty(1)
    numbers = numbers_of([loss])
    weights = weights.astype(np.float32)
    loss.evaluate(outputs[None], targets[None], weights[None], numbers, gradient, losses)
    return losses, gradient[0]


@each
def test_a_pair_without_weight_keeps_its_targets(name: str) -> None:
    inputs, targets, _ = batch(20)
    _, out, weights = mixed(STRONG[name], (inputs, targets, np.zeros(20, np.float32)), at())
    assert np.array_equal(out, targets)
    assert not weights.any()


def test_a_box_is_the_one_of_the_definition() -> None:
    rows, (height, width) = 60, (8, 6)
    out = parts_of_pixels(CutMix(alpha=1, probability=1), rows, height, width, at())
    random = at()
    partners = random.permutation(rows)
    random.random(rows)
    side = np.sqrt(1 - random.beta(1, 1, rows))
    middle_y, middle_x = height * random.random(rows), width * random.random(rows)
    y, x = np.mgrid[:height, :width]
    for n, partner in enumerate(partners):
        tall, wide = int(side[n] * height), int(side[n] * width)
        top, left = np.rint(middle_y[n] - tall / 2), np.rint(middle_x[n] - wide / 2)
        inside = (top <= y) & (y < top + tall) & (left <= x) & (x < left + wide)
        assert np.array_equal(out[n], np.where(inside, partner, n))


def parts_of_pixels(
    mixing: Mixing, rows: int, height: int, width: int, random: np.random.Generator
) -> Array:
    """Return (N, H, W): from which row each pixel comes; its target must have the same shares."""
    inputs = np.empty((rows, height, width, 1), np.float32)
    inputs[:] = np.arange(rows)[:, None, None, None]
    arrays = (inputs, np.eye(rows, dtype=np.float32), np.ones(rows, np.float32))
    out, targets, _ = mixed(mixing, arrays, random)
    pixels = out[..., 0].astype(int)
    assert np.array_equal(pixels, out[..., 0])
    for n in range(rows):
        shares = np.bincount(pixels[n].ravel(), minlength=rows) / (height * width)
        assert np.allclose(shares, targets[n], rtol=0, atol=1e-6)
    return pixels


def test_boxes_reach_every_pixel_and_favour_no_side() -> None:
    rows = 2000
    pixels = parts_of_pixels(CutMix(alpha=1, probability=1), rows, 7, 5, at())
    found = (pixels != np.arange(rows)[:, None, None]).mean(0)
    assert found.min() > 0.1
    assert found == pytest.approx(found[::-1], abs=0.04)
    assert found == pytest.approx(found[:, ::-1], abs=0.04)


def test_a_code_is_that_of_the_row_with_the_larger_share() -> None:
    """The mean of the numbers of two categories is the number of a third."""
    inputs, _, weights = batch(30, (4,))
    inputs[:, 2] = np.arange(30)
    identity = np.eye(30, dtype=np.float32)
    arrays = inputs, identity, np.ones_like(weights)
    blended, shares, _ = mixed(STRONG["mixup"], arrays, at())
    whole, again, _ = mixed(STRONG["mixup"], arrays, at(), codes=[2])
    assert np.array_equal(shares, again)
    assert np.array_equal(np.delete(blended, 2, axis=1), np.delete(whole, 2, axis=1))
    assert not np.array_equal(blended[:, 2], np.rint(blended[:, 2]))
    assert np.array_equal(whole[:, 2], shares.argmax(axis=1))


@each
def test_nothing_is_allocated_that_grows_with_the_images(name: str) -> None:
    arrays = batch(64, (32, 32, 3))
    scratch = np.empty_like(arrays[0])
    mix(STRONG[name], *arrays, at(), scratch, NO_CODES)
    tracemalloc.start()
    try:
        mix(STRONG[name], *arrays, at(), scratch, NO_CODES)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < arrays[0].nbytes / 20


def test_cutmix_refuses_rows_that_are_no_images() -> None:
    with pytest.raises(ValueError, match=r"cutmix is for images, not for rows of shape \(5,\)"):
        mixed(CutMix(), batch(4, (5,)), at())


def test_mixup_takes_rows_of_any_shape() -> None:
    for shape in [(5,), (4, 3, 2)]:
        inputs, targets, weights = batch(6, shape)
        out = mixed(Mixup(alpha=1), (inputs, targets, weights), at())[0]
        flat = mixed(Mixup(alpha=1), (inputs.reshape(6, -1), targets, weights), at())[0]
        assert np.array_equal(out.reshape(6, -1), flat)
