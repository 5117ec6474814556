"""The bundled sets are those of scikit-learn's loaders, bit for bit, read without importing it."""

import subprocess
import sys
from typing import Any, get_args

import numpy as np
import pytest
from sklearn import datasets

from ensemble_pipe.data.sources.bundled import Name, open_bundled
from ensemble_pipe.data.sources.rows import IMAGE, LABEL

NAMES: tuple[Name, ...] = get_args(Name)


def columns_of(name: Name) -> dict[str, Any]:
    """Return the columns of a set."""
    rows = open_bundled(name)
    (batch,) = rows.read(rows.schema.names)
    return dict(zip(batch.schema.names, batch.columns, strict=True))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "digits"])
def test_tables_are_those_of_the_loaders(name: Name) -> None:
    expected = getattr(datasets, f"load_{name}")()
    columns = columns_of(name)
    labels = columns.pop(LABEL)
    assert list(columns) == [str(feature) for feature in expected.feature_names]
    for found, values in zip(columns.values(), expected.data.T, strict=True):
        assert found.to_numpy().tobytes() == values.tobytes()
    if "target_names" in expected:
        assert labels.to_pylist() == [expected.target_names[code] for code in expected.target]
    else:
        assert labels.to_numpy().tobytes() == expected.target.tobytes()


def test_digits_are_those_of_the_loader() -> None:
    expected, columns = datasets.load_digits(), columns_of("digits")
    images = columns[IMAGE].to_numpy_ndarray()
    np.testing.assert_array_equal(images[:, :, :, 0], expected.images)
    np.testing.assert_array_equal(columns[LABEL].to_numpy(), expected.target)


def test_scikit_learn_is_not_imported_to_read_them() -> None:
    code = (
        "import sys\n"
        "from ensemble_pipe.data.sources.bundled import open_bundled\n"
        f"for name in {NAMES}: open_bundled(name)\n"
        "assert 'sklearn' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
