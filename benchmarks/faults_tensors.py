"""Tensors whose header states what is not so, or what would take all memory."""

import json
import struct
from functools import partial
from typing import Any

from faults_cases import Case, always, written

from ensemble_pipe.core.tensor_files import read_tensors

NUMBER = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


def tensor_file(header: str | bytes, data: bytes = bytes(8), size: int | None = None) -> bytes:
    """Return a safetensors file of a header that may state anything."""
    text = header.encode() if isinstance(header, str) else header
    return struct.pack("<Q", len(text) if size is None else size) + text + data


def _header(**tensors: Any) -> str:
    return json.dumps(tensors)


def _twice(second: dict[str, Any]) -> str:
    return f'{{"row": {json.dumps(NUMBER)}, "row": {json.dumps(second)}}}'


TENSORS: dict[str, bytes] = {
    "overlapping tensors": tensor_file(_header(row=NUMBER, other=NUMBER), bytes(4)),
    "tensors that overlap in part": tensor_file(
        _header(
            row={"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
            other={"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
        )
    ),
    "a tensor named twice": tensor_file(_twice({**NUMBER, "data_offsets": [4, 8]})),
    "a tensor named twice, each whole": tensor_file(_twice({**NUMBER, "dtype": "I32"}), bytes(4)),
    "a field named twice": tensor_file(
        '{"row": {"dtype": "F32", "shape": [1], "shape": [2], "data_offsets": [0, 8]}}'
    ),
    "a header that states all memory": tensor_file(_header(row=NUMBER), size=1 << 62),
    "a header that states a gigabyte": tensor_file(_header(row=NUMBER), size=1 << 30),
    "a header nested deep": tensor_file('{"row": ' + "[" * 10_000 + "]" * 10_000 + "}"),
    "a shape beyond all numbers": tensor_file(
        _header(row={"dtype": "F32", "shape": [1 << 62, 1 << 62], "data_offsets": [0, 8]})
    ),
    "a shape below zero": tensor_file(
        _header(row={"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}), bytes(4)
    ),
    "an end before its beginning": tensor_file(
        _header(row={"dtype": "F32", "shape": [1], "data_offsets": [8, 4]})
    ),
    "data that is not there": tensor_file(_header(row=NUMBER), b""),
    "data that no tensor has": tensor_file(_header(row=NUMBER), bytes(64)),
    "a hole between tensors": tensor_file(
        _header(row=NUMBER, other={**NUMBER, "data_offsets": [8, 12]}), bytes(12)
    ),
    "an unknown type": tensor_file(_header(row={**NUMBER, "dtype": "PICKLE"}), bytes(4)),
    "metadata that is no text": tensor_file(
        json.dumps({"__metadata__": {"a": [1]}, "row": NUMBER}), bytes(4)
    ),
    "a header that is no object": tensor_file("[]"),
    "no header": b"",
}  # fmt: skip


def cases() -> dict[str, Case]:
    """Return the hostile files of tensors, by what they are."""
    return {
        f"safetensors: {name}": Case(
            written("t.safetensors", partial(always, content)), read_tensors
        )
        for name, content in TENSORS.items()
    }
