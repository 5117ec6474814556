"""Update rules, schedules and weight averaging."""

from ensemble_pipe.optim.adaptive import Adadelta, Adagrad, Adam, AdamW, RMSprop
from ensemble_pipe.optim.averaging import (
    AVERAGES,
    EMA,
    SWA,
    Averaging,
    Calendar,
    Last,
    Polyak,
    StackedAverage,
)
from ensemble_pipe.optim.cycles import SGDR, CosLog, FastGeometric, Snapshot, Triangular
from ensemble_pipe.optim.descent import SGD, Nesterov
from ensemble_pipe.optim.plateau import Plateau, PlateauState
from ensemble_pipe.optim.rules import RULES, Rule, StackedRule
from ensemble_pipe.optim.schedules import (
    FALLS,
    ConstantRate,
    Cosine,
    Exponential,
    Fall,
    FlatCosine,
    MultiStep,
    OneCycle,
    Polynomial,
    RangeTest,
    StackedSchedule,
    StepDecay,
)
from ensemble_pipe.optim.segments import Segment
from ensemble_pipe.optim.update import Update
from ensemble_pipe.optim.warm_up import SCHEDULES, Schedule, WarmUp, cycle_ends, plateau_of

__all__ = [
    "AVERAGES",
    "EMA",
    "FALLS",
    "RULES",
    "SCHEDULES",
    "SGD",
    "SGDR",
    "SWA",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Averaging",
    "Calendar",
    "ConstantRate",
    "CosLog",
    "Cosine",
    "Exponential",
    "Fall",
    "FastGeometric",
    "FlatCosine",
    "Last",
    "MultiStep",
    "Nesterov",
    "OneCycle",
    "Plateau",
    "PlateauState",
    "Polyak",
    "Polynomial",
    "RMSprop",
    "RangeTest",
    "Rule",
    "Schedule",
    "Segment",
    "Snapshot",
    "StackedAverage",
    "StackedRule",
    "StackedSchedule",
    "StepDecay",
    "Triangular",
    "Update",
    "WarmUp",
    "cycle_ends",
    "plateau_of",
]
