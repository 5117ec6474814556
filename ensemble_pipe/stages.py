"""What a run does: prepare its files, train its learners, combine and measure its members."""

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml
from safetensors.numpy import save

from ensemble_pipe import provenance
from ensemble_pipe.arrays import Array, Floats, Integers
from ensemble_pipe.cluster.executor import Executor
from ensemble_pipe.config import Pipeline, learner_plans, resolved
from ensemble_pipe.data.base import write_base
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import Recipe, TrainingData
from ensemble_pipe.data.sources.raw import Raw, check_rows, of_classes
from ensemble_pipe.data.splits import split_rows
from ensemble_pipe.display import Display
from ensemble_pipe.ensemble.aggregator import Aggregator, Measured, Metrics, summary
from ensemble_pipe.ensemble.members import Member
from ensemble_pipe.errors import ConfigError, TrainingError
from ensemble_pipe.nn.networks import code_columns
from ensemble_pipe.serving.artifact import write_artifact
from ensemble_pipe.serving.predictions import write_predictions
from ensemble_pipe.storage import SPLITS, RunPaths, atomic_write, read_json, sums_of, write_json
from ensemble_pipe.tracking.journal import Journal
from ensemble_pipe.tracking.pictures import draw_pictures
from ensemble_pipe.training.checkpoints import (
    list_checkpoints,
    load_state,
    read_tensors,
    save_checkpoint,
)
from ensemble_pipe.training.conflicts import cycle_count
from ensemble_pipe.training.events import Checkpoint, Failed
from ensemble_pipe.training.plan import LearnerPlan, LearnerState, initial_state, make_stacks
from ensemble_pipe.training.warmup import warm_up
from ensemble_pipe.transfer import first_rows

EXAMPLE_ROWS = 3
FIRST_ROWS = "first_rows.safetensors"


@dataclass(frozen=True)
class Prepared:
    """Data that has been read and checked.

    Attributes:
        schema: fitted to the training part.
        parts: by name, (encoded inputs, encoded targets, row numbers in the source).
        example: a few raw input rows, for the model's documentation in MLflow.
        first_rows: (P,) for each learner where weights are transferred; else empty.
    """

    schema: Schema
    parts: dict[str, tuple[Array, Array, Integers]]
    example: Array
    first_rows: list[Floats]


@dataclass(frozen=True)
class Outcome:
    """What the learners came to: flat metrics, K, and the learners that failed."""

    metrics: Metrics
    members: int
    failed: dict[int, str] = field(default_factory=dict)


def prepare(config: Pipeline, plans: list[LearnerPlan]) -> Prepared:
    """Read the data, check it, fit its schema, and divide it.

    Raises:
        DataError: a file or a value is wrong, or the parts are too small.
        ConfigError: plans or augmentations do not fit the data.
    """
    raw, test = config.data.read()
    check_rows(raw)
    raw, kept = of_classes(raw, config.classes)
    parts = _split(config, raw, test)
    schema = Schema.fit(raw, config.task, parts["train"], _code_columns(raw, plans))
    if config.augment and not schema.is_image:
        raise ConfigError("augment: these augmentations are for images, but the data is a table")
    _check_cycles(plans, len(parts["train"]))
    inputs, targets = schema.encode_inputs(raw), schema.encode_targets(raw)
    encoded = {name: (inputs[rows], targets[rows], kept[rows]) for name, rows in parts.items()}
    if test is not None:
        check_rows(test)
        test, rows = of_classes(test, config.classes)
        encoded["test"] = (schema.encode_inputs(test), schema.encode_targets(test), rows)
    first = _first_rows(config, plans, schema)
    return Prepared(schema, encoded, raw.inputs[parts["validation"][:EXAMPLE_ROWS]], first)


def write_run(
    paths: RunPaths, config: Pipeline, plans: list[LearnerPlan], prepared: Prepared
) -> None:
    """Write what a run begins with; the manifest comes last and makes it a run directory."""
    for name, (inputs, targets, rows) in prepared.parts.items():
        write_base(paths.base / f"{name}.arrow", inputs, targets, rows, config.shard_rows)
    write_json(paths.base / "schema.json", prepared.schema.to_json())
    atomic_write(paths.base / "example.npy", lambda path: _save_array(path, prepared.example))
    if prepared.first_rows:
        named = zip((str(plan.learner) for plan in plans), prepared.first_rows, strict=True)
        atomic_write(paths.base / FIRST_ROWS, save(dict(named)))
    atomic_write(paths.pipeline, yaml.safe_dump(resolved(config), sort_keys=False))
    names = ["pipeline.yaml", *(f"base/{path.name}" for path in paths.base.iterdir())]
    sums = sums_of(paths.root, names)
    journal = Journal(paths.journal)
    journal.append(
        "started",
        run_id=paths.root.name,
        pipeline=resolved(config),
        rows={name: len(part[2]) for name, part in prepared.parts.items()},
        data_sums={name: total for name, total in sums.items() if name.endswith(".arrow")},
    )
    for plan in plans:
        journal.append("learner", learner=plan.learner, plan=plan.facts())
    journal.close()
    manifest = {"run_id": paths.root.name, "environment": provenance.environment(), "sums": sums}
    write_json(paths.manifest, manifest)


def train_and_measure(
    paths: RunPaths, config: Pipeline, executor: Executor, journal: Journal, display: Display
) -> Outcome:
    """Train what is not yet trained, then combine and measure all members.

    Raises:
        TrainingError: every learner failed.
        ClusterError: the executor lost a stack too often.
    """
    schema = Schema.from_json(read_json(paths.base / "schema.json"), str(paths.base))
    sums = read_json(paths.manifest, "sums")["sums"]
    base_sums = {Path(n).name: total for n, total in sums.items() if n.endswith(".arrow")}
    recipe = Recipe(paths.base, base_sums, config.augment, config.seed)
    data = TrainingData(recipe, schema)
    aggregator = Aggregator(schema, data.part("validation"))
    plans = learner_plans(config)
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


def _code_columns(raw: Raw, plans: list[LearnerPlan]) -> frozenset[int]:
    """Return the columns of category codes, which embeddings need as they are.

    Raises:
        ConfigError: an embedding is to read images, or a column that the table does not have.
    """
    columns = frozenset(column for plan in plans for column in code_columns(plan.network))
    if columns and raw.is_image:
        raise ConfigError("network: an embedding reads columns of a table, but the data is images")
    if columns and max(columns) >= raw.inputs.shape[1]:
        raise ConfigError(
            f"network: the embedding reads column {max(columns)}, counted from 0, but the table "
            f"has {raw.inputs.shape[1]}: {', '.join(raw.feature_names)}"
        )
    return columns


def _first_rows(config: Pipeline, plans: list[LearnerPlan], schema: Schema) -> list[Floats]:
    """Return the rows that learners begin with; without a transfer, check that networks fit."""
    if config.transfer is not None:
        return first_rows(config.transfer, plans, schema)
    for plan in {(repr(plan.network), plan.loss.name): plan for plan in plans}.values():
        plan.build(schema)
    return []


def _split(config: Pipeline, raw: Raw, test: Raw | None) -> dict[str, Integers]:
    sizes = {name: size for name, size in config.splits.model_dump().items() if size is not None}
    if test is not None:
        del sizes["test"]
    strata = None
    if config.task == "classification" and raw.targets is not None:
        strata = np.unique(raw.targets, return_inverse=True)[1]
    return split_rows(strata, raw.rows, sizes, config.seed, raw.where)


def _check_cycles(plans: list[LearnerPlan], rows: int) -> None:
    for plan in plans:
        cycles = cycle_count(plan.schedule)
        if plan.snapshots and len(plan.member_steps(rows)) != cycles:
            raise ConfigError(
                f"training.schedule: {cycles} cycles do not fit into the "
                f"{plan.steps(rows).total} steps of the training; take fewer or raise epochs"
            )


def _save_array(path: Path, array: Array) -> None:
    with open(path, "wb") as stream:
        np.save(stream, array, allow_pickle=False)


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
                journal.append("epoch", learner=event.learner, **facts)
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
    member = Member(plan.learner, number, state.step, plan.network, plan.loss, state.member_row)
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
    write_artifact(paths.model, schema, aggregator.members, noise)
    pictures = draw_pictures(paths, schema, aggregator.curve(), measured["test"], noise)
    journal.append("pictures", names=[path.name for path in pictures])
    journal.append("model", sums=read_json(paths.model / "manifest.json")["sums"])
