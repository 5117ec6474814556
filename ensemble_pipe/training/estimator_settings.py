"""Settings of learners that are scikit-learn estimators."""

from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Le

from ensemble_pipe.core.settings import settings
from ensemble_pipe.data.schema import Task

# Each has files of its own, and the ensemble is measured anew after each.
MOST_LEARNERS = 10_000
# Of the files of fitted learners; each says what is in it.
SKOPS, TREES, LIGHTGBM, CATBOOST = ".skops", ".safetensors", ".lightgbm", ".catboost"
SUFFIXES = (SKOPS, TREES, LIGHTGBM, CATBOOST)


@settings
class Folds:
    """Learners that may leave out a fold each.

    Where `cross_validate` is set, learner i leaves out fold i, of as many as there are learners.

    Attributes:
        weighs_rows: whether the estimator takes weights of rows.
        spreads_codes: whether it sees codes of categories as features of 0 or 1.
        needs_two_classes: whether it refuses rows that are all of one class.
        suffix: of the file that holds the fitted learner.
    """

    weighs_rows: ClassVar[bool] = True
    spreads_codes: ClassVar[bool] = False
    needs_two_classes: ClassVar[bool] = False
    suffix: ClassVar[str] = SKOPS

    learners: Annotated[int, Ge(1), Le(MOST_LEARNERS)] = 1
    cross_validate: bool = False

    def __post_init__(self) -> None:
        if self.cross_validate and self.learners < 2:
            raise ValueError("cross_validate needs at least 2 learners, one for each fold")

    @property
    def leaves_folds_out(self) -> bool:
        """Whether each learner leaves out a fold, of as many as there are learners."""
        return self.cross_validate


@settings
class RandomForest(Folds):
    """Trees on bootstrap samples, each split among some of the columns (Breiman 2001).

    Attributes:
        learners: how many forests, each of other draws.
        cross_validate: see `Folds`.
        trees: in each forest.
        leaf_rows: the least number of rows in a leaf.
    """

    strategy: Literal["random_forest"] = "random_forest"
    trees: Annotated[int, Ge(1), Le(100_000)] = 200
    leaf_rows: Annotated[int, Ge(1)] = 2

    def build(self, task: Task, seed: int) -> Any:
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        kind = RandomForestClassifier if task == "classification" else RandomForestRegressor
        return kind(self.trees, min_samples_leaf=self.leaf_rows, random_state=seed)


@settings
class HistogramBoosting(Folds):
    """Gradient boosting of trees on binned columns (Friedman 2001; Ke et al. 2017, "LightGBM").

    Trees see the columns of the table as they are: a category as a category, which a split divides
    into two sets, and what is missing as missing. The rounds up to the least loss on the stop part
    are kept. For numbers further trees fit the variance of each row's error.

    Attributes:
        learners: how many, each of other draws.
        cross_validate: see `Folds`.
        rounds: the most trees, for each class where there are several.
        learning_rate: what each tree's values are multiplied by.
        leaves: the most leaves of a tree.
        leaf_rows: the least number of rows in a leaf.
        penalty: of the squared values of leaves.
        features: the share of the columns among which each split chooses.
    """

    needs_two_classes: ClassVar[bool] = True
    suffix: ClassVar[str] = TREES

    strategy: Literal["histogram_boosting"] = "histogram_boosting"
    rounds: Annotated[int, Ge(1), Le(100_000)] = 2000
    learning_rate: Annotated[float, Gt(0)] = 0.05
    leaves: Annotated[int, Ge(2)] = 31
    leaf_rows: Annotated[int, Ge(1)] = 20
    penalty: Annotated[float, Ge(0)] = 0.0
    features: Annotated[float, Gt(0), Le(1)] = 0.5

    def build(self, task: Task, seed: int) -> Any:
        """Return the estimator that versions up to 0.1.0 fitted to encoded rows."""
        from sklearn import ensemble

        kind = (
            ensemble.HistGradientBoostingClassifier
            if task == "classification"
            else ensemble.HistGradientBoostingRegressor
        )
        return kind(
            max_iter=self.rounds,
            learning_rate=self.learning_rate,
            max_leaf_nodes=self.leaves,
            early_stopping=True,
            random_state=seed,
        )


@settings
class LightGbm(Folds):
    """LightGBM, which is an extra: `pip install "ensemble-pipe[boosting]"`.

    Trees see the columns of the table as they are, and the rounds up to the least loss on the stop
    part are kept.

    Attributes:
        learners: how many, each of other draws.
        cross_validate: see `Folds`.
        rounds: the most trees, for each class where there are several.
        learning_rate: what each tree's values are multiplied by.
        leaves: the most leaves of a tree.
        leaf_rows: the least number of rows in a leaf.
    """

    needs_two_classes: ClassVar[bool] = True
    suffix: ClassVar[str] = LIGHTGBM

    strategy: Literal["lightgbm"] = "lightgbm"
    rounds: Annotated[int, Ge(1), Le(100_000)] = 2000
    learning_rate: Annotated[float, Gt(0)] = 0.05
    leaves: Annotated[int, Ge(2), Le(131_072)] = 31
    leaf_rows: Annotated[int, Ge(1)] = 20


@settings
class CatBoost(Folds):
    """CatBoost, which is an extra: `pip install "ensemble-pipe[boosting]"`.

    Trees see the columns of the table as they are, and the rounds up to the least loss on the stop
    part are kept.

    Attributes:
        learners: how many, each of other draws.
        cross_validate: see `Folds`.
        rounds: the most trees.
        learning_rate: what each tree's values are multiplied by.
        depth: of each tree, whose nodes of one level ask the same.
    """

    needs_two_classes: ClassVar[bool] = True
    suffix: ClassVar[str] = CATBOOST

    strategy: Literal["catboost"] = "catboost"
    rounds: Annotated[int, Ge(1), Le(100_000)] = 2000
    learning_rate: Annotated[float, Gt(0)] = 0.05
    depth: Annotated[int, Ge(1), Le(16)] = 6


@settings
class LinearEstimator(Folds):
    """Logistic regression, or for numbers ridge regression; both have one solution.

    Attributes:
        learners: how many; all are alike, so one is enough.
        cross_validate: see `Folds`.
        penalty: of the squared weights, lambda in loss + lambda/2 |w|^2, summed over rows.
    """

    needs_two_classes: ClassVar[bool] = True
    spreads_codes: ClassVar[bool] = True

    strategy: Literal["linear"] = "linear"
    penalty: Annotated[float, Gt(0)] = 1.0

    def build(self, task: Task, seed: int) -> Any:
        from sklearn.linear_model import LogisticRegression, Ridge

        if task == "regression":
            return Ridge(alpha=self.penalty)
        return LogisticRegression(C=1.0 / self.penalty, max_iter=1000)


@settings
class NearestNeighbors(Folds):
    """The mean over the nearest training rows, which it keeps (Fix & Hodges 1951).

    Attributes:
        learners: how many; all are alike, so one is enough.
        cross_validate: see `Folds`.
        neighbors: how many rows are the nearest.
    """

    weighs_rows: ClassVar[bool] = False
    spreads_codes: ClassVar[bool] = True

    strategy: Literal["nearest_neighbors"] = "nearest_neighbors"
    neighbors: Annotated[int, Ge(1)] = 15

    def build(self, task: Task, seed: int) -> Any:
        from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

        kind = KNeighborsClassifier if task == "classification" else KNeighborsRegressor
        # By brute force: a tree of rows would be one more type to trust in a file.
        return kind(self.neighbors, algorithm="brute")


EstimatorSettings = (
    RandomForest | HistogramBoosting | LightGbm | CatBoost | LinearEstimator | NearestNeighbors
)
