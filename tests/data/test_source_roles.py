"""What each column is for: all names are there, each once, and rules are of features."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import TypeAdapter, ValidationError

from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.sources import SOURCES, Source, Table, open_rows
from ensemble_pipe.data.sources.rows import image_array, rows_of
from ensemble_pipe.data.tables.columns import AutoRule, CategoryRule, NumberRule

NAMES = ("id", "age", "income", "town", "weight", "person", "day", "label")
ROWS = rows_of("f.csv", pa.table({name: [1] for name in NAMES}))
IMAGES = rows_of(
    "f.npz", pa.table({"image": image_array(np.zeros((1, 2, 2), np.uint8)), "y": [0], "other": [1]})
)


def table(**settings: Any) -> Table:
    return Table(**{"path": "f.csv", "label": "label", **settings})


def test_all_columns_that_have_no_other_purpose_are_features() -> None:
    roles = table().roles(ROWS)
    assert roles.features == NAMES[:-1]
    assert (roles.label, roles.weight, roles.group, roles.time) == ("label", None, None, None)
    roles = table(ignore=("id",), weight="weight", group="person", time="day").roles(ROWS)
    assert roles.features == ("age", "income", "town")
    assert (roles.weight, roles.group, roles.time) == ("weight", "person", "day")


def test_the_features_of_images_are_the_images() -> None:
    roles = table(label="y").roles(IMAGES)
    assert (roles.features, roles.label) == (("image",), "y")


def test_rules_are_kept_by_name_and_pattern() -> None:
    rules = {"town": CategoryRule(), "i*": NumberRule(missing="mean")}
    roles = table(columns=rules).roles(ROWS)
    assert roles.rule("town") == CategoryRule()
    assert roles.rule("income") == NumberRule(missing="mean")
    assert roles.rule("age") == AutoRule()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"label": "lable"}, "f.csv: has no column 'lable'; did you mean 'label'? its columns are: "
                             "id, age, income, town, weight, person, day, label"),
        ({"weight": "wait"}, "has no column 'wait'; did you mean 'weight'?"),
        ({"group": "zzz"}, "has no column 'zzz'; its columns are: id, age"),
        ({"ignore": ("ids",)}, "has no column 'ids'; did you mean 'id'?"),
        ({"ignore": ("label",)}, "data: column 'label' is named as label and as ignore"),
        ({"weight": "day", "time": "day"}, "data: column 'day' is named as weight and as time"),
        ({"group": "label"}, "data: column 'label' is named as label and as group"),
        ({"ignore": ("id", "id")}, "data: column 'id' is named as ignore and as ignore"),
        ({"ignore": NAMES[:-1]}, "f.csv: has no feature columns beside 'label', 'id', 'age'"),
        ({"columns": {"tow": NumberRule()}}, "has no column 'tow'; did you mean 'town'?"),
        ({"columns": {"x*": NumberRule()}}, "data.columns: f.csv: has no column 'x*'"),
        ({"columns": {"day": NumberRule()}, "time": "day"},
         "data.columns.day: the column is named as time; rules are for features"),
    ],
)  # fmt: skip
def test_a_name_that_cannot_be_right_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as raised:
        table(**settings).roles(ROWS)
    assert message in str(raised.value)


def test_images_cannot_be_their_own_label() -> None:
    with pytest.raises(DataError, match="has no feature columns beside 'image'"):
        table(label="image").roles(IMAGES)


def test_sources_are_parsed_by_their_kind() -> None:
    parse = TypeAdapter(Source).validate_python
    for name, kind in SOURCES.items():
        least = {"table": {"path": "f", "label": "y"}, "bundled": {"set": "iris"}}
        found = parse({"source": name, **least.get(name, {"folder": "d"})})
        assert type(found) is kind
    settings = {"path": "f", "label": "y", "columns": {"a": {"kind": "category"}, "b": {}}}
    found = parse({"source": "table", **settings})
    assert isinstance(found, Table)
    assert found.columns == {"a": CategoryRule(), "b": NumberRule()}
    with pytest.raises(ValidationError):
        parse({"source": "bundled", "set": "mnist"})


def test_texts_that_mean_missing_hold_for_both_parts(tmp_path: Path) -> None:
    for name in ("train", "test"):
        (tmp_path / f"{name}.csv").write_text("a,y\n1,u\n?,v\n")
    train, test = str(tmp_path / "train.csv"), str(tmp_path / "test.csv")
    for part in Table(path=train, test_path=test, label="y", missing_values=("?",)).open():
        assert part is not None
        assert part.schema.field("a").type == pa.int64()
    assert open_rows(train).schema.field("a").type == pa.string()
