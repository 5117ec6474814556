"""What an ensemble gains over the baselines on the test part, with intervals over the same rows."""

from math import floor, log10

from ensemble_pipe.ensemble.metrics.resampling import Interval
from ensemble_pipe.report.glossary import term
from ensemble_pipe.report.page import NOTHING, Html, element, html_of, joined, table
from ensemble_pipe.tracking.run_summary import RunSummary

UNCLEAR = "no clear difference"
_BASELINES = {"linear": "over the linear model", "constant": "over the constant"}
_METRICS = ("accuracy", "rmse", "r2", "mae", "nll", "brier", "crps")
_NOTE = (
    "Above 0 the ensemble is better, by so much of each metric's own unit. In brackets the 95% "
    "interval of the gain over the same test rows (bootstrap); where it spans 0, chance in the "
    f"choice of these rows can explain the gain: {UNCLEAR}."
)


def gain_over(run: RunSummary, baseline: str, metric: str) -> Interval | None:
    """Return by how much the ensemble is better than "linear" or "constant"; None if unknown."""
    place = f"baseline_{baseline}/test"
    found = [
        run.metrics.get(f"{place}/{kind}/{metric}") for kind in ("gain", "gain_low", "gain_high")
    ]
    value, low, high = found
    return None if value is None or low is None or high is None else Interval(value, low, high)


def is_clear(one: Interval) -> bool:
    """Return whether an interval does not span 0."""
    return one.low > 0 or one.high < 0


def scaled(one: Interval, factor: float) -> Interval:
    """Return an interval in another unit; a factor below 0 turns it round."""
    low, high = sorted((factor * one.low, factor * one.high))
    return Interval(factor * one.estimate, low, high)


def ends_text(one: Interval, digits: int = 1) -> str:
    """Return the ends of an interval, so that half its width has at least so many digits.

    >>> ends_text(Interval(0.7, 0.3123, 1.1)), ends_text(Interval(410.2, 300.4, 520.0), 2)
    ('0.3 to 1.1', '300 to 520')
    """
    places = _places(one, digits)
    return f"{_rounded(one.low, places)} to {_rounded(one.high, places)}"


def value_text(one: Interval, sign: str = "", digits: int = 1) -> str:
    """Return the value of an interval, with as many decimals as its ends have.

    >>> value_text(Interval(0.7123, 0.3, 1.1), "+"), value_text(Interval(-0.01, -0.3, 0.3), "+")
    ('+0.7', '0.0')
    """
    return _rounded(one.estimate, _places(one, digits), sign)


def _places(one: Interval, digits: int) -> int:
    half = (one.high - one.low) / 2
    return max(0, digits - 1 - floor(log10(half))) if half > 0 else digits


def _rounded(value: float, places: int, sign: str = "") -> str:
    near = round(value, places)
    return f"{near:{sign},.{places}f}" if near else f"{0:.{places}f}"


def gains(run: RunSummary) -> Html:
    """Return a table of what the ensemble gains over each baseline; nothing where none is known."""
    known = {
        name: {metric: one for metric in _METRICS if (one := gain_over(run, name, metric))}
        for name in _BASELINES
    }
    known = {name: own for name, own in known.items() if own}
    if not known:
        return NOTHING
    metrics = [metric for metric in _METRICS if any(metric in own for own in known.values())]
    rows = [[term(m), *(_cell(own.get(m)) for own in known.values())] for m in metrics]
    head = ["gain on the test part", *(_BASELINES[name] for name in known)]
    return joined([table(head, rows), element("p", _NOTE, kind="note")])


def _cell(one: Interval | None) -> Html | None:
    if one is None:
        return None
    text = f"{value_text(one, '+', 2)} ({ends_text(one, 2)})"
    return element("b", text) if is_clear(one) else html_of(f"{text}, {UNCLEAR}")
