"""The report of a run, finished or not: numbers become pictures, and these one HTML page."""

from collections.abc import Callable, Iterator
from pathlib import Path

from ensemble_pipe.core.storage import RunPaths, atomic_write, read_manifest
from ensemble_pipe.report import facts
from ensemble_pipe.report.advice import next_steps
from ensemble_pipe.report.checked import checked
from ensemble_pipe.report.columns import columns, importance
from ensemble_pipe.report.combination import combination
from ensemble_pipe.report.description import description
from ensemble_pipe.report.examples import confusions, uncertain_rows, worst_rows
from ensemble_pipe.report.filters import filters
from ensemble_pipe.report.learners import failures, learners, members, trials
from ensemble_pipe.report.numbers import Numbers, read_numbers
from ensemble_pipe.report.page import (
    NOTHING,
    Html,
    element,
    joined,
    page,
    section,
    value_table,
)
from ensemble_pipe.report.pictures import Shown, pictures_of, remove_old
from ensemble_pipe.report.result import result, unfinished
from ensemble_pipe.report.verdict import head_line, verdict
from ensemble_pipe.tracking.run_summary import RunSummary

_STATES = {
    "FINISHED": "",
    "RUNNING": "The run is in progress; this page shows its state at the time of writing.",
    "KILLED": "The run was stopped before its end; this page shows the results so far.",
    "FAILED": "The run ended with an error; this page shows the results so far.",
}


def write_report(
    paths: RunPaths, status: str | None = None, is_time: Callable[[], bool] = lambda: True
) -> Path:
    """Write the report of a run, and its description beside it; return the report.

    Args:
        paths: of the run.
        status: of a run that is about to end; None reads it from the journal.
        is_time: asked before a picture is drawn that the run has not drawn.

    Raises:
        CorruptFileError: the journal, the manifest, a checkpoint, the schema or the predictions are
            damaged.
    """
    numbers = read_numbers(paths, status)
    shown = pictures_of(numbers, is_time)
    text = page(numbers.run.run_id, *_sections(numbers, shown))
    atomic_write(paths.report, text)
    if numbers.run.status != "RUNNING":  # a process that drives the run draws at this moment
        remove_old(shown)
    atomic_write(paths.description, description(numbers))
    return paths.report


def _sections(numbers: Numbers, shown: Shown) -> Iterator[Html]:
    run, schema, paths = numbers.run, numbers.schema, numbers.paths
    yield from (head_line(numbers), _state(run), verdict(numbers), unfinished(run))
    yield next_steps(numbers)
    yield section("Result", result(numbers), shown.of("result"))
    yield section("How far it can be trusted", shown.of("trust"))
    yield section("What it gets wrong", shown.of("errors"), confusions(numbers))
    if numbers.test is not None:
        surest = "surest of, and wrong" if numbers.is_classification else "farthest off"
        yield section(f"Rows that it is {surest}", worst_rows(numbers))
        yield section("Rows that it is least sure of", uncertain_rows(numbers))
    yield section("Importance", shown.of("importance"), importance(run))
    yield section("Training", shown.of("training"), learners(run), failures(run))
    yield section("Search", shown.of("search"), trials(run))
    yield section("Members and how they differ", shown.of("diversity"))
    yield section("Combination", combination(run, schema.classes))
    yield section("Members", members(run), folded=True)
    yield section("Augmentation", shown.of("augmentation"))
    if run.metrics:
        yield section("Filters of the first layer", filters(paths.model, schema))
    yield section("Other pictures", shown.of("other"))
    yield section("Changed since it began", facts.changes(run))
    yield section("Going on", facts.commands(paths, run))
    yield section("Check", checked(run.checked))
    yield from _facts(numbers)


def _facts(numbers: Numbers) -> Iterator[Html]:
    """Yield what the run was: last, and folded."""
    run, schema = numbers.run, numbers.schema
    environment = read_manifest(numbers.paths).environment
    yield section("Data", facts.data(run, schema), folded=True)
    yield section("Columns", columns(schema), folded=True)
    yield section("Times", facts.times(run), folded=True)
    yield section("Settings", facts.settings(run), folded=True)
    yield section("Pipeline", facts.pipeline(run), folded=True)
    yield section("Versions", value_table(environment.items()), folded=True)


def _state(run: RunSummary) -> Html:
    state = _STATES.get(run.status, "")
    found = element("p", state) if state else NOTHING
    return joined([found, *([element("p", run.lost, kind="warning")] if run.lost else [])])
