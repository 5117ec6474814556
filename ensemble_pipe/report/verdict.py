"""The verdict on a run: one sentence, and three numbers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isfinite

from ensemble_pipe.core.messages import counted, printable, truncate
from ensemble_pipe.report.numbers import Numbers
from ensemble_pipe.report.page import Html, element, html_of, joined, number_text

_Z = 1.96  # of a 95% interval


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
        known = {
            "guessing the commonest class": metrics.get("baseline_constant/test/accuracy"),
            "a linear model": metrics.get("baseline_linear/test/accuracy"),
        }
        gains = [
            _gain((accuracy - value) * of, name)
            for name, value in known.items()
            if value is not None
        ]
        if gains:
            yield " and ".join(gains)
    yield from _held(numbers, "sets", "the truth")


def _gain(rows: float, name: str) -> str:
    count = round(abs(rows))
    if count == 0:
        return f"as many as {name}"
    return f"{count} {'more' if rows > 0 else 'fewer'} than {name}"


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
    constant, linear = (metrics.get(f"baseline_{one}/test/rmse") for one in ("constant", "linear"))
    against = [
        f"{rmse / value:.0%} of the error of {name}"
        for name, value in (("predicting the mean", constant), ("a linear model", linear))
        if rmse is not None and value
    ]
    if against and rmse is not None:
        yield f"its typical error of {number_text(rmse)} is {' and '.join(against)}"
    yield from _held(numbers, "intervals", "the truth")


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
        name: metrics[f"baseline_{key}/test/{metric}"]
        for key, name in (("constant", "a constant"), ("linear", "a linear model"))
        if metrics.get(f"baseline_{key}/test/{metric}") is not None
    }
    if own is None or not found:
        return None
    if metric == "accuracy":
        gains = {name: f"{100 * (own - (value or 0.0)):+.1f}" for name, value in found.items()}
        unit = "points of accuracy over"
    else:
        gains = {name: f"{own / value - 1:+.0%}" for name, value in found.items() if value}
        unit = "of the error, against"
    if not gains:
        return None
    name = "a constant" if "a constant" in gains else next(iter(gains))
    others = "".join(f"; {gain} against {one}" for one, gain in gains.items() if one != name)
    what = "always the commonest class" if metric == "accuracy" else "predicting the mean"
    return Figure(gains[name], f"{unit} {what if name == 'a constant' else name}{others}")


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
