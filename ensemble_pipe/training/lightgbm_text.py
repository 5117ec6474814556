"""LightGBM's text of a model: parsed strictly, checked, and written anew.

LightGBM's own parser trusts what a text says: it jumps by `tree_sizes`, takes the first of two
equal lines, and follows the children of a node without a look at their number. So it is given a
text that is written here from arrays whose every index was checked, and nothing else of the file.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ensemble_pipe.core.arrays import Floats, Integers

LARGEST_SUM = 1e30  # of the values of all trees: their sum stays a finite float32
_HEAD = {
    "version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx",
    "feature_names", "feature_infos",
}  # fmt: skip
_NODES = {"left_child", "right_child", "split_feature", "decision_type", "threshold"}
_SETS = {"cat_boundaries", "cat_threshold"}
_NEEDED = {"num_leaves", "num_cat", "leaf_value"}
_UNUSED = {
    "split_gain", "leaf_weight", "leaf_count", "internal_value", "internal_weight",
    "internal_count", "shrinkage",
}  # fmt: skip
_WHOLE = re.compile(r"-?\d{1,18}( -?\d{1,18})*")
_NUMBER = r"-?\d+(\.\d+)?(e[+-]?\d+)?"
_DECIMALS = re.compile(f"{_NUMBER}( {_NUMBER})*")
_LIMITS = re.compile(f"({_NUMBER}|inf)( ({_NUMBER}|inf))*")  # all but what is missing is below inf
# What may follow the trees, which is not read.
_TAIL = re.compile(
    r"\n*(feature_importances:\n([^\n=\[]+=\d+\n)*\n*)?"
    r"(parameters:\n(\[[^\n]*\]\n)*\n*end of parameters\n*)?(pandas_categorical:null\n*)?"
)


@dataclass(frozen=True)
class _Tree:
    """A tree of n nodes and n + 1 leaves; node 0 is its root.

    Attributes:
        left, right: of each node (n,): a later node, or -1 - a leaf.
        feature: column that it asks for (n,).
        kind: bits (n,): 1 asks for a set of categories, 2 missing goes left, 12 what is missing.
        threshold: of each node (n,), or the number of its set.
        values: of the leaves (n + 1,).
        ends: where the sets end in `words`, after a 0.
        words: of 32 categories each.
    """

    left: Integers
    right: Integers
    feature: Integers
    kind: Integers
    threshold: Floats
    values: Floats
    ends: Integers
    words: Integers

    def to_text(self, number: int) -> str:
        lines = [
            f"Tree={number}",
            f"num_leaves={len(self.values)}",
            f"num_cat={max(0, len(self.ends) - 1)}",
            f"split_feature={_joined(self.feature)}",
            f"threshold={_joined(self.threshold)}",
            f"decision_type={_joined(self.kind)}",
            f"left_child={_joined(self.left)}",
            f"right_child={_joined(self.right)}",
            f"leaf_value={_joined(self.values)}",
        ]
        if len(self.ends):
            lines += [
                f"cat_boundaries={_joined(self.ends)}",
                f"cat_threshold={_joined(self.words)}",
            ]
        return "\n".join([*lines, "is_linear=0", "shrinkage=1", "\n\n"])


def checked_lightgbm(text: str, columns: int, categories: int, sums: int) -> str:
    """Return a text of the same trees, to be given to LightGBM.

    Args:
        text: of a file.
        columns: C, that the trees may ask for.
        categories: how many of them, the first, are categories.
        sums: S, that the model has for a row.

    Raises:
        ValueError: it is not such a text of trees; says what is wrong.
    """
    body, end, tail = text.partition("\nend of trees\n")
    head, *blocks = re.split(r"\n\n+", body.rstrip("\n"))
    if not text.isascii() or not head.startswith("tree\n"):
        raise ValueError("it has no trees")
    if not end or not _TAIL.fullmatch(tail):
        raise ValueError("its end")
    _require_head(head, columns, sums)
    if not blocks or len(blocks) % sums:
        raise ValueError("the number of its trees")
    trees = [_tree(block, place, columns, categories) for place, block in enumerate(blocks)]
    if sum(float(np.abs(tree.values).max()) for tree in trees) > LARGEST_SUM:
        raise ValueError("the values of its leaves")
    return _written(trees, columns, sums)


def _written(trees: list[_Tree], columns: int, sums: int) -> str:
    names = " ".join(f"Column_{place}" for place in range(columns))
    infos = " ".join(["none"] * columns)
    head = (
        f"tree\nversion=v4\nnum_class={sums}\nnum_tree_per_iteration={sums}\nlabel_index=0\n"
        f"max_feature_idx={columns - 1}\nfeature_names={names}\nfeature_infos={infos}\n\n"
    )
    texts = (tree.to_text(number) for number, tree in enumerate(trees))
    return head + "".join(texts) + "end of trees\n"


def _joined(numbers: Integers | Floats) -> str:
    return " ".join(map(repr, numbers.tolist()))


def _require_head(text: str, columns: int, sums: int) -> None:
    head = _fields(text.split("\n")[1:], _HEAD, _HEAD | {"objective", "tree_sizes"})
    if head["version"] not in ("v3", "v4"):
        raise ValueError("its version")
    if head["max_feature_idx"] != str(columns - 1):
        raise ValueError(f"it is not for {columns} columns")
    if head["num_class"] != str(sums) or head["num_tree_per_iteration"] != str(sums):
        raise ValueError(f"it does not give {sums} sums")


def _fields(lines: Iterable[str], needed: set[str], known: set[str]) -> dict[str, str]:
    """Return the lines `name=value` by name, each of which may be there once."""
    found: dict[str, str] = {}
    for line in lines:
        name, sign, value = line.partition("=")
        if not sign or name not in known or name in found:
            raise ValueError(f"the line {line[:40]!r}")
        found[name] = value
    if not needed <= set(found):
        raise ValueError(f"it lacks {', '.join(sorted(needed - set(found)))}")
    return found


def _whole(text: str) -> Integers:
    if text and not _WHOLE.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not of whole numbers")
    return np.array(text.split(), np.int64)


def _decimals(text: str, form: re.Pattern[str] = _DECIMALS) -> Floats:
    if text and not form.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not of finite numbers")
    return np.array(text.split(), np.float64)


def _tree(text: str, number: int, columns: int, categories: int) -> _Tree:
    first, *lines = text.split("\n")
    if first != f"Tree={number}":
        raise ValueError(f"{first[:40]!r} in the place of tree {number}")
    tree = _fields(lines, _NEEDED, _NEEDED | _NODES | _SETS | _UNUSED | {"is_linear"})
    if tree.get("is_linear", "0") != "0":
        raise ValueError("a tree with linear leaves")
    values = _decimals(tree["leaf_value"])
    if not len(values) or tree["num_leaves"] != str(len(values)):
        raise ValueError("the values of its leaves")
    found = _Tree(
        left=_whole(tree.get("left_child", "")),
        right=_whole(tree.get("right_child", "")),
        feature=_whole(tree.get("split_feature", "")),
        kind=_whole(tree.get("decision_type", "")),
        threshold=_decimals(tree.get("threshold", ""), _LIMITS),
        values=values,
        ends=_whole(tree.get("cat_boundaries", "")),
        words=_whole(tree.get("cat_threshold", "")),
    )
    _require_sets(found, tree["num_cat"])
    _require_nodes(found, columns, categories)
    return found


def _require_nodes(tree: _Tree, columns: int, categories: int) -> None:
    left, right, feature, kind = tree.left, tree.right, tree.feature, tree.kind
    nodes = len(tree.values) - 1
    if any(len(array) != nodes for array in (left, right, feature, kind, tree.threshold)):
        raise ValueError("the number of its nodes")
    children = np.concatenate([left, right])
    places = np.tile(np.arange(nodes), 2)
    if (children >= nodes).any() or (children[children >= 0] <= places[children >= 0]).any():
        raise ValueError("a node leads to none that can follow it")
    if (children < -nodes - 1).any():
        raise ValueError("a node leads to no leaf")
    if len(np.unique(children)) != 2 * nodes:
        raise ValueError("two nodes lead to the same")
    if (feature < 0).any() or (feature >= columns).any():
        raise ValueError("a node asks for a column that there is not")
    if (kind < 0).any() or (kind >= 12).any():
        raise ValueError("the kinds of its nodes")
    asks = (kind & 1) == 1
    if (asks != (feature < categories)).any():
        raise ValueError("a node takes a number for a category or a category for a number")
    if not np.isin(tree.threshold[asks], np.arange(len(tree.ends) - 1)).all():
        raise ValueError("a node asks for categories that there are not")


def _require_sets(tree: _Tree, count: str) -> None:
    ends, words = tree.ends, tree.words
    if count != str(max(0, len(ends) - 1)) or (len(words) and not len(ends)):
        raise ValueError("its sets of categories")
    if len(ends):
        if len(ends) < 2 or ends[0] != 0 or ends[-1] != len(words):
            raise ValueError("its sets of categories")
        if (np.diff(ends) < 1).any() or (words < 0).any() or (words >= 1 << 32).any():
            raise ValueError("its sets of categories")
