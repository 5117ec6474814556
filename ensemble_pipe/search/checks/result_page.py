"""The result of a check as one HTML page: verdicts, findings, trials, curves, what to change."""

from collections.abc import Iterator

from ensemble_pipe.search.checks.changes import yaml_of
from ensemble_pipe.search.checks.findings import Step
from ensemble_pipe.search.checks.text import Result
from ensemble_pipe.tracking.page import Html, element, joined, page, picture, section, table
from ensemble_pipe.tracking.pictures import new_figure, png_of


def result_page(result: Result, name: str) -> str:
    """Return the page.

    Args:
        result: of the check.
        name: of the pipeline.
    """
    title, count = f"Check of {name}", len(result.warnings)
    head = element(
        "p", f"{count or 'no'} warning{'' if count == 1 else 's'}, {result.seconds:.0f} s"
    )
    rows = [("ok" if step.is_sound else "!!", step.title, step.verdict) for step in result.steps]
    found = [
        (step.title, finding.level, finding.name, finding.text)
        for step in result.steps
        for finding in step.findings
    ]
    changes = element("pre", yaml_of(result.changes)) if result.changes else Html("")
    return page(
        title,
        element("h1", title),
        head,
        section("Steps", table(("", "step", "verdict"), rows)),
        section("Findings", table(("step", "", "name", "what"), found) if found else Html("")),
        section("To change, in the pipeline", changes),
        section("Trials", joined(_trials(result))),
        section("Curves", joined(_curves(result))),
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


def _drawn(step: Step) -> bytes:
    figure = new_figure(5.2, 4.0)
    axis = figure.add_subplot()
    epochs = range(1, len(step.measured["stop"]) + 1)
    for key, label in (("train", "training rows"), ("stop", "held-out rows")):
        axis.plot(epochs, step.measured[key], label=label)
    axis.set(xlabel="epoch", ylabel="loss")
    axis.grid(alpha=0.25)
    axis.legend()
    return png_of(figure)
