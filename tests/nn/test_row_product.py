"""Equal rows have equal bits in the product of inference, wherever they stand, however many."""

import numpy as np
import pytest

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.nn.kernels.row_product import FEW_ROWS, ROWS, make_panels, multiply_rows

COUNT = 250
TERMS = (1, 2, 7, 13, 64, 129, 300)
COLUMNS = (*range(1, 36), 64, 65, 129)
both_types = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def product(a: Floats, b: Floats) -> Floats:
    c = np.full((len(a), b.shape[1]), np.nan, a.dtype)
    multiply_rows(a, b, c, make_panels(b.shape[0], b.shape[1], a.dtype))
    return c


def draw(*shape: int, dtype: type = np.float32) -> Floats:
    return np.random.default_rng(shape).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("terms", TERMS)
@both_types
def test_equal_rows_have_equal_bits(terms: int, dtype: type) -> None:
    rows = np.tile(draw(1, terms, dtype=dtype), (COUNT, 1))
    for columns in COLUMNS:
        result = product(rows, draw(terms, columns, dtype=dtype))
        assert (result == result[0]).all(), columns


@pytest.mark.parametrize("rows", [1, ROWS - 1, ROWS, ROWS + 1, FEW_ROWS, FEW_ROWS + 1, COUNT - 1])
@pytest.mark.parametrize("columns", [2, 64, 65])
def test_a_row_has_the_same_bits_among_any_number_of_rows(rows: int, columns: int) -> None:
    a, b = draw(COUNT, 129), draw(129, columns)
    assert product(a[:rows].copy(), b).tobytes() == product(a, b)[:rows].tobytes()


def test_each_number_is_summed_from_the_first_term_to_the_last() -> None:
    # Powers of two: 2^24 + 1 is rounded back to 2^24, so the order decides how many ones are lost.
    a = np.array([[2.0**24, *[1.0] * 8, -(2.0**24), *[1.0] * 8]] * COUNT, np.float32)
    assert (product(a, np.ones((a.shape[1], 3), np.float32)) == 8).all()


@pytest.mark.parametrize("rows", [1, 2, 6, 13])
@pytest.mark.parametrize("columns", [1, 7, 16, 33])
@both_types
def test_follows_the_formula_and_writes_nothing_else(rows: int, columns: int, dtype: type) -> None:
    a, b = draw(rows, 9, dtype=dtype)[:, :7], draw(7, columns + 3, dtype=dtype)[:, :columns]
    wide: Floats = np.full((rows + 1, columns + 5), np.nan, dtype)  # rows of every matrix lie apart
    multiply_rows(a, b, wide[:rows, :columns], make_panels(7, columns, b.dtype))
    np.testing.assert_allclose(wide[:rows, :columns], a @ b, rtol=1e-5, atol=1e-5)
    assert np.isnan(wide[rows]).all()
    assert np.isnan(wide[:, columns:]).all()
