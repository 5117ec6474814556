"""Altered files of LightGBM and CatBoost are refused by name, and never reach their parsers."""

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import library_members
import numpy as np
import pytest
from library_members import BOTH, member_of, mixed_table

from ensemble_pipe.training.catboost_json import checked_catboost
from ensemble_pipe.training.library_models import load_library
from ensemble_pipe.training.lightgbm_text import checked_lightgbm

LIGHTGBM, CATBOOST = 0, 1
NUMBERS = ["0", "-1", "1", "2", "7", "300", "0.5", "1e308", "1e999", "nan", "2147483648", "9" * 19,
           "99999999", '"x"', "", "[1]"]  # fmt: skip


@cache
def good_file(place: int, classes: int) -> dict[str, Any]:
    schema, encoded, targets = mixed_table(classes)
    content: dict[str, Any] = json.loads(member_of(BOTH[place], schema, encoded, targets).content)
    if place == CATBOOST:
        model = json.loads(content["models"][0])
        del model["model_info"]  # which is not read
        content["models"] = [json.dumps(model, indent=1)]
    else:
        content["models"] = [content["models"][0].partition("\nparameters:")[0] + "\n"]
    return content


def fates(place: int, classes: int, batches: list[list[str]], folder: Path) -> list[str]:
    """Return what becomes of a file with each of these models."""
    good = good_file(place, classes)
    files = [[json.dumps({**good, "models": [text]}) for text in batch] for batch in batches]
    (folder / "batches.json").write_text(json.dumps(files))
    done = subprocess.run(
        [sys.executable, library_members.__file__, folder / "batches.json", str(place),
         str(classes)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE, timeout=500, check=True,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]


def line_as(old: str, new: str) -> Callable[[str], str]:
    return lambda text: re.sub(old, new, text, count=1)


def first_tree_twice(old: str, new: str) -> Callable[[str], str]:
    """Return the altered fields of the first tree, a blank line, and then the good ones."""

    def altered(text: str) -> str:
        head, _, rest = re.sub("tree_sizes=.*\n", "", text).partition("Tree=0\n")
        tree, _, others = rest.partition("\n\n\n")
        return f"{head}Tree=0\n{re.sub(old, new, tree)}\n\n\n{tree}\n\n\n{others}"

    return altered


def tree_behind_the_end(text: str) -> str:
    tree = text[text.index("Tree=0\n") : text.index("Tree=1\n")]
    return text + re.sub("split_feature=.*", "split_feature=99999999", tree)


def set_as(number: str) -> Callable[[str], str]:
    """Return the first tree that asks for sets of categories with this one at every node."""

    def altered(text: str) -> str:
        found = re.search(r"num_cat=[1-9](?:.*\n)*?threshold=(.*)\n", text)
        assert found
        start, stop = found.span(1)
        return text[:start] + " ".join([number] * len(found[1].split())) + text[stop:]

    return altered


LINES = {
    "a column hidden by a blank line": first_tree_twice(r"split_feature=\d+", "split_feature=9999"),
    "a circle hidden by a blank line": first_tree_twice(r"left_child=\S+ \S+", "left_child=7 0"),
    "a circle": line_as(r"left_child=\S+ \S+", "left_child=7 0"),
    "a field twice": line_as(r"(left_child=.*\n)", r"\1\1"),
    "a tree behind the end": tree_behind_the_end,
    "no end": line_as("\nend of trees", ""),
    "no sums": line_as("num_tree_per_iteration=1", "num_tree_per_iteration=0"),
    "five sums": line_as(r"num_class=1\nnum_tree_per_iteration=1",
                         r"num_class=5\nnum_tree_per_iteration=5"),
    "many sums": line_as(r"num_class=1\nnum_tree_per_iteration=1",
                         r"num_class=1000000000\nnum_tree_per_iteration=1000000000"),
    "another width": line_as("max_feature_idx=3", "max_feature_idx=9"),
    "averages": line_as("label_index", "average_output\nlabel_index"),
    "linear leaves": line_as("is_linear=0", "is_linear=1"),
    "a node before its parent": line_as(r"left_child=\S+", "left_child=0"),
    "a leaf that is not": line_as(r"right_child=\S+", "right_child=-900"),
    "a leaf of two nodes": line_as(r"(left_child=)\S+ \S+", r"\1-1 -1"),
    "a column that is not": line_as(r"split_feature=\d+", "split_feature=5"),
    "a column before the first": line_as(r"split_feature=\d+", "split_feature=-1"),
    "a kind that is not": line_as(r"decision_type=\d+", "decision_type=127"),
    "too few thresholds": line_as(r"threshold=\S+ ", "threshold="),
    "a set that is not": set_as("900"),
    "sets that end elsewhere": line_as(r"cat_boundaries=0 \d+", "cat_boundaries=0 99999"),
    "sets of no number": line_as(r"num_cat=\d+", "num_cat=99999999"),
    "a value that is none": line_as(r"leaf_value=\S+", "leaf_value=nan"),
    "a value without end": line_as(r"leaf_value=\S+", "leaf_value=1e999"),
    "values that overflow": line_as(r"leaf_value=\S+", "leaf_value=1e308"),
    "many leaves": line_as(r"num_leaves=\d+", "num_leaves=2000000000"),
    "no text": lambda text: "",
    "no trees": lambda text: text[: text.index("Tree=0")] + "end of trees\n",
    "a null byte": line_as("Tree=1\n", "Tree=1\n\0"),
    "a tree out of its order": line_as("Tree=1\n", "Tree=2\n"),
}  # fmt: skip


def json_as(change: Callable[[Any], object]) -> Callable[[str], str]:
    def altered(text: str) -> str:
        model = json.loads(text)
        change(model)
        return json.dumps(model)

    return altered


def splits_as(kind: str, **values: Any) -> Callable[[str], str]:
    """Return a model whose splits of a kind have these values; None takes a field away."""

    def change(model: Any) -> None:
        found = [one for tree in model["oblivious_trees"] for one in tree["splits"]]
        found = [one for one in found if one["split_type"] == kind]
        assert found
        for one in found:
            one.update(values)

    return json_as(change)


def info_as(name: str, field: str, value: Any) -> Callable[[str], str]:
    return json_as(lambda model: model["features_info"][name][0].update({field: value}))


def tables_as(**values: Any) -> Callable[[str], str]:
    return json_as(lambda model: [table.update(values) for table in model["ctr_data"].values()])


def elements_as(**values: Any) -> Callable[[str], str]:
    return json_as(lambda model: model["features_info"]["ctrs"][0]["elements"][0].update(values))


def table_values(change: Callable[[list[Any]], object]) -> Callable[[str], str]:
    return json_as(lambda model: change(next(iter(model["ctr_data"].values()))["hash_map"]))


FIELDS = {
    "a border that is not": splits_as("FloatFeature", split_index=900000000),
    "a border before the first": splits_as("FloatFeature", split_index=-1),
    "another border": splits_as("FloatFeature", border=12345.0),
    "a column as a list": splits_as("FloatFeature", float_feature_index=[1]),
    "another column": splits_as("FloatFeature", float_feature_index=7),
    "a value that is not": splits_as("OneHotFeature", value=3),
    "a category that is not": splits_as("OneHotFeature", cat_feature_index=90000000),
    "a class that is not": splits_as("OnlineCtr", ctr_target_border_idx=90000000),
    "a split of another kind": splits_as("OnlineCtr", split_type="OneHotFeature"),
    "a place of a number": info_as("float_features", "flat_feature_index", 900000000),
    "a place of a category": info_as("categorical_features", "flat_feature_index", 900000000),
    "an index of a number": info_as("float_features", "feature_index", 900000000),
    "an index of a category": info_as("categorical_features", "feature_index", 900000000),
    "a missing value": info_as("float_features", "nan_value_treatment", "x"),
    "borders that do not ascend": info_as("float_features", "borders", [1.0, 1.0]),
    "a field that is not known": info_as("float_features", "extra", 1),
    "a statistic without weight": info_as("ctrs", "prior_denomerator", 0),
    "a statistic of another class": info_as("ctrs", "target_border_idx", 5),
    "a statistic of another kind": info_as("ctrs", "ctr_type", "FloatTargetMeanValue"),
    "a statistic of another category": elements_as(cat_feature_index=90000000),
    "a statistic of nothing": elements_as(combination_element="x"),
    "a stride of nothing": tables_as(hash_stride=0),
    "a long stride": tables_as(hash_stride=1000000000),
    "another stride": tables_as(hash_stride=2),
    "a table of another length": table_values(lambda table: table.pop()),
    "a count below zero": table_values(lambda table: table.__setitem__(1, -5)),
    "a count that overflows": table_values(lambda table: table.__setitem__(1, (1 << 31) - 1)),
    "a hash as a number": table_values(lambda table: table.__setitem__(0, 5)),
    "a hash that overflows": table_values(lambda table: table.__setitem__(0, "9" * 20)),
    "a hash twice": table_values(lambda table: table.__setitem__(0, table[3])),
    "empty tables": tables_as(hash_map=[]),
    "no tables": json_as(lambda model: model.update(ctr_data={})),
    "numbers that are no list": json_as(lambda model: model["features_info"].update(
        float_features=5)),
    "columns that are a list": json_as(lambda model: model.update(features_info=[1])),
    "a bias for three": json_as(lambda model: model.update(scale_and_bias=[1, [0, 0, 0]])),
    "a bias of text": json_as(lambda model: model.update(scale_and_bias=["x"])),
    "a scale that overflows": json_as(lambda model: model.update(scale_and_bias=[1e308, [0]])),
    "other trees": json_as(lambda model: model.update(trees=model.pop("oblivious_trees"))),
    "no trees": json_as(lambda model: model.update(oblivious_trees=[])),
    "values for two": json_as(lambda model: [tree.update(leaf_values=tree["leaf_values"] * 2)
                                             for tree in model["oblivious_trees"]]),
    "a deep tree": json_as(lambda model: model["oblivious_trees"][0].update(
        splits=model["oblivious_trees"][0]["splits"] * 99)),
    "no JSON": lambda text: text[:-9],
    "a key twice": line_as('"leaf_values"', '"leaf_values": [1], "leaf_values"'),
    "many digits": line_as(r'"border": (-?\d+\.\d+)', r'"border": \g<1>' + "0" * 5000),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("place", "table"), [(LIGHTGBM, LINES), (CATBOOST, FIELDS)],
                         ids=["lightgbm", "catboost"])  # fmt: skip
def test_a_hostile_model_is_refused_by_the_name_of_its_file(
    place: int, table: dict[str, Callable[[str], str]], tmp_path: Path
) -> None:
    (good,) = good_file(place, 2)["models"]
    models = {name: change(good) for name, change in table.items()}
    assert [name for name, text in models.items() if text == good] == []
    found = fates(place, 2, [[good], *([text] for text in models.values())], tmp_path)
    named = dict(zip(["the good model", *models], found, strict=True))
    assert named.pop("the good model") == "predicted"
    start = f"refused: library-0003{BOTH[place].suffix}: "
    assert {name: fate for name, fate in named.items() if not fate.startswith(start)} == {}


def altered(text: str, draws: random.Random) -> str:
    """Return a text with another number, or with a line less, twice, or in another place."""
    if draws.random() < 0.7:
        numbers = list(re.finditer(r"-?\d+(\.\d+)?(e[-+]?\d+)?", text))
        place = draws.choice(numbers)
        return text[: place.start()] + draws.choice(NUMBERS) + text[place.end() :]
    lines = text.split("\n")
    line = lines.pop(draws.randrange(len(lines)))
    for _ in range(draws.randrange(3)):
        lines.insert(draws.randrange(len(lines)), line)
    return "\n".join(lines)


@pytest.mark.slow
@pytest.mark.parametrize("place", [LIGHTGBM, CATBOOST], ids=["lightgbm", "catboost"])
def test_whatever_is_altered_a_model_is_refused_or_predicts_finite_numbers(
    place: int, tmp_path: Path
) -> None:
    draws = random.Random(3)
    (good,) = good_file(place, 3)["models"]
    found = fates(place, 3, [[altered(good, draws) for _ in range(150)]], tmp_path)
    assert len(found) == 150
    start = f"refused: library-0003{BOTH[place].suffix}: "
    assert [fate for fate in found if fate != "predicted" and not fate.startswith(start)] == []
    assert 0 < found.count("predicted") < 150


def test_the_sizes_of_trees_are_not_taken_from_a_file() -> None:
    (good,) = good_file(LIGHTGBM, 2)["models"]
    other = re.sub(r"tree_sizes=(\d+) \d+", r"tree_sizes=\1 99999999999", good)
    assert other != good
    written = checked_lightgbm(other, 4, 2, 1)
    assert written == checked_lightgbm(good, 4, 2, 1)
    assert "tree_sizes" not in written


@pytest.mark.parametrize("classes", [2, 3])
def test_what_lightgbm_is_given_predicts_the_same_bits(classes: int) -> None:
    lightgbm = load_library("lightgbm")
    (text,) = good_file(LIGHTGBM, classes)["models"]
    sums = 1 if classes == 2 else classes
    written = checked_lightgbm(text, 4, 2, sums)
    rows = np.random.default_rng(3).integers(-1, 12, (200, 4)) / [1, 1, 5, 5]
    first, second = (
        lightgbm.Booster(model_str=one).predict(rows, raw_score=True) for one in (text, written)
    )
    assert first.tobytes() == second.tobytes()
    assert checked_lightgbm(written, 4, 2, sums) == written


@pytest.mark.parametrize("classes", [2, 3])
def test_what_catboost_is_given_has_the_same_bits(classes: int, tmp_path: Path) -> None:
    (text,) = good_file(CATBOOST, classes)["models"]
    sums = 1 if classes == 2 else classes
    written = checked_catboost(text, 4, 2, sums, "here")
    kinds = {"FloatFeature", "OneHotFeature", "OnlineCtr"}
    assert {kind for kind in kinds if f'"{kind}"' in written} == kinds
    models = []
    for one in (text, written):
        (tmp_path / "model.json").write_text(one)
        models.append(load_library("catboost").CatBoost())
        models[-1].load_model(str(tmp_path / "model.json"), format="json")
    rows = np.random.default_rng(3).integers(-1, 12, (200, 4)).astype(np.float32)
    texts = rows[:, :2].astype(str).astype(bytes).astype(object)
    data = load_library("catboost").FeaturesData(rows[:, 2:].copy() / 5, texts)
    first, second = (one.predict(data, prediction_type="RawFormulaVal") for one in models)
    assert first.tobytes() == second.tobytes()
    assert checked_catboost(written, 4, 2, sums, "here") == written
