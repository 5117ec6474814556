"""The description of a run in Markdown, for its page in MLflow: the verdict and what to do next."""

import re
from collections.abc import Iterable, Iterator

from ensemble_pipe.core.messages import counted
from ensemble_pipe.report.advice import MOST, steps
from ensemble_pipe.report.combination import count_of
from ensemble_pipe.report.facts import command_lines, moment
from ensemble_pipe.report.glossary import metric_of
from ensemble_pipe.report.numbers import Numbers
from ensemble_pipe.report.page import number_text
from ensemble_pipe.report.result import PREDICTORS
from ensemble_pipe.report.verdict import verdict_sentence
from ensemble_pipe.tracking.kinds import AcceptedEntry
from ensemble_pipe.tracking.run_summary import RunSummary

# Those of the table, as far as the run has them.
METRICS = ("accuracy", "rmse", "r2", "nll", "brier", "crps", "ece", "coverage_90", "auroc")
_SPECIAL = re.compile(r"([\\`*_\[\]<>|#])")


def description(numbers: Numbers) -> str:
    """Return the verdict, a table of the result, what to try next, and the next commands."""
    run = numbers.run
    parts = [f"**{_plain(verdict_sentence(numbers))}**", _members(run), *_table(run)]
    parts += [f"Changed since it began, {_changes(entry)}" for entry in run.accepted]
    advice = [_step(*step) for step, _ in zip(steps(numbers), range(MOST), strict=False)]
    if advice:
        parts.append("**What to try next**\n\n" + "\n".join(advice))
    commands = command_lines(numbers.paths, run)
    parts.append("**Next commands**\n\n```\n" + "\n".join(commands) + "\n```")
    return "\n\n".join(part for part in parts if part) + "\n"


def _changes(entry: AcceptedEntry) -> str:
    return f"{moment(entry.time_ms)}: {_plain('; '.join(entry.changes))}."


def _members(run: RunSummary) -> str:
    if not run.metrics:
        return ""
    rows = f"{run.rows['train']:,} training rows and {run.rows['test']:,} test rows"
    return f"{counted(count_of(run), 'member')}; {rows}."


def _table(run: RunSummary) -> Iterator[str]:
    """Yield a table with a line for each metric and a column for each predictor."""
    known = {who: at for who, at in PREDICTORS.items() if f"{at}test/nll" in run.metrics}
    names = [name for name in METRICS if f"test/{name}" in run.metrics]
    if not known or not names:
        return
    head = ["on the test part", *known]
    rows = [[_title(n), *(_cell(run, f"{at}test/{n}") for at in known.values())] for n in names]
    yield "\n".join(map(_line, [head, ["---"] * len(head), *rows]))


def _title(name: str) -> str:
    metric = metric_of(name)
    return name if metric is None else f"{metric.name} (`{name}`), {metric.direction}"


def _cell(run: RunSummary, name: str) -> str:
    value = run.metrics.get(name)
    return "" if value is None else number_text(value)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _step(text: str, command: str) -> str:
    return f"- {_plain(text)}" + (f" `{command}`" if command else "")


def _plain(text: str) -> str:
    """Return text that Markdown shows as it is: names of columns may hold its signs."""
    return _SPECIAL.sub(r"\\\1", text)
