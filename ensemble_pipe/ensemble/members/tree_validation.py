"""Validation of loaded estimators: the nodes of trees form trees, and all numbers are finite.

scikit-learn's compiled code follows the indices of nodes and features without bounds checks: in a
file that was tampered with they could point outside of the arrays, or form a cycle.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ensemble_pipe.core.arrays import Integers


def require_valid_trees(estimator: Any) -> None:
    """Raise ValueError where an index in an estimator's trees is invalid.

    Args:
        estimator: a forest, gradient boosting, several of these for several targets, or one
            without trees.
    """
    for left, right, leaf, feature in _trees(estimator):
        inner = ~leaf
        places = np.arange(len(left))[inner]
        for child in (left[inner], right[inner]):  # a child stands behind its parent
            if (child <= places).any() or (child >= len(left)).any():
                raise ValueError("a node of a tree leads to none that can follow it")
        if (feature[inner] < 0).any() or (feature[inner] >= estimator.n_features_in_).any():
            raise ValueError("a node of a tree asks for a feature that there is not")


def require_finite_numbers(estimator: Any) -> None:
    """Raise ValueError where a number that an estimator's predictions are made of is not finite."""
    for name, values in _numbers(estimator):
        if not np.isfinite(np.asarray(values, np.float64)).all():
            raise ValueError(f"its {name} holds numbers that are not finite")


def _numbers(estimator: Any) -> Iterator[tuple[str, Any]]:
    """Yield what predictions are made of, by name: coefficients, neighbours, values of leaves."""
    for name in ("coef_", "intercept_", "_fit_X", "_y", "_baseline_prediction"):
        if hasattr(estimator, name):
            yield name, getattr(estimator, name)
    for inner in getattr(estimator, "estimators_", []):
        if hasattr(inner, "tree_"):
            yield "tree_", inner.tree_.value
        else:
            yield from _numbers(inner)
    for iteration in getattr(estimator, "_predictors", []):
        for predictor in iteration:
            yield "_predictors", predictor.nodes["value"]


def _trees(estimator: Any) -> Iterator[tuple[Integers, Integers, Any, Integers]]:
    """Yield the children, leaves and features of the nodes of each tree, (n,) each."""
    for inner in getattr(estimator, "estimators_", []):
        if hasattr(inner, "tree_"):
            tree = inner.tree_
            leaf = tree.children_left == -1
            yield tree.children_left, tree.children_right, leaf, tree.feature
        else:
            yield from _trees(inner)
    for iteration in getattr(estimator, "_predictors", []):
        for predictor in iteration:
            nodes = predictor.nodes
            if nodes["is_categorical"].any():  # which this package never trains
                raise ValueError("a node of a tree asks for a category, where all are numbers")
            children = nodes["left"].astype(np.int64), nodes["right"].astype(np.int64)
            yield *children, nodes["is_leaf"].astype(bool), nodes["feature_idx"].astype(np.int64)
