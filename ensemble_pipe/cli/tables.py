"""Tables of results on the terminal."""

from typing import TYPE_CHECKING

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.ensemble.baselines import CONSTANT, LINEAR
from ensemble_pipe.ensemble.prediction import Metrics
from ensemble_pipe.run.result_table import SHOWN

if TYPE_CHECKING:
    from ensemble_pipe.search.nested import Nested


def nested_table(nested: "Nested") -> str:
    """Return the test metrics that nested cross-validation estimates, with standard errors."""
    names = [name for name in SHOWN if name in nested.metrics]
    title = f"{len(nested.run_dirs)} outer folds"
    lines = [f"{title:15}" + "".join(f"{name:>18}" for name in names)]
    scores = [nested.metrics[name] for name in names]
    found = ["-" if mean is None else f"{mean:.4f} ± {error or 0.0:.4f}" for mean, error in scores]
    lines.append(f"{'nested':15}" + "".join(f"{text:>18}" for text in found))
    return "\n".join(lines)


def baseline_line(metrics: Metrics) -> str:
    """Return one line on the test NLL of the ensemble beside that of the baselines, if measured.

    Of classes, guessing is by their shares in the training part; of numbers by their mean and
    deviation there.
    """
    nll = metrics["test/nll"]
    found = {
        title: metrics[f"{name}/test/nll"]
        for name, title in ((CONSTANT, "guessing"), (LINEAR, "a linear model"))
        if f"{name}/test/nll" in metrics
    }
    better = [f"{title} ({value:.4f})" for title, value in found.items() if nll < value]
    worse = [f"{title} ({value:.4f})" for title, value in found.items() if not nll < value]
    parts = [
        f"{word} than {' and than '.join(titles)}"
        for word, titles in (("better", better), ("not better", worse))
        if titles
    ]
    return f"test NLL {nll:.4f}: {', '.join(parts)}" if parts else ""


def rate_table(rates: Floats, losses: Floats, lines: int = 16) -> str:
    """Return a learning-rate range test as text, at equal ratios of the rate, with bars.

    Args:
        rates, losses: (S,) each.
        lines: how many of the steps to show.
    """
    chosen = np.unique(np.linspace(0, len(rates) - 1, lines).astype(int))
    highest = losses[chosen].max()
    return "\n".join(
        [f"{'rate':>10}{'loss':>10}"]
        + [
            f"{rates[i]:10.2g}{losses[i]:10.4f}  {'#' * max(1, round(40 * losses[i] / highest))}"
            for i in chosen
        ]
    )
