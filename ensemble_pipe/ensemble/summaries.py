"""The metrics of an ensemble on several parts of the data, beside those of its members."""

import numpy as np

from ensemble_pipe.ensemble.aggregator import Measured
from ensemble_pipe.ensemble.prediction import Metrics


def best_member(validation: Measured) -> int:
    """Return the place of the member with the lowest NLL on the validation part."""
    return int(np.argmin([metrics["nll"] for metrics in validation.members]))


def summary(parts: dict[str, Measured]) -> Metrics:
    """Return flat metrics: "test/nll", "member_mean/test/nll", "member_best/test/nll", ...

    Args:
        parts: by name; "validation" chooses the best member.
    """
    best = best_member(parts["validation"])
    flat: Metrics = {}
    for part, result in parts.items():
        for name, value in result.ensemble.items():
            flat[f"{part}/{name}"] = value
            own = [metrics[name] for metrics in result.members if name in metrics]
            if len(own) == len(result.members):
                flat[f"member_mean/{part}/{name}"] = float(np.mean(own))
                flat[f"member_best/{part}/{name}"] = own[best]
    return flat
