"""The report's tables of a run's learners, members and failures."""

from typing import Any

from ensemble_pipe.report.combination import member_weights
from ensemble_pipe.report.page import NOTHING, Html, element, table
from ensemble_pipe.tracking.run_summary import RunSummary, flat, kind_of


def learners(run: RunSummary) -> Html:
    """Return a table of each learner's progress; nothing once all have ended."""
    ended = {*run.finished, *run.failed, *run.spared, *run.pruned}
    if run.status == "FINISHED" and ended >= run.plans.keys():
        return NOTHING
    rows = []
    for learner, plan in run.plans.items():
        done = run.epochs.get(learner, [])
        last = done[-1].metrics if done else {}
        epoch = f"{done[-1].epoch if done else 0} of {plan['epochs']}" if "epochs" in plan else None
        losses = last.get("train/loss"), last.get("stop/loss")
        rows.append((learner, kind_of(plan), _state(run, learner), epoch, *losses))
    return table(("learner", "kind", "state", "epochs", "training loss", "stop loss"), rows)


def _state(run: RunSummary, learner: int) -> str:
    """Return the state of a learner; one that is finished stays so."""
    states = {
        "finished": run.finished, "failed": run.failed, "spared": run.spared, "pruned": run.pruned,
    }  # fmt: skip
    for state, learners in states.items():
        if learner in learners:
            return state
    begun, running = learner in run.epochs, run.status == "RUNNING"
    if begun:
        return "under way" if running else "stopped"
    return "waiting" if running else "not begun"


def trials(run: RunSummary) -> Html:
    """Return a table of the trials of a search with a score, the chosen one first."""
    if not run.trials:
        return NOTHING
    differing, plans = run.differing, {k: flat(plan) for k, plan in run.plans.items()}
    metric = next(iter(run.trials.values())).metric
    rows = [
        (
            one.trial,
            one.score,
            one.standard_error,
            one.parameters,
            *(_setting(plans[one.learners[0]].get(name)) for name in differing),
        )
        for one in run.trials.values()
    ]
    note = element("p", "The first one is chosen; learners of a trial differ in their fold alone.")
    head = ("trial", f"validation {metric}", "standard error", "parameters", *differing)
    return Html(table(head, rows) + note)


def members(run: RunSummary) -> Html:
    """Return a table of members: weight, hyperparameters and their own metrics."""
    if not run.members:
        return NOTHING
    differing, plans = run.differing, {k: flat(plan) for k, plan in run.plans.items()}
    validation = list(dict.fromkeys(name for one in run.members for name in one.validation))
    test = list(dict.fromkeys(name for one in run.members for name in one.test))
    weights = member_weights(run)
    head = [
        "learner", "member", "kind", "weight", "steps", *differing,
        *(f"validation {name}" for name in validation), *(f"test {name}" for name in test),
    ]  # fmt: skip
    rows = [
        [
            member.learner,
            member.number,
            kind_of(run.plans[member.learner]),
            weights.get((member.learner, member.number)),
            member.step or None,
            *(_setting(plans[member.learner].get(name)) for name in differing),
            *(member.validation.get(name) for name in validation),
            *(member.test.get(name) for name in test),
        ]
        for member in run.members
    ]
    note = ""
    if len(weights) not in (0, len(run.members)):
        note = "members without a weight are not in the ensemble, and not measured on the test part"
    return Html(table(head, rows) + (element("p", note, kind="note") if note else ""))


def _setting(value: Any) -> Any:
    return value if isinstance(value, int | float | None) else str(value)


def failures(run: RunSummary) -> Html:
    """Return a table of failed learners with the reasons."""
    if not run.failed:
        return NOTHING if run.status == "RUNNING" else element("p", "No learner failed.")
    return table(("learner", "why it yields no member"), run.failed.items())
