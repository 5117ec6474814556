"""Predictions with dropout: one mask for every row, and a mean that is the plain prediction's."""

import numpy as np
import pytest

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.seeds import Draws, Purpose
from ensemble_pipe.nn.inference import CHUNK_ROWS, outputs_of, sampled_outputs_of
from ensemble_pipe.nn.layers.dense import Dense
from ensemble_pipe.nn.layers.dropout import DropConnect, Dropout
from ensemble_pipe.nn.network import Network

ROWS = CHUNK_ROWS + 30
INPUTS = np.random.default_rng(1).standard_normal((ROWS, 12)).astype(np.float32)
DROPPING = {
    "inverted": (Dropout(rate=0.3), Dense(units=3)),
    "classic": (Dropout(rate=0.3, form="classic"), Dense(units=3)),
    "weights": (DropConnect(units=3, rate=0.3),),
}
every_kind = pytest.mark.parametrize("kind", DROPPING)


def read(start: int, stop: int, out: Floats) -> None:
    out[:] = INPUTS[start:stop]


def passes(network: Network, row: Floats, numbers: range, learner: int = 0) -> Floats:
    draws = Draws(7, Purpose.MC_DROPOUT, [learner])
    sampled = [sampled_outputs_of(network, row, read, ROWS, draws, n)[0] for n in numbers]
    return np.stack(sampled)


def network_of(kind: str) -> tuple[Network, Floats]:
    network = Network((12,), DROPPING[kind])
    return network, network.initialize(1, 0)


@every_kind
def test_the_mean_of_many_passes_is_the_plain_prediction(kind: str) -> None:
    """All layers here are linear, so the mean network is the mean of networks."""
    network, row = network_of(kind)
    assert network.drops
    plain = outputs_of(network, row[None], read, ROWS)[0]
    many = passes(network, row, range(400))
    error = many.std(axis=0) / np.sqrt(400)
    assert (np.abs(many.mean(axis=0) - plain) < 5 * error + 1e-5).all()


@every_kind
def test_a_pass_is_one_linear_function_of_the_rows(kind: str) -> None:
    """The same units are dropped for every row: else a line of rows would not stay a line."""
    network, row = network_of(kind)
    (outputs,) = passes(network, row, range(1))
    design = np.column_stack([INPUTS, np.ones(ROWS, np.float32)]).astype(np.float64)
    residual = outputs - design @ np.linalg.lstsq(design, outputs.astype(np.float64))[0]
    assert np.abs(residual).max() < 1e-4


@every_kind
def test_passes_and_learners_have_draws_of_their_own(kind: str) -> None:
    network, row = network_of(kind)
    own = [*passes(network, row, range(3)), *passes(network, row, range(3), learner=1)]
    assert len({outputs.tobytes() for outputs in own}) == 6
    again = passes(network, row, range(2, 3))
    assert again[0].tobytes() == own[2].tobytes()


def test_a_network_that_drops_nothing_says_so() -> None:
    assert not Network((12,), (Dropout(rate=0.0), Dense(units=3))).drops
