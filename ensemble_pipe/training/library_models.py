"""Models of LightGBM and CatBoost: the file that holds them, and the checks of what is in it.

A file is JSON with the models in the text formats of their libraries, LightGBM's text and
CatBoost's JSON. Both are parsed by compiled code, so their structure is checked first.
"""

import importlib
import json
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np

from ensemble_pipe.core.documents import parse_json, validate_as
from ensemble_pipe.core.errors import ConfigError, CorruptFileError

Library = Literal["lightgbm", "catboost"]


def load_library(name: Library) -> Any:
    """Import a library of boosted trees, which are extras.

    Raises:
        ConfigError: it is not installed; says how it would be.
    """
    if find_spec(name) is None:
        raise ConfigError(
            f'{name} is not installed; install it with `pip install "ensemble-pipe[boosting]"`'
        )
    return importlib.import_module(name)


@dataclass(frozen=True)
class LibraryModels:
    """A fitted learner.

    Attributes:
        facts: what it was fitted by, as plain values.
        classes: that it was fitted to; () for numbers.
        groups: see `tree_inputs.join_groups`.
        models: text of the one model of classes, or of each target.
    """

    facts: dict[str, Any]
    classes: tuple[int, ...]
    groups: tuple[int, ...]
    models: tuple[str, ...]

    def to_bytes(self) -> bytes:
        """Return the content of the file."""
        return json.dumps(asdict(self), allow_nan=False).encode()


def read_models(content: bytes, library: Library, columns: int, where: str) -> LibraryModels:
    """Return what `LibraryModels.to_bytes` wrote.

    Args:
        content: of the file.
        library: that made the models.
        columns: C, that the trees may ask for.
        where: its place, for messages.

    Raises:
        CorruptFileError: it is no such file, or a tree in it leads nowhere.
    """
    found = parse_json(content, LibraryModels, where)
    check = _require_lightgbm if library == "lightgbm" else _require_catboost
    for model in found.models:
        try:
            check(model, columns, where)
        except (ValueError, KeyError, IndexError) as error:
            raise CorruptFileError(f"{where}: not a model of {library} ({error})") from None
    return found


def _require_lightgbm(text: str, columns: int, where: str) -> None:
    """Raise ValueError where a tree in LightGBM's text has an index that leads nowhere."""
    head, *trees = text.partition("end of trees")[0].split("\nTree=")
    if not head.startswith("tree\n") or not text.isascii():
        raise ValueError("it has no trees")
    if int(_fields(head)["max_feature_idx"]) != columns - 1:
        raise ValueError(f"it is not for {columns} columns")
    for tree in trees:
        _require_tree(_fields(tree), columns)


def _fields(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines())
    return {name: value for name, _, value in pairs}


def _require_tree(tree: dict[str, str], columns: int) -> None:
    leaves, categories = int(tree["num_leaves"]), int(tree["num_cat"])
    values = np.array(tree["leaf_value"].split(), np.float64)
    if leaves < 1 or len(values) != leaves or not np.isfinite(values).all():
        raise ValueError("the values of its leaves")
    if tree.get("is_linear", "0") != "0":
        raise ValueError("a tree with linear leaves")
    if leaves == 1:
        return
    left, right, feature, kind = (
        np.array(tree[name].split(), np.int64)
        for name in ("left_child", "right_child", "split_feature", "decision_type")
    )
    threshold = np.array(tree["threshold"].split(), np.float64)
    places = np.arange(leaves - 1)
    if any(len(array) != leaves - 1 for array in (left, right, feature, kind, threshold)):
        raise ValueError("the number of its nodes")
    for child in (left, right):  # a node stands behind its parent; -1 is leaf 0
        inner = child >= 0
        if (child[inner] <= places[inner]).any() or (child >= leaves - 1).any():
            raise ValueError("a node leads to none that can follow it")
        if (child < -leaves).any():
            raise ValueError("a node leads to no leaf")
    if (feature < 0).any() or (feature >= columns).any():
        raise ValueError("a node asks for a column that there is not")
    asks = (kind & 1) == 1
    if not np.isin(threshold[asks], np.arange(categories)).all():
        raise ValueError("a node asks for categories that there are not")
    if categories:
        ends = np.array(tree["cat_boundaries"].split(), np.int64)
        words = np.array(tree["cat_threshold"].split(), np.int64)
        if len(ends) != categories + 1 or ends[0] != 0 or ends[-1] != len(words):
            raise ValueError("its sets of categories")
        if (np.diff(ends) < 1).any() or (words < 0).any() or (words >= 1 << 32).any():
            raise ValueError("its sets of categories")


@dataclass(frozen=True)
class _CatBoostTree:
    leaf_values: list[float]
    splits: list[dict[str, Any]]
    leaf_weights: Any = None


def _require_catboost(text: str, columns: int, where: str) -> None:
    """Raise ValueError where a tree in CatBoost's JSON has other leaves than its splits make."""
    model = parse_json(text.encode(), dict[str, Any], where)
    known = {"ctr_data", "features_info", "model_info", "oblivious_trees", "scale_and_bias"}
    if not {"features_info", "oblivious_trees", "scale_and_bias"} <= set(model) <= known:
        raise ValueError("its keys")
    info = model["features_info"]
    numbers, names = info.get("float_features", []), info.get("categorical_features", [])
    if len(numbers) + len(names) > columns:
        raise ValueError(f"it is not for {columns} columns")
    dimensions = len(np.atleast_1d(model["scale_and_bias"][1]))
    trees = validate_as(model["oblivious_trees"], list[_CatBoostTree], where)
    for tree in trees:
        if len(tree.splits) > 16 or len(tree.leaf_values) != dimensions << len(tree.splits):
            raise ValueError("the number of leaves of a tree")
        for split in tree.splits:
            if not 0 <= int(split.get("float_feature_index", 0)) < max(1, len(numbers)):
                raise ValueError("a tree asks for a column that there is not")
