"""The check finds planted faults, names them, and is silent on what is sound."""

from pathlib import Path
from typing import Any

import pytest
from faulty_pipelines import (
    OF_DATA,
    OF_TRAINING,
    Fault,
    digits,
    duplicate_columns,
    pipeline,
    sound_table,
    wrong_task,
)

from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.config.reading import load_pipeline
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.run.preparation import prepare
from ensemble_pipe.search.check import check
from ensemble_pipe.search.checks.data import check_data
from ensemble_pipe.search.checks.findings import warnings_of

PIPELINES = Path(__file__).parents[2] / "pipelines"
SETS = ["digits", "iris", "wine", "breast_cancer", "diabetes"]


@pytest.mark.parametrize(("name", "fault"), OF_DATA.values(), ids=OF_DATA)
def test_a_fault_of_the_data_is_named(name: str, fault: Fault, tmp_path: Path) -> None:
    step = check_data(prepare(pipeline(fault(tmp_path))))
    assert {finding.name for finding in step.findings} == {name}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "fault"), OF_TRAINING.values(), ids=OF_TRAINING)
def test_a_fault_of_the_training_is_named(name: str, fault: Fault, tmp_path: Path) -> None:
    result = check(pipeline(fault(tmp_path)), 20)
    assert name in [finding.name for finding in result.warnings]


def test_the_wrong_loss_for_the_task_is_refused(tmp_path: Path) -> None:
    settings = {**wrong_task(tmp_path), "training": {"loss": {"name": "cross_entropy"}}}
    with pytest.raises(ConfigError, match="cross_entropy is for classification, but task is regre"):
        make_plans(pipeline(settings))


@pytest.mark.parametrize("name", SETS)
def test_real_data_has_no_warning(name: str) -> None:
    task = "regression" if name == "diabetes" else "classification"
    config = Pipeline.model_validate({"task": task, "data": {"source": "bundled", "set": name}})
    assert warnings_of([check_data(prepare(config))]) == []


@pytest.mark.slow
def test_sound_pipelines_have_no_warning(tmp_path: Path) -> None:
    sound = [pipeline(digits()), pipeline(sound_table(tmp_path))]
    sound.append(load_pipeline(PIPELINES / "digits.yaml")[0])
    assert [check(config, 20).warnings for config in sound] == [[], [], []]


@pytest.mark.slow
def test_pipelines_of_tables_have_at_most_one_false_alarm(
    adult: Path, uci_regression: Path
) -> None:
    parts = {
        f"data.{key}": str(adult / f"{part}.csv.gz")
        for key, part in (("path", "train"), ("test_path", "test"))
    }
    boston = {"data.path": str(uci_regression / "boston.parquet")}
    cases: list[tuple[str, dict[str, Any]]] = [
        ("adult", parts), ("adult_pool", parts), ("uci_regression", boston),
    ]  # fmt: skip
    found = [
        finding.name
        for name, settings in cases
        for finding in check(load_pipeline(PIPELINES / f"{name}.yaml", settings)[0], 20).warnings
    ]
    print(found)
    assert len(found) <= 1


def test_what_is_found_says_what_to_change(tmp_path: Path) -> None:
    step = check_data(prepare(pipeline(duplicate_columns(tmp_path))))
    (finding,) = step.findings
    assert "'mean radius', 'radius in inches' say the same in every row" in finding.text
    assert finding.change == {"data.ignore": ["radius in inches"]}
