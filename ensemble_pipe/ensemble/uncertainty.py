"""How sure an ensemble of classifiers is of each row, in nats."""

import numpy as np

from ensemble_pipe.arrays import Floats
from ensemble_pipe.ensemble.combiners import mean_probability, softmax


def uncertainty(logits: Floats) -> dict[str, Floats]:
    """Split the uncertainty of each row into two parts (Depeweg et al. 2018, section 3).

    Args:
        logits: (K, R, O), of the members.

    Returns:
        (R,) each: `entropy` of the mean probability, the total; `expected_entropy` of the members,
        the noise in the data; `mutual_information`, their difference, the members' disagreement,
        which is zero for one member.
    """
    total = _entropy(mean_probability(logits))
    expected = np.zeros(logits.shape[1])
    for member in logits:
        expected += _entropy(softmax(member))
    expected /= len(logits)
    return {
        "entropy": total,
        "expected_entropy": expected,
        # Rounding may take a zero just below itself.
        "mutual_information": np.maximum(total - expected, 0.0),
    }


def _entropy(probabilities: Floats) -> Floats:
    logs = np.log(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
    entropy: Floats = -(probabilities * logs).sum(axis=-1)
    return entropy + 0.0  # no negative zero
