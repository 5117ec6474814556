"""Checks of a caller's own loss: the outputs that it asks for, and the predictions it returns."""

import numpy as np

from ensemble_pipe.core.errors import InputError
from ensemble_pipe.core.messages import quote
from ensemble_pipe.core.own_code import is_count, require_array
from ensemble_pipe.nn.losses.base import LossFunction

_LEAD = (2, 3)


def require_outputs(loss: LossFunction, outputs: int, classes: int, targets: int) -> int:
    """Return O, once the predictions of some made-up outputs have the right type and shape.

    Args:
        loss: of a caller's own.
        outputs: that its method of this name returned.
        classes, targets: as in `LossFunction.outputs`.

    Raises:
        InputError: O is no number of outputs, or the predictions are not as they must be.
    """
    if not is_count(outputs):
        raise InputError(
            f"loss {loss.name!r}: outputs returned {quote(outputs)}, must be a whole number above 0"
        )
    with np.errstate(all="ignore"):
        found: object = loss.predictions(np.zeros((*_LEAD, int(outputs)), np.float32))
    # Means, or means and variances.
    widths = (classes,) if loss.task == "classification" else (targets, 2 * targets)
    width = np.shape(found)[-1] if isinstance(found, np.ndarray) and found.ndim else 0
    shape = (*_LEAD, width if width in widths else widths[0])
    require_array(found, f"loss {loss.name!r}: predictions", np.dtype(np.float32), shape)
    return int(outputs)
