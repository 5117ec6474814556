"""How the members of a run were combined, and how they differ, for its report."""

import numpy as np

from ensemble_pipe.tracking.entries import Numbers
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
    combiner = story.combined["combiner"]
    weights = combiner.get("weights")
    if weights is None:
        shares = np.abs(np.array(combiner["coefficients"], np.float64)).sum(axis=(0, 2))
        weights = (shares / max(float(shares.sum()), np.finfo(np.float64).tiny)).tolist()
    members = (tuple(place) for place in story.combined["members"])
    return {(place[0], place[1]): weight for place, weight in zip(members, weights, strict=True)}


def combiner_text(combiner: dict[str, object]) -> str:
    """Return what a combiner does, such as "weighted mean of the members' probability"."""
    if combiner["name"] == "stacked":
        return "stacked: a linear model of the members' predictions"
    weights = combiner["weights"]
    alike = isinstance(weights, list | tuple) and len(set(weights)) == 1
    space = combiner.get("space", "probability")
    return f"{'mean' if alike else 'weighted mean'} of the members' {space}"


def _combiner(story: Story) -> list[tuple[str, object]]:
    combiner, kept = story.combined["combiner"], count_of(story)
    told: list[tuple[str, object]] = [
        ("combiner", combiner_text(combiner)),
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
