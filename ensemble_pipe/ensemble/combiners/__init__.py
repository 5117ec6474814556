"""Combiners: how members' outputs become one prediction, fitted from cached outputs.

K members, R rows, O classes, D targets; everything in float64 and in order of member. A combiner is
a frozen settings object, `Weighted` or `Stacked`, that stands in a model as JSON and has

- `probabilities(logits)`: (K, R, O) to (R, O), and `log_probabilities`, for classes;
- `mixture(means, variances)`: (K, R, D) each to mean, aleatoric and epistemic variance (R, D), for
  numbers;
- `member_weights()`: (K,), which sum to 1;
- `without_zero_weights()`: the same combiner of the members that count, and their places;
- `check(task, members, outputs)`: ValueError where it does not fit an ensemble;
- `temperature`, which is applied after combining.

`fit` fits one by name, `choose` finds the best by cross-fitting, `select` one within a budget.
"""

from ensemble_pipe.ensemble.combiners.budget import select
from ensemble_pipe.ensemble.combiners.choice import Candidate, Choice, choose
from ensemble_pipe.ensemble.combiners.fits import FITS, FitName, fit, fits_for
from ensemble_pipe.ensemble.combiners.greedy import top_k
from ensemble_pipe.ensemble.combiners.outputs import (
    COMBINERS,
    ClassOutputs,
    Combiner,
    NumberOutputs,
    Outputs,
)
from ensemble_pipe.ensemble.combiners.pooling import (
    log_softmax,
    softmax,
)
from ensemble_pipe.ensemble.combiners.stacked import Stacked
from ensemble_pipe.ensemble.combiners.weighted import Weighted

__all__ = [
    "COMBINERS",
    "FITS",
    "Candidate",
    "Choice",
    "ClassOutputs",
    "Combiner",
    "FitName",
    "NumberOutputs",
    "Outputs",
    "Stacked",
    "Weighted",
    "choose",
    "fit",
    "fits_for",
    "log_softmax",
    "select",
    "softmax",
    "top_k",
]
