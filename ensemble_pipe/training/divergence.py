"""Divergence: finds losses, weights and optimizer state that are no longer finite."""

from collections.abc import Mapping

import numpy as np

from ensemble_pipe.core.arrays import Floats


def divergence(numbers: Mapping[str, float], arrays: Mapping[str, Floats]) -> str | None:
    """Return why a learner has diverged, for a person; None where all of it is finite.

    Squared gradients overflow before weights do, and then end a learner's steps without a change of
    its loss; so all that a learner remembers must be finite, not its loss and row alone.

    Args:
        numbers: its metrics and sums of losses.
        arrays: its row and slots, by name.
    """
    if not np.isfinite([*numbers.values()]).all():
        return "its loss is not finite; a lower learning rate would help"
    for name, values in arrays.items():
        if not np.isfinite(values).all():
            return f"its {name} is not finite; a lower learning rate would help"
    return None
