"""The cheap part of the check, within a run: the data, and the first loss of each network.

It warns, and changes nothing of the run.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

import numpy as np

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.nn.losses import Loss
from ensemble_pipe.run.display import Display
from ensemble_pipe.run.preparation import Prepared
from ensemble_pipe.search.checks.bench import thinned
from ensemble_pipe.search.checks.data import check_data
from ensemble_pipe.search.checks.findings import Finding, warnings_of
from ensemble_pipe.search.checks.first_loss import bad_start, is_bad_start
from ensemble_pipe.training.estimators import EstimatorPlan
from ensemble_pipe.training.events import Event, Progress
from ensemble_pipe.training.measures import stop_metrics
from ensemble_pipe.training.plan import LearnerPlan

_SEEN_TARGETS = 1_000


def watch(prepared: Prepared, display: Display) -> Display:
    """Show what the data check warns of; return a display that looks at the first losses too.

    Args:
        prepared: the data of the run.
        display: of the run.
    """
    for finding in warnings_of([check_data(prepared)]):
        display.message(f"warning: {finding.text}")
    return FirstLosses(prepared, display)


class FirstLosses:
    """A display that warns where the loss of a network's first step is far above chance."""

    def __init__(self, prepared: Prepared, display: Display) -> None:
        self._prepared = prepared
        self._display = display
        fresh = () if prepared.first_rows else prepared.plans.networks
        self._losses = {plan.learner: plan.loss for plan in fresh if plan.boosting is None}

    def __enter__(self) -> Self:
        self._display.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._display.__exit__(kind, error, trace)

    def begin(self, networks: Sequence[LearnerPlan], others: Sequence[EstimatorPlan]) -> None:
        self._display.begin(networks, others)

    def message(self, text: str) -> None:
        self._display.message(text)

    def event(self, event: Event) -> None:
        self._display.event(event)
        if isinstance(event, Progress) and event.step == 1 and event.learner in self._losses:
            finding = self._judged(self._losses[event.learner], event.loss)
            if finding is not None:
                self._losses.clear()  # one warning says it for all
                self.message(f"warning: {finding.text}")

    def _judged(self, loss: Loss, first: float) -> Finding | None:
        chance = _uniform(self._prepared, loss)
        return bad_start(first, chance) if is_bad_start(first, chance) else None


def _uniform(prepared: Prepared, loss: Loss) -> float:
    """Return the loss of outputs of 0 on some training rows."""
    schema, data = prepared.schema, prepared.data
    places = thinned(prepared.parts["train"], _SEEN_TARGETS)
    targets: Array = schema.encode_targets(data.targets[places], schema.target_place(data.rows))
    count = loss.outputs(len(schema.classes), max(schema.target_count, 1))
    outputs, weights = np.zeros((len(targets), count), np.float32), np.ones(len(targets))
    return stop_metrics(outputs, targets, loss, weights)["stop/loss"]
