"""Label smoothing: how sure networks are, alone and together."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ensemble_pipe.core.storage import RunPaths
from techniques.comparing import spread, surely_less
from techniques.drawing import draw_histograms, draw_members, panels
from techniques.frame import Outcomes, Seen, Technique, markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CONFIDENCES = np.linspace(0, 1, 21)  # edges of the bins
AMOUNTS = (0.0, 0.05, 0.1, 0.3)
RUNS = {
    f"smoothing {amount:g}": {"training.loss.smoothing": amount} if amount else {}
    for amount in AMOUNTS
}
NONE, SOME, MUCH = "smoothing 0", "smoothing 0.1", "smoothing 0.3"


def measure(paths: RunPaths) -> dict[str, Any]:
    """Return the histogram of the members' largest probabilities of test rows."""
    with pa.memory_map(str(paths.predictions("test"))) as stream:
        column = pa.ipc.open_file(stream).read_all().column("outputs")
        logits = np.concatenate([chunk.to_numpy_ndarray() for chunk in column.chunks])
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))  # (N, K, O)
    largest = 1.0 / powers.sum(axis=-1)
    shares = np.histogram(largest, CONFIDENCES)[0] / largest.size
    return {"confidences": shares.tolist(), "confidence": float(largest.mean())}


def draw(outcomes: Outcomes) -> "dict[str, Figure]":
    figure, (above, below) = panels(2, width=6.0, height=3.0)
    shares = {label: one.more["confidences"] for label, one in outcomes.items()}
    title = "how sure a network is of test rows"
    draw_histograms(above, CONFIDENCES, shares, title, "largest probability", "share of the rows")
    both = {}
    for label, one in outcomes.items():
        both[f"{label}, a network"] = one.members["nll"]
        both[f"{label}, the ensemble"] = [one.ensemble["nll"]]
    draw_members(below, both, "NLL on the test part", "nats")
    return {"label_smoothing": figure}


def table(outcomes: Outcomes) -> str:
    rows = [
        (
            f"`{label}`",
            f"{one.mean('accuracy'):.3f}",
            f"{one.more['confidence']:.3f}",
            f"{one.mean('ece'):.3f}",
            f"{one.mean('nll'):.3f}",
            f"{one.ensemble['accuracy']:.3f}",
            f"{one.ensemble['nll']:.3f}",
        )
        for label, one in outcomes.items()
    ]
    head = (
        "run", "accuracy of a network", "its mean largest probability", "its ECE", "its NLL",
        "accuracy of the ensemble", "its NLL, after its temperature",
    )  # fmt: skip
    return markdown(head, rows)


def seen(outcomes: Outcomes) -> list[Seen]:
    ece, nll = (
        {label: one.mean(metric) for label, one in outcomes.items()} for metric in ("ece", "nll")
    )
    accuracy = {label: spread(one, "accuracy") for label, one in outcomes.items()}
    sure = {label: one.more["confidence"] for label, one in outcomes.items()}
    whole = {label: one.ensemble["nll"] for label, one in outcomes.items()}
    return [
        Seen(
            "It keeps a network from becoming too sure (Szegedy et al. 2016, section 7).",
            f"The mean largest probability falls from {sure[NONE]:.3f} to {sure[SOME]:.3f} "
            f"at 0.1 and {sure[MUCH]:.3f} at 0.3.",
            sure[MUCH] < sure[SOME] < sure[NONE],
        ),
        Seen(
            "It raises accuracy a little, by 0.2% on ImageNet (Szegedy et al. 2016, table 3).",
            f"{accuracy[NONE]} without, {accuracy[SOME]} at 0.1, {accuracy[MUCH]} at 0.3: so "
            "little is not told from chance by 359 rows.",
            surely_less(outcomes[NONE], outcomes[SOME], "accuracy"),
        ),
        Seen(
            "It calibrates a single network (Müller, Kornblith & Hinton 2019, section 3).",
            f"ECE {ece[NONE]:.3f} without, {ece[SOME]:.3f} at 0.1: these networks are calibrated "
            f"without it, and are not sure enough with it; their NLL rises, too, from "
            f"{nll[NONE]:.3f} to {nll[SOME]:.3f}.",
            ece[SOME] < ece[NONE],
        ),
        Seen(
            "Together with an ensemble it makes for too little confidence, since both soften (of "
            "mixup Wen et al. 2021; Rahaman & Thiery 2021), which a temperature mends.",
            f"The ensemble has a temperature, and its NLL is {whole[NONE]:.3f} without smoothing "
            f"and {whole[SOME]:.3f} at 0.1.",
            whole[SOME] < whole[NONE],
        ),
    ]


TECHNIQUE = Technique(
    "label_smoothing",
    {"label_smoothing": RUNS},
    {"training.epochs": 2, "ensemble.learners": 2},
    draw,
    table,
    seen,
    measure,
)
