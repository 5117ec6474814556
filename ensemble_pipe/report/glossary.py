"""The words of a report: what each metric is, which direction is better, and its unit."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from markupsafe import escape

from ensemble_pipe.core.messages import printable
from ensemble_pipe.report.page import NOTHING, Html, element, folded, joined

Direction = Literal["higher is better", "lower is better", "near what is stated is better", ""]
_HIGH: Direction = "higher is better"
_LOW: Direction = "lower is better"
_NEAR: Direction = "near what is stated is better"
_ARROWS = {_HIGH: "\N{UPWARDS ARROW}", _LOW: "\N{DOWNWARDS ARROW}", _NEAR: "=", "": ""}


@dataclass(frozen=True)
class Metric:
    """A metric in words.

    Attributes:
        name: its long name.
        direction: which values are better.
        unit: of its values; "target" stands for that of the target.
        meaning: a sentence.
    """

    name: str
    direction: Direction
    unit: str
    meaning: str

    @property
    def arrow(self) -> str:
        """The direction as one character."""
        return _ARROWS[self.direction]

    @property
    def text(self) -> str:
        """All of it in a line."""
        facts = "; ".join(filter(None, (self.direction, f"in {self.unit}" if self.unit else "")))
        return f"{self.name} ({facts}): {self.meaning}" if facts else f"{self.name}: {self.meaning}"


METRICS = {
    "accuracy": Metric(
        "accuracy", _HIGH, "shares of rows", "how many rows get their true class"
    ),
    "balanced_accuracy": Metric(
        "balanced accuracy", _HIGH, "shares", "the mean over classes of the share that is found"
    ),
    "f1": Metric(
        "F1 score", _HIGH, "0 to 1",
        "harmonic mean of precision and recall, of the second of two classes or the mean over more",
    ),
    "auroc": Metric(
        "area under the ROC curve", _HIGH, "0.5 (chance) to 1",
        "how often a row of a class gets a higher probability of it than a row of another",
    ),
    "auprc": Metric(
        "area under the precision-recall curve", _HIGH, "0 to 1",
        "mean precision over all recalls; chance is the share of the class",
    ),
    "nll": Metric(
        "negative log-likelihood", _LOW, "nats a row",
        "how surprised the prediction is by the truth; it rewards knowing and knowing how well",
    ),
    "brier": Metric(
        "Brier score", _LOW, "0 to 2", "squared distance of the probabilities from the true class"
    ),
    "ece": Metric(
        "expected calibration error", _LOW, "shares",
        "mean distance of confidence and accuracy, over 15 bins of equal width",
    ),
    "ece_mass": Metric(
        "expected calibration error, bins of equal mass", _LOW, "shares",
        "the same over 15 bins of equally many rows",
    ),
    "ace": Metric(
        "adaptive calibration error", _LOW, "shares",
        "the same for each class's own probability, over bins of equally many rows",
    ),
    "classwise_ece": Metric(
        "class-wise calibration error", _LOW, "shares",
        "the same for each class's own probability, over bins of equal width",
    ),
    "rmse": Metric(
        "root mean squared error", _LOW, "the target's unit",
        "a typical error, in which large ones count most",
    ),
    "mae": Metric("mean absolute error", _LOW, "the target's unit", "the mean distance"),
    "r2": Metric(
        "coefficient of determination, R\N{SUPERSCRIPT TWO}", _HIGH, "1 is perfect",
        "the share of the test part's variance that is explained; 0 is as good as its mean",
    ),
    "crps": Metric(
        "continuous ranked probability score", _LOW, "the target's unit",
        "distance of the whole predicted distribution from the truth",
    ),
    "coverage_90": Metric(
        "coverage of Gaussian 90% intervals", _NEAR, "shares of rows",
        "how many true values lie in the central 90% of the predicted distribution",
    ),
    "width_90": Metric(
        "width of Gaussian 90% intervals", "", "the target's unit",
        "of two that cover alike the narrower one knows more",
    ),
    "coverage": Metric(
        "coverage asked for", _NEAR, "shares of rows",
        "how many conformal sets or intervals hold the truth",
    ),
    "mean_size": Metric("size of the sets", _LOW, "classes", "mean number of classes in a set"),
    "mean_width": Metric("width of the intervals", _LOW, "the target's unit", "the mean"),
    "stated": Metric("coverage stated", "", "shares of rows", "what was asked for"),
    "disagreement": Metric(
        "disagreement", "", "shares of rows",
        "on how many rows two members predict different classes, the mean over pairs",
    ),
    "q_statistic": Metric(
        "Yule's Q", "", "-1 to 1", "1 where members are wrong on the same rows, 0 independently"
    ),
    "error_correlation": Metric(
        "correlation of errors", _LOW, "-1 to 1",
        "of being wrong, the mean over pairs: what members share, an ensemble cannot average out",
    ),
    "residual_correlation": Metric(
        "correlation of residuals", _LOW, "-1 to 1",
        "the mean over pairs: what members share, an ensemble cannot average out",
    ),
    "kl": Metric(
        "Kullback-Leibler divergence", "", "nats", "between two members' predictions, the mean"
    ),
    "ambiguity": Metric(
        "ambiguity", _HIGH, "nats, or squared units",
        "by how much the ensemble's loss is below its mean member's",
    ),
    "area": Metric(
        "area under the rejection curve", "", "as the metric",
        "the mean over all shares of rows that may be kept",
    ),
}  # fmt: skip


def metric_of(name: str) -> Metric | None:
    """Return what is known of a metric, such as "nll" or "rmse/price"; None for nothing."""
    whole, _, target = name.partition("/")
    for part in ("accuracy", "rmse"):
        if whole.startswith(f"{part}_at_"):
            share = whole.removeprefix(f"{part}_at_")
            base = METRICS[part]
            meaning = f"{base.name} of the {share}% of rows that it is most certain of"
            return Metric(f"{base.name} at {share}% kept", base.direction, base.unit, meaning)
    if whole.startswith("top_") and whole.endswith("_accuracy"):
        most = whole.removeprefix("top_").removesuffix("_accuracy")
        meaning = f"how many rows have their true class among the {most} most probable ones"
        return Metric(f"accuracy of the {most} most probable", _HIGH, "shares of rows", meaning)
    found = METRICS.get(whole)
    if found is None or not target:
        return found
    return Metric(f"{found.name} of {target}", found.direction, found.unit, found.meaning)


def long_name(name: str) -> str:
    """Return the long name of a metric; its own where nothing is known of it."""
    found = metric_of(name)
    return name if found is None else found.name


def term(name: str) -> Html:
    """Return a metric's name that explains itself on hover, with an arrow to what is better."""
    found = metric_of(name)
    if found is None:
        return escape(printable(name))
    title = escape(printable(found.text))
    label = escape(printable(found.name))
    return Html('<abbr title="{}">{}</abbr> {}').format(title, label, found.arrow)


def legend_of(names: Iterable[str]) -> Html:
    """Return the meaning of each metric, folded."""
    found = [one for one in map(metric_of, dict.fromkeys(names)) if one is not None]
    if not found:
        return NOTHING
    lines = [
        element("li", element("b", one.name), one.text.removeprefix(one.name)) for one in found
    ]
    return folded("What the metrics mean", element("ul", joined(lines)))
