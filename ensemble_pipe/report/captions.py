"""What stands below each picture, and what is said of it to those who do not see it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ensemble_pipe.core.messages import counted
from ensemble_pipe.report.by_group import group_errors
from ensemble_pipe.report.curves import best_epoch
from ensemble_pipe.report.drawing import short
from ensemble_pipe.report.groups import Group, groups_of, worst_of
from ensemble_pipe.report.numbers import Numbers
from ensemble_pipe.report.page import number_text


@dataclass(frozen=True)
class Caption:
    """The place and the texts of a picture.

    Attributes:
        place: the part of the page that it belongs to.
        text: below it.
        seen: what is to be seen, with numbers; "" where the caption says it.
        is_wide: whether it takes the whole width.
    """

    place: str
    text: str
    seen: str = ""
    is_wide: bool = False

    def saying(self, text: str = "", seen: str = "") -> "Caption":
        """Return it with a text that its numbers give, and what is to be seen."""
        return replace(self, text=text or self.text, seen=seen)

    @property
    def description(self) -> str:
        """The text in the place of the picture."""
        return f"{self.text} {self.seen}".strip()


_FEW_WRONG = 50  # rows: fewer say little of single bins
_CAPTIONS = {
    "ensemble_size": Caption(
        "result",
        "Size against negative log-likelihood: the ensemble of the first members, lower is better.",
    ),
    "stop_curves": Caption(
        "training", "Loss on the stop part by epoch; a marker at the best epoch of each learner."
    ),
    "training_curves": Caption("training", "Loss on the training part by epoch."),
    "rates": Caption("training", "Learning rate by epoch."),
    "reliability": Caption(
        "trust", "What is stated against what comes true; on the dotted line they agree."
    ),
    "rejection": Caption(
        "trust",
        "If only the rows that it is most certain of are answered: the more are left to a person, "
        "to the right, the better the rest ought to be.",
    ),
    "unfamiliar": Caption(
        "trust",
        "How unsure it is of test rows, and of rows of another kind, made of them: the values of "
        "each column change their rows, or the pixels of an image their places. Told apart is how "
        "often such a row is the less sure one of a pair: at 50% it does not notice them; by "
        "disagreement is by how much the members differ alone.",
    ),
    "coverage": Caption(
        "trust",
        "Coverage that was asked for, by class and group; lines are 95% intervals. The promise is "
        "for all rows together: single groups may lie beside it.",
    ),
    "confusion_matrix": Caption(
        "errors", "Of each true class, the percentage that is predicted as each class."
    ),
    "predicted": Caption("errors", "Predicted against true values."),
    "residuals": Caption(
        "errors", "What is left over; where both lines agree, the stated deviation is right."
    ),
    "intervals": Caption("errors", "Intervals of some test rows, against the truth."),
    "errors_by_group": Caption(
        "errors", "How right it is, by class and group; lines are 95% intervals."
    ),
    "diversity": Caption("diversity", "How much each pair of members differs."),
    "members_map": Caption(
        "diversity",
        "A map of the members' predictions (Fort et al. 2019): members that lie far apart have "
        "found different solutions.",
    ),
    "importance": Caption("importance", "Importance of the columns, with 95% intervals."),
    "augmentation": Caption(
        "augmentation", "Training rows, and augmented versions of them.", is_wide=True
    ),
    "search_history": Caption(
        "search", "Trials of the search by their score, and the best so far."
    ),
    "search_importance": Caption(
        "search", "How much of the trials' scores each hyperparameter explains (fANOVA)."
    ),
    "search_trials": Caption(
        "search",
        "Values of the trials, a line for each; the better a trial, the darker its line, and the "
        "best is dashed, with diamonds.",
        is_wide=True,
    ),
}


def is_drawn(name: str) -> bool:
    """Return whether pictures of some run have this name."""
    return _known(name) is not None


def caption_of(name: str, numbers: Numbers) -> Caption:
    """Return the texts of a picture, with what its numbers say."""
    known = _known(name)
    if known is None:
        return Caption("other", name.replace("_", " "))
    say = _SEEN.get(name)
    return known if say is None else known.saying(**say(numbers))


def _known(name: str) -> Caption | None:
    return _CAPTIONS.get(name) or _CAPTIONS.get(name.rpartition("_")[0])


def _curves(numbers: Numbers) -> dict[str, str]:
    best = [best_epoch(entries) for entries in numbers.run.epochs.values()]
    known = [one for one in best if one is not None]
    name = numbers.run.pipeline["training"]["schedule"]["name"]
    text = "Loss on the stop part by epoch; a marker at the best epoch of each learner."
    if not known:
        return {"text": f"{text} The schedule of the rate is {name}."}
    between = f"{min(known)}" if min(known) == max(known) else f"{min(known)} to {max(known)}"
    return {"text": f"{text} Best epochs: {between}; schedule of the rate: {name}."}


def _size(numbers: Numbers) -> dict[str, str]:
    values = [(size, metrics.get("nll")) for size, metrics in sorted(numbers.run.ensembles.items())]
    known = [(size, value) for size, value in values if value is not None]
    if not known:
        return {}
    (first, before), (last, after) = known[0], known[-1]
    return {
        "seen": f"From {before:.4f} with {counted(first, 'member')} to {after:.4f} with {last}."
    }


def _reliability(numbers: Numbers) -> dict[str, str]:
    error, test = numbers.run.metrics.get("test/ece"), numbers.test
    if error is None:
        return {}
    found = {"seen": f"They are {100 * error:.1f} points apart on average."}
    if test is None:
        return found
    wrong = int(test.wrong.sum())
    few = ": with so few errors, single points are largely chance" if wrong < _FEW_WRONG else ""
    text = _CAPTIONS["reliability"].text
    return {**found, "text": f"{text} {wrong:,} of {len(test.rows):,} test rows are wrong{few}."}


def _rejection(numbers: Numbers) -> dict[str, str]:
    name = "accuracy" if numbers.is_classification else "rmse"
    values = [numbers.run.metrics.get(f"rejection/test/{name}_at_{kept}") for kept in (100, 90, 50)]
    known = [number_text(value) for value in values if value is not None]
    if len(known) < len(values):
        return {}
    whole, most, half = known
    return {"seen": f"{name}: {whole} of all rows, {most} of 90%, {half} of 50%."}


def _coverage(numbers: Numbers) -> dict[str, str]:
    found, stated = (
        numbers.run.metrics.get(f"conformal/test/{one}") for one in ("coverage", "stated")
    )
    if found is None or stated is None:
        return {}
    return {"seen": f"Over all rows {found:.1%}, where {stated:.0%} was asked for."}


def _confusion(numbers: Numbers) -> dict[str, str]:
    accuracy = numbers.run.metrics.get("test/accuracy")
    return {} if accuracy is None else {"seen": f"{accuracy:.1%} lie on the diagonal."}


def _errors(numbers: Numbers) -> dict[str, str]:
    rmse, r2 = (numbers.run.metrics.get(f"test/{one}") for one in ("rmse", "r2"))
    explained = "" if r2 is None else f", {r2:.1%} of the variance is explained"
    return {} if rmse is None else {"seen": f"The RMSE is {number_text(rmse)}{explained}."}


def _groups(numbers: Numbers) -> dict[str, str]:
    groups, test = groups_of(numbers), numbers.test
    if test is None or not groups:
        return {}
    what, by = "Typical error (RMSE)", "quarter of the target"
    if numbers.is_classification:
        what, by = "Share of rows that are right", "class"
    text = f"{what}, by {by} and group; lines are 95% intervals."
    if numbers.schema.is_image:
        return {"text": text}
    worst = worst_of(test, [one for one in groups if one.column])
    if worst is None:
        return {"text": f"{text} No group of a column is worse than the other rows beyond chance."}
    every = Group("all rows", np.arange(len(test.rows)))
    figure = "{:.1%}".format if numbers.is_classification else number_text
    own, whole = (figure(one.value) for one in group_errors(test, [worst, every]))
    return {
        "text": f"{text} The worst of the columns: {short(worst.name, 60)}, {own}; "
        f"all rows {whole}."
    }


def _diversity(numbers: Numbers) -> dict[str, str]:
    text = (
        "How much each pair of members differs: percentage of test rows with different classes."
        if numbers.is_classification
        else "How much each pair of members differs: 100 less the correlation of residuals in per "
        "cent."
    )
    value = numbers.run.metrics.get("diversity/test/disagreement")
    return {"text": text} | ({} if value is None else {"seen": f"The mean pair: {value:.1%}."})


def _importance(numbers: Numbers) -> dict[str, str]:
    found = numbers.run.importance
    if found is None or not found.columns:
        return {}
    text = (
        "Importance of the columns, with 95% intervals: by how much the NLL rises where the values "
        f"of a column are permuted, over {found.rows:,} rows, "
        f"{counted(found.repeats, 'time')}. Of columns that say the same, each may look "
        "unimportant alone."
    )
    names = ", ".join(one.name for one in found.columns[:3])
    return {"text": text, "seen": f"The most important: {names}."}


def _trials(numbers: Numbers) -> dict[str, str]:
    scores = [one.score for one in numbers.run.trials.values() if one.score is not None]
    if not scores:
        return {}
    count, best = counted(len(scores), "trial"), next(iter(scores))
    return {"seen": f"{count}; the chosen one has {best:.4g}, the median {np.median(scores):.4g}."}


_SEEN: dict[str, Callable[[Numbers], dict[str, str]]] = {
    "stop_curves": _curves,
    "ensemble_size": _size,
    "reliability": _reliability,
    "rejection": _rejection,
    "coverage": _coverage,
    "confusion_matrix": _confusion,
    "predicted": _errors,
    "residuals": _errors,
    "errors_by_group": _groups,
    "diversity": _diversity,
    "importance": _importance,
    "search_history": _trials,
}
