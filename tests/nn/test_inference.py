"""Inference: the same bits for a row, whatever is asked for around it."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_pipe.core.arrays import Floats, Read
from ensemble_pipe.nn.inference import CHUNK_ROWS, outputs_of
from ensemble_pipe.nn.layers import BatchNorm, Dense, Dropout, Embedding, LeakyReLU, ReLU
from ensemble_pipe.nn.layers.embedding import CategoricalColumn
from ensemble_pipe.nn.network import Network
from ensemble_pipe.nn.networks import (
    Cnn,
    LinearModel,
    Mlp,
    ResNet,
    SeparableCnn,
    Sequential,
    WideAndDeep,
)

ROWS = 2 * CHUNK_ROWS + 89
TABLES = Embedding(columns=(CategoricalColumn(column=1, categories=4, dimension=3),))
NETWORKS = {
    "flat": Mlp(hidden=(9, 5)).build((13,), 3),
    "image": Mlp(hidden=(33,), activation="tanh").build((5, 5, 1), 10),
    "one-output": Mlp(hidden=(17,)).build((7,), 1),
    "linear": LinearModel(initializer="he_normal").build((3,), 2),
    "leaky": Mlp(hidden=(19, 70), activation="leaky_relu", dropout=0.2).build((6,), 17),
    "classic dropout": Network(
        (6,), [Dense(units=9), ReLU(), Dropout(form="classic"), Dense(units=3)]
    ),
    "activation on its own": Network((6,), [ReLU(), Dense(units=3)]),
    "wide and deep": WideAndDeep(hidden=(9,)).build((6,), 3),
    "tables": Sequential(layers=(TABLES, Dense(units=9), BatchNorm(), LeakyReLU())).build((5,), 3),
    "cnn": Cnn(filters=(16, 32), hidden=(9,)).build((8, 8, 1), 3),
    "separable cnn": SeparableCnn(filters=(5, 7), hidden=(9,)).build((8, 8, 1), 3),
    "resnet": ResNet(filters=(4, 8), blocks=1).build((8, 8, 3), 3),
}
every_network = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)


def table_of(network: Network) -> Floats:
    shape = (ROWS, *network.input_shape)
    return np.random.default_rng(3).standard_normal(shape).astype(np.float32)


def stack_of(network: Network, members: int = 4) -> Floats:
    return np.stack([network.initialize(5, m) for m in range(members)])


def reader(table: Floats, offset: int = 0) -> Read:
    def read(start: int, stop: int, out: Floats) -> None:
        out[:] = table[offset + start : offset + stop]

    return read


@every_network
@pytest.mark.parametrize("count", [1, 2, CHUNK_ROWS - 1, CHUNK_ROWS, CHUNK_ROWS + 1, ROWS])
def test_a_row_has_the_same_bits_whatever_the_count(network: Network, count: int) -> None:
    table, rows = table_of(network), stack_of(network)
    full = outputs_of(network, rows, reader(table), ROWS)
    part = outputs_of(network, rows, reader(table), count)
    assert part.tobytes() == full[:, :count].tobytes()


@every_network
@pytest.mark.parametrize("offset", [1, 7, 100, CHUNK_ROWS - 1, CHUNK_ROWS, CHUNK_ROWS + 3])
def test_a_row_has_the_same_bits_wherever_it_stands_in_a_chunk(
    network: Network, offset: int
) -> None:
    table, rows = table_of(network), stack_of(network)
    full = outputs_of(network, rows, reader(table), ROWS)
    later = outputs_of(network, rows, reader(table, offset), ROWS - offset)
    assert later.tobytes() == full[:, offset:].tobytes()


@every_network
def test_members_have_the_same_bits_together_and_alone(network: Network) -> None:
    table, rows = table_of(network), stack_of(network)
    together = outputs_of(network, rows, reader(table), ROWS)
    for m in range(len(rows)):
        alone = outputs_of(network, rows[m : m + 1], reader(table), ROWS)
        assert alone[0].tobytes() == together[m].tobytes()


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_any_window_and_any_members_give_the_same_bits(data: st.DataObject) -> None:
    network = NETWORKS["flat"]
    table, rows = table_of(network), stack_of(network)
    full = outputs_of(network, rows, reader(table), ROWS)
    offset = data.draw(st.integers(0, ROWS - 1))
    count = data.draw(st.integers(1, ROWS - offset))
    members = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))
    part = outputs_of(network, rows[members], reader(table, offset), count)
    assert part.tobytes() == full[members, offset : offset + count].tobytes()


@every_network
def test_outputs_are_those_of_one_product_to_rounding(network: Network) -> None:
    table, rows = table_of(network), stack_of(network)
    expected = network.bind(rows.astype(np.float64), ROWS).forward(table.astype(np.float64))
    outputs = outputs_of(network, rows, reader(table), ROWS)
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)


def test_outputs_are_float32_of_members_rows_and_outputs() -> None:
    network = NETWORKS["flat"]
    outputs = outputs_of(network, stack_of(network), reader(table_of(network)), 5)
    assert outputs.shape == (4, 5, 3)
    assert outputs.dtype == np.float32


def test_no_rows_give_no_outputs() -> None:
    network = NETWORKS["flat"]
    outputs = outputs_of(network, stack_of(network), reader(table_of(network)), 0)
    assert outputs.shape == (4, 0, 3)


@pytest.mark.parametrize("count", [1, CHUNK_ROWS, ROWS])
def test_every_row_is_read_once_and_in_order(count: int) -> None:
    network = NETWORKS["flat"]
    table = table_of(network)
    asked: list[tuple[int, int]] = []

    def read(start: int, stop: int, out: Floats) -> None:
        assert out.shape == (stop - start, 13)
        asked.append((start, stop))
        out[:] = table[start:stop]

    outputs_of(network, stack_of(network), read, count)
    assert asked[0][0] == 0
    assert asked[-1][1] == count
    assert all(before[1] == after[0] for before, after in pairwise(asked))


def test_rows_of_parameters_may_be_a_strided_view() -> None:
    network = NETWORKS["flat"]
    table, rows = table_of(network), stack_of(network)
    strided = outputs_of(network, rows[::2], reader(table), 5)
    assert strided.tobytes() == outputs_of(network, rows[::2].copy(), reader(table), 5).tobytes()


@every_network
def test_outputs_are_those_of_the_layers_one_by_one_bit_for_bit(network: Network) -> None:
    table, rows = table_of(network), stack_of(network)
    outputs = outputs_of(network, rows, reader(table), ROWS)
    for m in range(len(rows)):
        bound = network.bind(rows[m : m + 1].copy(), ROWS, row_products=True)
        assert outputs[m].tobytes() == bound.forward(table)[0].tobytes()


@pytest.mark.parametrize("name", ["leaky", "classic dropout", "resnet"])
def test_each_learner_has_its_own_numbers(name: str) -> None:
    network = NETWORKS[name]
    table, rows = table_of(network), np.repeat(stack_of(network, 1), 3, axis=0)
    field, value = next(iter(network.values.items()))
    numbers = {field: np.array([0.1, 0.9, value])}
    own = outputs_of(network, rows, reader(table), ROWS, numbers)
    assert len({outputs.tobytes() for outputs in own}) == (
        1 if name == "leaky" and "rate" in field else 3
    )
    for m in range(3):
        alone = {field: numbers[field][m : m + 1]}
        assert (
            outputs_of(network, rows[:1], reader(table), ROWS, alone)[0].tobytes()
            == own[m].tobytes()
        )
    # Without numbers the network's own count, whatever was computed before.
    assert outputs_of(network, rows[:1], reader(table), ROWS)[0].tobytes() == own[2].tobytes()


@pytest.mark.parametrize("name", ["flat", "wide and deep"])
def test_masked_members_see_masked_inputs(name: str) -> None:
    network = NETWORKS[name]
    table, rows = table_of(network), stack_of(network, 3)
    mask = (np.arange(network.input_shape[0]) % 2).astype(np.float32)
    outputs = outputs_of(network, rows, reader(table), ROWS, masks=[None, mask, None])
    plain = outputs_of(network, rows, reader(table), ROWS)
    masked = outputs_of(network, rows, reader(table * mask), ROWS)
    expected = np.stack([plain[0], masked[1], plain[2]])
    assert outputs.tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", ["flat", "wide and deep"])
def test_inputs_that_are_read_piece_by_piece_give_the_same_bits(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = NETWORKS[name]
    table, rows = table_of(network), stack_of(network)
    whole = outputs_of(network, rows, reader(table), ROWS)
    monkeypatch.setattr("ensemble_pipe.nn.inference.READ_BYTES", 1)
    assert outputs_of(network, rows, reader(table), ROWS - 1).tobytes() == whole[:, :-1].tobytes()


@pytest.mark.parametrize("name", ["flat", "cnn"])
def test_threads_do_not_share_what_they_compute_with(name: str) -> None:
    network = NETWORKS[name]
    table, rows = table_of(network), stack_of(network)
    expected = outputs_of(network, rows, reader(table), ROWS).tobytes()
    with ThreadPoolExecutor(4) as pool:
        tasks = [pool.submit(outputs_of, network, rows, reader(table), ROWS) for _ in range(8)]
        assert all(task.result().tobytes() == expected for task in tasks)


def test_what_is_no_number_or_overflows_goes_through_as_in_the_layers() -> None:
    network = NETWORKS["flat"]
    rows, table = stack_of(network, 1), table_of(network)
    table[0, 0], table[1], table[2] = np.nan, 3e38, -3e38
    with np.errstate(all="ignore"):
        outputs = outputs_of(network, rows, reader(table), ROWS)[0]
        alone = network.bind(rows, ROWS, row_products=True).forward(table)[0]
    assert np.isnan(outputs[0]).all()
    np.testing.assert_array_equal(outputs, alone)
