"""The ensemble of pipelines/fashion_mnist_cnn.yaml: its quality, its time, and what it knows not.

    python benchmarks/fashion_mnist.py --folder /path/to/fashion-mnist --other /path/to/notmnist

runs the pipeline (or with `--run` takes a finished run), and measures its model on the official
test part, and its uncertainties against images of another kind, with 95% bootstrap intervals over
rows. The share of the sgemm peak is that of the products which the definition of a convolution
needs; most are done by Winograd's method, which takes 2.25 times fewer. The peak is read
afterwards, on one core. Prints a Markdown table and one JSON line, which `--write` keeps.
"""

import argparse
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from keeping import circumstances, publish
from training import peak_gflops

from ensemble_pipe import load, run
from ensemble_pipe.comparison.runs import read_run
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.ensemble.members import NetworkMember
from ensemble_pipe.evaluation.detection import DetectionResult
from ensemble_pipe.evaluation.labelled import evaluate
from ensemble_pipe.nn.layers import Dense, Layer, Residual
from ensemble_pipe.nn.layers.convolution import Conv2d
from ensemble_pipe.serving.files import open_for
from ensemble_pipe.tracking.journal import read_entries
from ensemble_pipe.tracking.kinds import EpochEntry

ROOT = Path(__file__).parents[1]
PIPELINE = ROOT / "pipelines" / "fashion_mnist_cnn.yaml"
TEST_IMAGES = "t10k-images-idx3-ubyte.gz"
# What the ensemble's AUROC is compared with 1 from: the mean of its members, each alone.
DETECTORS = ("mutual_information", "max_probability")
TARGET = {"accuracy": 0.945, "nll": 0.16, "ece": 0.006}


def multiply_adds(layers: list[Layer], shape: tuple[int, ...]) -> int:
    """Return the multiply-adds of one row's way through some layers."""
    total = 0
    for layer in layers:
        after = layer.output_shape(shape)
        if isinstance(layer, Conv2d):
            total += int(np.prod(after)) * layer.kernel_size**2 * shape[-1]
        elif isinstance(layer, Dense):
            total += shape[0] * after[0]
        elif isinstance(layer, Residual):
            total += multiply_adds(list(layer.layers), shape)
        shape = after
    return total


def flop_per_row(layers: list[Layer], shape: tuple[int, ...]) -> int:
    """Return the floating-point operations of the products of one row's training step."""
    # Forward and both gradients everywhere; the first layer's input needs none.
    return 2 * (3 * multiply_adds(layers, shape) - multiply_adds(layers[:1], shape))


def training_rates(paths: RunPaths, batch_rows: int) -> dict[str, float]:
    """Return the rows that all learners together took in a second, from the journal.

    The first epoch is left out. "mean" is over the others, and "fastest" of each learner's fastest
    epoch, which tells of a shared machine when nothing else ran on it.
    """
    found: dict[int, list[tuple[float, int]]] = {}
    for entry in read_entries(paths.journal):
        if isinstance(entry, EpochEntry):
            found.setdefault(entry.learner, []).append((entry.time_ms / 1000, entry.step))
    means, fastest = 0.0, 0.0
    for points in found.values():
        epochs = [
            ((later[1] - sooner[1]) * batch_rows, later[0] - sooner[0])
            for sooner, later in pairwise(points)
        ]
        means += sum(rows for rows, _ in epochs) / sum(seconds for _, seconds in epochs)
        fastest += max(rows / seconds for rows, seconds in epochs)
    return {"mean": means, "fastest": fastest}


def measure(run_dir: Path, folder: Path, other: Path) -> dict[str, Any]:
    """Return what a finished run came to."""
    paths, model, finished = RunPaths(run_dir), load(run_dir), read_run(run_dir)
    member = next(one for one in model.members if isinstance(one, NetworkMember))
    shape = model.schema.input_shape
    network = member.network.build(shape, len(model.schema.classes))
    rates = training_rates(paths, int(finished.settings["training.batch_size"]))
    learners = int(finished.settings["ensemble.learners"])
    flop = flop_per_row(list(network.chain.layers), shape) / learners
    peak = peak_gflops()
    found = evaluate(
        model, open_for(model, str(folder / TEST_IMAGES)), open_for(model, str(other / TEST_IMAGES))
    )
    metrics = found.metrics
    return {
        "members": len(model.members),
        "seconds": round(finished.cost.seconds),
        "learner_epochs": finished.cost.learner_epochs,
        "images_per_second": {name: round(rate) for name, rate in rates.items()},
        "gflops_per_learner": {name: round(rate * flop / 1e9, 1) for name, rate in rates.items()},
        "sgemm_peak_gflops": round(peak, 1),
        "share_of_peak": {name: round(rate * flop / 1e9 / peak, 3) for name, rate in rates.items()},
        "test": {name: metrics[name] for name in TARGET},
        "member_mean": {name: metrics[f"member_mean/{name}"] for name in TARGET},
        "intervals": {name: found.intervals[name]._asdict() for name in ("accuracy", "nll")},
        "ood": {score: detection(found.ood[score]) for score in DETECTORS},
    }


def detection(found: DetectionResult) -> dict[str, Any]:
    """Return how well a score of the ensemble, and of its members alone, finds other images."""
    return {
        "auroc": found.measures["auroc"].estimate,
        "fpr95": found.measures["fpr95"].estimate,
        "members_alone": found.members,
        "closed": None if found.closed is None else found.closed._asdict(),
    }


def table(result: dict[str, Any]) -> str:
    """Return the result as two Markdown tables."""
    lines = ["| on test | accuracy | NLL | ECE |", "|" + "---|" * 4]
    for name, words in (("test", "the ensemble"), ("member_mean", "its members, each alone")):
        lines.append(f"| {words} | " + " | ".join(f"{v:.4f}" for v in result[name].values()) + " |")
    lines.append("| target | " + " | ".join(str(value) for value in TARGET.values()) + " |")
    lines += ["", "| against notMNIST | AUROC | FPR at 95% | members alone | closed |"]
    lines.append("|" + "---|" * 5)
    for score, one in result["ood"].items():
        closed = "{estimate:.2f} ({low:.2f} to {high:.2f})".format(**one["closed"])
        cells = f"{one['auroc']:.3f} | {one['fpr95']:.3f} | {one['members_alone']:.3f} | {closed}"
        lines.append(f"| `{score}` | {cells} |")
    return "\n".join(lines)


def main() -> None:
    """Run or take a run, measure, and print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="the four IDX files")
    parser.add_argument("--other", type=Path, required=True, help="IDX files of another kind")
    parser.add_argument("--run", type=Path, help="a finished run of the pipeline")
    parser.add_argument("--epochs", type=int, help="at least 4, instead of the pipeline's own")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    with tempfile.TemporaryDirectory() as runs:
        run_dir = arguments.run
        if run_dir is None:
            own = {"training.epochs": arguments.epochs} if arguments.epochs else {}
            settings = {"data.folder": str(folder), "tracking.mlflow": False, **own}
            run_dir = Path(run(PIPELINE, output=runs, **settings).run_dir)
        measured = measure(run_dir, folder, arguments.other.resolve())
    result = {
        **circumstances(
            "python benchmarks/fashion_mnist.py --folder fashion-mnist --other notmnist"
        ),
        **measured,
    }
    print(table(result), file=sys.stderr)
    publish("fashion_mnist", result, arguments.write)


if __name__ == "__main__":
    main()
