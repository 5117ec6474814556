"""Numbers go from NumPy to Arrow and back without a copy, and without pandas."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from ensemble_pipe.core.arrow import arrow_of, numbers_of, tensors_of, truths_of

TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")


@pytest.mark.parametrize("dtype", TYPES)
def test_what_becomes_an_arrow_array_is_what_pyarrow_makes_of_it(dtype: str) -> None:
    values = np.arange(7).astype(dtype)
    assert arrow_of(values).equals(pa.array(values))
    assert arrow_of(values[::2]).equals(pa.array(values[::2]))
    found = numbers_of(arrow_of(values))
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)
    assert np.shares_memory(found, values)


def test_a_slice_is_that_part_and_nothing_is_empty() -> None:
    array = arrow_of(np.arange(9, dtype=np.int16))
    np.testing.assert_array_equal(numbers_of(array[3:6]), [3, 4, 5])
    assert numbers_of(array[4:4]).shape == (0,)
    assert arrow_of(np.empty(0)).equals(pa.array(np.empty(0)))


@pytest.mark.parametrize("shape", [(3, 2), (5, 2, 4), (1, 3, 1, 2), (4, 1)])
def test_tensors_are_those_that_pyarrow_makes(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    made = tensors_of(values)
    assert made.equals(pa.FixedShapeTensorArray.from_numpy_ndarray(values))
    np.testing.assert_array_equal(made.to_numpy_ndarray(), values)
    turned = values.transpose()
    np.testing.assert_array_equal(tensors_of(turned).to_numpy_ndarray(), turned)


def test_truths_come_back_one_by_one() -> None:
    truths = [True, False, True, True, False, False, True, False, True]
    np.testing.assert_array_equal(truths_of(pa.array(truths)), truths)
    np.testing.assert_array_equal(truths_of(pa.array(truths)[2:5]), truths[2:5])


def test_pandas_is_not_loaded() -> None:
    command = """
import sys
import numpy as np
from ensemble_pipe.core.arrow import arrow_of, numbers_of, tensors_of, truths_of
column = arrow_of(np.arange(4.0))
numbers_of(column), truths_of(column.is_null()), tensors_of(np.zeros((2, 3))).to_numpy_ndarray()
sys.exit("pandas" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0
