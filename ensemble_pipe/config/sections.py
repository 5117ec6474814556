"""The sections of a pipeline file, with their types, defaults and bounds."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MinLen
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    model_validator,
)

from ensemble_pipe.config.search_settings import Search
from ensemble_pipe.config.values import Duration, FoldsSetting, Size, any_branch
from ensemble_pipe.core.seeds import MAX_SEED
from ensemble_pipe.data.augment.policy import Augment, AugmentSection
from ensemble_pipe.data.batches import Order
from ensemble_pipe.data.learner_view import View
from ensemble_pipe.data.outer_folds import OuterFold
from ensemble_pipe.data.schema import Task
from ensemble_pipe.data.shards import WINDOW_ROWS
from ensemble_pipe.data.sources import SOURCES, Bundled, Source
from ensemble_pipe.data.tables.scaling import SCALES, Scale, Standardize
from ensemble_pipe.data.tables.target_scaling import TargetScale
from ensemble_pipe.ensemble.combining import Combine
from ensemble_pipe.ensemble.strategies import EnsembleSettings, Group
from ensemble_pipe.nn.losses import LOSSES, Loss
from ensemble_pipe.nn.networks import NETWORKS, Architecture, Mlp
from ensemble_pipe.optim import (
    AVERAGES,
    RULES,
    SCHEDULES,
    Adam,
    AdamW,
    Averaging,
    ConstantRate,
    Cosine,
    Rule,
    Schedule,
)
from ensemble_pipe.training.regularization import Regularization
from ensemble_pipe.training.stopping import EarlyStopping
from ensemble_pipe.training.tensors import RateFactors

_TRACKING_URI = r"^(https?|(sqlite|postgresql|mysql|mssql)(\+\w+)?)://|^databricks"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Splits(_Section):
    """Parts of the data; `test` counts only where the source has no test part.

    `train` null takes all rows that the others leave. `stop: validation` lets learners stop by the
    rows that the ensemble is calibrated on. `outer` makes one of several folds of all rows the test
    part, see `OuterFold`. `folds` takes the place of both parts: learner i leaves
    out fold i modulo `folds` of the training part, stops by it, and the ensemble is combined and
    calibrated on what each learner predicts for the fold that it left out; it is a number, or says
    more, see `Folding`. `refit` trains the members again, after that, on all rows that are not of
    the test part.
    """

    train: Size | None = None
    test: Size = 0.2
    validation: Size | None = 0.15
    stop: Size | Literal["validation"] | None = 0.1
    folds: FoldsSetting | None = None
    outer: OuterFold | None = None
    refit: bool = False

    @property
    def test_size(self) -> Size:
        """The size of the test part where the source has none."""
        return self.test if self.outer is None else 1 / self.outer.count

    @property
    def sizes(self) -> dict[str, float | int]:
        """The sizes of the parts that are given one, disjoint ones."""
        values = {"train": self.train, "test": self.test, "validation": self.validation}
        stop = None if self.stop == "validation" else self.stop
        return {name: size for name, size in {**values, "stop": stop}.items() if size is not None}

    @model_validator(mode="before")
    @classmethod
    def _folds_or_parts(cls, values: Any) -> Any:
        """Leave out the parts that folds take the place of."""
        if not isinstance(values, dict) or values.get("folds") is None:
            return values
        given = [name for name in ("validation", "stop") if values.get(name) is not None]
        if given:
            raise ValueError(
                f"folds take the place of {' and '.join(given)}; leave {' and '.join(given)} out "
                "(or null), or folds"
            )
        return {**values, "validation": None, "stop": None}

    @model_validator(mode="after")
    def _has_held_out_rows(self) -> "Splits":
        if self.folds is None and (self.validation is None or self.stop is None):
            raise ValueError("validation and stop need a size each, unless there are folds")
        return self


class Target(_Section):
    """How the targets of a regression are scaled before training; results are in their own units.

    Targets are standardised. `log` and `power`, with a fitted exponent, transform them before that,
    and need targets above 0. `auto` takes one of these for a target where the held-out likelihood
    in its own units is clearly better.
    """

    scale: TargetScale = "auto"


def _with_kinds(values: Any, defaults: dict[str, str]) -> Any:
    """Return a section's values, with the default kind in parts that name none: see `settle`."""
    if not isinstance(values, dict):
        return values
    return {
        key: {"name": defaults[key], **value}
        if key in defaults and isinstance(value, dict)
        else value
        for key, value in values.items()
    }


def _paths(values: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Yield the path of every key in nested values, such as "training" and "training.epochs"."""
    for key, value in values.items():
        yield f"{above}{key}"
        if isinstance(getattr(value, "name", None), str):
            yield f"{above}{key}.name"  # of a component, which is given as a whole
        if isinstance(value, BaseModel):
            value = {name: getattr(value, name) for name in value.model_fields_set}
        if isinstance(value, Mapping):
            yield from _paths(value, f"{above}{key}.")


_DEFAULTED = Field(json_schema_extra=any_branch)
_NAMED = Field(json_schema_extra={"required": ["name"]})


class Training(_Section):
    """How each learner is trained.

    What is not given is chosen by the data, see `config.defaults`: `epochs`, `batch_size` and
    `loss` where they are null, and the other keys where a pipeline does not have them.
    `batch_size: all` makes every step one of gradient descent on all rows. `order` says whether
    each learner goes through the rows in an order of its own. `regularization` has schedules of
    dropout, weight decay and label smoothing.
    """

    epochs: Annotated[int, Ge(1), Le(10_000_000)] | None = None
    batch_size: Annotated[int, Ge(1), Le(2**63 - 1)] | Literal["all"] | None = None
    order: Order = "own"
    optimizer: Annotated[Rule, RULES, _DEFAULTED] = Adam()
    schedule: Annotated[Schedule, SCHEDULES, _DEFAULTED] = ConstantRate()
    loss: Annotated[Loss, LOSSES, _NAMED] | None = None
    averaging: Annotated[Averaging, AVERAGES, _NAMED] | None = None
    early_stopping: EarlyStopping | None = None
    regularization: Regularization = Regularization()

    @model_validator(mode="before")
    @classmethod
    def _default_kinds(cls, values: Any) -> Any:
        """Let `optimizer: {learning_rate: 0.01}` mean the default rule with another rate."""
        return _with_kinds(values, {"optimizer": AdamW().name, "schedule": Cosine().name})


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

    `executor` is ray, inline for this process, or auto for what is estimated to be faster; the
    options --inline and --address override it. `trainers` and `stack` are chosen from the cluster
    and the network where they are null. None of these changes a result. `retries` is how often a
    stack is tried again after its trainer died.
    """

    executor: Literal["auto", "ray", "inline"] = "ray"
    trainers: Annotated[int, Ge(1)] | None = None
    cpus_per_trainer: Annotated[int, Ge(1)] = 1
    stack: Annotated[int, Ge(1)] | None = None
    retries: Annotated[int, Ge(0)] = 2


class Tracking(_Section):
    """What MLflow receives.

    `uri` null means MLFLOW_TRACKING_URI, or else an SQLite file beside the run directories. A
    password or token in it is written nowhere: a resume or sync takes it from the environment.
    `register_as` names a registered model that this run's model becomes a version of; the first one
    gets the alias `champion`, and `ensemble-pipe promote` moves it.
    `experiment` is made if there is none of its name. `tags` are set on the run, by name.
    `parent_run` is the id of an MLflow run in it that this one is shown below: in Python the active
    one of the same store. With `system_metrics` the processor, memory, disk and network of the
    machine that drives the run are sampled every 10 s.
    """

    mlflow: bool = True
    uri: Annotated[str, Field(pattern=_TRACKING_URI)] | None = Field(None, repr=False)
    experiment: Annotated[str, MinLen(1)] = "ensemble_pipe"
    register_as: str | None = None
    tags: dict[Annotated[str, MinLen(1)], str | int | float | bool] = Field(default_factory=dict)
    parent_run: Annotated[str, MinLen(1)] | None = None
    system_metrics: bool = True

    @model_validator(mode="after")
    def _tags_are_own(self) -> "Tracking":
        for name in self.tags:
            if name.startswith(("mlflow.", "ensemble_pipe.")):
                raise ValueError(
                    f"tags: {name!r} is not for users; names that begin with 'mlflow.' or "
                    "'ensemble_pipe.' have a meaning of their own"
                )
        return self


class Pipeline(_Section):
    """One pipeline file.

    `name` is by default that of the file, or of its data where the file is `pipeline.yaml`.
    `classes` keeps only the rows of those classes; null keeps all. The training part is cut into
    shards of `shard_rows` rows, and shuffled in windows of `window_rows`. `augment` may be a list,
    which is then its policy. `time_limit`, in seconds or such as "5m", is for the whole command: it
    ends training early where need be; null for none.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)] = "pipeline"
    seed: Annotated[int, Ge(0), Field(le=MAX_SEED)] = 1
    task: Task = "classification"
    data: Annotated[Source, SOURCES] = Bundled()
    classes: Annotated[tuple[int | str, ...], MinLen(2)] | None = None
    splits: Splits = Splits()
    shard_rows: Annotated[int, Ge(1)] = 4096
    window_rows: Annotated[int, Ge(1)] = WINDOW_ROWS
    scale: Annotated[Scale, SCALES, _DEFAULTED] = Standardize()
    target: Target = Target()
    augment: AugmentSection = Augment()
    view: View = View()
    network: Annotated[Architecture, NETWORKS, _DEFAULTED] = Mlp()
    transfer: Transfer | None = None
    training: Training = Training()
    ensemble: EnsembleSettings = EnsembleSettings()
    search: Search | None = None
    cluster: Cluster = Cluster()
    tracking: Tracking = Tracking()
    time_limit: Duration | None = None

    _given: frozenset[str] = PrivateAttr(frozenset())

    @property
    def given(self) -> frozenset[str]:
        """The paths of the keys that the pipeline was made with; what is not there is a default."""
        return self._given

    def with_pool(self, groups: tuple[Group, ...], combine: Combine) -> "Pipeline":
        """Return the pipeline with an ensemble of its own, which counts as given."""
        ensemble = EnsembleSettings(pool=groups, combine=combine)
        copy = self.model_copy(update={"ensemble": ensemble})
        copy._given = self._given | {"ensemble", "ensemble.pool"}
        return copy

    def __eq__(self, other: object) -> bool:
        """Whether all values are the same, given or not."""
        return isinstance(other, Pipeline) and self.__dict__ == other.__dict__

    def settled(self) -> "Pipeline":
        """Return the pipeline with every key among those that were given."""
        copy = self.model_copy()
        copy._given = frozenset(_paths(self.model_dump()))
        return copy

    @model_validator(mode="wrap")
    @classmethod
    def _remember(cls, values: Any, handler: ModelWrapValidatorHandler["Pipeline"]) -> "Pipeline":
        pipeline = handler(values)
        if isinstance(values, dict):
            pipeline._given = frozenset(_paths(values))
        return pipeline

    @model_validator(mode="before")
    @classmethod
    def _default_kinds(cls, values: Any) -> Any:
        """Let `network: {hidden: [50]}` mean the default network with other hidden layers."""
        return _with_kinds(values, {"network": Mlp().name, "scale": Standardize().name})


@cache
def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a pipeline file. Making it takes 0.1 s, so it is made once.

    It has the package's own components; `Pipeline.model_json_schema` those handed in as well.
    """
    return Pipeline.model_json_schema()
