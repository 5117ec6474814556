"""Equal rows have equal bits, in our own product and in those that inference uses."""

from collections.abc import Callable

import numpy as np
import pytest

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.nn.blas import one_thread, position_changes_bits
from ensemble_pipe.nn.inference import CHUNK_ROWS
from ensemble_pipe.nn.kernels.gemm import gemm
from ensemble_pipe.nn.kernels.row_product import make_panel, multiply, multiply_rows

Product = Callable[[Floats, Floats], Floats]

TERMS = (1, 2, 7, 13, 64, 129, 300)
COLUMNS = (*range(1, 36), 64, 65, 129)
both_types = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def by_rows(a: Floats, b: Floats) -> Floats:
    c = np.full((len(a), b.shape[1]), np.nan, a.dtype)
    multiply_rows(a, b, c, make_panel(len(b), a.dtype))
    return c


def by_blas(a: Floats, b: Floats) -> Floats:
    c = np.full((len(a), b.shape[1]), np.nan, a.dtype)
    gemm(False, False, a, b, 0.0, c)
    return c


def in_inference() -> list[Product]:
    return [by_rows] if position_changes_bits(CHUNK_ROWS) else [np.matmul, by_blas, by_rows]


def draw(*shape: int, dtype: type = np.float32) -> Floats:
    return np.random.default_rng(shape).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("product", in_inference(), ids=lambda product: product.__name__)
@pytest.mark.parametrize("terms", TERMS)
@both_types
def test_equal_rows_have_equal_bits(product: Product, terms: int, dtype: type) -> None:
    rows = np.tile(draw(1, terms, dtype=dtype), (CHUNK_ROWS, 1))
    for columns in COLUMNS:
        with one_thread():
            result = product(rows, draw(terms, columns, dtype=dtype))
        assert (result == result[0]).all(), columns


@pytest.mark.parametrize("rows", [1, 5, 6, 7, 250])
def test_a_row_has_the_same_bits_among_any_number_of_rows(rows: int) -> None:
    a, b = draw(CHUNK_ROWS, 129), draw(129, 65)
    assert by_rows(a[:rows].copy(), b).tobytes() == by_rows(a, b)[:rows].tobytes()


@pytest.mark.parametrize("rows", [1, 2, 6, 13])
@pytest.mark.parametrize("columns", [1, 7, 16, 33])
@both_types
def test_follows_the_formula_and_writes_nothing_else(rows: int, columns: int, dtype: type) -> None:
    a, b = draw(rows, 9, dtype=dtype)[:, :7], draw(7, columns + 3, dtype=dtype)[:, :columns]
    wide: Floats = np.full((rows + 1, columns + 5), np.nan, dtype)  # rows of every matrix lie apart
    multiply_rows(a, b, wide[:rows, :columns], make_panel(7, b.dtype))
    np.testing.assert_allclose(wide[:rows, :columns], a @ b, rtol=1e-5, atol=1e-5)
    assert np.isnan(wide[rows]).all()
    assert np.isnan(wide[:, columns:]).all()


def test_an_empty_panel_leaves_the_product_to_blas() -> None:
    a, b, c = draw(13, 64), draw(64, 33), np.empty((13, 33), np.float32)
    multiply(a, b, c, make_panel(0, a.dtype))
    assert c.tobytes() == by_blas(a, b).tobytes()
