"""A training step allocates nothing that grows with the batch."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from layer_cases import CASES, LayerCase, bind, draw

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.seeds import Draws, Purpose
from ensemble_pipe.nn.layers import Dense, Dropout, Flatten, LayerNorm, Residual, SiLU
from ensemble_pipe.nn.losses import CrossEntropy, GaussianNLL, Loss, SquaredError, numbers_of
from ensemble_pipe.nn.network import Network
from ensemble_pipe.nn.networks import Mlp
from ensemble_pipe.optim import SGD, Adam, Rule, Segment, StackedRule

pytestmark = pytest.mark.slow

SMALL, LARGE = 32, 512
# What Python itself may take more or less of in a step: views, tuples, numbers.
SLACK_BYTES = 2048


def peak_bytes(step: Callable[[], object]) -> int:
    """Return the most memory that a step holds beyond what was held before it."""
    step()  # compiles kernels and fills caches
    tracemalloc.start()
    try:
        step()
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        step()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak - before


def check(step_of: Callable[[int], Callable[[], object]]) -> None:
    small, large = (peak_bytes(step_of(batch_rows)) for batch_rows in (SMALL, LARGE))
    assert abs(large - small) <= SLACK_BYTES


@pytest.mark.parametrize("training", [True, False], ids=["training", "prediction"])
@pytest.mark.parametrize("shared", [False, True], ids=["own", "shared"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_pass_through_a_layer_allocates_nothing_that_grows_with_the_batch(
    case: LayerCase, shared: bool, training: bool
) -> None:
    def step_of(batch_rows: int) -> Callable[[], None]:
        rows = case.rows(3)
        gradients = np.zeros((3, case.layout.trainable), np.float32) if training else None
        bound = bind(case, rows, batch_rows, gradients)
        inputs = case.inputs(1 if shared else 3, batch_rows)
        above = draw(3, batch_rows, *case.output_shape).astype(np.float32)

        def step() -> None:
            bound.forward(inputs, 0)
            if training:
                bound.backward(above)

        return step

    check(step_of)


NETWORKS: dict[str, tuple[Network, Loss]] = {
    "flat": (Mlp(hidden=(33, 17)).build((13,), 10), CrossEntropy()),
    "image": (Mlp(hidden=(33,), activation="tanh").build((5, 5, 3), 1), SquaredError()),
    "random": (
        Network(
            (5, 5, 3),
            [
                Flatten(),
                Dropout(rate=0.2),
                Dense(units=33),
                Residual(layers=(LayerNorm(), SiLU(), Dense(units=33)), survival=0.8),
                Dropout(rate=0.5, form="classic"),
                Dense(units=2),
            ],
        ),
        GaussianNLL(),
    ),
}


def targets_of(loss: Loss, batch_rows: int, outputs: int) -> Array:
    random = np.random.default_rng(0)
    if loss.task == "classification":
        return random.integers(0, outputs, (3, batch_rows)).astype(np.int32)
    return random.standard_normal((3, batch_rows)).astype(np.float32)


@pytest.mark.parametrize("shared", [False, True], ids=["own", "shared"])
@pytest.mark.parametrize("rule", [SGD(), Adam(clip_norm=1.0)], ids=["sgd", "adam"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_allocates_nothing_that_grows_with_the_batch(
    name: str, rule: Rule, shared: bool
) -> None:
    network, loss = NETWORKS[name]
    numbers = numbers_of([loss] * 3)

    def step_of(batch_rows: int) -> Callable[[], None]:
        rows = np.stack([network.initialize(1, m) for m in range(3)])
        gradients = np.zeros((3, network.layout.trainable), np.float32)
        slots = {slot: np.zeros_like(gradients) for slot in rule.slots}
        stack = StackedRule([rule] * 3, slots, [Segment(0, network.layout.trainable)])
        draws = Draws(1, Purpose.LAYER, range(3))
        bound = network.bind(rows, batch_rows, gradients, draws=draws)
        lead = (batch_rows,) if shared else (3, batch_rows)
        inputs = draw(*lead, *network.input_shape).astype(np.float32)
        targets = targets_of(loss, batch_rows, network.outputs)
        weights = np.ones((3, batch_rows), np.float32)
        above = np.zeros((3, batch_rows, network.outputs), np.float32)
        losses, rate = np.zeros(3), stack.learning_rates * np.full(3, 1e-3)

        def step() -> None:
            outputs = bound.forward(inputs, 0)
            loss.evaluate(outputs, targets, weights, numbers, above, losses)
            bound.backward(above)
            stack.step(rows, gradients, rate, 0)

        return step

    check(step_of)


def test_the_measurement_sees_one_array_of_a_batch() -> None:
    with pytest.raises(AssertionError):
        check(lambda batch_rows: lambda: np.zeros((3, batch_rows, 1), np.float32).sum())
