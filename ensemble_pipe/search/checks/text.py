"""The result of a check as text for the terminal, and as JSON."""

from dataclasses import asdict
from textwrap import wrap
from typing import Any, Protocol

import numpy as np

from ensemble_pipe.core.messages import printable
from ensemble_pipe.search.checks.changes import yaml_of
from ensemble_pipe.search.checks.findings import Finding, Step

_WIDTH, _TITLE = 100, 34


class Result(Protocol):
    """What `search.check.check` returns."""

    @property
    def steps(self) -> tuple[Step, ...]: ...
    @property
    def warnings(self) -> list[Finding]: ...
    @property
    def changes(self) -> dict[str, Any]: ...
    @property
    def seconds(self) -> float: ...


def result_text(result: Result) -> str:
    """Return a table of the steps with their findings, and the YAML to paste."""
    lines = [line for step in result.steps for line in _step_lines(step)]
    count = len(result.warnings)
    nothing = "nothing" if not unjudged_text(result) else "nothing, by what was judged"
    lines += _step_lines(Step("7 what to change", "see below" if result.changes else nothing))
    ending = f"{count or 'no'} warning{'' if count == 1 else 's'} in {result.seconds:.0f} s"
    lines += ["", f"{ending}{unjudged_text(result)}"]
    if result.changes:
        lines += ["", "in the pipeline:", "", printable(yaml_of(result.changes), "\n")]
    return "\n".join(lines)


def unjudged_text(result: Result) -> str:
    """Return how many steps there was no time for, and what gives them more; "" for none."""
    count = sum(not step.is_judged for step in result.steps)
    steps = "1 step was" if count == 1 else f"{count} steps were"
    return f"; {steps} not judged: give more time by --time-limit" if count else ""


def _step_lines(step: Step) -> list[str]:
    head = f"{step.mark}  {step.title:{_TITLE}}"
    lines = wrap(step.verdict, _WIDTH - len(head), break_long_words=False) or [""]
    found = [head + lines[0], *(" " * len(head) + line for line in lines[1:])]
    for finding in step.findings:
        found += finding_lines(finding)
    return found


def finding_lines(finding: Finding) -> list[str]:
    """Return a finding as lines of text."""
    text = f"{finding.level}: {finding.name}: {printable(finding.text)}"
    return wrap(text, _WIDTH, initial_indent="    ", subsequent_indent="      ")


def result_json(result: Result) -> dict[str, Any]:
    """Return all of a result as plain values; what is not finite is null."""
    plain = {
        "sound": not result.warnings,
        "warnings": [finding.name for finding in result.warnings],
        "changes": result.changes,
        "seconds": result.seconds,
        "steps": [asdict(step) for step in result.steps],
    }
    finite: dict[str, Any] = _finite(plain)
    return finite


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
