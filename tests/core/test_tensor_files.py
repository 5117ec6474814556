"""Files of tensors: refused unread where their header would take far more memory than its bytes."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from ensemble_pipe.core import tensor_files
from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.core.tensor_files import read_tensors


def test_a_header_of_many_tensors_is_refused_before_it_is_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.safetensors"
    path.write_bytes(save({f"a{place}": np.zeros(1, np.float32) for place in range(100)}))
    assert len(read_tensors(path)) == 100
    monkeypatch.setattr(tensor_files, "_MOST_HEADER", 1000)
    monkeypatch.delattr(tensor_files, "load")
    with pytest.raises(CorruptFileError, match=r"t\.safetensors: names tensors in [\d,]+ bytes"):
        read_tensors(path)


def test_a_header_longer_than_the_file_is_no_safetensors_file(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    path.write_bytes((1 << 60).to_bytes(8, "little") + b"{}")
    with pytest.raises(CorruptFileError, match="not a safetensors file"):
        read_tensors(path)
