"""Further measures of an ensemble: rejection, diversity, coverage, bootstrap intervals."""

import numpy as np

from ensemble_pipe.core import seeds
from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.ensemble.diversity import classification_diversity, regression_diversity
from ensemble_pipe.ensemble.metrics.rejection import RejectionCurve, rejection_curve
from ensemble_pipe.ensemble.metrics.resampling import Interval
from ensemble_pipe.ensemble.metrics.row_values import RowValues, class_values
from ensemble_pipe.ensemble.numbers import member_means
from ensemble_pipe.ensemble.prediction import Metrics, Prediction

KEPT = (1.0, 0.95, 0.9, 0.8, 0.5)


def row_values(prediction: Prediction, targets: Array) -> dict[str, RowValues]:
    """Return the metrics that are means over rows, row by row.

    Args:
        prediction: of R rows.
        targets: (R,) or (R, D), as base files hold them.
    """
    schema = prediction.schema
    if schema.task == "classification":
        found = class_values(prediction.probabilities, targets)
        right = (prediction.decided == targets).astype(np.float64)
        return found | {"accuracy": RowValues(right[:, None])}
    return prediction.numbers.row_values(targets)


def intervals(values: dict[str, RowValues]) -> dict[str, Interval]:
    """Return bootstrap intervals of metrics over rows; none of fewer than two rows."""
    if any(len(one.values) < 2 for one in values.values()):
        return {}
    draws = {
        name: seeds.generator(0, seeds.Purpose.BOOTSTRAP, shard=place)
        for place, name in enumerate(values)
    }
    return {name: one.interval(draws[name]) for name, one in values.items()}


def unsureness(prediction: Prediction) -> Floats:
    """Return what rows are rejected by, (R,): larger for less certain ones.

    For classes 1 minus the largest probability; for numbers the standard deviation, of several
    targets the root of the mean square of their standardised ones.
    """
    if prediction.schema.task == "classification":
        unsure: Floats = 1.0 - prediction.probabilities.max(axis=1)
        return unsure
    return standardise(prediction.std, prediction)


def standardise(deviation: Floats, prediction: Prediction) -> Floats:
    """Return one number (R,) for deviations (R, D): the root mean square of standardised ones."""
    unit = np.array([one.unit for one in prediction.schema.fitted_targets])
    spread: Floats = np.sqrt(np.mean((deviation / unit) ** 2, axis=1))
    return spread


def rejection(prediction: Prediction, targets: Array) -> tuple[str, RejectionCurve]:
    """Return accuracy, or the RMSE, as the least certain rows are rejected; and which it is."""
    name = "accuracy" if prediction.schema.task == "classification" else "rmse"
    values, unsure = row_values(prediction, targets)[name], unsureness(prediction)
    curves = [rejection_curve(one, unsure) for one in values.values.T]
    means = [np.sqrt(curve.mean) if values.root else curve.mean for curve in curves]
    return name, RejectionCurve(curves[0].kept, np.mean(means, axis=0))


def rejection_metrics(prediction: Prediction, targets: Array) -> Metrics:
    """Return `accuracy_at_95`, ... (or `rmse_at_95`, ...): of the 95% most certain; and `area`."""
    name, curve = rejection(prediction, targets)
    found = {f"{name}_at_{100 * share:.0f}": curve.at(share) for share in KEPT}
    return {**found, "area": curve.area}


def diversity_metrics(prediction: Prediction, targets: Array) -> Metrics:
    """Return how the members differ, as `ensemble.diversity` has it; nothing for one member.

    The ambiguity of numbers is in the targets' squared units, the mean over targets.
    """
    schema, weights = prediction.schema, prediction.combiner.member_weights()
    if schema.task == "classification":
        return classification_diversity(prediction.outputs, targets, weights)
    means = member_means(prediction.outputs, schema)
    return regression_diversity(means, schema.decode_targets(targets), weights)


def covered_rows(prediction: Prediction, targets: Array) -> Array:
    """Return whether the sets or intervals hold the truth, (R, D) bool; D = 1 for classes.

    Args:
        prediction: of R rows, with conformal sets or intervals.
        targets: (R,) or (R, D), as base files hold them.
    """
    if prediction.schema.task == "classification":
        held: Array = prediction.sets[np.arange(len(targets)), targets][:, None]
        return held
    (low, high), truth = prediction.interval, prediction.schema.decode_targets(targets)
    inside: Array = (low <= truth) & (truth <= high)
    return inside


def coverage_metrics(prediction: Prediction, targets: Array) -> Metrics:
    """Return how often sets or intervals hold the truth, and their size; nothing without them.

    Returns:
        `stated` and the `coverage` found; `mean_size`, in classes, or `mean_width`, in the targets'
        units, where no interval is infinite. Of several targets the means over them, and each one's
        as `coverage/<target>`.
    """
    if not prediction.conformal:
        return {}
    stated = prediction.conformal[0].coverage
    schema = prediction.schema
    held = covered_rows(prediction, targets)
    if schema.task == "classification":
        size = prediction.sets.sum(axis=1)
        return {"stated": stated, "coverage": float(held.mean()), "mean_size": float(size.mean())}
    low, high = prediction.interval
    inside, width = held.mean(axis=0), (high - low).mean(axis=0)
    found = {"stated": stated, "coverage": float(inside.mean()), "mean_width": float(width.mean())}
    if schema.target_count > 1:
        for name, one, mean in zip(schema.target_names, inside, width, strict=True):
            found |= {f"coverage/{name}": float(one), f"mean_width/{name}": float(mean)}
    return {name: value for name, value in found.items() if np.isfinite(value)}


def further_metrics(prediction: Prediction, targets: Array, part: str = "") -> Metrics:
    """Return all of these, flat: "rejection/area", "diversity/kl", "conformal/coverage", ...

    Args:
        prediction: of R rows.
        targets: (R,) or (R, D), as base files hold them.
        part: stands before each measure's own name, such as "test/" for "diversity/test/kl".
    """
    groups = {
        "rejection": rejection_metrics(prediction, targets),
        "diversity": diversity_metrics(prediction, targets),
        "conformal": coverage_metrics(prediction, targets),
    }
    return {
        f"{group}/{part}{name}": value
        for group, own in groups.items()
        for name, value in own.items()
    }
