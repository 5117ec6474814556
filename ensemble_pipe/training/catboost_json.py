"""CatBoost's JSON of a model: parsed strictly, checked, and written anew.

CatBoost trusts the numbers in it: a split leads to a place in the list of all borders, a table of
counts is read by its stride. So it is given a JSON that is written here from what was checked, with
the fields that predictions need, and nothing else of the file.

A category is seen in two ways: as a value (one-hot), or by its statistics (Prokhorenkova et al.
2018, section 3): the counts of each class among the rows of this category, or of these categories
together, or the number of such rows.
"""

import json
import re
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen

from ensemble_pipe.core.documents import Count, Flag, Number, Whole, parse_json
from ensemble_pipe.core.settings import settings
from ensemble_pipe.training.lightgbm_text import LARGEST_SUM

_FLOAT32 = float(np.finfo(np.float32).max)
_Real = Annotated[Number, Ge(-_FLOAT32), Le(_FLOAT32)]
_Int32 = Annotated[Whole, Ge(-(1 << 31)), Lt(1 << 31)]
_Natural = Annotated[Count, Lt(1 << 31)]
_BINS = 254  # borders of which CatBoost makes one byte of a row
_MOST_BYTES = 1 << 16
_MOST_DIGITS = 32


@settings
class _Split:
    split_type: Literal["FloatFeature", "OneHotFeature", "OnlineCtr"]
    split_index: _Natural
    border: _Real | None = None
    value: _Int32 | None = None
    float_feature_index: _Natural | None = None
    cat_feature_index: _Natural | None = None
    ctr_target_border_idx: _Natural | None = None


@settings
class _Tree:
    leaf_values: Annotated[list[Number], MinLen(1)]
    splits: Annotated[list[_Split], MaxLen(16)] | None = None
    leaf_weights: Any = None


@settings
class _NumberColumn:
    feature_index: Count
    flat_feature_index: Count
    borders: list[_Real]
    has_nans: Flag
    nan_value_treatment: Literal["AsIs", "AsFalse", "AsTrue"]
    feature_id: Literal[""] = ""


@settings
class _CategoryColumn:
    feature_index: Count
    flat_feature_index: Count
    values: Annotated[list[_Int32], MinLen(1)] | None = None
    string_values: Any = None
    feature_id: Literal[""] = ""


@settings
class _Element:
    """What a statistic is of: a category, together with whether a split's question holds."""

    combination_element: Literal["cat_feature_value", "float_feature", "cat_feature_exact_value"]
    cat_feature_index: _Natural | None = None
    float_feature_index: _Natural | None = None
    border: _Real | None = None
    value: _Int32 | None = None


@settings
class _TableName:
    identifier: Annotated[list[_Element], MinLen(1)]
    type: Literal["Borders", "Counter"]


@settings
class _Statistic:
    identifier: str
    elements: Annotated[list[_Element], MinLen(1)]
    ctr_type: Literal["Borders", "Counter"]
    borders: list[_Real]
    prior_numerator: _Real
    prior_denomerator: Annotated[_Real, Gt(0)]
    scale: _Real
    shift: _Real
    target_border_idx: _Natural


@settings
class _Table:
    hash_map: Annotated[list[_Natural | str], MinLen(1)]
    hash_stride: Count
    counter_denominator: _Natural


@settings
class _Features:
    float_features: list[_NumberColumn] | None = None
    categorical_features: list[_CategoryColumn] | None = None
    ctrs: list[_Statistic] | None = None
    cat_features_hash: Any = None


@settings
class _Model:
    features_info: _Features
    oblivious_trees: Annotated[list[_Tree], MinLen(1)]
    scale_and_bias: tuple[Number, list[Number]]
    ctr_data: dict[str, _Table] | None = None
    model_info: Any = None


def checked_catboost(text: str, columns: int, categories: int, sums: int, where: str) -> str:
    """Return JSON of the same model, to be given to CatBoost.

    Args:
        text: of a file.
        columns: C, that the trees may ask for.
        categories: how many of them are categories.
        sums: S, that the model has for a row.
        where: its place, for messages.

    Raises:
        ValueError: it is no such model; says what is wrong.
        CorruptFileError: it is not JSON of these fields.
    """
    model = parse_json(text.encode(), _Model, where)
    info = model.features_info
    numbers, names = info.float_features or [], info.categorical_features or []
    if (len(numbers), len(names)) != (columns - categories, categories):
        raise ValueError(f"it is not for {columns} columns, of which {categories} are categories")
    places = [(one.feature_index, one.flat_feature_index) for one in numbers]
    places += [(one.feature_index, one.flat_feature_index - len(numbers)) for one in names]
    if places != [(own, own) for count in (len(numbers), len(names)) for own in range(count)]:
        raise ValueError("the places of its columns")
    questions = _questions(info)
    tables = {key: parse_json(key.encode(), _TableName, where) for key in model.ctr_data or {}}
    _require_tables(model, tables, set(questions), max(2, sums))
    _require_trees(model, questions, sums)
    return _written(text)


def _questions(info: _Features) -> list[tuple[Any, ...]]:
    """Return what splits may ask, in the order in which CatBoost numbers it."""
    numbers = [(one.feature_index, one.borders) for one in info.float_features or []]
    ctrs = [(one.target_border_idx, one.borders) for one in info.ctrs or []]
    names: list[tuple[int, list[Any]]] = [
        (one.feature_index, one.values or []) for one in info.categorical_features or []
    ]
    if sum(-(-len(found) // _BINS) for _, found in [*numbers, *names, *ctrs]) >= _MOST_BYTES:
        raise ValueError("the number of its borders")
    for _, borders in [*numbers, *ctrs]:
        if (np.diff(np.array(borders, np.float32)) <= 0).any():
            raise ValueError("borders that do not ascend")
    if any(len(set(values)) < len(values) for _, values in names):
        raise ValueError("values of a category that stand there twice")
    kinds = ("FloatFeature", numbers), ("OneHotFeature", names), ("OnlineCtr", ctrs)
    return [(kind, place, at) for kind, found in kinds for place, all_ in found for at in all_]


def _asked(one: _Split | _Element, kind: str) -> tuple[Any, ...]:
    """Return what a split asks, as `_questions` has it; no field of another kind may be there."""
    asked: tuple[Any, ...]
    others: tuple[Any, ...]
    if kind == "FloatFeature":
        asked, others = (one.float_feature_index, one.border), (one.cat_feature_index, one.value)
    elif kind == "OneHotFeature":
        asked, others = (one.cat_feature_index, one.value), (one.float_feature_index, one.border)
    else:
        assert isinstance(one, _Split)
        asked = (one.ctr_target_border_idx, one.border)
        others = (one.float_feature_index, one.value, one.cat_feature_index)
    strays = kind != "OnlineCtr" and getattr(one, "ctr_target_border_idx", None) is not None
    if strays or any(value is not None for value in others):
        raise ValueError("a split with fields of another kind")
    return (kind, *asked)


def _require_trees(model: _Model, questions: list[tuple[Any, ...]], sums: int) -> None:
    scale, bias = model.scale_and_bias
    total = 0.0
    for tree in model.oblivious_trees:
        splits = tree.splits or []
        if len(tree.leaf_values) != sums << len(splits):
            raise ValueError("the number of leaves of a tree")
        for split in splits:
            if split.split_index >= len(questions):
                raise ValueError("a tree asks for a border that there is not")
            if questions[split.split_index] != _asked(split, split.split_type):
                raise ValueError("a tree asks for another border than its index says")
        total += max(map(abs, tree.leaf_values))
    if len(bias) != sums:
        raise ValueError(f"it does not give {sums} sums")
    if not max(total, 1) * max(abs(scale), 1) + max(map(abs, bias)) <= LARGEST_SUM:
        raise ValueError("the values of its leaves")


def _require_tables(
    model: _Model, names: dict[str, _TableName], questions: set[tuple[Any, ...]], classes: int
) -> None:
    """Check the statistics of categories, and the tables that they are read from."""
    tables, ctrs = model.ctr_data or {}, model.features_info.ctrs or []
    if {one.identifier for one in ctrs} != set(tables):
        raise ValueError("its tables are not those of its statistics")
    if len({repr(name) for name in names.values()}) < len(names):
        raise ValueError("a table that stands there twice")
    for one in ctrs:
        if names[one.identifier] != _TableName(identifier=one.elements, type=one.ctr_type):
            raise ValueError("a statistic of another table than it names")
        if one.target_border_idx >= (classes - 1 if one.ctr_type == "Borders" else 1):
            raise ValueError("a statistic of a class that there is not")
    known = range(len(model.features_info.categorical_features or []))
    for key, table in tables.items():
        for element in names[key].identifier:
            _require_element(element, known, questions)
        _require_counts(table, classes + 1 if names[key].type == "Borders" else 2)


def _require_element(one: _Element, known: range, questions: set[tuple[Any, ...]]) -> None:
    if one.combination_element == "cat_feature_value":
        others = (one.float_feature_index, one.border, one.value)
        fits = one.cat_feature_index in known and all(value is None for value in others)
    else:
        is_number = one.combination_element == "float_feature"
        fits = _asked(one, "FloatFeature" if is_number else "OneHotFeature") in questions
    if not fits:
        raise ValueError("a statistic of a column or a border that there is not")


def _require_counts(table: _Table, stride: int) -> None:
    """Check that a table is of rows: a hash as text, and then counts."""
    if table.hash_stride != stride or len(table.hash_map) % stride:
        raise ValueError("the stride of a table")
    hashes = table.hash_map[::stride]
    counts = [table.hash_map[place::stride] for place in range(1, stride)]
    if any(isinstance(count, str) for column in counts for count in column):
        raise ValueError("the counts of a table")
    for one in hashes:
        if not isinstance(one, str) or not re.fullmatch("[0-9]{1,20}", one) or int(one) >> 64:
            raise ValueError("the hashes of a table")
    if len({int(one) for one in hashes}) < len(hashes):
        raise ValueError("a hash that stands there twice in a table")
    if np.sum(np.array(counts, np.int64), axis=0).max() >= 1 << 31:
        raise ValueError("the counts of a table")


class _Digits(str):
    """A number as a file has it: CatBoost rounds other digits of the same number otherwise."""


def _digits(text: str) -> _Digits:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"the number {text[:_MOST_DIGITS]}...")
    return _Digits(text)


def _key(name: str) -> str:
    """Return the name of a table, written anew."""
    return _text(_kept(json.loads(name, parse_float=_digits)))


def _kept(value: Any) -> Any:
    """Return plain values without the fields that are None."""
    if isinstance(value, dict):
        return {name: _kept(inner) for name, inner in value.items() if inner is not None}
    return [_kept(inner) for inner in value] if isinstance(value, list) else value


def _text(value: Any) -> str:
    """Return plain values as JSON."""
    if isinstance(value, _Digits):
        return value
    if isinstance(value, dict):
        pairs = (f"{json.dumps(name)}:{_text(value[name])}" for name in sorted(value))
        return f"{{{','.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    return json.dumps(value)


def _written(text: str) -> str:
    """Return the JSON of a checked text anew, with what predictions need."""
    found = _kept(json.loads(text, parse_float=_digits))
    found.pop("model_info", None)
    info = found["features_info"]
    info.pop("cat_features_hash", None)
    for column in info.get("categorical_features", []):
        column.pop("string_values", None)
    for one in info.get("ctrs", []):
        one["identifier"] = _key(one["identifier"])
    if "ctr_data" in found:
        found["ctr_data"] = {_key(name): table for name, table in found["ctr_data"].items()}
    for tree in found["oblivious_trees"]:
        tree.pop("leaf_weights", None)
        tree.setdefault("splits", [])
    return _text(found)
