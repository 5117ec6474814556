"""The learners of a run and the members that came of them, for its report."""

from typing import Any

from ensemble_pipe.tracking.combination import member_weights
from ensemble_pipe.tracking.page import Html, element, table
from ensemble_pipe.tracking.story import Story, flat, kind_of


def learners(story: Story) -> Html:
    """Return how far each learner has come, where not all came to their end."""
    ended = {*story.finished, *story.failed, *story.spared}
    if story.status == "FINISHED" and ended >= story.plans.keys():
        return Html("")
    rows = []
    for learner, plan in story.plans.items():
        done = story.epochs.get(learner, [])
        last = done[-1]["metrics"] if done else {}
        epoch = (
            f"{done[-1]['epoch'] if done else 0} of {plan['epochs']}" if "epochs" in plan else None
        )
        losses = last.get("train/loss"), last.get("stop/loss")
        rows.append((learner, kind_of(plan), _state(story, learner), epoch, *losses))
    return table(("learner", "kind", "state", "epochs", "training loss", "stop loss"), rows)


def _state(story: Story, learner: int) -> str:
    """Return where a learner stands; one that is trained whole stays so, whatever came later."""
    told = {"finished": story.finished, "failed": story.failed, "spared": story.spared}
    for state, learners in told.items():
        if learner in learners:
            return state
    begun, running = learner in story.epochs, story.status == "RUNNING"
    if begun:
        return "under way" if running else "stopped"
    return "waiting" if running else "not begun"


def members(story: Story) -> Html:
    """Return each member with its weight, its hyperparameters and its own metrics."""
    if not story.members:
        return Html("")
    differing, plans = story.differing, {k: flat(plan) for k, plan in story.plans.items()}
    validation = list(dict.fromkeys(name for one in story.members for name in one.validation))
    test = list(dict.fromkeys(name for one in story.members for name in one.test))
    weights = member_weights(story)
    head = [
        "learner", "member", "kind", "weight", "steps", *differing,
        *(f"validation {name}" for name in validation), *(f"test {name}" for name in test),
    ]  # fmt: skip
    rows = [
        [
            member.learner,
            member.number,
            kind_of(story.plans[member.learner]),
            weights.get((member.learner, member.number)),
            member.step or None,
            *(_setting(plans[member.learner].get(name)) for name in differing),
            *(member.validation.get(name) for name in validation),
            *(member.test.get(name) for name in test),
        ]
        for member in story.members
    ]
    note = ""
    if len(weights) not in (0, len(story.members)):
        note = "members without a weight are not in the ensemble, and not measured on the test part"
    return Html(table(head, rows) + (element("p", note, kind="note") if note else ""))


def _setting(value: Any) -> Any:
    return value if isinstance(value, int | float | None) else str(value)


def failures(story: Story) -> Html:
    """Return which learners failed, and why."""
    if not story.failed:
        return Html("") if story.status == "RUNNING" else element("p", "No learner failed.")
    return table(("learner", "why it yields no member"), story.failed.items())
