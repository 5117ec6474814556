"""Transfer: new digits from few images with the convolutions of networks of other digits."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ensemble_pipe.report.drawing import legend, line, marker
from ensemble_pipe.run.pipeline import RunResult, run
from techniques.comparing import spread, surely_less, table_of
from techniques.drawing import panels
from techniques.frame import ROOT, Outcomes, Seen, Technique

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WAYS: dict[str, dict[str, Any]] = {
    "from scratch": {"transfer": None},
    "new dense layers": {},
    "fine-tuned": {"transfer.freeze": [], "transfer.rate_factors": {"conv2d*": 0.3}},
}
SIZES = (10, 30, 100, 400)
RUNS: dict[str, dict[str, dict[str, Any]]] = {
    "transfer_source": {"digits 0 to 4": {}},
    "transfer": {
        f"{way}, {rows} images": {
            **settings, "splits.train": rows, "training.epochs": max(10, 1800 // rows),
        }
        for way, settings in WAYS.items()
        for rows in SIZES
    },
}  # fmt: skip
_KEPT = ROOT / "benchmarks" / "results" / "transfer.json"
_TASKS = (("similar", 100), ("similar", 3000), ("different", 100), ("different", 3000))


def start(pipeline: Path, *, output: Path, **settings: Any) -> RunResult:
    """Run a pipeline; one that transfers starts from the run of the other one, which is first."""
    if pipeline.stem == "transfer" and settings.get("transfer", ...) is not None:
        settings["transfer.weights"] = str(next(output.glob("transfer_source-*")))
    return run(pipeline, output=output, **settings)


def draw(outcomes: Outcomes) -> "dict[str, Figure]":
    figure, (axis, table_axis) = panels(2, width=5.0, height=3.4)
    for place, way in enumerate(WAYS):
        values = [outcomes[f"{way}, {rows} images"].mean("accuracy") for rows in SIZES]
        axis.plot(SIZES, values, marker=marker(place), label=way, **line(place))
    axis.set_xscale("log")
    axis.set_xticks(SIZES, [str(rows) for rows in SIZES])
    axis.minorticks_off()
    axis.set(xlabel="labelled images of the digits 5 to 9", ylabel="test accuracy, mean of 4")
    axis.set_title("digits", fontsize=10)
    legend(axis)
    _draw_benchmark(table_axis)
    return {"transfer": figure}


def _draw_benchmark(axis: Any) -> None:
    """Draw what each way of transfer gains in NLL over training from scratch, by task."""
    for place, way in enumerate(("new dense layers", "fine-tuned")):
        gains = [_gain(*task, way) for task in _TASKS]
        axis.plot(
            gains,
            np.arange(len(_TASKS)) + 0.2 * place - 0.1,
            marker(place + 1),
            label=way,
            markersize=8,
            color=line(place + 1)["color"],
        )
    axis.axvline(0, color="#000000", linewidth=0.8)
    names = [f"{task}, {labels:,}" for task, labels in _TASKS]
    axis.set_yticks(range(len(_TASKS)), names)
    axis.set_xticks([-0.3, -0.2, -0.1, 0, 0.1])
    axis.set_ylim(len(_TASKS) - 0.5, -0.5)
    axis.set_xlabel("NLL less than from scratch, in nats (above 0: better)")
    axis.set_title("Fashion-MNIST and letters, benchmarks/transfer.py", fontsize=10)
    legend(axis)


def _nll(task: str, labels: int, way: str) -> float:
    """Return a test NLL of the kept benchmark."""
    rows = json.loads(_KEPT.read_text(encoding="utf-8"))
    return next(
        float(one["nll"])
        for one in rows
        if (one["task"], one["labels"], one["way"]) == (task, labels, way)
    )


def _gain(task: str, labels: int, way: str) -> float:
    return _nll(task, labels, "from scratch") - _nll(task, labels, way)


def _benchmark(task: str, labels: int, way: str) -> str:
    return (
        f"NLL {_nll(task, labels, way):.3f}, from scratch {_nll(task, labels, 'from scratch'):.3f}"
    )


def table(outcomes: Outcomes) -> str:
    return table_of(outcomes)


def seen(outcomes: Outcomes) -> list[Seen]:
    few, many = SIZES[0], SIZES[-1]
    scratch, new, tuned = (
        {rows: outcomes[f"{way}, {rows} images"] for rows in SIZES} for way in WAYS
    )
    return [
        Seen(
            "With little data of a similar task, train new last layers on the transferred features "
            "(CS231n; Yosinski et al. 2014).",
            f"With {few} digits accuracy {spread(new[few], 'accuracy')}, from scratch "
            f"{spread(scratch[few], 'accuracy')}: five digits of 8 by 8 pixels teach convolutions "
            "little. On Fashion-MNIST with 100 labels it is seen: "
            f"{_benchmark('similar', 100, 'new dense layers')}.",
            surely_less(scratch[few], new[few], "accuracy"),
        ),
        Seen(
            "With much data of a similar task, fine-tune all layers (CS231n).",
            f"With {many} digits accuracy {spread(tuned[many], 'accuracy')}, from scratch "
            f"{spread(scratch[many], 'accuracy')}, with new dense layers "
            f"{spread(new[many], 'accuracy')}. On Fashion-MNIST with 3,000 labels "
            f"{_benchmark('similar', 3000, 'fine-tuned')}.",
            surely_less(scratch[many], tuned[many], "accuracy"),
        ),
        Seen(
            "With little data of a different task, try features of earlier layers (CS231n).",
            "On letters with 100 labels new dense layers on the transferred convolutions have "
            f"{_benchmark('different', 100, 'new dense layers')}.",
            _gain("different", 100, "new dense layers") > 0,
        ),
        Seen(
            "With much data of a different task, fine-tuning still helps (CS231n; Yosinski et al. "
            "2014).",
            f"On letters with 3,000 labels {_benchmark('different', 3000, 'fine-tuned')}: training "
            "from scratch is best.",
            _gain("different", 3000, "fine-tuned") > 0,
        ),
    ]


TECHNIQUE = Technique(
    "transfer",
    RUNS,
    {
        "training.epochs": 1,
        "ensemble.learners": 1,
        "network.filters": [2, 4],
        "splits.train": 50,
    },
    draw,
    table,
    seen,
    start=start,
)
