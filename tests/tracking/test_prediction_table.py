"""The table of the test rows that an ensemble is least sure of."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.tracking.prediction_table import MOST_ROWS, uncertain_rows


def paths_of(folder: Path, columns: dict[str, list[Any]]) -> RunPaths:
    paths, table = RunPaths(folder), pa.table(columns)
    paths.predictions("test").parent.mkdir()
    place = str(paths.predictions("test"))
    with pa.OSFile(place, "wb") as stream, pa.ipc.new_file(stream, table.schema) as writer:
        writer.write_table(table)
    return paths


@pytest.mark.parametrize("by", ["entropy", "std", "std_price"])
def test_rows_come_in_order_of_their_uncertainty_without_the_members_outputs(
    tmp_path: Path, by: str
) -> None:
    columns: dict[str, list[Any]] = {
        "row": [3, 5, 8],
        "prediction": ["a", "b", "c"],
        by: [0.1, 0.9, 0.5],
    }
    paths = paths_of(tmp_path, {**columns, "outputs": [[1.0], [2.0], [3.0]]})
    assert uncertain_rows(paths) == {
        "columns": ["row", "prediction", by],
        "data": [[5, "b", 0.9], [8, "c", 0.5], [3, "a", 0.1]],
    }


def test_it_has_a_thousand_rows_at_most_and_json_can_hold_them(tmp_path: Path) -> None:
    values = [float(value) for value in range(3 * MOST_ROWS)]
    paths = paths_of(tmp_path, {"std": [*values, float("inf")], "outputs": [*values, 0.0]})
    found = uncertain_rows(paths)
    assert found is not None
    assert len(found["data"]) == MOST_ROWS
    assert found["data"][:2] == [["inf"], [values[-1]]]


def test_nothing_is_made_of_no_predictions_and_damage_is_named(tmp_path: Path) -> None:
    assert uncertain_rows(RunPaths(tmp_path)) is None
    lacking: list[dict[str, list[Any]]] = [{"row": [1], "outputs": [1.0]}, {"entropy": [1.0]}]
    for place, columns in enumerate(lacking):
        (tmp_path / str(place)).mkdir()
        with pytest.raises(CorruptFileError, match="no predictions of this run"):
            uncertain_rows(paths_of(tmp_path / str(place), columns))
    (tmp_path / "0" / "predictions" / "test.arrow").write_bytes(b"rubbish")
    with pytest.raises(CorruptFileError, match="no predictions of this run"):
        uncertain_rows(RunPaths(tmp_path / "0"))
