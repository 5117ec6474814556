"""Tables: the format and the division of a file change nothing; each format's own rules."""

import gzip
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from conftest import shared
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import fs, parquet
from source_files import FORMATS, small_columns, values_of, write

from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.sources import Table, open_rows
from ensemble_pipe.data.sources import parquet as parquet_source
from ensemble_pipe.data.sources.rows import BLOCK_ROWS, Rows, block_rows
from ensemble_pipe.data.tables.scaling import Standardize
from ensemble_pipe.data.tables.side_columns import read_targets

# What every format has in common


@pytest.mark.parametrize("ending", FORMATS)
def test_the_format_changes_nothing(ending: str, tmp_path: Path) -> None:
    columns = small_columns()
    rows = open_rows(str(write(tmp_path / f"t{ending}", columns)))
    assert rows.count == 4
    assert values_of(rows) == {name: values.tolist() for name, values in columns.items()}
    assert rows.schema == pa.schema(
        [
            ("real", pa.float64()),
            ("whole", pa.int64()),
            ("yes", pa.bool_()),
            ("kind", pa.string()),
            ("id", pa.int64()),
        ]
    )


@pytest.mark.parametrize("ending", FORMATS)
def test_some_columns_are_read_in_the_order_asked_for_again_and_again(
    ending: str, tmp_path: Path
) -> None:
    rows = open_rows(str(write(tmp_path / f"t{ending}", small_columns())))
    for _ in range(2):
        ((first, block),) = rows.blocks(["id", "kind"])
        assert first == 0
        assert block.schema.names == ["id", "kind"]
        assert block.column("id").to_pylist() == [9, 8, 7, 6]


@pytest.mark.parametrize("ending", FORMATS)
def test_rows_are_named_from_0_with_their_lines_in_text(ending: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"t{ending}", small_columns())
    line = ", line 4" if "csv" in ending else ""
    assert open_rows(str(path)).place(2) == f"{path}: row 2 (from 0{line})"


@pytest.mark.parametrize("ending", [".parquet", ".arrow", ".stream.arrow", ".feather", ".npz"])
def test_what_means_missing_is_left_to_the_rules_of_columns(ending: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"t{ending}", {"a": np.array(["x", "?", ""]), "n": np.arange(3)})
    assert values_of(open_rows(str(path), ("?",)))["a"] == ["x", "?", ""]
    assert values_of(open_rows(str(path)))["a"] == ["x", "?", ""]


# How a file is divided


def test_blocks_are_as_long_as_they_can_be_and_never_depend_on_batches() -> None:
    values = np.arange(10_000)
    for cuts in ([], [1], [4095, 4096, 4097], [0, 5000, 5000, 9999]):
        pieces = [pa.record_batch({"a": part}) for part in np.split(values, cuts)]
        schema = pieces[0].schema
        rows = Rows("f", 10_000, schema, lambda _: iter(pieces), str)  # noqa: B023
        blocks = list(rows.blocks(["a"]))
        assert [first for first, _ in blocks] == [0, 4096, 8192]
        assert [block.num_rows for _, block in blocks] == [4096, 4096, 1808]
        assert np.array_equal(
            np.concatenate([block["a"].to_numpy() for _, block in blocks]), values
        )


def test_the_length_of_blocks_follows_from_the_columns_alone() -> None:
    images = pa.fixed_shape_tensor(pa.uint8(), (1024, 1024, 3))
    schema = pa.schema([("image", images), ("a", pa.int8())])
    assert block_rows(schema, ["a"]) == BLOCK_ROWS
    assert block_rows(schema, ["image"]) == 21  # of 64 MB


def write_parts(folder: Path, table: pa.Table, cuts: Sequence[int], group: int) -> None:
    folder.mkdir()
    bounds = [0, *sorted(cuts), table.num_rows]
    for index, (start, end) in enumerate(pairwise(bounds)):
        parquet.write_table(
            table.slice(start, end - start), folder / f"part-{index}.parquet", row_group_size=group
        )


@given(cuts=st.lists(st.integers(0, 9000), max_size=3), group=st.integers(50, 9000))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_files_and_row_groups_change_no_block(
    cuts: list[int], group: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("parts") / "p"
    kinds = pa.array([f"k{row % 7}" for row in range(9000)]).dictionary_encode()
    table = pa.table({"n": pa.array(range(9000)), "kind": kinds})
    write_parts(folder, table, cuts, group)
    rows = open_rows(str(folder))
    found = list(rows.blocks(["kind", "n"]))
    plain = table.select(["kind", "n"]).cast(pa.schema([("kind", pa.string()), ("n", pa.int64())]))
    expected = [(start, plain.slice(start, 4096)) for start in (0, 4096, 8192)]
    assert [(first, pa.table(block)) for first, block in found] == expected


def test_a_folder_a_glob_and_an_address_are_the_same_rows(tmp_path: Path) -> None:
    table = pa.table({"n": list(range(9))})
    write_parts(tmp_path / "p", table, [2, 6], 2)
    (tmp_path / "p" / "_SUCCESS").write_text("")
    folder = tmp_path / "p"
    for location in (str(folder), f"{folder}/*.parquet", f"file://{folder}", f"file://{folder}/p*"):
        rows = open_rows(location)
        assert values_of(rows)["n"] == list(range(9))
        assert rows.place(1).endswith(f"{folder}/part-0.parquet: row 1 (from 0)")
        assert rows.place(2).endswith(f"{folder}/part-1.parquet: row 0 (from 0)")
        assert rows.place(8).endswith(f"{folder}/part-2.parquet: row 2 (from 0)")


def test_a_remote_filesystem_is_read_as_a_local_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_parts(tmp_path / "p", pa.table({"n": list(range(9))}), [2, 6], 2)
    bucket = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    monkeypatch.setattr(parquet_source, "_system_of", lambda _: (bucket, "p"))
    rows = open_rows("far://p")
    assert values_of(rows)["n"] == list(range(9))
    assert rows.place(2) == "far://p/part-1.parquet: row 0 (from 0)"


# Parquet and Arrow


def test_arrow_types_are_made_plain(tmp_path: Path) -> None:
    table = pa.table(
        {
            "categories": pa.array(["v", "u", None]).dictionary_encode(),
            "codes": pa.array([5, 6, 5]).dictionary_encode(),
            "large": pa.array(["a", "b", "c"], pa.large_string()),
            "day": pa.array([1, 2, 3], pa.date32()),
        }
    )
    parquet.write_table(table, tmp_path / "t.parquet")
    rows = open_rows(str(tmp_path / "t.parquet"))
    assert rows.schema.types == [pa.string(), pa.int64(), pa.string(), pa.date32()]
    assert values_of(rows, "categories")["categories"] == ["v", "u", None]


def test_names_with_dots_select_no_other_column(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"a.b": [1], "a": [2]}), tmp_path / "t.parquet")
    rows = open_rows(str(tmp_path / "t.parquet"))
    assert values_of(rows, "a") == {"a": [2]}
    assert values_of(rows, "a.b") == {"a.b": [1]}


# CSV

TYPES: list[tuple[list[str], pa.DataType, list[Any]]] = [
    (["1", " -2 ", "007"], pa.int64(), [1, -2, 7]),
    (["1", "NA", "null"], pa.int64(), [1, None, None]),
    (["1", "2.5", "1e3"], pa.float64(), [1.0, 2.5, 1000.0]),
    (["1", "inf", "NaN"], pa.float64(), [1.0, np.inf, None]),
    (["True", "false", "N/A"], pa.bool_(), [True, False, None]),
    (["true", "1", "0"], pa.string(), ["true", "1", "0"]),
    (["0x1F", "1", "2"], pa.string(), ["0x1F", "1", "2"]),
    (["x ", '"NA"', ""], pa.string(), ["x", "NA", None]),
    (['"a,b"', '"say ""hi"""', '"two\nlines"'], pa.string(), ["a,b", 'say "hi"', "two\nlines"]),
    (["", "NA", "#N/A"], pa.null(), [None, None, None]),
    (["99999999999999999999", "a", "b"], pa.string(), ["99999999999999999999", "a", "b"]),
    (["9223372036854775807", "0", "0"], pa.int64(), [2**63 - 1, 0, 0]),
]


@pytest.mark.parametrize(("fields", "kind", "values"), TYPES)
def test_a_csv_column_has_the_first_type_that_fits_all_its_values(
    fields: list[str], kind: pa.DataType, values: list[Any], tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("z,a\n" + "".join(f"0,{field}\n" for field in fields))
    rows = open_rows(str(path))
    assert rows.schema.field("a").type == kind
    assert values_of(rows)["a"] == values


def test_types_are_found_over_the_whole_file(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("ensemble_pipe.data.sources.csv.BLOCK", 1 << 10)
    lines = [f"{row},,{row},{row}" for row in range(5000)]
    lines[4999] = "0.5,x,end,4999"
    (tmp_path / "t.csv").write_text("a,b,c,d\n" + "\n".join(lines) + "\n")
    rows = open_rows(str(tmp_path / "t.csv"))
    assert rows.schema.types == [pa.float64(), pa.string(), pa.string(), pa.int64()]
    assert values_of(rows, "d")["d"] == list(range(5000))
    assert values_of(rows, "b")["b"] == [*[None] * 4999, "x"]


def test_further_texts_may_mean_missing(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a, b\n1, x\n?, ?\n")
    assert values_of(open_rows(str(tmp_path / "t.csv"), ("?",))) == {
        "a": [1, None],
        "b": ["x", None],
    }
    assert values_of(open_rows(str(tmp_path / "t.csv"))) == {"a": ["1", "?"], "b": ["x", "?"]}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_those_of_an_editor(end: str, tmp_path: Path) -> None:
    text = ["\ufeffa,b", "", "1,x", '2,"two', 'lines"', "", "3,y"]
    (tmp_path / "t.csv").write_bytes(end.join(text).encode())
    rows = open_rows(str(tmp_path / "t.csv"))
    assert values_of(rows, "a")["a"] == [1, 2, 3]
    places = [rows.place(row).removeprefix(f"{tmp_path}/t.csv: ") for row in range(3)]
    assert places == ["row 0 (from 0, line 3)", "row 1 (from 0, line 4)", "row 2 (from 0, line 7)"]


def test_blocks_of_empty_lines_hold_no_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ensemble_pipe.data.sources.csv.BLOCK", 1 << 10)
    (tmp_path / "t.csv").write_text("a\n1\n" + "\n" * 5000 + "2\n" + "\n" * 5000)
    rows = open_rows(str(tmp_path / "t.csv"))
    assert values_of(rows)["a"] == [1, 2]
    assert rows.place(1).endswith("row 1 (from 0, line 5003)")


def test_gzip_of_several_members_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"a\n1\n") + gzip.compress(b"2\n"))
    assert values_of(open_rows(str(tmp_path / "t.csv.gz")))["a"] == [1, 2]


# NPY and NPZ


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["<f4", ">f8", "i2", "f2", "?", "u8"])
def test_the_columns_of_an_npy_file_are_numbered(order: Any, kind: str, tmp_path: Path) -> None:
    values = np.arange(12).reshape(4, 3).astype(kind).copy(order)
    np.save(tmp_path / "t.npy", values)
    np.savez(tmp_path / "t.npz", x=values)
    np.savez_compressed(tmp_path / "z.npz", x=values)
    for name in ("t.npy", "t.npz", "z.npz"):
        rows = open_rows(str(tmp_path / name))
        expected = {f"x{column}": values[:, column].tolist() for column in range(3)}
        assert values_of(rows) == expected


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_the_arrays_of_an_npz_file_are_read_side_by_side(save: Any, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(9000, 3))
    save(tmp_path / "t.npz", x=x, names=np.arange(9000).astype(str), f=np.asfortranarray(x))
    rows = open_rows(str(tmp_path / "t.npz"))
    found = values_of(rows, "f2", "names", "x1")
    assert found["x1"] == x[:, 1].tolist()
    assert found["f2"] == x[:, 2].tolist()
    assert found["names"][8999] == "8999"


def test_texts_of_an_npz_file_keep_zero_bytes(tmp_path: Path) -> None:
    texts = ["a\0c", "a", "\0b"]
    np.savez(tmp_path / "t.npz", x=np.array(texts), y=np.array(texts).astype(">U3"))
    rows = open_rows(str(tmp_path / "t.npz"))
    (block,) = rows.read(["x", "y"])
    assert block.to_pydict() == {"x": texts, "y": texts}


def test_days_of_an_npz_file_stay_days(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", day=np.array(["2020-01-01"], "M8[D]"))
    assert open_rows(str(tmp_path / "t.npz")).schema.field("day").type == pa.date32()


# Real data


def test_concrete_is_a_table_of_numbers_and_booleans() -> None:
    path = shared("uci_regression/concrete.parquet")
    folds = tuple(f"test_{fold}" for fold in range(20))
    source = Table(path=str(path), label="y", ignore=folds)
    rows, test = source.open()
    assert test is None
    assert source.roles(rows).features == tuple(f"x{column}" for column in range(8))
    assert rows.count == 1030
    assert values_of(rows, "x3")["x3"] == parquet.read_table(path)["x3"].to_pylist()


def test_letter_has_26_classes_in_the_order_of_its_lines() -> None:
    path = shared("letter/letter.csv")
    rows = open_rows(str(path))
    found = values_of(rows)
    assert rows.count == 20_000
    assert len(set(found["letter"])) == 26
    last = path.read_text().split()[-1].split(",")
    assert [str(values[-1]) for values in found.values()] == last


def test_adult_has_numbers_names_missing_values_and_a_test_part() -> None:
    folder = shared("adult")
    source = Table(
        path=str(folder / "train.csv.gz"), test_path=str(folder / "test.csv.gz"), label="income"
    )
    rows, test = source.open()
    assert test is not None
    assert (rows.count, test.count) == (32_561, 16_281)
    assert test.schema == rows.schema
    assert len(source.roles(rows).features) == 14
    found = values_of(rows, "income", "workclass", "age")
    assert set(found["income"]) == {"<=50K", ">50K"}
    assert found["age"][:3] == [39, 50, 38]
    assert found["workclass"].count(None) + found["workclass"].count("?") == 1836


@pytest.mark.parametrize("batch", [7, 1000, 9000])
def test_blocks_end_by_their_rows_not_by_the_batches_of_a_file(batch: int) -> None:
    """16 MB of text are the most that a block holds."""
    lengths = np.where(np.arange(9000) < 5000, 10, 10_000)
    texts = pa.array(["t" * length for length in lengths.tolist()])
    table = pa.table({"x": np.arange(9000), "t": texts})
    rows = Rows(
        "t", 9000, table.schema, lambda names: iter(table.select(names).to_batches(batch)), str
    )
    blocks = rows_lengths(rows, ["x", "t"])
    full = (16 << 20) // 10_000
    assert blocks[:2] == [(0, 4096), (4096, 904 + ((16 << 20) - 9040) // 10_000)]
    assert [length for _, length in blocks[2:-1]] == [full] * (len(blocks) - 3)
    assert [length for _, length in rows_lengths(rows, ["x"])] == [4096, 4096, 808]


def rows_lengths(rows: Rows, names: list[str]) -> list[tuple[int, int]]:
    return [(first, block.num_rows) for first, block in rows.blocks(names)]


def test_naming_a_row_costs_nothing_where_none_is_wrong(tmp_path: Path) -> None:
    """A line number is found by reading the file from its start, so only for a message."""
    path = tmp_path / "t.csv"
    path.write_text("a,y\n" + "".join(f"{row},{row % 2}\n" for row in range(9000)))
    source = Table(path=str(path), label="y")
    rows, _ = source.open()
    asked: list[int] = []

    def place(row: int) -> str:
        asked.append(row)
        return "here"

    watched = replace(rows, place=place)
    roles = source.roles(watched)
    targets = read_targets(watched, roles)
    everything = np.ones(9000, bool)
    schema = Schema.fit(watched, roles, "classification", everything, Standardize(), targets)
    for _, block in watched.blocks(["a"]):
        schema.encode_inputs(block, watched.place)
    schema.encode_targets(targets, watched.place)
    assert asked == []
