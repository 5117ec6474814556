"""A training step allocates nothing that grows with the batch."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from ensemble_pipe.nn.losses import LOSSES
from ensemble_pipe.nn.networks import Mlp
from ensemble_pipe.optim import SGD, Adam, Rule
from ensemble_pipe.optim.rules import Stacked

SMALL, LARGE = 64, 1024
# What Python itself may take more or less of in a step: views, tuples, numbers.
SLACK_BYTES = 1024


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


def training_step(
    mlp: Mlp, shape: tuple[int, ...], rule: Rule, loss: str, batch_rows: int, *, shared: bool
) -> Callable[[], None]:
    outputs = 1 if loss == "squared_error" else 10
    network = mlp.build(shape, outputs)
    rows = np.stack([network.initialize(1, m) for m in range(3)])
    gradients = np.zeros_like(rows)
    bound = network.bind(rows, batch_rows, gradients)
    stack = Stacked([rule] * 3, {name: np.zeros_like(rows) for name in rule.slots})
    random = np.random.default_rng(0)
    lead = (batch_rows,) if shared else (3, batch_rows)
    inputs = random.standard_normal((*lead, *shape)).astype(np.float32)
    kind = np.float32 if loss == "squared_error" else np.int32
    targets = random.integers(0, outputs, (3, batch_rows)).astype(kind)
    output_gradient = np.zeros((3, batch_rows, outputs), np.float32)
    losses = np.zeros(3)
    factors = np.ones(3)

    def step() -> None:
        LOSSES[loss](bound.forward(inputs), targets, output_gradient, losses)
        bound.backward(output_gradient)
        stack.step(rows, gradients, stack.rate(factors), 0)

    return step


@pytest.mark.parametrize("shared", [False, True], ids=["own", "shared"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("rule", [SGD(), Adam()], ids=["sgd", "adam"])
@pytest.mark.parametrize(
    ("mlp", "shape"),
    [(Mlp(hidden=(33, 17)), (13,)), (Mlp(hidden=(33,), activation="tanh"), (5, 5, 3))],
    ids=["flat", "image"],
)
def test_a_step_allocates_nothing_that_grows_with_the_batch(
    mlp: Mlp, shape: tuple[int, ...], rule: Rule, loss: str, shared: bool
) -> None:
    small, large = (
        peak_bytes(training_step(mlp, shape, rule, loss, batch_rows, shared=shared))
        for batch_rows in (SMALL, LARGE)
    )
    assert abs(large - small) <= SLACK_BYTES


def test_the_measurement_sees_one_array_of_a_batch() -> None:
    assert peak_bytes(lambda: np.zeros((LARGE, 1), np.float32).sum()) > SLACK_BYTES
