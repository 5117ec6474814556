"""How the members of a run were combined, and how they differ, for its report."""

from collections.abc import Mapping
from typing import Any

from ensemble_pipe.core.documents import validated
from ensemble_pipe.ensemble.combiners import Combiner
from ensemble_pipe.tracking.entries import ENTRIES, Numbers
from ensemble_pipe.tracking.page import Html, element, facts, table
from ensemble_pipe.tracking.story import Story

_GROUPS = {
    "diversity": "how members differ on the test part",
    "rejection": "the most certain test rows",
    "conformal": "sets or intervals on the test part",
}


def combination(story: Story) -> Html:
    """Return the combiner, what it was chosen from, and further measures of the ensemble."""
    if not story.combined:
        return Html("")
    return Html(facts(_combiner(story)) + _candidates(story) + _measures(story.metrics))


def count_of(story: Story) -> int:
    """Return how many members the ensemble has."""
    return len(story.combined["members"]) if story.combined else len(story.members)


def member_weights(story: Story) -> dict[tuple[int, int], float]:
    """Return the weight of each member of the ensemble, by learner and number.

    Under stacking a member's weight is its share in the absolute coefficients.
    """
    if not story.combined:
        return {}
    weights = read_combiner(story.combined).member_weights().tolist()
    members = (tuple(place) for place in story.combined["members"])
    return {(place[0], place[1]): weight for place, weight in zip(members, weights, strict=True)}


def read_combiner(entry: Mapping[str, Any]) -> Combiner:
    """Return the combiner that an entry on a combination holds."""
    combiner: Combiner = validated(entry, ENTRIES["combined"], "combined").combiner
    return combiner


def _combiner(story: Story) -> list[tuple[str, object]]:
    combiner, kept = story.combined["combiner"], count_of(story)
    told: list[tuple[str, object]] = [
        ("combiner", read_combiner(story.combined).describe()),
        ("temperature", combiner.get("temperature", 1.0)),
        ("members", f"{kept} of {len(story.members)}"),
    ]
    if combiner.get("noise"):
        told.insert(2, ("noise, in squared deviations of the target", combiner["noise"]))
    for one in story.combined["conformal"]:
        found = "no threshold: too few rows"
        if one["threshold"] is not None:
            found = f"threshold {one['threshold']:.4g}"
        told.append(("stated coverage", f"{one['coverage']:.0%}, {one['method']}, {found}"))
    return told


def _candidates(story: Story) -> Html:
    candidates = story.combined["candidates"]
    if not candidates:
        return Html("")
    head = ("candidate", "temperature", "cross-fitted NLL", "error", "above the lowest", "error")
    rows = [
        (
            one["name"], "fitted" if one["temperature"] else "1", one["nll"],
            one["standard_error"], one["excess"], one["excess_error"],
        )
        for one in candidates
    ]  # fmt: skip
    within = (
        k
        for k, one in enumerate(candidates)
        if None not in (one["excess"], one["excess_error"]) and one["excess"] <= one["excess_error"]
    )
    chosen = next(within, len(candidates))
    note = "from the simplest on; the first within one standard error of the lowest NLL is taken"
    return Html(table(head, rows, strong=(chosen,)) + element("p", note, kind="note"))


def _measures(metrics: Numbers) -> Html:
    parts = []
    for group, title in _GROUPS.items():
        start = f"{group}/test/"
        own = {k.removeprefix(start): v for k, v in metrics.items() if k.startswith(start)}
        if own:
            rows = [(title, *own), ("", *own.values())]
            parts.append(table(rows[0], rows[1:]))
    return Html("".join(parts))
