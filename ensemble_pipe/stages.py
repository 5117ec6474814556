"""What a run does: train its learners, combine and measure its members."""

import time
from dataclasses import dataclass, field

from ensemble_pipe.cluster.executor import Executor
from ensemble_pipe.config import Pipeline, learner_plans
from ensemble_pipe.data.augment.prediction import PredictionDraws
from ensemble_pipe.data.learner_view import feature_mask
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import Recipe, TrainingData
from ensemble_pipe.display import Display
from ensemble_pipe.ensemble.aggregator import Aggregator, Measured, Metrics, summary
from ensemble_pipe.ensemble.members import Member
from ensemble_pipe.errors import TrainingError
from ensemble_pipe.preparation import FIRST_ROWS, recipe_of
from ensemble_pipe.serving.artifact import Model, write_artifact
from ensemble_pipe.serving.predictions import write_predictions
from ensemble_pipe.storage import SPLITS, RunPaths, read_json
from ensemble_pipe.tracking.contact_sheet import draw_contact_sheet
from ensemble_pipe.tracking.journal import Journal
from ensemble_pipe.tracking.pictures import draw_pictures
from ensemble_pipe.training.checkpoints import (
    list_checkpoints,
    load_state,
    read_tensors,
    save_checkpoint,
)
from ensemble_pipe.training.events import Checkpoint, Failed
from ensemble_pipe.training.plan import LearnerPlan, LearnerState, initial_state, make_stacks
from ensemble_pipe.training.warmup import warm_up


@dataclass(frozen=True)
class Outcome:
    """What the learners came to: flat metrics, K, and the learners that failed."""

    metrics: Metrics
    members: int
    failed: dict[int, str] = field(default_factory=dict)


def train_and_measure(
    paths: RunPaths, config: Pipeline, executor: Executor, journal: Journal, display: Display
) -> Outcome:
    """Train what is not yet trained, then combine and measure all members.

    Raises:
        TrainingError: every learner failed.
        ClusterError: the executor lost a stack too often.
    """
    schema = Schema.from_json(read_json(paths.base / "schema.json"), str(paths.base))
    recipe = recipe_of(paths, config, schema)
    data = TrainingData(recipe, schema)
    draws = PredictionDraws(config.augment, config.seed)
    aggregator = Aggregator(schema, data.part("validation"), draws)
    plans = learner_plans(config)
    if config.augment.policy:  # now, so that a person sees it while the run goes on
        epochs = max(plan.epochs for plan in plans)
        sheet = draw_contact_sheet(paths, recipe, schema, epochs)
        journal.append("pictures", names=[sheet.name])
    failed = _train(paths, config, plans, executor, recipe, aggregator, journal, display)
    if not aggregator.members:
        raise TrainingError(
            "no learner was trained to the end: "
            + "; ".join(f"learner {learner}: {reason}" for learner, reason in failed.items())
        )
    display.message("measuring the ensemble")
    measured = {name: aggregator.measured(data.part(name)) for name in SPLITS[1:]}
    metrics = summary(measured)
    _report(paths, aggregator, measured, metrics, journal)
    return Outcome(metrics, len(aggregator.members), failed)


def _train(
    paths: RunPaths,
    config: Pipeline,
    plans: list[LearnerPlan],
    executor: Executor,
    recipe: Recipe,
    aggregator: Aggregator,
    journal: Journal,
    display: Display,
) -> dict[int, str]:
    """Train every learner that is not finished; return the reasons of those that failed."""
    schema = aggregator.schema
    waiting, states = _where_learners_stand(paths, plans, aggregator, journal)
    size = max(plan.build(schema).layout.size for plan in plans)
    stacks = make_stacks(
        waiting, states, size=size, trainers=executor.trainers, width=config.cluster.stack
    )
    by_id = {plan.learner: plan for plan in plans}
    failed: dict[int, str] = {}
    if stacks:
        began = time.monotonic()
        warm_up(schema, [plan for stack in stacks for plan in stack.plans], recipe)
        seconds = time.monotonic() - began
        display.message(f"kernels ready in {seconds:.1f} s (compiled once, then kept)")
    display.begin(plans)
    for event in executor.run(stacks, recipe, schema):
        display.event(event)
        if isinstance(event, Checkpoint):
            if event.metrics:
                facts = {"epoch": event.epoch, "step": event.step, "metrics": event.metrics}
                waited_s = round(event.waited_s, 3)
                journal.append("epoch", learner=event.learner, **facts, waited_s=waited_s)
            save_checkpoint(paths, event)
            if event.member is not None:
                plan = by_id[event.learner]
                _take_member(aggregator, journal, plan, event.member, event.state)
            if event.finished:
                journal.append("finished", learner=event.learner)
        elif isinstance(event, Failed):
            failed[event.learner] = event.reason
            journal.append("failed", learner=event.learner, reason=event.reason)
    return failed


def _where_learners_stand(
    paths: RunPaths, plans: list[LearnerPlan], aggregator: Aggregator, journal: Journal
) -> tuple[list[LearnerPlan], dict[int, LearnerState]]:
    """Return the plans still to be trained and where they go on; known members are taken in."""
    path = paths.base / FIRST_ROWS
    first_rows = read_tensors(path.read_bytes(), str(path)) if path.is_file() else {}
    waiting: list[LearnerPlan] = []
    states: dict[int, LearnerState] = {}
    for plan in plans:
        saved = list_checkpoints(paths, plan.learner)
        for checkpoint in saved:
            if checkpoint.member is not None:
                state = load_state(paths, plan.learner, checkpoint.step)
                _take_member(aggregator, journal, plan, checkpoint.member, state)
        if saved and saved[-1].finished:
            journal.append("finished", learner=plan.learner)
            continue
        waiting.append(plan)
        if saved:
            states[plan.learner] = load_state(paths, plan.learner, saved[-1].step)
        elif first_rows:
            row = first_rows[str(plan.learner)]
            states[plan.learner] = initial_state(plan, aggregator.schema, row)
    return waiting, states


def _take_member(
    aggregator: Aggregator, journal: Journal, plan: LearnerPlan, number: int, state: LearnerState
) -> None:
    mask = feature_mask(plan.view, plan.seed, plan.learner, aggregator.schema.spans)
    member = Member(
        plan.learner, number, state.step, plan.network, plan.loss, state.member_row, mask
    )
    metrics = aggregator.add(member)
    facts = {"learner": plan.learner, "number": number, "step": state.step}
    journal.append("member", **facts, metrics=metrics)
    journal.append(
        "ensemble", members=len(aggregator.members), metrics=aggregator.ensemble_metrics()
    )


def _report(
    paths: RunPaths,
    aggregator: Aggregator,
    measured: dict[str, Measured],
    metrics: Metrics,
    journal: Journal,
) -> None:
    """Write predictions, pictures and the model, and journal them."""
    schema, noise = aggregator.schema, aggregator.noise
    for name, result in measured.items():
        base = paths.base / f"{name}.arrow"
        write_predictions(paths.predictions(name), base, result.outputs, schema, noise)
    for index, member in enumerate(aggregator.members):
        own = {f"test/{k}": value for k, value in measured["test"].members[index].items()}
        facts = {"learner": member.learner, "number": member.number}
        journal.append("member_test", **facts, metrics=own)
    journal.append("result", metrics=metrics, members=len(aggregator.members))
    write_artifact(paths.model, Model(schema, aggregator.members, noise, aggregator.draws))
    pictures = draw_pictures(paths, schema, aggregator.curve(), measured["test"], noise)
    journal.append("pictures", names=[path.name for path in pictures])
    journal.append("model", sums=read_json(paths.model / "manifest.json")["sums"])
