"""A check as a run in MLflow: its steps and findings as tables, its figures, and its page."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from ensemble_pipe.config.conversion import resolve
from ensemble_pipe.config.sections import Pipeline, Tracking
from ensemble_pipe.core.addresses import mask_secrets
from ensemble_pipe.search.checks.changes import yaml_of
from ensemble_pipe.search.checks.result_page import result_page
from ensemble_pipe.search.checks.text import Result
from ensemble_pipe.tracking.run_summary import flat
from ensemble_pipe.tracking.single_run import SingleRun, SingleRunSender
from ensemble_pipe.tracking.tracker import default_uri

RUNS = Path("runs")  # beside which the store of `run` lies by default


class Send(Protocol):
    def __call__(self, result: Result, config: Pipeline, began_ms: int) -> tuple[str | None, str]:
        """Send a result; return the id of its MLflow run, None for none, and a line on that."""
        ...


@contextmanager
def tracked(tracking: Tracking) -> Iterator[Send]:
    """Yield what sends the result of a check to MLflow, where the pipeline's runs are tracked."""
    if not tracking.mlflow:
        yield lambda result, config, began_ms: (None, "")
        return
    uri = tracking.uri or default_uri(RUNS)
    with SingleRunSender(uri, tracking.experiment) as sender:

        def send(result: Result, config: Pipeline, began_ms: int) -> tuple[str | None, str]:
            sent = sender.send(run_of(result, config, began_ms))
            if sent.problem is not None:
                problem = sent.problem
                return None, f"MLflow has not received the check: {problem}; {problem.advice}"
            where = f"experiment {tracking.experiment!r} of {mask_secrets(uri)}"
            return sent.run_id, f"the check is MLflow run {sent.run_id}, in {where}"

        yield send


def run_of(result: Result, config: Pipeline, began_ms: int) -> SingleRun:
    """Return the run of a check.

    Args:
        result: of the check.
        config: the pipeline.
        began_ms: when it began, in milliseconds since 1970.
    """
    found = [(step.title, finding) for step in result.steps for finding in step.findings]
    names = [finding.name for finding in result.warnings]
    metrics = {"seconds": result.seconds, "warnings": float(len(names))}
    for step in result.steps:
        metrics |= _figures(step.title, step.measured)
    steps = result.steps
    tables: dict[str, dict[str, list[Any]]] = {
        "steps.json": {
            "sound": [step.is_sound for step in steps],
            "judged": [step.is_judged for step in steps],
            "step": [step.title for step in steps],
            "verdict": [step.verdict for step in steps],
        },
        "findings.json": {
            "step": [title for title, _ in found],
            "level": [finding.level for _, finding in found],
            "name": [finding.name for _, finding in found],
            "what": [finding.text for _, finding in found],
        },
    }
    texts = {"check.html": result_page(result, config.name)}
    if result.changes:
        texts["changes.yaml"] = yaml_of(result.changes)
    tags = {
        "ensemble_pipe.kind": "check",
        "sound": str(not names).lower(),
        "warnings": ", ".join(names) or "none",
    }
    name = f"check {config.name}"
    return SingleRun(name, began_ms, _params(config), tags, metrics, tables, texts)


def _params(config: Pipeline) -> dict[str, Any]:
    """Return the settings that a check is of, by path."""
    whole = flat(resolve(config))
    return {k: v for k, v in whole.items() if k.startswith(("task", "network", "training"))}


def _figures(title: str, measured: Mapping[str, Any]) -> dict[str, float]:
    numbers = {k: v for k, v in measured.items() if isinstance(v, int | float)}
    return {f"{title}/{k}": float(v) for k, v in numbers.items() if math.isfinite(v)}
