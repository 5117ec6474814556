"""Mixup, CutMix and cutout: digits that are mixed with others, or of which a box is erased."""

from typing import TYPE_CHECKING, Any

from techniques.comparing import spread, surely_less, table_of
from techniques.drawing import draw_members, panels
from techniques.frame import Outcomes, Seen, Technique

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RUNS: dict[str, dict[str, Any]] = {
    "none": {"augment": []},
    "mixup": {},
    "CutMix": {"augment": [{"name": "cutmix", "alpha": 1.0, "probability": 0.5}]},
    "cutout": {"augment": [{"name": "cutout", "area": [0.02, 0.2], "probability": 0.5}]},
}


def draw(outcomes: Outcomes) -> "dict[str, Figure]":
    figure, axes = panels(3)
    for axis, metric, name in zip(
        axes, ("accuracy", "nll", "ece"), ("accuracy", "NLL", "ECE"), strict=True
    ):
        values = {label: one.members[metric] for label, one in outcomes.items()}
        draw_members(axis, values, f"test {name} of each member", f"test {name}")
        whole = [one.ensemble[metric] for one in outcomes.values()]
        axis.plot(whole, range(len(whole)), "kD", fillstyle="none", label="ensemble")
        axis.legend(frameon=False, fontsize=9)
    return {"mixup_and_cutout": figure}


def table(outcomes: Outcomes) -> str:
    return table_of(outcomes, ("accuracy", "nll", "ece"))


def seen(outcomes: Outcomes) -> list[Seen]:
    plain, mixup, cutmix, cutout = (outcomes[label] for label in RUNS)
    return [
        Seen(
            "Mixup makes fewer errors on new rows (Zhang et al. 2018, section 3).",
            f"A member's accuracy is {spread(mixup, 'accuracy')} with mixup, "
            f"{spread(plain, 'accuracy')} without; the ensemble's {mixup.ensemble['accuracy']:.4f} "
            f"and {plain.ensemble['accuracy']:.4f}.",
            surely_less(plain, mixup, "accuracy"),
        ),
        Seen(
            "Networks trained with mixup are better calibrated (Thulasidasan et al. 2019).",
            f"ECE of a member {spread(mixup, 'ece')}, without {spread(plain, 'ece')}: a member is "
            "less sure than it is right.",
            surely_less(mixup, plain, "ece"),
        ),
        Seen(
            "CutMix makes fewer errors than plain training (Yun et al. 2019, table 5).",
            f"A member's accuracy is {spread(cutmix, 'accuracy')}, without "
            f"{spread(plain, 'accuracy')}; the ensemble's NLL {cutmix.ensemble['nll']:.3f} and "
            f"{plain.ensemble['nll']:.3f}.",
            surely_less(plain, cutmix, "accuracy"),
        ),
        Seen(
            "It makes fewer errors than mixup and cutout, too (Yun et al. 2019, table 5).",
            f"A member's accuracy is {spread(mixup, 'accuracy')} with mixup, "
            f"{spread(cutout, 'accuracy')} with cutout.",
            all(surely_less(one, cutmix, "accuracy") for one in (mixup, cutout)),
        ),
        Seen(
            "Cutout makes fewer errors on new rows (DeVries & Taylor 2017).",
            f"A member's accuracy is {spread(cutout, 'accuracy')}, without "
            f"{spread(plain, 'accuracy')}. A box takes much of so few pixels.",
            surely_less(plain, cutout, "accuracy"),
        ),
    ]


TECHNIQUE = Technique(
    "mixup_and_cutout",
    {"mixup_and_cutout": RUNS},
    {"training.epochs": 2, "ensemble.learners": 2},
    draw,
    table,
    seen,
)
