"""Nested cross-validation: outer folds judge a search as a whole on rows that it has not seen."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from conftest import StopAt
from small_pipelines import noisy_columns, small_settings, write_rows

from ensemble_pipe.cli.tables import nested_table
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.errors import InputError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.search.pipeline import SearchResult, refine, refined_of, resume, search
from ensemble_pipe.tracking.run_summary import read_run_summary

ROWS = 90


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(3)
    columns = {**noisy_columns(random, ROWS), "day": np.arange(ROWS)}
    return write_rows(tmp_path_factory.mktemp("rows"), columns)


def pipeline(path: Path, folds: int = 3, **sections: Any) -> Pipeline:
    data = {"source": "table", "path": str(path), "label": "y", "ignore": ["z", "day"]}
    own = {"space": {"network.hidden": [[4], [8]]}, "driver": "grid", "top": 1, "nested": folds}
    settings = small_settings(
        hidden=4, epochs=3, batch_size=16, splits={"validation": 0.2, "stop": 0.1},
        data=data | sections.pop("data", {}), search=own, **sections,
    )  # fmt: skip
    return Pipeline.model_validate(settings)


@pytest.fixture(scope="module")
def nested(path: Path, tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    return search(pipeline(path), output=tmp_path_factory.mktemp("nested"), inline=True)


def rows_of_test_part(run_dir: str) -> list[int]:
    table = pa.ipc.open_file(str(RunPaths(Path(run_dir)).predictions("test"))).read_all()
    rows: list[int] = table.column("row").to_pylist()
    return rows


def test_every_row_is_tested_once_and_by_a_search_that_has_not_seen_it(
    nested: SearchResult,
) -> None:
    assert nested.nested is not None
    runs = nested.nested.run_dirs
    assert sorted(row for run_dir in runs for row in rows_of_test_part(run_dir)) == list(
        range(ROWS)
    )
    for run_dir in runs:
        run = read_run_summary(RunPaths(Path(run_dir)))
        assert sum(run.rows.values()) == ROWS
        assert run.rows["test"] == ROWS // 3


def test_the_estimate_is_the_mean_over_the_outer_folds(nested: SearchResult) -> None:
    assert nested.nested is not None
    found = [read_run_summary(RunPaths(Path(run_dir))) for run_dir in nested.nested.run_dirs]
    scores = [run.metrics["test/nll"] or 0.0 for run in found]
    mean, error = nested.nested.metrics["nll"]
    assert mean == pytest.approx(np.mean(scores))
    assert error == pytest.approx(np.std(scores, ddof=1) / np.sqrt(3))
    kept = json.loads((Path(nested.run.run_dir) / "nested.json").read_text())
    assert kept["metrics"]["nll"] == {"mean": mean, "standard_error": error}
    assert f"{mean:.4f} ± {error:.4f}" in nested_table(nested.nested)


def test_a_nested_search_that_was_stopped_goes_on_to_the_same_estimate(
    nested: SearchResult, path: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt, match="ensemble-pipe resume"):
        search(pipeline(path), output=tmp_path, inline=True, display=StopAt(15))
    (run_dir,) = tmp_path.iterdir()
    assert len(list((run_dir / "nested").iterdir())) == 2
    found = resume(run_dir, inline=True)
    assert isinstance(found, SearchResult)
    assert nested.nested is not None
    assert found.nested is not None
    assert found.nested.metrics == nested.nested.metrics


@pytest.mark.parametrize(("folds", "data", "message"), [
    (91, {}, "91 folds are to be left out in turn"),
    (3, {"time": "day", "ignore": ["z"]}, "the rows have times, and outer folds would be tested"),
])  # fmt: skip
def test_outer_folds_that_cannot_be_made_are_refused_and_nothing_is_left(
    folds: int, data: dict[str, Any], message: str, path: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        search(pipeline(path, folds, data=data), output=tmp_path, inline=True)
    assert list(tmp_path.iterdir()) == []


def test_a_nested_search_takes_no_time_limit(path: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="takes as long as so many searches more"):
        search(pipeline(path), output=tmp_path, inline=True, time_limit="60s")
    assert list(tmp_path.iterdir()) == []


def test_a_nested_search_takes_no_time_limit_later(nested: SearchResult, tmp_path: Path) -> None:
    run_dir: str = nested.run.run_dir
    again: dict[str, Any] = {"search.nested": 2}
    with pytest.raises(InputError, match="takes as long as so many searches more"):
        resume(run_dir, inline=True, time_limit="60s")
    with pytest.raises(InputError, match="takes as long as so many searches more"):
        refine(run_dir, output=tmp_path, inline=True, time_limit="60s", **again)
    assert list(tmp_path.iterdir()) == []


def test_a_refined_search_is_not_nested_since_its_space_was_chosen_by_all_rows(
    nested: SearchResult,
) -> None:
    found = refined_of(nested.run.run_dir, 2.0, {})
    assert found.document.data["search"]["nested"] is None
    assert "its outer folds have been seen" in found.text(whole=False)
