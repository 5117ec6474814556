"""Predictions in Parquet: few large row groups, and no dictionaries of fractions."""

from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from ensemble_pipe.serving.files import GROUP_ROWS, _parquet_writer

SCHEMA = pa.schema([("prediction", pa.string()), ("entropy", pa.float64())])


def test_tables_are_gathered_into_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    rows = GROUP_ROWS // 2
    table = pa.table([["a"] * rows, [0.25] * rows], schema=SCHEMA)
    with _parquet_writer(path, SCHEMA) as write:
        for _ in range(5):
            write(table)
    metadata = parquet.ParquetFile(path).metadata
    groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
    assert [group.num_rows for group in groups] == [GROUP_ROWS, GROUP_ROWS, rows]
    for group in groups:
        texts, fractions = group.column(0), group.column(1)
        assert "RLE_DICTIONARY" in texts.encodings
        assert "RLE_DICTIONARY" not in fractions.encodings
    assert parquet.read_table(path).equals(pa.concat_tables([table] * 5))


def test_no_rows_are_a_file_without_any(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    with _parquet_writer(path, SCHEMA) as write:
        write(SCHEMA.empty_table())
    assert parquet.read_table(path).schema.equals(SCHEMA)
    assert parquet.read_table(path).num_rows == 0
