"""What the two estimators share: parameters, checks, training, and the members' predictions."""

# ruff: noqa: N803 (scikit-learn's X)

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags, check_consistent_length, check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.config.yaml_documents import Document
from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.compilation import report_compilation
from ensemble_pipe.core.errors import ClusterError, ConfigError, InputError
from ensemble_pipe.core.interruption import handle_signals
from ensemble_pipe.core.timeline import Timeline
from ensemble_pipe.data.schema import Task
from ensemble_pipe.data.tables.decisions import warning_text
from ensemble_pipe.estimators.examples import Examples
from ensemble_pipe.estimators.features import Features, known_features, read_features
from ensemble_pipe.estimators.fitting import fit_examples, plan_fit
from ensemble_pipe.estimators.labels import read_labels
from ensemble_pipe.estimators.parameters import PATHS, pipeline_of
from ensemble_pipe.run.display import Silent, make_display
from ensemble_pipe.run.executors import make_executor
from ensemble_pipe.search.drivers import first_trials
from ensemble_pipe.serving.artifact import Model, write_artifact
from ensemble_pipe.serving.model import Ensemble
from ensemble_pipe.training.components import custom_components


class BaseEnsemble(BaseEstimator):  # type: ignore[misc]
    """What both estimators share: parameters, checks, training, and the members' predictions."""

    _task: Task
    _columns: tuple[str, ...]  # of the features, as the model names them
    model_: Model

    def __init__(
        self,
        *,
        learners: int | None = None,
        hidden: Sequence[int] | None = None,
        activation: str | None = None,
        dropout: float | None = None,
        epochs: int | None = None,
        batch_size: int | Literal["all"] | None = None,
        optimizer: str | None = None,
        learning_rate: float | None = None,
        weight_decay: float | None = None,
        schedule: str | None = None,
        patience: int | None = None,
        validation_fraction: float | None = None,
        folds: int | Mapping[str, Any] | None = None,
        refit: bool | None = None,
        search: str | Mapping[str, Any] | None = None,
        time_limit: float | str | None = None,
        overrides: Mapping[str, Any] | None = None,
        components: Sequence[type[Any]] = (),
        address: str | None = None,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.learners = learners
        self.hidden = hidden
        self.activation = activation
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.folds = folds
        self.refit = refit
        self.search = search
        self.time_limit = time_limit
        self.overrides = overrides
        self.components = components
        self.address = address
        self.random_state = random_state
        self.verbose = verbose

    def predict_members(self, X: Any) -> Floats:
        """Return each member's probabilities (K, R, O), or its numbers (K, R) or (K, R, D)."""
        ensemble, inputs = self._ready(X)
        with value_errors():
            return ensemble.predict_members(inputs)

    def uncertainty(self, X: Any) -> dict[str, Floats]:
        """Return how unsure the ensemble is of each row, (R,) or (R, D) each.

        The names are those of `serving.model.Ensemble.uncertainty`.
        """
        ensemble, inputs = self._ready(X)
        with value_errors():
            return ensemble.uncertainty(inputs)

    def save(self, folder: str | Path) -> None:
        """Write the model without any pickle; `ensemble_pipe.load` reads it.

        Args:
            folder: where to; made if need be.
        """
        check_is_fitted(self)
        write_artifact(Path(folder), self.model_)

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.sparse = True
        tags.input_tags.string = True
        return tags

    def _ready(self, X: Any) -> tuple[Ensemble, Any]:
        check_is_fitted(self)
        names = self.model_.schema.feature_names
        with value_errors():
            return Ensemble(self.model_), known_features(self, X, self._columns, names)

    def _checked(
        self, X: Any, y: Any, sample_weight: Any, **rules: Any
    ) -> tuple[Features, Array, Floats]:
        """Return (features, targets, weights) of the rows whose weight is not zero."""
        y = validate_data(self, y=read_labels(y), **rules)
        features = read_features(self, X)  # after y, which would have the names of X forgotten
        check_consistent_length(features.numbers, y)
        rows = np.empty((len(y), 0))
        weights = _check_sample_weight(
            sample_weight, rows, dtype=np.float64, ensure_non_negative=True
        )
        kept = np.flatnonzero(weights > 0)
        if not len(kept):
            raise ValueError("sample_weight: every weight is zero; at least one must be above it")
        with np.errstate(over="ignore"):
            if not np.isfinite(weights.sum()):
                raise ValueError("sample_weight: the weights are too large to be summed up")
        return features.take(kept), y[kept], weights[kept]

    def _pipeline(self) -> Pipeline:
        name = type(self).__name__
        if not (self.address is None or isinstance(self.address, str)):
            raise ConfigError(
                "address: must be None (to train in this process), 'local', 'auto' or HOST:PORT, "
                f"got {self.address!r} ({name})"
            )
        # Drawn from an integer as well, so that all kinds of random_state go one way.
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        values = {parameter: getattr(self, parameter) for parameter in PATHS}
        overrides = {} if self.overrides is None else self.overrides
        with custom_components(self.components):
            return pipeline_of(values, overrides, self._task, seed, name)[0]

    @handle_signals()
    def _train(self, config: Pipeline, examples: Examples, timeline: Timeline) -> None:
        display = make_display() if self.verbose else Silent()
        with custom_components(self.components):
            if config.search is not None:
                config, _ = first_trials(config, Document(type(self).__name__, {}))
            config, plans, examples = plan_fit(config, examples)
        try:
            with display, report_compilation(display.message), ExitStack() as closing:
                address, inline = self.address or "", self.address is None
                training_s = math.inf if config.time_limit is None else config.time_limit
                executor = make_executor(
                    config, plans, address, inline, display.message, timeline, training_s
                )
                closing.callback(executor.close)
                result = fit_examples(config, plans, examples, executor, display, timeline)
        except ClusterError as error:
            error.add_note("An estimator cannot be resumed; address=None trains without Ray.")
            raise
        for text in result.warnings:
            warnings.warn(text, ConvergenceWarning, stacklevel=3)
        for decision in result.model.schema.decisions:
            if decision.warning:
                warnings.warn(f"X: {warning_text(decision)}", UserWarning, stacklevel=3)
        self.model_ = result.model
        self.trials_ = result.trials
        self._columns = examples.features.names


@contextmanager
def value_errors() -> Iterator[None]:
    """Raise wrong input as the ValueError that scikit-learn's users expect."""
    try:
        yield
    except InputError as error:
        raise ValueError(str(error)) from error
