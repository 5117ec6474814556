"""The cheap part of the check, within a run: the data, and the first loss of each network.

It warns, and changes nothing of the run but for its report.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

import numpy as np

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.nn.losses import Loss
from ensemble_pipe.run.display import Display
from ensemble_pipe.run.news import News
from ensemble_pipe.run.notes import Notes
from ensemble_pipe.run.preparation import Prepared
from ensemble_pipe.search.checks.bench import thinned
from ensemble_pipe.search.checks.data import check_data
from ensemble_pipe.search.checks.findings import Finding, Step, warnings_of
from ensemble_pipe.search.checks.first_loss import bad_start, initializer_of, is_bad_start
from ensemble_pipe.tracking.kinds import CheckedEntry
from ensemble_pipe.training.estimators import EstimatorPlan
from ensemble_pipe.training.events import Event, Progress
from ensemble_pipe.training.measures import stop_metrics
from ensemble_pipe.training.plan import LearnerPlan

_SEEN_TARGETS = 1_000


def watch(prepared: Prepared, display: Display, notes: Notes) -> Display:
    """Show what the data check warns of; return a display that looks at the first losses too.

    Args:
        prepared: the data of the run.
        display: of the run.
        notes: receives what was looked at, for the report.
    """
    step = check_data(prepared)
    for finding in warnings_of([step]):
        display.warn(f"warning: {finding.text}")
    notes.append(entry_of(step))
    return FirstLosses(prepared, display, notes)


def entry_of(step: Step) -> CheckedEntry:
    """Return the journal entry of a step."""
    found: dict[str, list[tuple[str, str]]] = {"warning": [], "note": []}
    for finding in step.findings:
        found[finding.level].append((finding.name, finding.text))
    return CheckedEntry(step.title, step.verdict, found["warning"], found["note"])


class FirstLosses:
    """A display that warns where the loss of a network's first step is far above chance.

    It notes the first loss of the first network, and of the one that it warns of.
    """

    def __init__(self, prepared: Prepared, display: Display, notes: Notes) -> None:
        self._prepared = prepared
        self._display = display
        self._notes = notes
        fresh = (p for p in prepared.plans.networks if p.learner not in prepared.first_rows)
        self._losses = {plan.learner: plan.loss for plan in fresh if plan.boosting is None}

    @property
    def forecasts(self) -> bool:
        return self._display.forecasts

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

    def note(self, news: News) -> None:
        self._display.note(news)

    def message(self, text: str) -> None:
        self._display.message(text)

    def warn(self, text: str) -> None:
        self._display.warn(text)

    def event(self, event: Event) -> None:
        self._display.event(event)
        if isinstance(event, Progress) and event.step == 1 and event.learner in self._losses:
            self._judge(event.learner, self._losses[event.learner], event.loss)

    def _judge(self, learner: int, loss: Loss, first: float) -> None:
        chance = _uniform(self._prepared, loss)
        found: tuple[Finding, ...] = ()
        is_noted = learner == min(self._losses)
        if is_bad_start(first, chance):
            plan = next(p for p in self._prepared.plans.networks if p.learner == learner)
            found = (bad_start(first, chance, initializer_of(plan)),)
            self._losses.clear()  # one warning says it for all
            self.warn(f"warning: {found[0].text}")
        if found or is_noted:
            verdict = f"learner {learner}: {first:.3f}, where chance gives {chance:.3f}"
            self._notes.append(entry_of(Step("first loss", verdict, found)))


def _uniform(prepared: Prepared, loss: Loss) -> float:
    """Return the loss of outputs of 0 on some training rows."""
    schema, data = prepared.schema, prepared.data
    places = thinned(prepared.parts["train"], _SEEN_TARGETS)
    targets: Array = schema.encode_targets(data.targets[places], schema.target_place(data.rows))
    count = loss.outputs(len(schema.classes), max(schema.target_count, 1))
    outputs, weights = np.zeros((len(targets), count), np.float32), np.ones(len(targets))
    return stop_metrics(outputs, targets, loss, weights)["stop/loss"]
