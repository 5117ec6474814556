"""The evaluation of a model as text tables."""

from collections.abc import Iterator, Sequence

from ensemble_pipe.core.messages import align_columns, metric_text, printable, truncate
from ensemble_pipe.ensemble.importance import Importance
from ensemble_pipe.ensemble.measures import KEPT
from ensemble_pipe.ensemble.metrics.resampling import Interval
from ensemble_pipe.evaluation.detection import ALONE
from ensemble_pipe.evaluation.labelled import ClassResult, Evaluation

MOST_CLASSES, MOST_COLUMNS = 40, 60
BAR = 30  # characters


def evaluation_text(found: Evaluation) -> str:
    """Return an evaluation as tables."""
    parts = [_metrics(found), *_sections(found), *_classes(found.classes), *_detection(found)]
    if found.importance is not None:
        parts.append(importance_text(found.importance))
    return "\n\n".join(parts)


def importance_text(found: Importance) -> str:
    """Return the importance of columns as a table with bars, the most important first."""
    moves = "accuracy falls by" if found.measure == "accuracy" else "rmse rises by"
    highest = max((one.nll.estimate for one in found.columns), default=0.0)
    rows: list[tuple[str, ...]] = [("column", "nll rises by", "95% interval", moves, "")]
    for one in found.columns[:MOST_COLUMNS]:
        share = max(0.0, one.nll.estimate / highest) if highest > 0 else 0.0
        bar = "#" * max(1, round(BAR * share)) if one.nll.low > 0 else "within noise"
        name = truncate(printable(one.name), 32)
        numbers = f"{one.nll.estimate:.4f}", between(one.nll), f"{one.score.estimate:.4g}"
        rows.append((name, *numbers, bar.ljust(BAR)))
    lines = [line.rstrip() for line in align_columns(rows).splitlines()]
    more = len(found.columns) - MOST_COLUMNS
    if more > 0:
        lines.append(f"and {more} less important columns")
    lines.append(
        f"importance: what is lost where a column's values change rows, on {found.rows:,} rows, "
        f"the mean of {found.repeats} permutations"
    )
    return "\n".join(lines)


def between(interval: Interval | None) -> str:
    """Return the ends of an interval; empty where there is none."""
    return "" if interval is None else f"{interval.low:.4f} to {interval.high:.4f}"


def _metrics(found: Evaluation) -> str:
    rows = [(f"{found.rows:,} rows", "ensemble", "95% interval", "mean member")]
    for name, value in found.metrics.items():
        member = found.metrics.get(f"member_mean/{name}")
        if member is not None and not name.startswith("ood/"):
            one = found.intervals.get(name)
            ends = "" if one is None else f"{metric_text(one.low)} to {metric_text(one.high)}"
            rows.append((name, metric_text(value), ends, metric_text(member)))
    return align_columns(rows)


def _sections(found: Evaluation) -> Iterator[str]:
    metrics = found.metrics
    name = "accuracy" if found.classes else "rmse"
    curve = [metric_text(metrics[f"rejection/{name}_at_{100 * share:.0f}"]) for share in KEPT]
    head = ("most certain rows kept", *(f"{share:.0%}" for share in KEPT), "mean over all shares")
    yield align_columns([head, (name, *curve, metric_text(metrics["rejection/area"]))])
    for group, title in (("diversity", "diversity of members"), ("conformal", "stated coverage")):
        own = {n.partition("/")[2]: v for n, v in metrics.items() if n.startswith(f"{group}/")}
        if own:
            yield align_columns(
                [(title, ""), *((name, metric_text(value)) for name, value in own.items())]
            )


def _classes(classes: Sequence[ClassResult]) -> Iterator[str]:
    if not classes:
        return
    rows: list[tuple[str, ...]] = [("class", "rows", "recall", "precision", "f1", "nll")]
    for one in classes[:MOST_CLASSES]:
        numbers = (_number(value) for value in (one.recall, one.precision, one.f1, one.nll))
        rows.append((truncate(printable(str(one.name)), 24), f"{one.rows:,}", *numbers))
    more = len(classes) - MOST_CLASSES
    yield align_columns(rows) + (f"\nand {more} more classes" if more > 0 else "")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _detection(found: Evaluation) -> Iterator[str]:
    if not found.ood:
        return
    title = f"against {found.ood_rows:,} other rows"
    rows = [(title, "auroc", "95% interval", "fpr95", "auprc", "mean member", "closed", "95%")]
    for name, one in found.ood.items():
        measures = one.measures
        rows.append(
            (
                name, f"{measures['auroc'].estimate:.4f}", between(measures["auroc"]),
                f"{measures['fpr95'].estimate:.4f}", f"{measures['auprc'].estimate:.4f}",
                f"{one.members:.4f}" + ("" if one.own else "*"),
                "" if one.closed is None else f"{one.closed.estimate:.4f}", between(one.closed),
            )
        )  # fmt: skip
    lines = [
        align_columns(rows),
        "closed: the share of the mean member's distance to 1 that is closed",
    ]
    if not all(one.own for one in found.ood.values()):
        alone = ALONE["classification" if found.classes else "regression"][0]
        lines.append(f"* a member alone has no such score; its {alone} is taken")
    yield "\n".join(lines)
