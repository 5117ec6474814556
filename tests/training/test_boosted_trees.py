"""The file of boosted trees: what is in it comes back, and what leads nowhere is refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.training.boosted_trees import (
    BoostedTrees,
    Nodes,
    read_trees,
    require_columns,
)

# One tree: a category of column 0, then a number of column 1.
NODES = Nodes(
    starts=np.array([0, 5]),
    sequence=np.zeros(1, np.int32),
    feature=np.array([0, -1, 1, -1, -1], np.int32),
    threshold=np.array([0, 0, 0.5, 0, 0.0]),
    bitset=np.array([0, -1, -1, -1, -1], np.int32),
    missing_left=np.array([1, 0, 0, 0, 0], np.uint8),
    left=np.array([1, 0, 3, 0, 0], np.int32),
    right=np.array([2, 0, 4, 0, 0], np.int32),
    value=np.array([0, 1.0, 0, 2.0, 3.0]),
    bitsets=np.array([[0b110, 0, 0, 0, 0, 0, 0, 0]], np.uint32),
)
TREES = BoostedTrees({"seed": 3}, (), np.arange(3, dtype=np.int32), np.zeros(1), NODES)


def changed(**arrays: Any) -> BoostedTrees:
    return replace(TREES, nodes=NODES._replace(**arrays))


def test_a_file_holds_all_of_the_trees() -> None:
    found = read_trees(TREES.to_bytes(), "x")
    assert (found.facts, found.classes) == (TREES.facts, TREES.classes)
    for one, other in zip(found.nodes, NODES, strict=True):
        assert np.array_equal(one, other)
    require_columns(found, 1, 2)


@pytest.mark.parametrize(("arrays", "message"), [
    ({"left": np.array([0, 0, 3, 0, 0], np.int32)}, "leads to none that can follow it"),
    ({"right": np.array([9, 0, 4, 0, 0], np.int32)}, "leads to none that can follow it"),
    ({"left": np.array([-7, 0, 3, 0, 0], np.int32)}, "leads to none that can follow it"),
    ({"bitset": np.array([1, -1, -1, -1, -1], np.int32)}, "categories that there are not"),
    ({"sequence": np.ones(1, np.int32)}, "belongs to no sequence"),
    ({"starts": np.array([0, 9])}, "do not follow one another"),
    ({"starts": np.array([2, 5])}, "do not follow one another"),
    ({"value": np.zeros(4)}, "differ in length"),
    ({"value": np.zeros(5, np.float32)}, "value: is float32"),
    ({"threshold": np.full(5, np.nan)}, "not finite"),
    ({"bitsets": np.zeros((1, 2), np.uint32)}, "categories that there are not"),
])  # fmt: skip
def test_nodes_that_form_no_trees_are_refused(arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(CorruptFileError, match=message):
        read_trees(changed(**arrays).to_bytes(), "trees-0001.safetensors")


@pytest.mark.parametrize("content", [b"", b"PK", save({"x": np.zeros(3)})])
def test_another_file_is_refused(content: bytes) -> None:
    with pytest.raises(CorruptFileError, match=r"^x: "):
        read_trees(content, "x")


@pytest.mark.parametrize(("categories", "columns", "message"), [
    (1, 1, "beyond the 1 of its rows"),
    (0, 2, "a category where there is a number"),
    (2, 2, "a category where there is a number"),
])  # fmt: skip
def test_trees_of_other_columns_are_refused(categories: int, columns: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        require_columns(TREES, categories, columns)


def test_a_category_beyond_its_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot ask for"):
        require_columns(replace(TREES, groups=np.array([256], np.int32)), 1, 2)
