"""Whether trees that were read lead from node to node as trees do.

scikit-learn follows the numbers of nodes and features in compiled code without looking: in a file
that was tampered with they could point outside of the arrays, or round in a circle.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ensemble_pipe.arrays import Integers


def require_sound_trees(estimator: Any) -> None:
    """Raise ValueError where a node of an estimator's trees leads where none should.

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
