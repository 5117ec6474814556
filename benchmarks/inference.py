"""Microseconds of inference a row and member, beside PyTorch and onnxruntime, on one core.

    pip install torch==2.13.0 onnxruntime onnx    # for comparison; without them the engine alone
    python benchmarks/inference.py

measures every network by name, ensembles of 1 to 20 members, and batches of 1 to 4,096 rows, in one
process with one thread. PyTorch runs each member in turn, or where rows are flat all of them by
`torch.vmap` (batched products), and with `--compile` through `torch.compile`; onnxruntime runs one
graph of all members, or one graph each. Of each peer the fastest counts. The contestants take turns
for a moment each, round after round, and a ratio is the median over rounds of that round's two
rates. Seconds are those of the processor, so that other processes matter little. Then `predict`
of two million rows by ten members is measured as a whole. Prints a table and one JSON line, which
`--write` keeps under benchmarks/results; docs/engine.md explains the figures.
"""

import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from keeping import circumstances, publish
from prediction_rate import measure_predict
from turns import rate_of, turns_parser

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.nn.blas import one_thread
from ensemble_pipe.nn.inference import outputs_of
from ensemble_pipe.nn.layers import Dense, Embedding, ReLU
from ensemble_pipe.nn.layers.embedding import CategoricalColumn
from ensemble_pipe.nn.network import Network
from ensemble_pipe.nn.networks import (
    Architecture,
    Cnn,
    LinearModel,
    Mlp,
    ResNet,
    SeparableCnn,
    Sequential,
    WideAndDeep,
)

Contestant = Callable[[], Any]
MEMBERS = (1, 10, 20)
ROWS = {1: (1, 256, 4096), 3: (1, 64)}  # of a batch, by the axes of a row
CATEGORIES = 50  # of each embedded column
COLUMNS = tuple(
    CategoricalColumn(column=place, categories=CATEGORIES, dimension=8) for place in range(6)
)
_EMBEDDING = Embedding(columns=COLUMNS)


@dataclass(frozen=True)
class Case:
    """A network of the comparison: settings, shape of a row, and number of outputs."""

    network: Architecture
    input_shape: tuple[int, ...]
    outputs: int

    def build(self) -> Network:
        return self.network.build(self.input_shape, self.outputs)


PICTURE = (28, 28, 1)
CASES = {
    "linear": Case(LinearModel(initializer="he_normal"), (784,), 10),
    "mlp_small": Case(Mlp(hidden=(64, 64)), (20,), 2),
    "mlp": Case(Mlp(hidden=(512, 256)), (784,), 10),
    "wide_and_deep": Case(WideAndDeep(), (20,), 2),
    "embedding": Case(
        Sequential(layers=(_EMBEDDING, Dense(units=64), ReLU(), Dense(units=64), ReLU())), (20,), 2
    ),
    "cnn": Case(Cnn(), PICTURE, 10),
    "separable_cnn": Case(SeparableCnn(), PICTURE, 10),
    "resnet": Case(ResNet(), PICTURE, 10),
}


def inputs_of(case: Case, rows: int) -> Floats:
    """Return random inputs (rows, ...); the embedded columns hold codes."""
    random = np.random.default_rng(0)
    inputs = random.standard_normal((rows, *case.input_shape)).astype(np.float32)
    if isinstance(case.network, Sequential):
        inputs[:, : len(_EMBEDDING.columns)] = random.integers(0, CATEGORIES, (rows, 6))
    return inputs


def contestants(case: Case, members: int, inputs: Floats, compiles: bool) -> dict[str, Contestant]:
    """Return functions that compute the outputs of all members, by name."""
    network = case.build()
    rows = np.stack([network.initialize(1, member) for member in range(members)])

    def read(start: int, stop: int, out: Floats) -> None:
        out[...] = inputs[start:stop]

    found = {"engine": lambda: outputs_of(network, rows, read, len(inputs))}
    return found | _peers(network, rows, inputs, compiles)


def _peers(network: Network, rows: Floats, inputs: Floats, compiles: bool) -> dict[str, Contestant]:
    try:
        import torch  # type: ignore[import-not-found]
        from torch_networks import members_of
    except ImportError:
        return {}
    module = members_of(network, rows)
    x = torch.from_numpy(inputs)
    if x.ndim == 4:
        x = x.permute(0, 3, 1, 2)  # rows of channels last, as they lie
    forms = {"torch": module}
    if x.ndim == 2 and len(rows) > 1:
        forms["torch_vmap"] = _stacked(torch, module)
    if compiles:
        forms["torch_compile"] = torch.compile(module)
    found = {name: _without_gradients(torch, form, x) for name, form in forms.items()}
    return found | _graphs(torch, module, x)


def _stacked(torch: Any, module: Any) -> Any:
    """Return the same as batched products over all members."""
    tensors, buffers = torch.func.stack_module_state(list(module.all))
    first = module.all[0]

    def one(own: Any, statistics: Any, x: Any) -> Any:
        return torch.func.functional_call(first, (own, statistics), (x,))

    together = torch.vmap(one, in_dims=(0, 0, None))
    return lambda x: together(tensors, buffers, x)


def _without_gradients(torch: Any, form: Any, x: Any) -> Contestant:
    def run() -> Any:
        with torch.inference_mode():
            return form(x)

    return run


def _graphs(torch: Any, module: Any, x: Any) -> dict[str, Contestant]:
    """Return onnxruntime with one graph of all members, and with one for each."""
    try:
        import onnxruntime  # type: ignore[import-not-found]
    except ImportError:
        return {}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    example = x.contiguous()

    def session(part: Any) -> Any:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            path = str(Path(folder) / "part.onnx")
            torch.onnx.export(part, (example,), path, dynamo=False, input_names=["x"])
            return onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])

    feed = {"x": example.numpy()}
    whole = session(module)
    found: dict[str, Contestant] = {"onnxruntime": lambda: whole.run(None, feed)[0]}
    if len(module.all) > 1:
        each = [session(one) for one in module.all]
        found["onnxruntime_each"] = lambda: np.stack([one.run(None, feed)[0] for one in each])
    return found


def measure(
    case: Case, members: int, rows: int, rounds: int, seconds: float, compiles: bool
) -> dict[str, Any]:
    """Return microseconds a row and member of each contestant, and the ratios to the peers."""
    inputs = inputs_of(case, rows)
    forms = contestants(case, members, inputs, compiles)
    expected = forms["engine"]()
    same = {
        name: bool(np.allclose(np.asarray(run()), expected, rtol=1e-3, atol=1e-3))
        for name, run in forms.items()
    }
    rates: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(rounds):
        for name, run in forms.items():
            rates[name].append(rate_of(run, seconds))
    micros = {name: 1e6 / median(own) / rows / members for name, own in rates.items()}
    found: dict[str, Any] = {"us": {name: float(f"{us:.3g}") for name, us in micros.items()}}
    for peer in ("torch", "onnxruntime"):
        own = [name for name in forms if name.startswith(peer)]
        if own:
            best = min(own, key=micros.__getitem__)
            pairs = zip(rates["engine"], rates[best], strict=True)
            found[f"over_{peer}"] = round(median(engine / other for engine, other in pairs), 2)
    differing = [name for name, equal in same.items() if not equal]
    return found | ({"outputs_differ": differing} if differing else {})


def table(results: dict[str, Any]) -> str:
    """Return the results as a Markdown table."""
    lines = [
        "| network | members | rows | us a row and member | over PyTorch | over onnxruntime |",
        "|---|---|---|---|---|---|",
    ]
    for name, cases in results.items():
        for key, found in cases.items():
            members, rows = key.split("x")
            ratios = [str(found.get(f"over_{peer}", "")) for peer in ("torch", "onnxruntime")]
            cells = [name, members, rows, str(found["us"]["engine"]), *ratios]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure, and print a table and one JSON line."""
    parser = turns_parser(__doc__, instead="random rows", rounds=5, seconds=0.2)
    parser.add_argument("--cases", nargs="*", choices=[*CASES], default=[*CASES])
    parser.add_argument("--members", nargs="*", type=int, default=MEMBERS)
    parser.add_argument("--compile", action="store_true", help="torch.compile too: minutes a case")
    arguments = parser.parse_args()
    networks: dict[str, Any] = {name: {} for name in arguments.cases}
    with one_thread():
        for name, members in product(arguments.cases, arguments.members):
            case = CASES[name]
            for rows in ROWS[len(case.input_shape)]:
                found = measure(
                    case, members, rows, arguments.rounds, arguments.seconds, arguments.compile
                )
                networks[name][f"{members}x{rows}"] = found
                print(name, members, rows, found, file=sys.stderr)
    print(table(networks), file=sys.stderr)
    results = circumstances("python benchmarks/inference.py --write")
    results |= {"networks": networks, "predict": measure_predict()}
    publish("inference", results, arguments.write)


if __name__ == "__main__":
    main()
