"""Pooling against its definition, and the regions of fractional max-pooling."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from layer_cases import LayerCase, bind, draw, predict, train

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.nn.inference import outputs_of
from ensemble_pipe.nn.kernels.window import Padding
from ensemble_pipe.nn.layers import (
    AveragePool,
    Dense,
    Flatten,
    FractionalMaxPool,
    GlobalAveragePool,
    Layer,
    MaxPool,
)
from ensemble_pipe.nn.layers.fractional_pooling import draw_regions
from ensemble_pipe.nn.network import Network

NO_ROWS = np.zeros((3, 0))
WINDOWS: list[tuple[int, int | None, Padding, int, int]] = [
    # size, stride, padding and the outputs of 7 rows and 5 columns
    (1, None, "valid", 7, 5),
    (2, None, "valid", 3, 2),
    (2, None, "same", 4, 3),
    (3, 1, "same", 7, 5),
    (3, 2, "valid", 3, 2),
    (3, 2, "same", 4, 3),
    (2, 3, "valid", 2, 2),
    (2, 3, "same", 3, 2),
    (5, 4, "same", 2, 2),
    (9, 3, "same", 3, 2),
]


def pooled(
    inputs: Floats, size: int, stride: int, padding: Padding, mean: Callable[..., Floats]
) -> Floats:
    """Pool images (M, N, H, W, C) as the definition says: windows of NaN-padded images."""
    outputs = []
    for axis in (2, 3):
        length = inputs.shape[axis]
        count = -(-length // stride) if padding == "same" else (length - size) // stride + 1
        missing = max((count - 1) * stride + size - length, 0) if padding == "same" else 0
        outputs.append((count, missing // 2))
    (rows, top), (columns, left) = outputs
    wide = np.pad(
        inputs, [(0, 0), (0, 0), (top, size), (left, size), (0, 0)], constant_values=np.nan
    )
    result = np.empty((*inputs.shape[:2], rows, columns, inputs.shape[-1]))
    for i, j in np.ndindex(rows, columns):
        y, x = i * stride, j * stride
        result[:, :, i, j] = mean(wide[:, :, y : y + size, x : x + size], axis=(2, 3))
    return result


@pytest.mark.parametrize(("size", "stride", "padding", "rows", "columns"), WINDOWS)
@pytest.mark.parametrize(
    ("kind", "mean"), [(MaxPool, np.nanmax), (AveragePool, np.nanmean)], ids=["max", "average"]
)
def test_pools_what_each_window_sees_of_the_image(
    kind: type[MaxPool | AveragePool],
    mean: Callable[..., Floats],
    size: int,
    stride: int | None,
    padding: Padding,
    rows: int,
    columns: int,
) -> None:
    layer = kind(size=size, stride=stride, padding=padding)
    case = LayerCase((layer,), (7, 5, 3), (rows, columns, 3))
    inputs = case.inputs(3, 4, kind=np.float64)
    expected = pooled(inputs, size, stride or size, padding, mean)
    assert case.chain.output_shape == case.output_shape
    np.testing.assert_allclose(predict(case, NO_ROWS, inputs), expected, rtol=1e-13)


def test_global_average_pool_is_the_mean_over_pixels() -> None:
    case = LayerCase((GlobalAveragePool(),), (7, 5, 3), (3,))
    inputs = case.inputs(3, 4, kind=np.float64)
    np.testing.assert_allclose(predict(case, NO_ROWS, inputs), inputs.mean(axis=(2, 3)))


@pytest.mark.parametrize(
    "layer",
    [MaxPool(), MaxPool(size=3, stride=1), AveragePool(padding="same"), FractionalMaxPool()],
    ids=lambda layer: str(layer.name),
)
def test_pooling_passes_on_exactly_the_gradient_that_it_gets(layer: Layer) -> None:
    case = LayerCase((layer,), (6, 6, 2), layer.output_shape((6, 6, 2)))
    above = draw(3, 4, *case.output_shape)
    below = train(case, NO_ROWS, case.inputs(3, 4, kind=np.float64), above).below
    np.testing.assert_allclose(below.sum(axis=(2, 3)), above.sum(axis=(2, 3)), rtol=1e-10)


@pytest.mark.parametrize("place", list(np.ndindex(2, 2)), ids=str)
def test_max_pool_shows_what_is_not_a_number(place: tuple[int, int]) -> None:
    case = LayerCase((MaxPool(),), (2, 2, 1), (1, 1, 1))
    inputs = case.inputs(3, 1)
    inputs[:, :, *place] = np.nan
    assert np.isnan(predict(case, NO_ROWS, inputs)).all()


def test_max_pool_gives_the_gradient_of_a_tie_to_the_first() -> None:
    case = LayerCase((MaxPool(),), (2, 2, 1), (1, 1, 1))
    below = train(case, NO_ROWS, np.ones((3, 1, 2, 2, 1)), np.ones((3, 1, 1, 1, 1))).below
    assert below[0].ravel().tolist() == [1, 0, 0, 0]


sequences = pytest.mark.parametrize("sequence", ["random", "pseudorandom"])
overlaps = pytest.mark.parametrize("overlapping", [False, True], ids=["disjoint", "overlapping"])


def fractional(**changes: object) -> FractionalMaxPool:
    return FractionalMaxPool(**changes)  # type: ignore[arg-type]


@sequences
@overlaps
@examples(max_examples=60, deadline=None)
@given(size=st.integers(2, 60), ratio=st.floats(1.01, 1.99), seed=st.integers(0, 10**6))
def test_regions_cover_the_input_in_steps_of_one_and_two(
    sequence: str, overlapping: bool, size: int, ratio: float, seed: int
) -> None:
    layer = fractional(ratio=ratio, sequence=sequence, overlapping=overlapping)
    count = int(size / ratio)
    try:
        assert layer.output_shape((size, size, 1)) == (count, count, 1)
    except ValueError:
        total = size - overlapping
        assert not 0 < count <= total <= 2 * count
        return
    regions = draw_regions(layer, np.random.default_rng(seed), size, count)
    assert regions.shape == (count, 2)
    assert regions[0, 0] == 0
    assert regions[-1, 1] == size
    assert (regions[1:, 0] == regions[:-1, 1] - overlapping).all()
    lengths = np.diff(regions).ravel() - overlapping
    assert set(lengths.tolist()) <= {1, 2}


@sequences
@overlaps
def test_training_and_prediction_pool_the_regions_drawn(sequence: str, overlapping: bool) -> None:
    layer = fractional(ratio=1.5, sequence=sequence, overlapping=overlapping)
    case = LayerCase((layer,), (12, 12, 2), (8, 8, 2))
    inputs = case.inputs(3, 2, kind=np.float64)
    bound = bind(case, NO_ROWS, 2)
    outputs = bound.forward(inputs, 0)
    pool = bound.layers[0].pool  # type: ignore[attr-defined]
    for m, i, j in np.ndindex(3, 8, 8):
        (top, bottom), (left, right) = pool.rows[m, i], pool.columns[m, j]
        region = inputs[m, :, top:bottom, left:right]
        np.testing.assert_array_equal(outputs[m, :, i, j], region.max(axis=(1, 2)))


def test_random_steps_come_in_every_order() -> None:
    layer = fractional(ratio=1.5, sequence="random", overlapping=False)
    random = np.random.default_rng(0)
    edges = {tuple(draw_regions(layer, random, 6, 4)[:, 0]) for _ in range(200)}
    assert len(edges) == 6  # two steps of 2 among four


def test_pseudorandom_steps_are_spread_evenly() -> None:
    layer = fractional(ratio=1.5, sequence="pseudorandom", overlapping=False)
    random = np.random.default_rng(0)
    steps = {tuple(np.diff(draw_regions(layer, random, 6, 4)).ravel()) for _ in range(200)}
    assert steps == {(1, 2, 1, 2), (2, 1, 2, 1)}


def test_a_prediction_is_the_mean_of_its_passes() -> None:
    network = Network((9, 9, 1), [fractional(ratio=1.5, test_draws=5), Flatten(), Dense(units=3)])
    assert network.test_draws == 5
    rows = np.stack([network.initialize(1, m) for m in range(2)])
    table = draw(10, 9, 9, 1).astype(np.float32)

    def read(start: int, stop: int, out: Floats) -> None:
        out[:] = table[start:stop]

    outputs = outputs_of(network, rows, read, 10)
    assert outputs.tobytes() == outputs_of(network, rows, read, 10).tobytes()
    bound = network.bind(rows, 10)
    passes = [bound.forward(table, number).copy() for number in range(5)]
    assert len({values.tobytes() for values in passes}) > 1
    np.testing.assert_allclose(outputs, np.mean(passes, axis=0), rtol=1e-5, atol=1e-6)


def test_every_learner_predicts_with_the_same_regions() -> None:
    case = LayerCase((fractional(ratio=1.4),), (20, 20, 1), (14, 14, 1))
    outputs = predict(case, NO_ROWS, case.inputs(1, 2))
    assert outputs[0].tobytes() == outputs[1].tobytes() == outputs[2].tobytes()
