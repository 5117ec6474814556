"""Combiners: how members' outputs become one prediction, fitted from cached outputs.

Every kind follows the contract of `combiner.Combiner`. `fit` fits one by name, `choose` finds the
best by cross-fitting, `select` one within a budget.
"""

from ensemble_pipe.ensemble.combiners.aims import Aim
from ensemble_pipe.ensemble.combiners.budget import select
from ensemble_pipe.ensemble.combiners.choice import Candidate, Choice, choose
from ensemble_pipe.ensemble.combiners.combiner import Combiner
from ensemble_pipe.ensemble.combiners.fits import FITS, FitName, fit, fits_for
from ensemble_pipe.ensemble.combiners.greedy import top_k
from ensemble_pipe.ensemble.combiners.kinds import COMBINERS, AnyCombiner
from ensemble_pipe.ensemble.combiners.linear import LinearCombiner
from ensemble_pipe.ensemble.combiners.outputs import ClassOutputs, NumberOutputs, Outputs
from ensemble_pipe.ensemble.combiners.pooling import (
    log_softmax,
    softmax,
)
from ensemble_pipe.ensemble.combiners.weighted import Weighted

__all__ = [
    "COMBINERS",
    "FITS",
    "Aim",
    "AnyCombiner",
    "Candidate",
    "Choice",
    "ClassOutputs",
    "Combiner",
    "FitName",
    "LinearCombiner",
    "NumberOutputs",
    "Outputs",
    "Weighted",
    "choose",
    "fit",
    "fits_for",
    "log_softmax",
    "select",
    "softmax",
    "top_k",
]
