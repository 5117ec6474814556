"""The two estimators: EnsembleClassifier and EnsembleRegressor."""

# ruff: noqa: N803 (scikit-learn's X)

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.compilation import report_compilation
from ensemble_pipe.core.errors import ClusterError, ConfigError, InputError
from ensemble_pipe.core.interruption import handle_signals
from ensemble_pipe.core.timeline import Timeline
from ensemble_pipe.data.schema import Task
from ensemble_pipe.data.tables.targets import Targets
from ensemble_pipe.estimators.examples import Examples
from ensemble_pipe.estimators.features import Features, known_features, read_features
from ensemble_pipe.estimators.fitting import fit_examples, plan_fit
from ensemble_pipe.estimators.labels import classes_of, numbers_of, read_labels, target_names
from ensemble_pipe.estimators.parameters import PATHS, pipeline_of
from ensemble_pipe.run.display import Silent, make_display
from ensemble_pipe.run.executors import make_executor
from ensemble_pipe.serving.artifact import Model, write_artifact
from ensemble_pipe.serving.model import Ensemble
from ensemble_pipe.training.components import custom_components


class _Estimator(BaseEstimator):  # type: ignore[misc]
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
        folds: int | None = None,
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
        self.time_limit = time_limit
        self.overrides = overrides
        self.components = components
        self.address = address
        self.random_state = random_state
        self.verbose = verbose

    def predict_members(self, X: Any) -> Floats:
        """Return each member's probabilities (K, R, O), or its numbers (K, R) or (K, R, D)."""
        ensemble, inputs = self._ready(X)
        with _value_errors():
            return ensemble.predict_members(inputs)

    def uncertainty(self, X: Any) -> dict[str, Floats]:
        """Return how unsure the ensemble is of each row, (R,) or (R, D) each.

        The names are those of `serving.model.Ensemble.uncertainty`.
        """
        ensemble, inputs = self._ready(X)
        with _value_errors():
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
        with _value_errors():
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
        self.model_ = result.model
        self._columns = examples.features.names


class EnsembleClassifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """An ensemble of neural networks that classifies.

    Parameters are those of a pipeline, with the field's names; they are checked in `fit`. None is
    the pipeline's default for the data, whatever the others are, but that an `optimizer` and a
    `schedule`, being named, have their own defaults.

    Args:
        learners: networks, each from its own initialisation and its own order of the data.
        hidden: units of each hidden layer.
        activation: after each hidden layer.
        dropout: share of each hidden layer's outputs that is dropped in training.
        epochs: of each learner.
        batch_size: rows of a step, or "all".
        optimizer, learning_rate, weight_decay: the update rule, its rate, and decoupled decay.
        schedule: of the learning rate.
        patience: epochs without gain on held-out rows after which a learner ends.
        validation_fraction: share of the rows that is held out, and as much again for early
            stopping; of too few rows none is. Below 1, or a number of rows.
        folds: where given, nothing is held out, and each learner leaves out one of so many folds;
            at least as many learners are needed, better twice as many.
        time_limit: of `fit`, in seconds or such as "5m"; training ends early where need be, and a
            ConvergenceWarning says what it would have gone on with.
        overrides: values of a pipeline by path, such as {"training.loss.name": "hinge"}, which
            come last; {"data.columns": {"age": {"missing": "mean"}}} are rules of columns.
        components: classes of your own that `overrides` name, see `training.components`.
        address: of a Ray cluster: "local" starts one, "auto" finds one, or HOST:PORT; None trains
            in this process.
        random_state: None, an int, or a RandomState, from which the seed is drawn.
        verbose: show what goes on, on standard error.

    Attributes:
        classes_: names of the classes, sorted.
        n_features_in_, feature_names_in_: as scikit-learn has them.
        model_: schema and members, `serving.artifact.Model`.
    """

    _task: Task = "classification"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train the ensemble.

        Args:
            X: features (R, D): a data frame of pandas or polars, an Arrow table, an array or lists
                of rows, or a sparse matrix; columns of numbers, text, categories, true and false,
                dates, with or without missing values.
            y: labels (R,): integers, whole numbers, true and false, or text; none missing.
            sample_weight: (R,) of each row in the loss; 0 leaves it out.

        Raises:
            ValueError: a parameter or a value is wrong.
            TrainingError: every learner failed, or so many that nothing is left to combine others
                by; where one does, a ConvergenceWarning says so.
        """
        timeline = Timeline()
        with _value_errors():
            config = self._pipeline()
            features, labels, weights = self._checked(X, y, sample_weight)
            check_classification_targets(labels)
            self.classes_, classes, targets = classes_of(labels)
            names = target_names(y, 1, features.names)
            self._train(config, Examples(features, targets, weights, names, classes), timeline)
        return self

    def predict(self, X: Any) -> Array:
        """Return the class (R,) of each row: the most probable one, or by `ensemble.decide`."""
        ensemble, inputs = self._ready(X)
        with _value_errors():
            found: Array = self.classes_[ensemble.prediction(inputs).decided]
        return found

    def predict_proba(self, X: Any) -> Floats:
        """Return probabilities (R, O), in the order of `classes_`."""
        ensemble, inputs = self._ready(X)
        with _value_errors():
            return ensemble.predict_proba(inputs)


class EnsembleRegressor(RegressorMixin, _Estimator):  # type: ignore[misc]
    """An ensemble of neural networks that predicts numbers, and how far off they may be.

    Parameters are those of `EnsembleClassifier`.

    Attributes:
        n_features_in_, feature_names_in_: as scikit-learn has them.
        model_: schema and members, `serving.artifact.Model`.
    """

    _task: Task = "regression"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train the ensemble; y are targets (R,) or (R, D), numbers.

        All else is as in `EnsembleClassifier.fit`.
        """
        timeline = Timeline()
        with _value_errors():
            config = self._pipeline()
            features, found, weights = self._checked(X, y, sample_weight, multi_output=True)
            if found.ndim == 2 and found.shape[1] == 1:
                found = column_or_1d(found, warn=True)
            names = target_names(y, 1 if found.ndim == 1 else found.shape[1], features.names)
            targets = Targets(numbers_of(found))
            self._train(config, Examples(features, targets, weights, names), timeline)
        return self

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def predict(self, X: Any, return_std: bool = False) -> Floats | tuple[Floats, Floats]:
        """Return the mean (R,) of each row, or (R, D) of its targets.

        Args:
            X: features (R, D), as in `fit`.
            return_std: whether to return the standard deviation, of the mean's shape, as well: of
                the members' disagreement and of the noise about them.
        """
        ensemble, inputs = self._ready(X)
        with _value_errors():
            mean = ensemble.predict(inputs)
            return (mean, ensemble.uncertainty(inputs)["std"]) if return_std else mean


@contextmanager
def _value_errors() -> Iterator[None]:
    """Raise wrong input as the ValueError that scikit-learn's users expect."""
    try:
        yield
    except InputError as error:
        raise ValueError(str(error)) from error
