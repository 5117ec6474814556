"""The report's table of the result: the ensemble against its members and against baselines."""

from collections.abc import Callable, Iterable, Mapping

from ensemble_pipe.core.messages import counted
from ensemble_pipe.report.combination import count_of
from ensemble_pipe.report.gains import gains
from ensemble_pipe.report.glossary import legend_of, metric_of, term
from ensemble_pipe.report.numbers import Numbers
from ensemble_pipe.report.page import (
    NOTHING,
    Html,
    element,
    folded,
    html_of,
    joined,
    predictor_table,
    table,
)
from ensemble_pipe.tracking.run_summary import RunSummary

PREDICTORS = {
    "ensemble": "",
    "mean member": "member_mean/",
    "best member": "member_best/",
    "linear model": "baseline_linear/",
    "constant": "baseline_constant/",
}
# The errors of calibration, which a prediction that is the same for all rows has least of.
_CALIBRATION = ("ece", "ece_mass", "ace", "classwise_ece")
_NOTE = (
    "The best of each line is bold. The best member is that of the lowest validation NLL; the "
    "constant is the shares of the classes, or the mean and the deviation, of the training part."
)
_WITHOUT_CONSTANT = (
    " It is not compared by its calibration errors: shares that are stated of every row alike are "
    "right on average, and say nothing of a row."
)
_CHOOSE: dict[str, Callable[[Iterable[float]], float]] = {
    "higher is better": max,
    "lower is better": min,
}


def result(numbers: Numbers) -> Html:
    """Return the metrics of each predictor on the test part, and folded on the others."""
    run = numbers.run
    if not run.metrics:
        return _so_far(run)
    count = f"{counted(count_of(run), 'member')}. "
    parts = [part for part in ("validation", "stop") if f"{part}/nll" in run.metrics]
    others = [folded(f"The same on the {part} part", _predictors(run, part)) for part in parts]
    more = _WITHOUT_CONSTANT if f"{PREDICTORS['constant']}test/ece" in run.metrics else ""
    note = element("p", count + _NOTE + more, kind="note")
    meanings = legend_of(name.partition("test/")[2] for name in run.metrics if "test/" in name)
    table = _predictors(run, "test")
    return joined([table, note, gains(run), _refitted(run), *others, meanings])


def _predictors(run: RunSummary, part: str) -> Html:
    """Return a line for each metric, a column for each predictor."""
    start = f"{part}/"
    names = [name.removeprefix(start) for name in run.metrics if name.startswith(start)]
    known = {
        who: prefix for who, prefix in PREDICTORS.items() if f"{prefix}{part}/nll" in run.metrics
    }
    rows = []
    for name in names:
        values = {who: run.metrics.get(f"{prefix}{part}/{name}") for who, prefix in known.items()}
        rows.append([term(name), *_emphasised(name, values)])
    return predictor_table([f"on the {part} part", *known], rows)


def _emphasised(name: str, values: Mapping[str, float | None]) -> list[Html]:
    """Return the values of predictors as HTML, the best of those that compete bold."""
    out = {"constant"} if name in _CALIBRATION else set()
    known = [value for who, value in values.items() if value is not None and who not in out]
    metric = metric_of(name)
    choose = None if metric is None else _CHOOSE.get(metric.direction)
    best = choose(known) if choose is not None and len(known) > 1 else None
    return [
        element("b", value) if value is not None and value == best and who not in out
        else html_of(value)
        for who, value in values.items()
    ]  # fmt: skip


def _so_far(run: RunSummary) -> Html:
    if run.ensembles:
        count, metrics = max(run.ensembles.items())
        text = f"On the validation part, the {count} members so far together:"
        rows = [[term(name), value] for name, value in metrics.items()]
        return Html(element("p", text) + table(("metric", "value"), rows))
    return element("p", "No learner has yielded a member yet.")


def unfinished(run: RunSummary) -> Html:
    """Return notes on learners that the result does not include."""
    notes = []
    if run.unfinished:
        names = ", ".join(str(learner) for learner in run.unfinished)
        notes.append(f"The training of these learners had not ended: {names}.")
    if run.left_undone:
        notes.append(f"With more time the run would have gone on: {run.left_undone}.")
    if run.spared:
        names = ", ".join(str(learner) for learner in run.spared)
        notes.append(f"Learners {names} were spared: {next(iter(run.spared.values()))}.")
    return NOTHING.join(element("p", text, kind="warning") for text in notes)


def _refitted(run: RunSummary) -> Html:
    """Return a note on members that were trained again after they were combined."""
    done = [one for one in run.refitted.values() if one.failed is None]
    if not done:
        return NOTHING
    text = (
        f"After they had been measured and combined, {len(done)} learners were trained again on "
        f"all {done[0].rows} rows that are not of the test part: validation figures are of the "
        "members before, test figures of those after."
    )
    kept = [str(one.learner) for one in run.refitted.values() if one.failed is not None]
    text += f" Learners {', '.join(kept)} failed in this, and stay as they were." if kept else ""
    return element("p", text, kind="note")
