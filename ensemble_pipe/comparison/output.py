"""A comparison of runs as text for a terminal, as one HTML page, and as CSV."""

import csv
import io
from pathlib import Path
from typing import Any

from ensemble_pipe.comparison.compare import Comparison, Estimate, RunGroup
from ensemble_pipe.comparison.picture import CAPTION, comparison_figure
from ensemble_pipe.comparison.runs import COVERED, short_name
from ensemble_pipe.core.messages import align_columns, printable, truncate
from ensemble_pipe.core.storage import atomic_write
from ensemble_pipe.report.drawing import inline, save_figure
from ensemble_pipe.report.page import element, page, picture, section, table

ENDINGS = (".html", ".csv", ".svg", ".png")
SHOWN = ("accuracy", "nll", "brier", "ece", "rmse", "mae", "crps", COVERED)
_COSTS = {
    "learner_steps": "learner-steps",
    "learner_epochs": "learner-epochs",
    "seconds": "seconds",
}

Cells = list[tuple[str, ...]]


def comparison_text(found: Comparison) -> str:
    """Return a comparison as text tables."""
    tables = [f"{title}\n{align_columns(rows)}" for title, rows in _tables(found)]
    return "\n\n".join([*(f"note: {one}" for one in found.remarks), *tables])


def write_comparison(found: Comparison, path: Path) -> None:
    """Write a comparison as HTML, a line for each run as CSV, or its picture as SVG or PNG."""
    match path.suffix:
        case ".html":
            atomic_write(path, comparison_page(found))
        case ".csv":
            atomic_write(path, comparison_csv(found))
        case _:
            save_figure(comparison_figure(found, _names(found)), path)


def comparison_page(found: Comparison) -> str:
    """Return a comparison as an HTML page."""
    parts = [section(title, table(rows[0], rows[1:])) for title, rows in _tables(found)]
    drawn = inline(comparison_figure(found, _names(found)))
    parts.insert(1, section("Metrics with their 95% intervals", picture(drawn, CAPTION)))
    names = ", ".join(run.root.name for group in found.groups for run in group.runs)
    title = f"Comparison of {truncate(printable(names), 120)}"
    remarks = [element("p", one, kind="warning") for one in found.remarks]
    return page(title, element("h1", title), *remarks, *parts)


def comparison_csv(found: Comparison) -> str:
    """Return a line for each run: its group, seed, settings that differ, test metrics and cost."""
    lines = []
    for group in found.groups:
        for run in group.runs:
            values = run.to_dict()
            line: dict[str, Any] = {"run": run.root.name, "group": group.label}
            line |= {key: values[key] for key in ("seed", "members", *_COSTS, "combined_from")}
            lines.append(line | group.settings | values["metrics"])
    names = dict.fromkeys(name for line in lines for name in line)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _names(found: Comparison) -> list[str]:
    """Return the metrics that are shown: those that a group has."""
    return [name for name in SHOWN if any(name in group.metrics for group in found.groups)]


def _tables(found: Comparison) -> list[tuple[str, Cells]]:
    """Return titles and tables, each with its header first."""
    groups = found.groups
    parts = [("Runs", _runs(groups))]
    if len(groups) > 1:
        parts.append(("Settings that differ", _settings(groups)))
    names = _names(found)
    head = ("", *(_group_title(group) for group in groups))
    metrics = [(name, *(_estimate(group.metrics.get(name)) for group in groups)) for name in names]
    parts.append(("Test part", [head, *metrics]))
    if len(groups) > 1:
        parts.append((f"Paired differences from {groups[0].label}", _differences(found, names)))
    return parts


def _runs(groups: tuple[RunGroup, ...]) -> Cells:
    rows: Cells = [("group", "run", "pipeline", "seeds", "members", *_COSTS.values())]
    for group in groups:
        members = sorted({run.members for run in group.runs})
        costs = [f"{group.cost[name]:,.0f}" for name in _COSTS]
        costs[-1] += _training_of(group)
        rows.append(
            (
                group.label, _run_names(group), group.runs[0].name,
                truncate(", ".join(str(run.seed) for run in group.runs), 30),
                ", ".join(map(str, members)), *costs,
            )
        )  # fmt: skip
    return rows


def _run_names(group: RunGroup) -> str:
    """Return the name of the one run of a group, or the ends of those of several."""
    if len(group.runs) == 1:
        return printable(group.runs[0].root.name)
    ends = ", ".join(run.short_name for run in group.runs)
    return f"{len(group.runs)} runs: {truncate(ends, 40)}"


def _training_of(group: RunGroup) -> str:
    """Return a note on costs that are another run's too, whose members are combined anew."""
    sources = dict.fromkeys(run.combined_from for run in group.runs if run.combined_from)
    return f" (with training of {', '.join(map(short_name, sources))})" if sources else ""


def _settings(groups: tuple[RunGroup, ...]) -> Cells:
    rows: Cells = [("", *(group.title for group in groups))]
    for name in groups[0].settings:
        rows.append((name, *(_value(group.settings[name]) for group in groups)))
    return rows


def _value(value: Any) -> str:
    return truncate(printable("-" if value is None else str(value)), 40)


def _group_title(group: RunGroup) -> str:
    count = len(group.runs)
    return f"{group.label}, mean of {count} (error)" if count > 1 else f"{group.title} (95%)"


def _estimate(one: Estimate | None, sign: str = "") -> str:
    """Return a number with its standard error over seeds, or with its interval over rows."""
    if one is None:
        return "-"
    text = f"{one.mean:{sign}.4f}"
    if one.standard_error is not None and not sign:
        return f"{text} ({one.standard_error:.4f})"
    if one.low is None:
        return text
    return f"{text} ({one.low:{sign}.4f} to {one.high:{sign}.4f})"


def _differences(found: Comparison, names: list[str]) -> Cells:
    first = found.groups[0].label
    rows: Cells = [("", *(f"{label} - {first} (95%)" for label in found.differences))]
    for name in names:
        ends = (_estimate(own.get(name), "+") for own in found.differences.values())
        rows.append((name, *ends))
    rows.append(("paired by", *(_pairing(own) for own in found.differences.values())))
    return rows


def _pairing(own: dict[str, Estimate]) -> str:
    if not own:
        return "nothing: no seed and no test rows in common"
    one = next(iter(own.values()))
    return f"seed, {one.runs} pairs" if one.over == "seeds" else "test row"
