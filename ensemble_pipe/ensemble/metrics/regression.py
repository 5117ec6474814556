"""How good Gaussian predictions of numbers are. R rows, D targets."""

from collections.abc import Mapping, Sequence

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.gaussians import gaussian_scores


def regression_metrics(
    mean: Floats, deviation: Floats, targets: Floats, names: Sequence[str] = ()
) -> dict[str, float]:
    """Return errors, scores and the central 90% interval of Gaussians, in the targets' own units.

    An ensemble is scored as the one Gaussian with its mixture's mean and variance (Lakshminarayanan
    et al. 2017, section 2.4). Its NLL is on average the higher of the two, by the KL divergence of
    that Gaussian from the mixture: 0.01 nats where two members lie 2 deviations of their own apart,
    0.17 at 4, and for K members far apart log(deviation / that of one member) - log K, without end.

    Args:
        mean, deviation: (R,) or (R, D), of the predictive distribution; deviations above 0.
        targets: (R,) or (R, D).
        names: (D,) of the targets; where there are several, each measure comes for each of them
            too, as "rmse/<name>".

    Returns:
        `rmse`; `mae`; `nll` in nats; `crps` (see `gaussian_crps`); `coverage_90`, the share of
        targets inside the interval; `width_90`, its mean width; and, where the targets of the rows
        differ, `r2`, the share of their variance about their own mean that the means explain. Of
        several targets, the mean over them of each target's own.
    """
    return metrics_of(gaussian_scores(mean, deviation, targets), targets, names)


def metrics_of(
    scores: Mapping[str, Floats], targets: Floats, names: Sequence[str]
) -> dict[str, float]:
    """Return the metrics of `regression_metrics` from the scores of each row.

    Args:
        scores: (R,) or (R, D), as `gaussian_scores` returns them.
        targets: (R,) or (R, D).
        names: (D,) of the targets.
    """
    values = {name: np.mean(each, axis=0) for name, each in scores.items()}
    squares = values["rmse"]
    values["rmse"] = np.sqrt(squares)
    if np.all(np.ptp(targets, axis=0) > 0):
        values["r2"] = 1 - squares / np.var(targets, axis=0)
    found = {name: float(np.mean(each)) for name, each in values.items()}
    if len(names) > 1:
        for name, each in values.items():
            for target, value in zip(names, each, strict=True):
                found[f"{name}/{target}"] = float(value)
    return found
