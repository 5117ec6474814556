"""Groups of test rows, rows of another kind, and what is shown of both."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import plain_schema
from matplotlib.patches import Rectangle
from small_pipelines import noisy_columns, small_settings, write_rows

from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.report.by_group import Estimate, group_errors
from ensemble_pipe.report.captions import caption_of
from ensemble_pipe.report.drawing import svg_of
from ensemble_pipe.report.examples import confusions
from ensemble_pipe.report.groups import Group, groups_of
from ensemble_pipe.report.numbers import Numbers, read_numbers
from ensemble_pipe.report.page import target_text
from ensemble_pipe.report.pictures import drawings
from ensemble_pipe.report.rows import column_values
from ensemble_pipe.report.unfamiliar import shuffled, told_apart
from ensemble_pipe.run.pipeline import run

if TYPE_CHECKING:
    from ensemble_pipe.report.numbers import TestPart

SHOPS = ("north", "south", "<b>east</b>")


def numbers_of(folder: Path, task: str, **data: Any) -> Numbers:
    columns = noisy_columns(np.random.default_rng(0), 900)
    columns["shop"] = [SHOPS[place * place % 3] for place in range(900)]
    columns["house"] = [f"<i>{place // 30}</i>" for place in range(900)]
    if task == "regression":
        columns["y"] = columns["z"]
    source = {"source": "table", "path": str(write_rows(folder, columns)), "label": "y"}
    settings = small_settings(
        hidden=8, epochs=4, task=task, data={**source, "ignore": ["z"], **data},
        ensemble={"learners": 2, "combine": {"coverage": 0.9}},
    )  # fmt: skip
    done = run(Pipeline.model_validate(settings), output=folder, inline=True)
    return read_numbers(RunPaths(Path(done.run_dir)))


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Numbers:
    return numbers_of(tmp_path_factory.mktemp("classes"), "classification")


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Numbers:
    return numbers_of(tmp_path_factory.mktemp("targets"), "regression", group="house")


def part_of(numbers: Numbers) -> "TestPart":
    assert numbers.test is not None
    return numbers.test


def test_bars_of_the_reliability_have_the_height_of_their_shares(classes: Numbers) -> None:
    (axis,) = drawings(classes)["reliability"]().axes
    heights = [bar.get_height() for bar in axis.patches if isinstance(bar, Rectangle)]
    assert sum(heights) == pytest.approx(1)


@pytest.mark.parametrize("wrong", [3, 60])
def test_the_reliability_says_how_many_rows_are_wrong(classes: Numbers, wrong: int) -> None:
    test = part_of(classes)
    labels = test.prediction.decided.copy()
    labels[:wrong] = 1 - labels[:wrong]
    told = caption_of("reliability", replace(classes, test=replace(test, targets=labels))).text
    assert f"{wrong} of {len(labels):,} test rows are wrong" in told
    assert ("single points are largely chance" in told) == (wrong == 3)


def test_rows_are_looked_at_by_class(classes: Numbers) -> None:
    groups = {group.name: group.places for group in groups_of(classes)}
    assert set(groups) >= {"true no", "true yes"}
    assert np.array_equal(groups["true no"], np.flatnonzero(part_of(classes).targets == 0))


def with_errors(numbers: Numbers, wrong: Array) -> Numbers:
    """Return the test part with labels that are wrong for some rows, and right for the others."""
    test = part_of(numbers)
    labels = np.where(wrong, 1 - test.prediction.decided, test.prediction.decided)
    return replace(numbers, test=replace(test, targets=labels))


def column_of(numbers: Numbers, name: str) -> Array:
    """Return the values of a column of the source, of the test rows."""
    test = part_of(numbers)
    return np.array(column_values(numbers.schema, name, test.stored(np.arange(len(test.rows)))))


def of_columns(numbers: Numbers) -> list[str]:
    return [group.name for group in groups_of(numbers) if group.column]


def test_the_worst_categories_and_ranges_come_first_and_no_others(classes: Numbers) -> None:
    random = np.random.default_rng(0)
    north = column_of(classes, "shop") == "north"
    wrong = np.where(north, random.random(len(north)) < 0.7, random.random(len(north)) < 0.05)
    found = with_errors(classes, wrong)
    assert of_columns(found) == ["shop = north"]
    said = caption_of("errors_by_group", found).text
    own, whole = 1 - wrong[north].mean(), 1 - wrong.mean()
    assert f"The worst of the columns: shop = north, {own:.1%}; all rows {whole:.1%}." in said

    values = column_of(classes, "a").astype(float)
    high = values > np.quantile(values, 0.7)
    names = of_columns(with_errors(classes, high))
    assert 1 <= len(names) <= 2
    low, _, top = names[0].removeprefix("a ").split()
    assert np.quantile(values, 0.6) < float(low) < float(top)


def test_chance_makes_no_group_of_a_column(classes: Numbers) -> None:
    rows = len(part_of(classes).rows)
    found = with_errors(classes, np.random.default_rng(1).random(rows) < 0.2)
    assert of_columns(found) == []
    said = caption_of("errors_by_group", found).text
    assert "No group of a column is worse than the other rows beyond chance." in said


def test_confused_classes_of_a_table_are_a_list_and_no_headings(classes: Numbers) -> None:
    rows = len(part_of(classes).rows)
    told = confusions(with_errors(classes, np.arange(rows) < 9))
    assert "<h3" not in told
    assert told.count("<li>") == told.count("taken for") >= 1


def test_the_share_that_is_right_in_a_group_is_that_of_its_rows(classes: Numbers) -> None:
    test, groups = part_of(classes), groups_of(classes)
    for one, group in zip(group_errors(test, groups), groups, strict=True):
        assert one.value == pytest.approx(1 - test.wrong[group.places].mean())
        assert 0 <= one.low <= one.value <= one.high <= 1


def test_the_error_of_a_group_of_numbers_is_its_rmse(targets: Numbers) -> None:
    test = part_of(targets)
    every = Group("all", np.arange(len(test.rows)))
    (found,) = group_errors(test, [every])
    assert found.value == pytest.approx(targets.run.metrics["test/rmse"])
    assert isinstance(found, Estimate)
    assert found.low < found.value < found.high


def test_the_largest_groups_of_the_data_are_looked_at_by_name(targets: Numbers) -> None:
    test = part_of(targets)
    found = [group for group in groups_of(targets) if group.name.startswith("house = ")]
    assert 1 < len(found) <= 12
    for group in found:
        number = int(re.findall(r"<i>(\d+)</i>", group.name)[0])
        assert len(group.places) == 30
        assert set((test.rows[group.places] // 30).tolist()) == {number}
    assert "house = &lt;i&gt;" in svg_of(drawings(targets)["coverage"]())


def test_data_without_groups_has_none(classes: Numbers) -> None:
    assert not classes.paths.group_names.exists()
    assert not [group for group in groups_of(classes) if group.name.startswith("house")]


def test_damaged_names_of_groups_are_refused(targets: Numbers, tmp_path: Path) -> None:
    paths = RunPaths(Path(shutil.copytree(targets.paths.root, tmp_path / "copied")))
    paths.group_names.write_text('{"column": 1}')
    with pytest.raises(CorruptFileError, match=r"group_names\.json"):
        groups_of(read_numbers(paths))


def test_columns_change_their_rows_each_by_itself_and_all_of_their_features_together() -> None:
    schema = plain_schema("classification", (3,), ("a", "b"))
    rows = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    found = shuffled(rows, schema)
    assert np.array_equal(np.sort(found, axis=0), np.sort(rows, axis=0))
    moved = [np.argmax(found[:, [place]] == rows[:, place], axis=1) for place in range(3)]
    assert not np.array_equal(moved[0], moved[1])
    assert np.array_equal(found, shuffled(rows, schema))


def test_pixels_of_an_image_change_their_places_with_all_of_their_channels() -> None:
    schema = plain_schema("classification", (4, 5, 3), ("a", "b"))
    images = np.random.default_rng(0).integers(0, 255, (6, 4, 5, 3)).astype(np.uint8)
    found = shuffled(images, schema)
    assert not np.array_equal(found, images)
    for one, image in zip(found, images, strict=True):
        pixels, before = (sorted(map(tuple, x.reshape(-1, 3).tolist())) for x in (one, image))
        assert pixels == before


def test_rows_are_told_apart_by_how_often_those_of_another_kind_are_less_sure() -> None:
    assert told_apart(np.array([0.1, 0.2]), np.array([0.3, 0.4])) == 1.0
    assert told_apart(np.array([0.1, 0.2]), np.array([0.1, 0.2])) == 0.5


@pytest.mark.parametrize("task", ["classes", "targets"])
def test_rows_of_another_kind_are_shown_beside_the_test_rows_always_alike(
    request: pytest.FixtureRequest, task: str
) -> None:
    draw = drawings(request.getfixturevalue(task))["unfamiliar"]
    picture = svg_of(draw())
    assert picture == svg_of(draw())
    assert re.search(r"told apart: \d+%; by disagreement \d+%", picture)


def test_how_unsure_predictions_of_numbers_are_is_in_the_units_of_the_target(
    targets: Numbers,
) -> None:
    (axis,) = drawings(targets)["unfamiliar"]().axes
    assert axis.get_xlabel() == "how unsure it is: predicted deviation of y"
    low, high = axis.dataLim.intervalx
    deviations = part_of(targets).prediction.std
    assert low <= deviations.min()
    assert high >= np.quantile(deviations, 0.9)
    assert high < 10 * deviations.max()


def test_whole_numbers_of_a_target_have_no_decimals() -> None:
    assert [target_text(value) for value in (98.0, -3.0, 0.25)] == ["98", "-3", "0.2500"]


def test_a_run_without_its_model_has_no_rows_of_another_kind(
    classes: Numbers, tmp_path: Path
) -> None:
    paths = RunPaths(Path(shutil.copytree(classes.paths.root, tmp_path / "copied")))
    shutil.rmtree(paths.model)
    assert "unfamiliar" not in drawings(read_numbers(paths))
