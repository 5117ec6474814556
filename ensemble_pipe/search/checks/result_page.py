"""The result of a check as one HTML page: verdicts, findings, trials, curves, what to change."""

from collections.abc import Iterator

from ensemble_pipe.report.drawing import inline, legend, line, new_axis, whole_numbers
from ensemble_pipe.report.page import (
    NOTHING,
    Html,
    element,
    joined,
    page,
    picture,
    section,
    table,
)
from ensemble_pipe.search.checks.changes import yaml_of
from ensemble_pipe.search.checks.findings import Step
from ensemble_pipe.search.checks.text import Result, unjudged_text


def result_page(result: Result, name: str) -> str:
    """Return the page.

    Args:
        result: of the check.
        name: of the pipeline.
    """
    title, count = f"Check of {name}", len(result.warnings)
    head = element(
        "p",
        f"{count or 'no'} warning{'' if count == 1 else 's'}, {result.seconds:.0f} s"
        f"{unjudged_text(result)}",
    )
    rows = [(step.mark, step.title, step.verdict) for step in result.steps]
    found = [
        (step.title, finding.level, finding.name, finding.text)
        for step in result.steps
        for finding in step.findings
    ]
    changes = element("pre", yaml_of(result.changes)) if result.changes else NOTHING
    return page(
        title,
        element("h1", title),
        head,
        section("Steps", table(("", "step", "verdict"), rows)),
        section("Findings", table(("step", "", "name", "what"), found) if found else NOTHING),
        section("To change, in the pipeline", changes),
        section("Trials", joined(_trials(result))),
        section("Curves", element("div", joined(_curves(result)), kind="pictures")),
    )


def _trials(result: Result) -> Iterator[Html]:
    for step in result.steps:
        trials = step.measured.get("trials")
        if trials:
            keys = ("learning_rate", "l1", "l2", "weight_decay", "epochs", "loss")
            rows = [[trial[key] for key in keys] for trial in trials]
            best = min(range(len(rows)), key=lambda place: rows[place][-1])
            yield element("p", f"{step.title}; the first trial has the pipeline's own settings")
            yield table((*keys[:-1], "lowest loss"), rows, strong=[best])


def _curves(result: Result) -> Iterator[Html]:
    for step in result.steps:
        if len(step.measured.get("stop", ())) > 1:
            yield picture(_drawn(step), f"{step.title}: {step.verdict}")


def _drawn(step: Step) -> Html:
    figure, axis = new_axis("epoch", "loss")
    epochs = range(1, len(step.measured["stop"]) + 1)
    for place, (key, label) in enumerate((("train", "training rows"), ("stop", "held-out rows"))):
        style = {**line(place), "linestyle": ("-", "--")[place]}
        axis.plot(epochs, step.measured[key], label=label, **style)
    whole_numbers(axis)
    legend(axis)
    return inline(figure)
