"""Reading what comes from outside: bounded, and of the shape that a schema says."""

import json
import os
import tracemalloc
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble_pipe.core import documents
from ensemble_pipe.core.documents import (
    MOST_DEPTH,
    Count,
    Flag,
    Number,
    parse_json,
    read_bytes,
    read_json,
)
from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.core.storage import write_json, write_summed_json


@dataclass(frozen=True)
class Document:
    count: Count
    number: Number = 0.0
    flag: Flag = False
    text: str = ""
    sums: dict[str, str] | None = None


def refused(content: bytes | str, kind: Any = Document) -> str:
    with pytest.raises(CorruptFileError) as error:
        parse_json(content.encode() if isinstance(content, str) else content, kind, "f.json")
    assert str(error.value).startswith("f.json: ")
    return str(error.value).removeprefix("f.json: ")


def test_json_goes_there_and_back(tmp_path: Path) -> None:
    value = {"b": [1, 2.5, None, True], "a": {"name": "näh"}}
    write_json(tmp_path / "file.json", value)
    assert read_json(tmp_path / "file.json", dict[str, Any]) == value


def test_json_of_equal_values_is_equal_bytes(tmp_path: Path) -> None:
    write_json(tmp_path / "one.json", {"a": 1, "b": 2})
    write_json(tmp_path / "two.json", {"b": 2, "a": 1})
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_not_written(tmp_path: Path, number: float) -> None:
    write_json(tmp_path / "file.json", {"number": 1.0})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "file.json", number)
    assert read_json(tmp_path / "file.json", dict[str, float]) == {"number": 1.0}


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_keep_their_bits(number: float) -> None:
    found = parse_json(json.dumps([number]).encode(), list[Number], "f.json")
    assert np.float64(found[0]).tobytes() == np.float64(number).tobytes()


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"\xff\xfe\x00", b"no json"])
def test_what_is_no_json_is_refused(content: bytes) -> None:
    assert refused(content).startswith("not valid JSON")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "is no JSON object"),
        ("null", "is no JSON object"),
        ("{}", "lacks count"),
        ('{"count": null}', "count: input should be a valid integer"),
        ('{"count": "3"}', "count: input should be a valid integer"),
        ('{"count": true}', "count: input should be a valid integer"),
        ('{"count": 3.0}', "count: input should be a valid integer"),
        ('{"count": -1}', "count: input should be greater than or equal to 0"),
        ('{"count": 9223372036854775808}', "count: input should be less than"),
        ('{"count": 1, "number": "2"}', "number: input should be a valid number"),
        ('{"count": 1, "flag": 1}', "flag: input should be a valid boolean"),
        ('{"count": 1, "text": 1}', "text: input should be a valid string"),
        ('{"count": 1, "sums": {"a": null}}', "sums.a: input should be a valid string"),
        ('{"count": NaN}', "not valid JSON (NaN is no number)"),
        ('{"count": -Infinity}', "not valid JSON (-Infinity is no number)"),
        ('{"count": 1, "number": 1e999}', "not valid JSON (1e999 is too large)"),
        ('{"count": 1, "count": 2}', "not valid JSON (the key 'count' stands there twice)"),
        ('{"count": 1} {}', "not valid JSON (Extra data"),
        ('{"count": %s}' % ("1" * 400), "not valid JSON (int too large"),
        ('{"count": %s}' % ("1" * 9999), "not valid JSON (Exceeds the limit"),
    ],
)
def test_what_is_not_as_the_schema_says_is_refused_by_its_field(text: str, message: str) -> None:
    assert refused(text).startswith(message)


@pytest.mark.parametrize(
    ("outer", "inner"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]"), ("[", ""), ('{"a":', "")]
)
@pytest.mark.parametrize("depth", [MOST_DEPTH + 1, 900, 100_000])
def test_deep_nesting_is_refused(outer: str, inner: str, depth: int) -> None:
    message = refused(outer * depth + ("1" + inner * depth if inner else ""), dict[str, Any])
    assert message.startswith(("is nested more than 64 deep", "not valid JSON"))


def test_nesting_up_to_the_bound_is_read() -> None:
    text = "[" * MOST_DEPTH + "]" * MOST_DEPTH
    assert parse_json(text.encode(), list[Any], "f.json")


def test_fields_of_later_versions_are_passed_over() -> None:
    assert parse_json(b'{"count": 1, "later": []}', Document, "f.json") == Document(1)


def test_a_large_file_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.json"
    with open(path, "wb") as stream:
        stream.truncate(1 << 40)  # which takes no room on the disk
    with pytest.raises(CorruptFileError, match=r"file\.json: has more than the \d+ bytes"):
        read_json(path, dict[str, Any])
    monkeypatch.setattr(documents, "MOST_BYTES", 4)
    path.write_text('{"a": 1}')
    with pytest.raises(CorruptFileError, match="has more than the 4 bytes"):
        read_json(path, dict[str, Any])


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    for name, message in (
        ("absent", "missing; the folder it belongs to is incomplete"),
        (".", "is a folder, where a file is needed"),
        ("pipe", "is no regular file, where a file is needed"),
        ("file/below", r"cannot be read \(Not a directory\)"),
    ):
        with pytest.raises(CorruptFileError, match=message):
            read_bytes(tmp_path / name)


def test_a_file_with_a_sum_of_itself_is_refused_where_it_was_changed(tmp_path: Path) -> None:
    path, values = tmp_path / "file.json", {"count": 3, "number": 0.1, "text": "näh\ud800"}
    write_summed_json(path, values)
    assert read_json(path, Document) == Document(3, 0.1, text="näh\ud800")
    path.write_text(path.read_text().replace('"count": 3', '"count": 4'))
    with pytest.raises(CorruptFileError, match=r"file\.json: does not match its sum; restore it"):
        read_json(path, Document)


def test_a_file_without_a_sum_of_itself_is_that_of_an_earlier_version(tmp_path: Path) -> None:
    write_json(tmp_path / "file.json", {"count": 3})
    assert read_json(tmp_path / "file.json", Document) == Document(3)


@pytest.mark.parametrize("piece", [b"[],", b"{},", b"1,"])
def test_json_that_swells_is_refused_before_it_is_parsed(piece: bytes) -> None:
    text = b'{"count": 1, "later": [' + piece * (1 << 22) + b"1]}"
    tracemalloc.start()
    message = refused(text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert f"its {len(text)} bytes hold up to" in message
    assert peak < 1 << 20
