"""The report's section on the combination of a run's members and their diversity."""

from collections.abc import Sequence

from ensemble_pipe.report.glossary import term
from ensemble_pipe.report.page import NOTHING, Html, element, joined, table, value_table
from ensemble_pipe.tracking.kinds import CombinedEntry, Numbers
from ensemble_pipe.tracking.run_summary import RunSummary
from ensemble_pipe.tracking.schemas import CandidateScores

_GROUPS = {
    "diversity": "how members differ on the test part",
    "rejection": "the most certain test rows",
    "conformal": "sets or intervals on the test part",
}


def combination(run: RunSummary, classes: tuple[int | str, ...]) -> Html:
    """Return the combiner, the candidates for it, and further measures of the ensemble.

    Args:
        run: whose ensemble it is.
        classes: of the data; none for numbers.
    """
    if run.combined is None:
        return NOTHING
    combiner, candidates = (
        _combiner(run.combined, len(run.members), classes),
        run.combined.candidates,
    )
    metric = run.pipeline["ensemble"]["combine"].get("metric", "nll")  # earlier versions have none
    return Html(value_table(combiner) + _candidates(candidates, metric) + _measures(run.metrics))


def count_of(run: RunSummary) -> int:
    """Return how many members the ensemble has."""
    return len(run.members if run.combined is None else run.combined.members)


def member_weights(run: RunSummary) -> dict[tuple[int, int], float]:
    """Return the weight of each member of the ensemble, by learner and number.

    Under stacking a member's weight is its share in the absolute coefficients.
    """
    if run.combined is None:
        return {}
    weights = run.combined.combiner.member_weights().tolist()
    return dict(zip(run.combined.members, weights, strict=True))


def _combiner(
    combined: CombinedEntry, count: int, classes: tuple[int | str, ...]
) -> list[tuple[str, object]]:
    """Return names and values that describe a combination of some of `count` members."""
    combiner, alone = combined.combiner.to_dict(), len(combined.members) == 1
    pairs: list[tuple[str, object]] = [
        ("combiner", "none: a single member" if alone else combined.combiner.describe()),
        ("temperature", combiner.get("temperature", 1.0)),
        ("members", f"{len(combined.members)} of {count}"),
    ]
    if combiner.get("noise"):
        pairs.insert(2, ("noise, in squared deviations of the target", combiner["noise"]))
    for one in combined.conformal:
        found = "no threshold: too few rows"
        if one.threshold is not None:
            found = f"threshold {one.threshold:.4g}"
        pairs.append(("stated coverage", f"{one.coverage:.0%}, {one.method}, {found}"))
    if combined.decision is not None:
        pairs.append(("predicts", combined.decision.describe(classes)))
    return pairs


def _candidates(candidates: Sequence[CandidateScores], metric: str) -> Html:
    if not candidates:
        return NOTHING
    head = ["candidate", "temperature", "cross-fitted NLL", "error", "above the lowest", "error"]
    rows = [
        [
            one.name, "fitted" if one.temperature else "1", one.nll, one.standard_error,
            one.excess, one.excess_error,
        ]
        for one in candidates
    ]  # fmt: skip
    if metric != "nll":
        head.insert(4, f"cross-fitted {metric}")
        for row, one in zip(rows, candidates, strict=True):
            row.insert(4, None if one.loss is None else abs(one.loss))
    within = (place for place, one in enumerate(candidates) if _is_within_error(one))
    chosen = next(within, len(candidates))
    note = "from the simplest on; the first within one standard error of the best is taken"
    return Html(table(head, rows, strong=(chosen,)) + element("p", note, kind="note"))


def _is_within_error(one: CandidateScores) -> bool:
    if one.excess is None or one.excess_error is None:
        return False
    return one.excess <= one.excess_error


def _measures(metrics: Numbers) -> Html:
    parts = []
    for group, title in _GROUPS.items():
        start = f"{group}/test/"
        own = {k.removeprefix(start): v for k, v in metrics.items() if k.startswith(start)}
        if own:
            parts.append(table((title, ""), [(term(name), value) for name, value in own.items()]))
    return element("div", joined(parts), kind="pictures") if parts else NOTHING
