"""The learning-rate range test: one short training with a rising rate.

Smith 2017, "Cyclical learning rates for training neural networks", section 3.3.
"""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ensemble_pipe.config.plans import Plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.nn.blas import one_thread
from ensemble_pipe.optim import RangeTest
from ensemble_pipe.run.preparation import prepare, recipe_of, write_run
from ensemble_pipe.training.loop import StackTraining
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.stacks import Stack
from ensemble_pipe.training.state import initial_state

STEPS = 200
SMOOTHING = 0.95
DIVERGED = 3.0  # times the way down, or the first loss, above the lowest
FEWEST = 10


@dataclass(frozen=True)
class RateCurve:
    """The loss over the learning rate, up to where it diverged.

    Attributes:
        rates: (S,) of each step, ascending.
        losses: (S,) of each step's batch, smoothed.
    """

    rates: Floats
    losses: Floats

    @property
    def lowest(self) -> float:
        """The rate at which the loss was lowest; beyond it training grows unstable."""
        return float(self.rates[self.losses.argmin()])

    @property
    def suggestion(self) -> float:
        """A tenth of `lowest`, rounded to two digits: a common choice for a constant rate."""
        return float(f"{self.lowest / 10.0:.2g}")


def rate_curve(
    config: Pipeline, plans: Plans, low: float, high: float, steps: int = STEPS
) -> RateCurve:
    """Train the first network of a pipeline while its rate rises from `low` to `high`.

    Raises:
        DataError: the data cannot be trained on.
        ConfigError: there is no network, it does not fit the data, or the loss diverged at once.
    """
    if not plans.networks:
        raise ConfigError(
            "ensemble.pool: has no group of networks, and they alone have a learning rate to test; "
            "add one"
        )
    prepared = prepare(config)
    config, plans = prepared.config, prepared.plans
    with tempfile.TemporaryDirectory() as folder, one_thread():
        paths = RunPaths(Path(folder))
        write_run(paths, prepared)
        data = TrainingData(recipe_of(paths, config, prepared.schema), prepared.schema)
        plan = plans.networks[0]
        row = prepared.first_rows.get(plan.learner)
        curve = raise_rate(plan, data, prepared.schema, row, low, high, steps)
    if len(curve.rates) < FEWEST:
        raise ConfigError(f"the loss diverged after {len(curve.rates)} steps; choose a lower --low")
    return curve


def raise_rate(
    plan: LearnerPlan,
    data: TrainingData,
    schema: Schema,
    row: Floats | None,
    low: float,
    high: float,
    steps: int,
) -> RateCurve:
    """Train a network on prepared data while its rate rises from `low` to `high`.

    Args:
        plan: of the network.
        data, schema: to train on.
        row: (P,) to begin with; None for a fresh one.
        low, high: the bounds.
        steps: that take the rate from one to the other, rounded up to whole epochs.
    """
    plan = replace(
        plan, rule=replace(plan.rule, learning_rate=1.0), schedule=RangeTest(low=low, high=high),
        snapshots=False, checkpoints=None, averaging=None, early_stopping=None, boosting=None,
    )  # fmt: skip
    seen = plan.steps(data.rows)
    plan = replace(plan, epochs=-(-steps * seen.batch_rows // seen.rows))
    state = None if row is None else initial_state(plan, schema, row)
    return _rise(StackTraining(Stack((plan,), (state,)), data, schema))


def _rise(training: StackTraining) -> RateCurve:
    """Take all steps, or those before the loss diverges."""
    rates: list[float] = []
    smoothed: list[float] = []
    mean, lowest = 0.0, np.inf
    for step in range(training.steps.total):
        rates.append(float(training.rates(step)[0]))
        loss = float(training.take_step()[0])
        mean = SMOOTHING * mean + (1.0 - SMOOTHING) * loss
        smoothed.append(mean / (1.0 - SMOOTHING ** (step + 1)))  # without the weight of the start
        lowest = min(lowest, smoothed[-1])
        bound = lowest + DIVERGED * max(abs(smoothed[0]), smoothed[0] - lowest)
        if not smoothed[-1] <= bound:
            break
    usable = np.isfinite(smoothed)
    return RateCurve(np.array(rates)[usable], np.array(smoothed)[usable])
