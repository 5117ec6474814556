"""The verdict on a run: one sentence, and three numbers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isfinite

from ensemble_pipe.core.messages import counted, printable, truncate
from ensemble_pipe.report.gains import (
    UNCLEAR,
    ends_text,
    gain_over,
    is_clear,
    scaled,
    value_text,
)
from ensemble_pipe.report.numbers import Numbers
from ensemble_pipe.report.page import Html, element, html_of, joined, number_text

_Z = 1.96  # of a 95% interval
_BASELINES = {
    "classification": {"constant": "guessing the commonest class", "linear": "a linear model"},
    "regression": {"constant": "predicting the mean", "linear": "a linear model"},
}


@dataclass(frozen=True)
class Figure:
    """A number on top of the page.

    Attributes:
        value: as text.
        label: what it is, and what it is to be compared with.
    """

    value: str
    label: str


def verdict(numbers: Numbers) -> Html:
    """Return the sentence and its three numbers; before there is a result, how far the run is."""
    sentence = verdict_sentence(numbers)
    boxes = [
        element("div", element("b", one.value), element("span", one.label), kind="number")
        for one in verdict_figures(numbers)
    ]
    found = element("p", sentence, kind="verdict")
    return Html(found + element("div", joined(boxes), kind="numbers")) if boxes else found


def verdict_sentence(numbers: Numbers) -> str:
    """Return the verdict in a sentence."""
    if not numbers.run.metrics:
        return _progress(numbers)
    parts = list(_classes(numbers) if numbers.is_classification else _targets(numbers))
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _progress(numbers: Numbers) -> str:
    run = numbers.run
    if not run.ensembles:
        return (
            f"No result yet: {counted(len(run.plans), 'learner')}, and none has yielded a member."
        )
    count, metrics = max(run.ensembles.items())
    nll = metrics.get("nll")
    known = "" if nll is None else f", with an NLL of {nll:.4f} on the validation part"
    return f"No result yet: {counted(count, 'member')} so far{known}."


def _classes(numbers: Numbers) -> Iterator[str]:
    metrics = numbers.run.metrics
    accuracy = metrics.get("test/accuracy")
    if accuracy is not None:
        of = _of_how_many(accuracy)
        yield f"right for {accuracy * of:,.0f} of {of:,} new rows"
        gains = [
            _gain(numbers, baseline, name, (accuracy - value) * of)
            for baseline, name in _BASELINES["classification"].items()
            if (value := metrics.get(f"baseline_{baseline}/test/accuracy")) is not None
        ]
        yield from gains
    yield from _held(numbers, "sets", "the truth")


def _gain(numbers: Numbers, baseline: str, name: str, rows: float) -> str:
    """Return what is won over a baseline: points with their interval, or rows if that is unknown.

    Args:
        numbers: of the run.
        baseline: "constant" or "linear".
        name: of it, in words.
        rows: how many more are right than with the baseline.
    """
    found = gain_over(numbers.run, baseline, "accuracy")
    if found is None:
        count = round(abs(rows))
        more = f"{count} {'more' if rows > 0 else 'fewer'} than {name}"
        return more if count else f"as many as {name}"
    points = scaled(found, 100)
    value, ends = value_text(points, "+"), f"95% interval {ends_text(points)}"
    if not is_clear(points):
        return f"{UNCLEAR} from {name} ({value} points, {ends})"
    return f"{value} points {'over' if points.low > 0 else 'against'} {name}, {ends}"


def _of_how_many(share: float) -> int:
    """Return the power of ten of which a share is told: 100, more where few are wrong."""
    for of in (100, 1_000):
        if (1 - share) * of >= 2:
            return of
    return 10_000 if share < 1 else 100


def _targets(numbers: Numbers) -> Iterator[str]:
    metrics, names = numbers.run.metrics, numbers.schema.target_names
    r2, rmse = metrics.get("test/r2"), metrics.get("test/rmse")
    what = f"predicts {_name(names[0])}" if len(names) == 1 else f"predicts {len(names)} targets"
    if r2 is not None:
        yield f"{what}, explaining {_percent(r2)} of how new rows vary"
    elif rmse is not None:
        yield f"{what} with a typical error of {number_text(rmse)}"
    against = [
        f"{rmse / value:.0%} of the error of {name}{_change(numbers, baseline)}"
        for baseline, name in _BASELINES["regression"].items()
        if rmse is not None and (value := metrics.get(f"baseline_{baseline}/test/rmse"))
    ]
    if against and rmse is not None:
        yield f"its typical error of {number_text(rmse)} is {' and '.join(against)}"
    yield from _held(numbers, "intervals", "the truth")


def _change(numbers: Numbers, baseline: str) -> str:
    """Return by how much the RMSE is lower than a baseline's, with its interval, in brackets."""
    found = gain_over(numbers.run, baseline, "rmse")
    if found is None:
        return ""
    if not is_clear(found):
        change = scaled(found, -1)
        return f" ({UNCLEAR}: {value_text(change, '+')}, 95% interval {ends_text(change)})"
    size = scaled(found, 1 if found.low > 0 else -1)
    how = "lower" if found.low > 0 else "higher"
    return f" ({value_text(size)} {how}, 95% interval {ends_text(size)})"


def _held(numbers: Numbers, what: str, truth: str) -> Iterator[str]:
    metrics = numbers.run.metrics
    stated, found = metrics.get("conformal/test/stated"), metrics.get("conformal/test/coverage")
    if stated is not None and found is not None:
        yield f"its {stated:.0%} {what} held {truth} for {_percent(found)}"


def verdict_figures(numbers: Numbers) -> list[Figure]:
    """Return the three numbers: how good, against what, how sure; none before there is a result."""
    if not numbers.run.metrics:
        return []
    found = (
        [_accuracy(numbers), _against(numbers, "accuracy"), _sure(numbers)]
        if numbers.is_classification
        else [_rmse(numbers), _against(numbers, "rmse"), _sure(numbers)]
    )
    return [one for one in found if one is not None]


def _accuracy(numbers: Numbers) -> Figure | None:
    value = numbers.run.metrics.get("test/accuracy")
    if value is None:
        return None
    between = _interval_text(numbers, "accuracy", value, lambda end: _percent(min(end, 1.0)))
    rows = numbers.run.rows["test"]
    return Figure(_percent(value), f"accuracy: right among {rows:,} test rows{between}")


def _rmse(numbers: Numbers) -> Figure | None:
    value = numbers.run.metrics.get("test/rmse")
    if value is None:
        return None
    between = _interval_text(numbers, "rmse", value, number_text)
    rows, names = numbers.run.rows["test"], numbers.schema.target_names
    what = _name(names[0]) if len(names) == 1 else "the mean over targets"
    return Figure(
        f"{number_text(value)}", f"RMSE, a typical error of {what}, on {rows:,} test rows{between}"
    )


def _interval_text(
    numbers: Numbers, metric: str, value: float, text: Callable[[float], str]
) -> str:
    """Return the 95% interval of a test metric, with `text` of its ends; nothing where unknown."""
    error = None if numbers.test is None else numbers.test.error_of(metric)
    if error is None:
        return ""
    return f", 95% interval {text(value - _Z * error)} to {text(value + _Z * error)}"


def _against(numbers: Numbers, metric: str) -> Figure | None:
    """Return what is won over the baselines, in points of accuracy or as a share of the RMSE."""
    metrics = numbers.run.metrics
    own = metrics.get(f"test/{metric}")
    found = {
        baseline: value
        for baseline in ("constant", "linear")
        if (value := metrics.get(f"baseline_{baseline}/test/{metric}")) is not None
    }
    if own is None or not found or (metric == "rmse" and not all(found.values())):
        return None
    if metric == "accuracy":
        gains = {name: f"{100 * (own - value):+.1f}" for name, value in found.items()}
        unit, names = "points of accuracy over", {"constant": "always the commonest class"}
    else:
        gains = {name: f"{own / value - 1:+.0%}" for name, value in found.items()}
        unit, names = "of the error, against", {"constant": "predicting the mean"}
    first, *others = gains
    label = f"{unit} {names.get(first, 'a linear model')}{_doubt(numbers, first, metric)}"
    more = [f"{gains[one]} against a linear model{_doubt(numbers, one, metric)}" for one in others]
    return Figure(gains[first], "; ".join([label, *more]))


def _doubt(numbers: Numbers, baseline: str, metric: str) -> str:
    """Return the interval of a gain in points of accuracy; of others whether it is clear."""
    found = gain_over(numbers.run, baseline, metric)
    if found is None:
        return ""
    unclear = "" if is_clear(found) else UNCLEAR
    ends = f"95% interval {ends_text(scaled(found, 100))}" if metric == "accuracy" else ""
    told = ", ".join(part for part in (unclear, ends) if part)
    return f" ({told})" if told else ""


def _sure(numbers: Numbers) -> Figure | None:
    """Return whether what is stated holds: coverage where it was asked for, else calibration."""
    metrics = numbers.run.metrics
    stated, found = metrics.get("conformal/test/stated"), metrics.get("conformal/test/coverage")
    if stated is not None and found is not None:
        size, width = (
            metrics.get("conformal/test/mean_size"),
            metrics.get("conformal/test/mean_width"),
        )
        each = f", of {size:.2f} classes on average" if size is not None else ""
        each = f", {number_text(width)} wide on average" if width is not None else each
        kind = "sets" if numbers.is_classification else "intervals"
        return Figure(_percent(found), f"of its {stated:.0%} {kind} hold the truth{each}")
    name = "ece" if numbers.is_classification else "coverage_90"
    value = metrics.get(f"test/{name}")
    if value is None or not isfinite(value):
        return None
    if numbers.is_classification:
        label = "points between its confidence and its accuracy, on average (ECE)"
        return Figure(f"{100 * value:.1f}", label)
    return Figure(_percent(value), "of true values lie in its 90% intervals, taken as Gaussian")


def _percent(share: float) -> str:
    return f"{100 * share:.{2 if share > 0.995 and share < 1 else 1}f}%"


def _name(text: str) -> str:
    return truncate(printable(text), 40)


def head_line(numbers: Numbers) -> Html:
    """Return the name of the run and its status."""
    run = numbers.run
    status = element("span", run.status, kind=f"status {run.status}")
    return element("div", element("h1", html_of(run.run_id)), status, kind="top")
