"""The two estimators: EnsembleClassifier and EnsembleRegressor."""

# ruff: noqa: N803 (scikit-learn's X)

from typing import Any, Self

from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import Tags, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.timeline import Timeline
from ensemble_pipe.data.schema import Task
from ensemble_pipe.data.tables.targets import Targets
from ensemble_pipe.estimators.base import BaseEnsemble, value_errors
from ensemble_pipe.estimators.examples import Examples
from ensemble_pipe.estimators.labels import classes_of, numbers_of, target_names


class EnsembleClassifier(ClassifierMixin, BaseEnsemble):  # type: ignore[misc]
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
            at least as many learners are needed, better twice as many. {"count": 5, "repeats": 2}
            and {"count": 5, "forward": "expanding"}, in the order of the rows, say more.
        refit: train again on all rows, for as many epochs, after the members were combined.
        search: "table", a ready space of hyperparameters, or the section `search` of a pipeline:
            the ensemble is then one of the best of many trials (see `ensemble_pipe.search`).
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
        trials_: of the search, the best first, `search.trials.Trial`; empty without one.
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
        with value_errors():
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
        with value_errors():
            found: Array = self.classes_[ensemble.prediction(inputs).decided]
        return found

    def predict_proba(self, X: Any) -> Floats:
        """Return probabilities (R, O), in the order of `classes_`."""
        ensemble, inputs = self._ready(X)
        with value_errors():
            return ensemble.predict_proba(inputs)

    def predict_sets(self, X: Any) -> Array:
        """Return which classes are in each row's conformal set, (R, O) bool.

        The order is that of `classes_`. The sets hold the class of at least the stated share of new
        rows like those of `fit`: that of `overrides={"ensemble.combine.coverage": 0.9}`, which has
        to be given. Out of `folds` they are those of fewer members, and as a rule cover more.

        Raises:
            ValueError: the model was fitted without a coverage.
        """
        ensemble, inputs = self._ready(X)
        with value_errors():
            return ensemble.predict_sets(inputs)


class EnsembleRegressor(RegressorMixin, BaseEnsemble):  # type: ignore[misc]
    """An ensemble of neural networks that predicts numbers, and how far off they may be.

    Parameters are those of `EnsembleClassifier`.

    Attributes:
        n_features_in_, feature_names_in_: as scikit-learn has them.
        model_: schema and members, `serving.artifact.Model`.
        trials_: of the search, the best first, `search.trials.Trial`; empty without one.
    """

    _task: Task = "regression"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train the ensemble; y are targets (R,) or (R, D), numbers.

        All else is as in `EnsembleClassifier.fit`.
        """
        timeline = Timeline()
        with value_errors():
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
        with value_errors():
            mean = ensemble.predict(inputs)
            return (mean, ensemble.uncertainty(inputs)["std"]) if return_std else mean

    def predict_interval(self, X: Any, coverage: float = 0.9) -> Floats:
        """Return the low and the high end of each row's interval, (R, 2), or (R, D, 2) of targets.

        Where the model was fitted with this coverage, by
        `overrides={"ensemble.combine.coverage": 0.9}`, it is the conformal interval: so many
        standard deviations on each side of the mean as covered that share of held-out rows, which
        covers at least that share of new rows like those of `fit`, whatever the noise (Lei et al.
        2018). Else it is the central interval of the predictive distribution: a Gaussian, also
        where a target is trained on as its logarithm or power, taken back. That covers `coverage`
        as far as the model is right, and promises nothing.

        Args:
            X: features (R, D), as in `fit`.
            coverage: share of rows, between 0 and 1.

        Raises:
            ValueError: the coverage is no such share.
        """
        ensemble, inputs = self._ready(X)
        with value_errors():
            return ensemble.predict_intervals(inputs, coverage=coverage)
