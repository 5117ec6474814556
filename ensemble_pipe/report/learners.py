"""The report's tables of a run's learners, members and failures."""

from typing import Any

from ensemble_pipe.report.combination import member_weights
from ensemble_pipe.report.glossary import term
from ensemble_pipe.report.page import NOTHING, Html, element, joined, table, yaml_text
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
    chosen = settings_of(run)
    own = {one.trial: chosen[one.learners[0]] for one in run.trials.values()}
    names = list(dict.fromkeys(name for values in own.values() for name in values))
    metric = next(iter(run.trials.values())).metric
    rows = [
        (
            one.trial,
            one.score,
            one.standard_error,
            one.parameters,
            *(_setting(own[one.trial].get(name)) for name in names),
        )
        for one in run.trials.values()
    ]
    note = element("p", "The first one is chosen; learners of a trial differ in their fold alone.")
    head = ("trial", _of_part("validation", metric), "standard error", "parameters", *names)
    return Html(table(head, rows) + note)


def settings_of(run: RunSummary) -> dict[int, dict[str, Any]]:
    """Return what was chosen for each learner, by path, such as {"network.hidden": [16]}.

    Of a trial what its search chose: of hyperparameters that depend on others the active ones.
    """
    pool, differing = run.pipeline["ensemble"].get("pool") or [], run.differing
    plans = {learner: flat(plan) for learner, plan in run.plans.items()}
    found = {
        learner: {name: plan.get(name) for name in differing} for learner, plan in plans.items()
    }
    for one in run.trials.values():
        group = pool[one.trial] if one.trial < len(pool) else {}
        values = {k.removeprefix("training."): v for k, v in (group.get("set") or {}).items()}
        found |= dict.fromkeys(one.learners, values)
    return found


def members(run: RunSummary) -> Html:
    """Return a table of members: weight, hyperparameters and their own metrics."""
    if not run.members:
        return NOTHING
    chosen = settings_of(run)
    names = list(dict.fromkeys(name for one in run.members for name in chosen[one.learner]))
    validation = list(dict.fromkeys(name for one in run.members for name in one.validation))
    test = list(dict.fromkeys(name for one in run.members for name in one.test))
    weights = member_weights(run)
    head = [
        "learner", "member", "kind", "weight", "steps", *names,
        *(_of_part("validation", name) for name in validation),
        *(_of_part("test", name) for name in test),
    ]  # fmt: skip
    rows = [
        [
            member.learner,
            member.number,
            kind_of(run.plans[member.learner]),
            weights.get((member.learner, member.number)),
            member.step or None,
            *(_setting(chosen[member.learner].get(name)) for name in names),
            *(member.validation.get(name) for name in validation),
            *(member.test.get(name) for name in test),
        ]
        for member in run.members
    ]
    note = ""
    if len(weights) not in (0, len(run.members)):
        note = "members without a weight are not in the ensemble, and not measured on the test part"
    return Html(table(head, rows) + (element("p", note, kind="note") if note else ""))


def _of_part(part: str, metric: str) -> Html:
    """Return the head of a column of a metric on a part."""
    return joined([f"{part} ", term(metric)])


def _setting(value: Any) -> Any:
    """Return a setting as a number, or as YAML."""
    is_number = isinstance(value, int | float | None) and not isinstance(value, bool)
    return value if is_number else yaml_text(value)


def failures(run: RunSummary) -> Html:
    """Return a table of failed learners with the reasons."""
    if not run.failed:
        return NOTHING if run.status == "RUNNING" else element("p", "No learner failed.")
    return table(("learner", "why it yields no member"), run.failed.items())
