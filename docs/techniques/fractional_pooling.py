"""Fractional max-pooling, averaged over draws of its regions, and plain max-pooling."""

from typing import TYPE_CHECKING, Any

from techniques.comparing import spread, surely_less, table_of
from techniques.drawing import draw_members, panels
from techniques.frame import Outcomes, Seen, Technique

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PLACES = (2, 5)


def _pools(**settings: Any) -> dict[str, Any]:
    return {
        f"network.layers.{place}.{name}": value
        for place in _PLACES
        for name, value in settings.items()
    }


RUNS: dict[str, dict[str, Any]] = {
    "max-pooling by 2": {
        f"network.layers.{place}": {"name": "max_pool", "size": 2} for place in _PLACES
    },
    "random, 1 draw": _pools(test_draws=1),
    "random, 4 draws": {},
    "random, 16 draws": _pools(test_draws=16),
    "pseudorandom, 1 draw": _pools(sequence="pseudorandom", test_draws=1),
    "pseudorandom, 16 draws": _pools(sequence="pseudorandom", test_draws=16),
}


def draw(outcomes: Outcomes) -> "dict[str, Figure]":
    figure, axes = panels(2)
    for axis, metric, name in zip(axes, ("accuracy", "nll"), ("accuracy", "NLL"), strict=True):
        values = {label: one.members[metric] for label, one in outcomes.items()}
        draw_members(axis, values, f"test {name} of each member", f"test {name}")
    axes[1].set_yticklabels([])
    return {"fractional_pooling": figure}


def table(outcomes: Outcomes) -> str:
    return table_of(outcomes)


def seen(outcomes: Outcomes) -> list[Seen]:
    plain, one, _, many, even, even_many = (outcomes[label] for label in RUNS)
    return [
        Seen(
            "Fractional max-pooling makes fewer errors than max-pooling by 2 "
            "(Graham 2014, section 4).",
            f"With 16 draws a member's accuracy is {spread(many, 'accuracy')}, with max-pooling "
            f"{spread(plain, 'accuracy')}.",
            surely_less(plain, many, "accuracy"),
        ),
        Seen(
            "A prediction averaged over several draws of the regions is better than one of a "
            "single draw (Graham 2014, section 4).",
            f"NLL {spread(one, 'nll')} with 1 draw, {spread(many, 'nll')} with 16. A prediction "
            "takes 16 times as long.",
            surely_less(many, one, "nll"),
        ),
        Seen(
            "Without augmentation random regions are better than pseudorandom ones "
            "(Graham 2014, section 2).",
            f"NLL with 16 draws {spread(many, 'nll')} random, {spread(even_many, 'nll')} "
            f"pseudorandom; with 1 draw {spread(one, 'nll')} and {spread(even, 'nll')}.",
            surely_less(many, even_many, "nll"),
        ),
    ]


TECHNIQUE = Technique(
    "fractional_pooling",
    {"fractional_pooling": RUNS},
    {"training.epochs": 1, "ensemble.learners": 2, "splits.train": 100},
    draw,
    table,
    seen,
)
