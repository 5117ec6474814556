"""The schema of a pipeline file, and how one is read: YAML, overrides, all errors at once."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, MinLen
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ensemble_pipe import yaml_errors
from ensemble_pipe.data.augment.policy import Augment, AugmentSection
from ensemble_pipe.data.batches import Order
from ensemble_pipe.data.learner_view import View
from ensemble_pipe.data.schema import Task
from ensemble_pipe.data.shards import WINDOW_ROWS
from ensemble_pipe.data.sources import Bundled, Source
from ensemble_pipe.data.tables.scaling import SCALES, Scale, Standardize
from ensemble_pipe.ensemble.strategies import Strategy, varied_values
from ensemble_pipe.errors import ConfigError
from ensemble_pipe.nn.losses import LOSSES, CrossEntropy, Loss, SquaredError
from ensemble_pipe.nn.networks import NETWORKS, Architecture, Mlp
from ensemble_pipe.optim import (
    AVERAGES,
    RULES,
    SCHEDULES,
    Adam,
    Averaging,
    Constant,
    Rule,
    Schedule,
)
from ensemble_pipe.seeds import MAX_SEED
from ensemble_pipe.training.conflicts import Conflict, conflicts, conflicts_between
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.stopping import EarlyStopping
from ensemble_pipe.training.tensors import RateFactors
from ensemble_pipe.yaml_errors import Document

# A part of the data: a share below 1, or a number of rows.
Size = Annotated[float, Gt(0), Field(lt=1)] | Annotated[int, Ge(1), Field(strict=True)]


_TRACKING_URI = r"^(https?|(sqlite|postgresql|mysql|mssql)(\+\w+)?)://|^databricks"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Splits(_Section):
    """Parts of the data; `test` counts only where the source has no test part.

    `train` null takes all rows that the others leave.
    """

    train: Size | None = None
    test: Size = 0.2
    validation: Size = 0.15
    stop: Size = 0.1


def _with_kinds(values: Any, defaults: dict[str, str]) -> Any:
    """Return a section's values with the default name in those parts that have none."""
    if not isinstance(values, dict):
        return values
    return {
        key: {"name": defaults[key], **value}
        if key in defaults and isinstance(value, dict)
        else value
        for key, value in values.items()
    }


def _any_branch(schema: dict[str, Any]) -> None:
    """Let an editor accept a section without its kind, which several branches then fit."""
    schema["anyOf"] = schema.pop("oneOf")


_Kind = Field(discriminator="name", json_schema_extra=_any_branch)
_NamedKind = Field(discriminator="name", json_schema_extra={"required": ["name"]})


class Training(_Section):
    """How each learner is trained.

    `batch_size: all` makes every step one of gradient descent on all rows. `order` says whether
    each learner goes through the rows in an order of its own. `loss` null means cross_entropy for
    classes and squared_error for numbers.
    """

    epochs: Annotated[int, Ge(1)] = 20
    batch_size: Annotated[int, Ge(1)] | Literal["all"] = 64
    order: Order = "own"
    optimizer: Annotated[Rule, _Kind] = Adam()
    schedule: Annotated[Schedule, _Kind] = Constant()
    loss: Annotated[Loss, _NamedKind] | None = None
    averaging: Annotated[Averaging, _NamedKind] | None = None
    early_stopping: EarlyStopping | None = None

    @model_validator(mode="before")
    @classmethod
    def _default_kinds(cls, values: Any) -> Any:
        """Let `optimizer: {learning_rate: 0.01}` mean the default rule with another rate."""
        return _with_kinds(values, {"optimizer": Adam().name, "schedule": Constant().name})


class Transfer(_Section):
    """Where the weights come from that training begins with.

    `weights` is a run directory, a model directory or a safetensors file with tensors by name; of
    several that a pattern such as "runs/digits-*" fits, the newest run.
    Patterns such as "conv2d*" or "dense1/kernel" choose tensors: those of `fresh` are drawn anew
    (null: the last layer's), those of `freeze` do not move, and the rate of others is multiplied
    by the last of `rate_factors` that fits.
    """

    weights: str
    fresh: tuple[str, ...] | None = None
    freeze: tuple[str, ...] = ()
    rate_factors: dict[str, Annotated[float, Ge(0), Field(allow_inf_nan=False)]] = {}

    @property
    def factors(self) -> RateFactors:
        """All learning-rate factors; 0 freezes."""
        return (*self.rate_factors.items(), *((pattern, 0.0) for pattern in self.freeze))


class Cluster(_Section):
    """Where training runs.

    `trainers` and `stack` are chosen from the cluster and the network where they are null; neither
    changes a result. `retries` is how often a stack is tried again after its trainer died.
    """

    trainers: Annotated[int, Ge(1)] | None = None
    cpus_per_trainer: Annotated[int, Ge(1)] = 1
    stack: Annotated[int, Ge(1)] | None = None
    retries: Annotated[int, Ge(0)] = 2


class Tracking(_Section):
    """What MLflow receives.

    `uri` null means MLFLOW_TRACKING_URI, or else an SQLite file beside the run directories.
    `register_as` names a registered model whose alias `champion` is to point to this run's model.
    """

    mlflow: bool = True
    uri: Annotated[str, Field(pattern=_TRACKING_URI)] | None = None
    experiment: str = "ensemble_pipe"
    register_as: str | None = None


class Pipeline(_Section):
    """One pipeline file.

    `classes` keeps only the rows of those classes; null keeps all. The training part is cut into
    shards of `shard_rows` rows, and shuffled in windows of `window_rows`. `augment` may be a list,
    which is then its policy.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)] = "pipeline"
    seed: Annotated[int, Ge(0), Field(le=MAX_SEED)] = 1
    task: Task = "classification"
    data: Annotated[Source, Field(discriminator="source")] = Bundled()
    classes: Annotated[tuple[int | str, ...], MinLen(2)] | None = None
    splits: Splits = Splits()
    shard_rows: Annotated[int, Ge(1)] = 4096
    window_rows: Annotated[int, Ge(1)] = WINDOW_ROWS
    scale: Annotated[Scale, _Kind] = Standardize()
    augment: AugmentSection = Augment()
    view: View = View()
    network: Annotated[Architecture, _Kind] = Mlp()
    transfer: Transfer | None = None
    training: Training = Training()
    ensemble: Strategy = Strategy()
    cluster: Cluster = Cluster()
    tracking: Tracking = Tracking()

    @model_validator(mode="before")
    @classmethod
    def _default_kinds(cls, values: Any) -> Any:
        """Let `network: {hidden: [50]}` mean an MLP, and `scale: {}` standardising."""
        return _with_kinds(values, {"network": Mlp().name, "scale": Standardize().name})


def load_pipeline(path: Path, overrides: dict[str, Any] | None = None) -> Pipeline:
    """Read a pipeline file.

    Args:
        path: a YAML file.
        overrides: values by path, such as {"training.epochs": 3}; each replaces or adds one key.

    Raises:
        ConfigError: lists every mistake with its key, the right choices, file and line.
    """
    document = yaml_errors.read_document(path)
    for key, value in (overrides or {}).items():
        document.override(key, value)
    return read_pipeline(document)


def read_pipeline(document: Document) -> Pipeline:
    """Return the pipeline that a document says; see `load_pipeline` for what it raises."""
    pipeline = _validate(document)
    learner_plans(pipeline, document)
    return pipeline


def resolved(pipeline: Pipeline) -> dict[str, Any]:
    """Return a pipeline with every default filled in, as plain values."""
    return pipeline.model_dump(mode="json")


def learner_plans(pipeline: Pipeline, document: Document | None = None) -> list[LearnerPlan]:
    """Return the plan of every learner, with its own values of what `vary` names.

    Args:
        pipeline: the pipeline.
        document: what it was read from, for the lines in messages.

    Raises:
        ConfigError: `vary` names no hyperparameter, a value does not fit it, or choices do not go
            together.
    """
    vary = pipeline.ensemble.vary or {}
    document = document or Document("pipeline", resolved(pipeline))
    _check_vary_paths(vary, document)
    plans, problems = [], []
    for learner in range(pipeline.ensemble.learners):
        own, config = document, pipeline
        if vary:
            own = _varied(document, varied_values(vary, learner, pipeline.seed))
            config = _validate(own)
        plan = _plan(config, learner)
        found = conflicts(plan, pipeline.task, pipeline.augment)
        problems += [_problem(conflict, own) for conflict in found]
        plans.append(plan)
    problems += [_problem(conflict, document) for conflict in conflicts_between(plans)]
    if problems:
        raise ConfigError("\n".join(dict.fromkeys(problems)))  # learners may share theirs
    return plans


_KINDS: dict[str, Mapping[str, type[Any]]] = {
    "network": NETWORKS,
    "scale": SCALES,
    "training.optimizer": RULES,
    "training.schedule": SCHEDULES,
    "training.loss": LOSSES,
    "training.averaging": AVERAGES,
}
_DEFAULT_LOSS: dict[str, Loss] = {"classification": CrossEntropy(), "regression": SquaredError()}


def _varied(document: Document, values: dict[str, Any]) -> Document:
    """Return the document of one learner; where `vary` changes a kind, the old one's keys go."""
    own = document.varied(values)
    for path, kinds in _KINDS.items():
        kind = kinds.get(values.get(f"{path}.name", ""))
        if kind is not None:
            known = {field.name for field in fields(kind)}
            *above, last = path.split(".")
            section = own.data
            for step in above:
                section = section[step]
            section[last] = {
                key: value
                for key, value in section[last].items()
                if key in known or f"{path}.{key}" in values
            }
    return own


def _plan(pipeline: Pipeline, learner: int) -> LearnerPlan:
    training = pipeline.training
    return LearnerPlan(
        learner=learner,
        seed=pipeline.seed,
        network=pipeline.network,
        loss=training.loss or _DEFAULT_LOSS[pipeline.task],
        rule=training.optimizer,
        schedule=training.schedule,
        epochs=training.epochs,
        batch_rows=None if training.batch_size == "all" else training.batch_size,
        order=training.order,
        snapshots=pipeline.ensemble.strategy == "snapshot",
        averaging=training.averaging,
        early_stopping=training.early_stopping,
        rate_factors=pipeline.transfer.factors if pipeline.transfer else (),
        view=pipeline.view,
    )


def _validate(document: Document) -> Pipeline:
    try:
        return Pipeline.model_validate(document.data)
    except ValidationError as error:
        messages = yaml_errors.describe(error, document, Pipeline.model_json_schema())
    raise ConfigError("\n".join(messages))


def _check_vary_paths(vary: dict[str, Any], document: Document) -> None:
    wrong = [path for path in vary if path.split(".")[0] not in ("network", "training")]
    if wrong:
        raise ConfigError(
            "\n".join(
                f"ensemble.vary: {path!r} cannot differ between learners; name keys below network "
                "or training, such as training.optimizer.learning_rate"
                + document.at(("ensemble", "vary", path))
                for path in wrong
            )
        )


def _problem(conflict: Conflict, document: Document) -> str:
    path, text = conflict
    return f"{'.'.join(path)}: {text}{document.at(path)}"
