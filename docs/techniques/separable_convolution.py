"""Separable against plain convolution: parameters, time and accuracy."""

import time
from typing import TYPE_CHECKING, Any

import numpy as np

import ensemble_pipe
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.ensemble.members.network import NetworkMember
from techniques.comparing import spread, surely_less, table_of
from techniques.drawing import panels
from techniques.frame import Outcome, Outcomes, Seen, Technique

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDE = [64, 128]
RUNS: dict[str, dict[str, Any]] = {
    "plain, 32 and 64": {"network.name": "cnn"},
    "separable, 32 and 64": {},
    "plain, 64 and 128": {"network.name": "cnn", "network.filters": WIDE},
    "separable, 64 and 128": {"network.filters": WIDE},
}
ROWS, TURNS = 1024, 7


def measure(paths: RunPaths) -> dict[str, Any]:
    """Return the trainable numbers of a network, and its CPU milliseconds for 1,024 images."""
    model = ensemble_pipe.load(paths.root)
    member = model.members[0]
    assert isinstance(member, NetworkMember)
    images = np.zeros((ROWS, 8, 8, 1), np.uint8)
    turns = [_milliseconds(model, images) for _ in range(TURNS)]
    return {
        "parameters": member.built(model.schema).layout.trainable,
        "milliseconds": min(turns) / len(model.members),
    }


def draw(outcomes: Outcomes) -> "dict[str, Figure]":
    figure, axes = panels(2)
    for axis, of in zip(axes, ("parameters", "milliseconds"), strict=True):
        for label, one in outcomes.items():
            plain = label.startswith("plain")
            axis.plot(
                one.more[of], one.mean("nll"), "o" if plain else "s", markersize=9,
                color="#0072b2" if plain else "#d55e00", fillstyle="full" if plain else "none",
            )  # fmt: skip
            axis.annotate(
                label, (one.more[of], one.mean("nll")), (0, 9), textcoords="offset points",
                ha="center", fontsize=8,
            )  # fmt: skip
        axis.margins(0.35, 0.25)
        axis.set_ylabel("test NLL, mean of 4")
    axes[0].set(xlabel="trainable numbers of a network", xscale="log")
    axes[1].set(xlabel="milliseconds of a network for 1,024 images")
    return {"separable_convolution": figure}


def table(outcomes: Outcomes) -> str:
    more = {
        "trainable numbers": {
            label: f"{one.more['parameters']:,}" for label, one in outcomes.items()
        },
        "ms for 1,024 images": {
            label: f"{one.more['milliseconds']:.1f}" for label, one in outcomes.items()
        },
    }
    return table_of(outcomes, more=more)


def seen(outcomes: Outcomes) -> list[Seen]:
    plain, separable, wide, wide_separable = (outcomes[label] for label in RUNS)
    fewer = [_ratio(*pair, "parameters") for pair in ((plain, separable), (wide, wide_separable))]
    quicker = _ratio(wide, wide_separable, "milliseconds")
    return [
        Seen(
            "A separable layer has 1 / C' + 1 / k² of the numbers and multiply-adds of a plain one "
            "(Howard et al. 2017, section 3.1): of kernels of 3 by 3 and 128 filters an eighth.",
            f"The network of 64 and 128 filters has {fewer[1]:.1f} times fewer numbers, that of 32 "
            f"and 64 {fewer[0]:.1f} times, the last layer and batch norm included.",
            min(fewer) > 1,
        ),
        Seen(
            "It takes less time in about that proportion (Howard et al. 2017, section 3.1).",
            f"The wide plain network takes {quicker:.1f} times as long as the separable one; its "
            f"numbers are {fewer[1]:.1f} times as many. Products of large matrices run closer to "
            "the peak of a processor than depthwise kernels.",
            quicker > 0.7 * fewer[1],
        ),
        Seen(
            "It loses little accuracy (Howard et al. 2017, table 4: 1.1 points on ImageNet).",
            f"{spread(separable, 'accuracy')} against {spread(plain, 'accuracy')} of the narrow "
            f"networks, {spread(wide_separable, 'accuracy')} against {spread(wide, 'accuracy')} "
            "of the wide ones.",
            wide.mean("accuracy") - wide_separable.mean("accuracy") < 0.011,
        ),
        Seen(
            "At equal numbers it is the more accurate one (Chollet 2017).",
            f"The wide separable network has {wide_separable.more['parameters']:,} numbers and NLL "
            f"{spread(wide_separable, 'nll')}, the narrow plain one {plain.more['parameters']:,} "
            f"and {spread(plain, 'nll')}.",
            surely_less(wide_separable, plain, "nll"),
        ),
    ]


TECHNIQUE = Technique(
    "separable_convolution",
    {"separable_convolution": RUNS},
    {"training.epochs": 1, "ensemble.learners": 2, "splits.train": 100},
    draw,
    table,
    seen,
    measure,
)


def _milliseconds(model: ensemble_pipe.Ensemble, images: Any) -> float:
    began = time.process_time()
    model.predict(images)
    return 1000 * (time.process_time() - began)


def _ratio(over: Outcome, under: Outcome, of: str) -> float:
    return float(over.more[of]) / float(under.more[of])
