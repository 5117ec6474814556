"""Boosted trees: their arrays, and the safetensors file that holds them.

The trees of all sequences lie one behind the other. The prediction of sequence s is its baseline
plus, for each of its trees, the value of the leaf that the row comes to.
"""

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import save

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.documents import parse_json
from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.core.tensor_files import metadata_of, parse_tensors, require_finite

BITSET_WORDS = 8  # of 32 bits: categories are numbered from 0 to 255
_FACTS = "trees"


class Nodes(NamedTuple):
    """The N nodes of T trees.

    Attributes:
        starts: (T + 1,) int64, the first node of each tree, its root, and N.
        sequence: (T,) int32, which sequence each tree belongs to.
        feature: (N,) int32, the column that a node asks for; -1 in a leaf.
        threshold: (N,) float64; a row goes left where its number is not above it.
        bitset: (N,) int32, of the categories that go left, among `bitsets`; -1 where the node asks
            for a number.
        missing_left: (N,) uint8, whether NaN goes left.
        left, right: (N,) int32, the children, counted from the root.
        value: (N,) float64, of a leaf.
        bitsets: (B, 8) uint32.
    """

    starts: Integers
    sequence: Integers
    feature: Integers
    threshold: Floats
    bitset: Integers
    missing_left: Array
    left: Integers
    right: Integers
    value: Floats
    bitsets: Array


_TYPES = Nodes("i8", "i4", "i4", "f8", "i4", "u1", "i4", "i4", "f8", "u4")  # type: ignore[arg-type]


@dataclass(frozen=True)
class BoostedTrees:
    """A fitted learner.

    Attributes:
        facts: what it was fitted by, as plain values.
        classes: that it was fitted to; () for numbers.
        groups: see `tree_inputs.join_groups`.
        baseline: (S,) float64 of the S sequences: one for two classes, one for each of more; for
            numbers a mean for each target and then, where there are any, the log of a variance.
        nodes: of the trees.
    """

    facts: dict[str, Any]
    classes: tuple[int, ...]
    groups: Integers
    baseline: Floats
    nodes: Nodes

    def to_bytes(self) -> bytes:
        """Return the content of a safetensors file."""
        tensors = {**self.nodes._asdict(), "groups": self.groups, "baseline": self.baseline}
        text = json.dumps({"facts": self.facts, "classes": self.classes}, allow_nan=False)
        arrays = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
        return bytes(save(arrays, metadata={_FACTS: text}))


@dataclass(frozen=True)
class _Facts:
    facts: dict[str, Any]
    classes: tuple[int, ...]


def read_trees(content: bytes, where: str) -> BoostedTrees:
    """Return what `BoostedTrees.to_bytes` wrote.

    Raises:
        CorruptFileError: it is no such file, or its nodes do not form trees.
    """
    tensors: dict[str, Any] = dict(parse_tensors(content, where))
    require_finite(tensors, where)
    text = metadata_of(content, where).get(_FACTS, "{}")
    facts = parse_json(text.encode(), _Facts, where)
    wanted = {"groups", "baseline", *Nodes._fields}
    if set(tensors) != wanted:
        raise CorruptFileError(f"{where}: holds {sorted(tensors)}, not the arrays of boosted trees")
    groups, baseline = tensors.pop("groups"), tensors.pop("baseline")
    nodes = Nodes(**tensors)
    try:
        _require_trees(nodes, len(baseline))
    except ValueError as error:
        raise CorruptFileError(f"{where}: {error}") from None
    return BoostedTrees(facts.facts, facts.classes, groups, baseline, nodes)


def _require_trees(nodes: Nodes, sequences: int) -> None:
    """Check all that compiled code follows without a look: a wrong index would leave its array.

    Raises:
        ValueError: the nodes do not form trees.
    """
    for name, array, kind in zip(Nodes._fields, nodes, _TYPES, strict=True):
        if array.dtype.str[1:] != kind or array.ndim != (2 if name == "bitsets" else 1):
            raise ValueError(f"{name}: is {array.dtype} of shape {array.shape}")
    count, trees = len(nodes.feature), len(nodes.sequence)
    lengths = {len(array) for array in nodes[2:-1]}
    if lengths != {count} or len(nodes.starts) != trees + 1:
        raise ValueError("its arrays of nodes differ in length")
    sizes = np.diff(nodes.starts)
    if trees and (nodes.starts[0] != 0 or nodes.starts[-1] != count or (sizes < 1).any()):
        raise ValueError("its trees do not follow one another")
    if ((nodes.sequence < 0) | (nodes.sequence >= sequences)).any():
        raise ValueError("a tree belongs to no sequence")
    roots, own = np.repeat(nodes.starts[:-1], sizes), np.repeat(sizes, sizes)
    inner = nodes.feature >= 0
    places = (np.arange(count) - roots)[inner] if trees else np.empty(0, np.int64)
    for child in (nodes.left[inner], nodes.right[inner]):  # a child stands behind its parent
        if (child <= places).any() or (child >= own[inner]).any():
            raise ValueError("a node of a tree leads to none that can follow it")
    if nodes.bitsets.shape[1] != BITSET_WORDS or (nodes.bitset >= len(nodes.bitsets)).any():
        raise ValueError("a node of a tree asks for categories that there are not")


def require_columns(trees: BoostedTrees, categories: int, columns: int) -> None:
    """Check that trees ask for columns that rows have, and for categories where they are some.

    Raises:
        ValueError: they do not.
    """
    nodes = trees.nodes
    inner = nodes.feature >= 0
    if (nodes.feature >= columns).any():
        raise ValueError(f"a tree asks for a column beyond the {columns} of its rows")
    if ((nodes.feature < categories) != (nodes.bitset >= 0))[inner].any():
        raise ValueError("a tree asks for a category where there is a number, or the other way")
    if (trees.groups >= 32 * BITSET_WORDS).any():
        raise ValueError("a category has a number that trees cannot ask for")
