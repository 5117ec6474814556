"""Schedules of dropout, weight decay and label smoothing: what a step sees of them."""

from dataclasses import dataclass

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.nn.losses import CrossEntropy, numbers_of
from ensemble_pipe.optim import AdamW, FlatCosine, Polynomial, Segment, StackedRule
from ensemble_pipe.training.regularization import Regularization, ScheduledNumbers


@dataclass(frozen=True)
class Learner:
    regularization: Regularization


def test_each_number_is_its_full_size_times_the_factor_of_the_step() -> None:
    falling = Regularization(
        dropout=Polynomial(), weight_decay=FlatCosine(), label_smoothing=Polynomial(power=2.0)
    )
    layers: dict[str, Floats] = {
        "dropout1/rate": np.array([0.4, 0.2]),
        "residual1/drop_connect2/rate": np.array([0.8, 0.8]),
        "residual1/survival": np.array([0.5, 0.5]),
        "leaky_relu1/slope": np.array([0.1, 0.1]),
    }
    losses = numbers_of([CrossEntropy(smoothing=0.1)] * 2)
    slots: dict[str, Floats] = {name: np.zeros((2, 4)) for name in AdamW.slots}
    rule = StackedRule([AdamW(weight_decay=0.3)] * 2, slots, [Segment(0, 4, 2)])
    learners = [Learner(falling), Learner(Regularization())]
    numbers = ScheduledNumbers(learners, layers, losses, rule)  # type: ignore[arg-type]
    for _ in range(2):  # at the full size again, not at a factor of the last step's
        numbers.set(75, 100)
        np.testing.assert_allclose(layers["dropout1/rate"], [0.1, 0.2])
        np.testing.assert_allclose(layers["residual1/drop_connect2/rate"], [0.2, 0.8])
        np.testing.assert_array_equal(layers["residual1/survival"], 0.5)
        np.testing.assert_array_equal(layers["leaky_relu1/slope"], 0.1)
        np.testing.assert_allclose(rule.weight_decays, [0.15, 0.3])
        np.testing.assert_allclose(losses["smoothing"], [0.1 / 16, 0.1])
