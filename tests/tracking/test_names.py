"""Names as MLflow takes them: its own checks pass, each can be read back, and no two are one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.utils.validation import (
    _validate_experiment_name,
    _validate_metric,
    _validate_model_name,
    _validate_param,
    _validate_tag,
)

from ensemble_pipe.tracking import names

ODD = [
    "data.columns.region_*.kind", "age (years)", "price [$]", "a/b", "/a", "a/", "a//b", "..",
    "a/../b", "./a", ".", "...", "..a", "a\nb", "a\n", "\t", " ", "", "é",
    "e\N{COMBINING ACUTE ACCENT}",
    "😀", "日本", "a\x1b[31mb", "\N{RIGHT-TO-LEFT OVERRIDE}abc", "Age", "age", "a*b", "a_x002A_b",
    "a_x002A", "_x002A*", "__x002A_", "_x005F_x002A_", "a:b", "a%b", "a%2Ab", "\0", "x" * 300,
    "x" * 299 + "*", "x" * 300 + "*", "*" * 300, "\udc80",
]  # fmt: skip
texts = st.one_of(
    st.sampled_from(ODD), st.text(max_size=300), st.text("ab_x0025FA*/.:- \n", max_size=30)
)


@pytest.mark.parametrize("name", ODD)
def test_mlflow_takes_every_name(name: str) -> None:
    key = names.key(f"test/rmse/{name}")
    for one in (key, names.key(name or "a")):
        _validate_metric(one, 1.0, 0, 0)
        _validate_param(one, names.value(name))
        _validate_tag(one, names.value(name, names.MOST_TAG))
        assert "\n" not in one
    _validate_model_name(names.model_name(name or "a"))
    _validate_experiment_name(names.experiment_name(name or "a"))
    folder = names.folder_name(name or "a")
    assert folder.strip() not in ("", ".", "..")
    assert not set(folder) & set('/\\:*?"<>|\n\0')
    assert len(folder.encode()) <= 255


@settings(max_examples=50)
@given(st.lists(texts, min_size=2, max_size=6, unique=True))
def test_no_two_names_become_one(found: list[str]) -> None:
    for function in (names.key, names.model_name, names.experiment_name, names.folder_name):
        assert len({function(name) for name in found}) == len(found)


@given(texts)
def test_each_name_can_be_read_back_unless_it_was_cut(name: str) -> None:
    key = names.key(name)
    assert names.name_of(key) == name or 200 < len(key) <= 250


@pytest.mark.parametrize(
    "name", ["test/nll", "member_best/test/ece_mass", "data.columns.age.kind", "größe 1", "a:b-c"]
)
def test_names_that_mlflow_takes_stay(name: str) -> None:
    assert names.key(name) == name


def test_names_of_models_and_experiments_that_mlflow_takes_stay() -> None:
    assert names.model_name("my model (50%)*") == "my model (50%)*"
    assert names.model_name("a/b:c") == "a_x002F_b_x003A_c"
    assert names.experiment_name("/Users/ann: 50%?") == "/Users/ann: 50%?"
    assert names.folder_name("ensemble_pipe") == "ensemble_pipe"


def test_values_are_cut_and_can_be_stored() -> None:
    assert names.value("x" * 7000) == "x" * 6000
    assert names.value([1, "a"]) == "[1, 'a']"
    assert names.value("a\0b\udc80").encode() == rb"a\x00b\udc80"
