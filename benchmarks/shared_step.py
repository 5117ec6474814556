"""Training steps of a learner whose members share weights, beside PyTorch's, on one core.

    pip install torch==2.13.0        # for comparison only; without it the engine is measured alone
    python benchmarks/shared_step.py

measures TabM's network (k members, form full) with rows of breast_cancer's features, repeated to
the number of features; contestants take turns in one process with one thread, as in `engine.py`,
and rates are those of a CPU second. `over_torch` is the ratio to the fastest of PyTorch's ways to
write the network, compiled ones among them.
"""

import sys
from statistics import median
from typing import Any

import numpy as np
from keeping import publish
from turns import rate_of, turns_parser

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.seeds import Draws, Purpose
from ensemble_pipe.nn.blas import one_thread
from ensemble_pipe.nn.losses import CrossEntropy, numbers_of
from ensemble_pipe.nn.networks import Mlp
from ensemble_pipe.nn.sharing import Form, Sharing, share
from ensemble_pipe.optim import Adam, StackedRule
from ensemble_pipe.training.tensors import segments_of

BATCHES, FEATURES, OUTPUTS = 16, 64, 2


def batches(rows: int) -> tuple[Floats, Array]:
    """Return batches of real rows: inputs (B, N, D) float32, labels (B, N)."""
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    scaled = (data.data - data.data.mean(axis=0)) / data.data.std(axis=0)
    columns = np.resize(np.arange(scaled.shape[1]), FEATURES)
    chosen = np.arange(BATCHES * rows) % len(scaled)
    inputs = scaled[chosen][:, columns].astype(np.float32, order="C")
    labels = data.target[chosen].astype(np.int32)
    return inputs.reshape(BATCHES, rows, FEATURES), labels.reshape(BATCHES, rows)


class EngineStep:
    """Trains a learner by a step at each call."""

    def __init__(
        self, hidden: tuple[int, ...], members: int, form: Form, inputs: Floats, labels: Array
    ) -> None:
        plain = Mlp(hidden=hidden).build((FEATURES,), OUTPUTS)
        network = share(plain, Sharing(members=members, form=form))
        self.rows = network.initialize(1, 0)[None]
        self.gradients = np.zeros((1, network.layout.trainable), np.float32)
        slots = {name: np.zeros_like(self.gradients) for name in Adam.slots}
        self.rule = StackedRule([Adam()], slots, segments_of(network.layout))
        draws = Draws(1, Purpose.LAYER, [0])
        self.bound = network.bind(self.rows, inputs.shape[1], self.gradients, draws=draws)
        self.inputs, self.labels = inputs, np.tile(labels, members)[:, None]
        self.numbers, self.losses = numbers_of([CrossEntropy()]), np.zeros(1)
        count = self.labels.shape[-1]
        self.weights = np.ones((1, count), np.float32)
        self.above = np.zeros((1, count, OUTPUTS), np.float32)
        self.taken = 0

    def __call__(self) -> None:
        batch = self.taken % len(self.inputs)
        outputs = self.bound.forward(self.inputs[batch], self.taken)
        labels, numbers = self.labels[batch], self.numbers
        CrossEntropy.evaluate(outputs, labels, self.weights, numbers, self.above, self.losses)
        self.bound.backward(self.above)
        self.rule.step(self.rows, self.gradients, self.rule.learning_rates, self.taken)
        self.taken += 1


def measure(arguments: Any) -> dict[str, Any]:
    """Return the rates of all contestants and the engine's ratio to the fastest other one."""
    shape = (FEATURES, OUTPUTS, arguments.width, arguments.blocks)
    inputs, labels = batches(arguments.batch)
    hidden = (arguments.width,) * arguments.blocks
    ours = EngineStep(hidden, arguments.members, arguments.form, inputs, labels)
    contestants: dict[str, Any] = {"engine": ours}
    if arguments.form == "full":
        contestants |= _peers(shape, arguments.members, inputs, labels)
    for step in contestants.values():
        rate_of(step, arguments.seconds / 2)
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(arguments.rounds):
        for name, step in contestants.items():
            rates[name].append(rate_of(step, arguments.seconds))
    found: dict[str, Any] = {
        f"{name}_ms": round(1000 / median(own), 2) for name, own in rates.items()
    }
    others = rates.keys() - {"engine"}
    if others:
        best = [max(rates[name][i] for name in others) for i in range(arguments.rounds)]
        pairs = zip(rates["engine"], best, strict=True)
        found["over_torch"] = round(median(e / t for e, t in pairs), 2)
    return found


def _peers(
    shape: tuple[int, int, int, int], members: int, inputs: Floats, labels: Array
) -> dict[str, Any]:
    try:
        import torch  # type: ignore[import-not-found]  # noqa: F401
    except ImportError:
        return {}
    from shared_peers import shared_peers

    found: dict[str, Any] = shared_peers(shape, members, inputs, labels)
    return found


def main() -> None:
    """Measure, and print one JSON line."""
    parser = turns_parser(__doc__, instead="breast_cancer", rounds=20, seconds=0.7)
    parser.add_argument("--members", type=int, default=32)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--form", choices=["full", "mini", "packed"], default="full")
    arguments = parser.parse_args()
    with one_thread():
        found = measure(arguments)
    print(found, file=sys.stderr)
    publish("shared_step", found, arguments.write)


if __name__ == "__main__":
    main()
