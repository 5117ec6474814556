"""Training steps per second of the engine, beside PyTorch and the sgemm peak, on one core.

    pip install torch==2.13.0        # for comparison only; without it the engine is measured alone
    python benchmarks/engine.py --folder /path/to/fashion-mnist

measures in one process with one thread: the contestants take turns for a moment each, round after
round, so that a machine whose speed drifts treats them alike. All take the same 64 batches of real
rows in turn, and PyTorch sets denormal numbers to zero, as no step of ours meets them. Rates are
those of a CPU second, so that other processes disturb them less. A ratio is the median over rounds
of that round's two rates; the sgemm peak is measured in every round too. Prints a table and one
JSON line, which `--write` keeps under benchmarks/results; docs/engine.md explains the figures.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from keeping import publish
from turns import rate_of, turns_parser

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.seeds import Draws, Purpose
from ensemble_pipe.data.sources import Bundled, Idx
from ensemble_pipe.data.sources.rows import IMAGE, LABEL, Rows
from ensemble_pipe.nn.blas import one_thread
from ensemble_pipe.nn.losses import CrossEntropy, numbers_of
from ensemble_pipe.nn.networks import Architecture, Cnn, Mlp, SeparableCnn
from ensemble_pipe.optim import Adam, StackedRule
from ensemble_pipe.training.tensors import segments_of

ROOT = Path(__file__).parents[1]
# Different ones, taken in turn: of few, networks soon learn all rows, and gradients vanish.
BATCHES = 64

Step = Callable[[], object]


@dataclass(frozen=True)
class Case:
    """One net of the comparison.

    Attributes:
        network: the engine's.
        input_shape: of one row.
        outputs: O.
        learners, batch_rows: M and N.
        multiply_adds: of the forward products of one row, and of them those of the first layer,
            whose input needs no gradient.
    """

    network: Architecture
    input_shape: tuple[int, ...]
    outputs: int
    learners: int
    batch_rows: int
    multiply_adds: tuple[int, int]

    @property
    def flop_per_row(self) -> int:
        """Floating-point operations of the products of one row's training step."""
        forward, first = self.multiply_adds
        return 2 * (3 * forward - first)


_CONV1, _CONV2 = 28 * 28 * 9 * 32, 14 * 14 * 9 * 32 * 64
_POINTWISE = 14 * 14 * (9 * 32 + 32 * 64)
_DENSE = 7 * 7 * 64 * 128 + 128 * 10
PICTURE = (28, 28, 1)
CASES = {
    "mlp": Case(
        Mlp(hidden=(512, 256)), (784,), 10, 1, 128, (784 * 512 + 512 * 256 + 2560, 784 * 512)
    ),
    "cnn": Case(Cnn(), PICTURE, 10, 1, 128, (_CONV1 + _CONV2 + _DENSE, _CONV1)),
    "separable_cnn": Case(
        SeparableCnn(), PICTURE, 10, 1, 128, (_CONV1 + _POINTWISE + _DENSE, _CONV1)
    ),
    "small_32": Case(Mlp(hidden=(50,)), (13,), 2, 10, 32, (13 * 50 + 50 * 2, 13 * 50)),
    "small_100": Case(Mlp(hidden=(50,)), (13,), 2, 10, 100, (13 * 50 + 50 * 2, 13 * 50)),
}


def real_rows(case: Case, folder: str | None) -> tuple[Floats, Array]:
    """Return BATCHES batches for each learner: inputs (B, M, N, ...) float32, labels (B, M, N)."""
    source = Idx(folder=folder) if folder and case.input_shape != (13,) else Bundled()
    rows, _ = source.open()
    count = BATCHES * case.learners * case.batch_rows
    chosen = np.arange(count) % rows.count
    size = int(np.prod(case.input_shape))
    images, labels = first_rows(rows, count)
    pixels = images[chosen].reshape(count, -1).astype(np.float32)
    pixels = (pixels - pixels.mean()) / pixels.std()
    lead = (BATCHES, case.learners, case.batch_rows)
    inputs = np.resize(pixels, (count, size)) if pixels.shape[1] < size else pixels[:, :size]
    classes = labels[chosen].astype(np.int32) % case.outputs
    return np.ascontiguousarray(inputs).reshape(*lead, *case.input_shape), classes.reshape(lead)


def first_rows(rows: Rows, count: int) -> tuple[Array, Array]:
    """Return the first `count` images (n, H, W, C) uint8, or all if there are fewer; and labels."""
    images, labels, held = [], [], 0
    for batch in rows.read([IMAGE, LABEL]):
        images.append(batch.column(IMAGE).to_numpy_ndarray())
        labels.append(batch.column(LABEL).to_numpy())
        held += batch.num_rows
        if held >= count:
            break
    return np.concatenate(images), np.concatenate(labels)


def engine_step(case: Case, inputs: Floats, labels: Array) -> Step:
    """Return a function that trains all learners by one step."""
    network = case.network.build(case.input_shape, case.outputs)
    learners = range(case.learners)
    rows = np.stack([network.initialize(1, learner) for learner in learners])
    gradients = np.zeros((case.learners, network.layout.trainable), np.float32)
    rules = [Adam() for _ in learners]
    slots = {name: np.zeros_like(gradients) for name in Adam.slots}
    rule = StackedRule(rules, slots, segments_of(network.layout))
    draws = Draws(1, Purpose.LAYER, learners)
    bound = network.bind(rows, case.batch_rows, gradients, draws=draws)
    loss = CrossEntropy()
    numbers = numbers_of([loss for _ in learners])
    shape = (case.learners, case.batch_rows)
    weights, losses = np.ones(shape, np.float32), np.zeros(case.learners)
    output_gradient = np.zeros((*shape, case.outputs), np.float32)
    factors = np.ones(case.learners)
    taken = 0

    def step() -> None:
        nonlocal taken
        batch = taken % len(inputs)
        outputs = bound.forward(inputs[batch], taken)
        loss.evaluate(outputs, labels[batch], weights, numbers, output_gradient, losses)
        bound.backward(output_gradient)
        rule.step(rows, gradients, rule.learning_rates * factors, taken)
        taken += 1

    return step


def peak_step(size: int = 1024) -> Step:
    """Return a function that multiplies two square float32 matrices."""
    left, right = (np.random.default_rng(i).random((size, size), np.float32) for i in (0, 1))
    out = np.empty_like(left)
    return lambda: np.matmul(left, right, out=out)


def measure(case: Case, folder: str | None, rounds: int, seconds: float) -> dict[str, Any]:
    """Return rates and ratios of one case."""
    inputs, labels = real_rows(case, folder)
    contestants = {"engine": engine_step(case, inputs, labels), "peak": peak_step()}
    contestants |= _peers(case, inputs, labels)
    for step in contestants.values():
        rate_of(step, seconds / 4)
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, step in contestants.items():
            rates[name].append(rate_of(step, seconds))
    per_step = case.learners * case.batch_rows
    gflops = case.flop_per_row * per_step / 1e9
    peak_gflops = 2 * 1024**3 / 1e9
    found = {
        "samples_per_second": round(median(rates["engine"]) * per_step),
        "microseconds_per_learner_step": round(1e6 / median(rates["engine"]) / case.learners, 1),
        "peak_gflops": round(median(rates["peak"]) * peak_gflops, 1),
        "share_of_peak": round(
            median(
                e * gflops / (p * peak_gflops)
                for e, p in zip(rates["engine"], rates["peak"], strict=True)
            ),
            3,
        ),
    }
    for name in contestants.keys() - {"engine", "peak"}:
        pairs = zip(rates["engine"], rates[name], strict=True)
        found[f"{name}_samples_per_second"] = round(median(rates[name]) * per_step)
        found[f"over_{name}"] = round(median(e / t for e, t in pairs), 2)
    return found


def start_seconds() -> dict[str, float]:
    """Return how long a fresh process takes to its first step of the cnn: compiling, and cached."""
    code = (
        "import time, sys; sys.path.insert(0, 'benchmarks'); import engine; import numpy\n"
        "case = engine.CASES['cnn']; began = time.perf_counter()\n"
        "rows = numpy.zeros((1, 1, 128, 28, 28, 1), 'f4'), numpy.zeros((1, 1, 128), 'i4')\n"
        "engine.engine_step(case, *rows)(); print(time.perf_counter() - began)"
    )
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "XDG_CACHE_HOME": cache}
        command = [sys.executable, "-c", code]
        printed = [
            subprocess.check_output(command, env=environment, cwd=ROOT, text=True) for _ in range(2)
        ]
    names = ("first_step_compiling_s", "first_step_cached_s")
    return {name: round(float(text), 2) for name, text in zip(names, printed, strict=True)}


def table(results: dict[str, Any]) -> str:
    """Return the results as a Markdown table."""
    lines = [
        "| net | samples/s | share of the sgemm peak | over PyTorch's best | over torch.bmm |",
        "|---|---|---|---|---|",
    ]
    for name in CASES:
        found = results.get(name)
        if found:
            bmm = found.get("over_torch_bmm", "")
            lines.append(
                f"| {name} | {found['samples_per_second']:,} | {found['share_of_peak']:.0%} | "
                f"{found.get('over_torch', '')} | {bmm} |"
            )
    return "\n".join(lines)


def _peers(case: Case, inputs: Floats, labels: Array) -> dict[str, Step]:
    try:
        import torch  # type: ignore[import-not-found]  # noqa: F401
    except ImportError:
        return {}
    from torch_peers import peers

    found: dict[str, Step] = peers(case.network.name, inputs, labels, case.outputs)
    return found


def main() -> None:
    """Measure, and print a table and one JSON line."""
    parser = turns_parser(__doc__, instead="the digits", rounds=7, seconds=1.0)
    parser.add_argument("--cases", nargs="*", choices=[*CASES], default=[*CASES])
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    with one_thread():
        for name in arguments.cases:
            results[name] = measure(
                CASES[name], arguments.folder, arguments.rounds, arguments.seconds
            )
            print(name, results[name], file=sys.stderr)
    results["start"] = start_seconds()
    print(table(results), file=sys.stderr)
    publish("engine", results, arguments.write)


if __name__ == "__main__":
    main()
