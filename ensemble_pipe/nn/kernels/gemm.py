"""General matrix products inside kernels: scipy's BLAS, called by a symbol that caches.

A ctypes pointer is a constant of the compiled code, so numba can't keep such code; a symbol is
looked up by name whenever cached code is loaded, wherever the library lies in that process. A
kernel that calls `gemm` imports it from here, so the symbols are known before it is loaded.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import get_cython_function_address, intrinsic

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.compilation import kernel

# OpenBLAS multiplies matrices with at most so many multiply-adds without packing them, where the
# processor has AVX-512: the fastest way for matrices that lie in the cache.
SMALL_PRODUCT = 1_000_000

_BLAS = "scipy.linalg.cython_blas"
_ROUTINES = {types.float32: "sgemm", types.float64: "dgemm"}


def _symbol(routine: str) -> str:
    return f"ensemble_pipe_{routine}"


@contextmanager
def _cython_blas() -> Iterator[None]:
    """Load scipy's module, where it is not there yet, from its file alone.

    All of scipy.linalg takes ten times as long. The module is then put out of sight, so that a
    later import finds nothing that is half loaded.
    """
    scipy = find_spec("scipy")
    if _BLAS in sys.modules or scipy is None or scipy.origin is None:
        yield
        return
    found = PathFinder.find_spec(_BLAS, [str(Path(scipy.origin).parent / "linalg")])
    assert found is not None
    assert found.loader is not None
    sys.modules[_BLAS] = module_from_spec(found)
    try:
        found.loader.exec_module(sys.modules[_BLAS])
        yield
    finally:
        del sys.modules[_BLAS]


with _cython_blas():
    for _routine in _ROUTINES.values():
        _address = get_cython_function_address(_BLAS, _routine)
        llvmlite.binding.add_symbol(_symbol(_routine), _address)


@intrinsic  # type: ignore[untyped-decorator]
def _fortran_gemm(
    context: Any,
    transpose_a: Any,
    transpose_b: Any,
    m: Any,
    n: Any,
    k: Any,
    alpha: Any,
    a: Any,
    lda: Any,
    b: Any,
    ldb: Any,
    beta: Any,
    c: Any,
    ldc: Any,
) -> Any:
    """Call BLAS's gemm: letters as code points, sizes as integers, matrices as addresses.

    BLAS wants every argument by its address; those of the scalars lie on the kernel's stack.
    """
    routine = _ROUTINES[alpha]
    letter, size, address = types.uint8, types.int32, types.uintp
    scalars = (letter, letter, size, size, size, alpha)
    matrices = (address, size, address, size, alpha, address, size)
    signature = types.void(*scalars, *matrices)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        pointers = []
        for kind, value in zip(signature.args, arguments, strict=True):
            if kind is address:
                pointers.append(builder.inttoptr(value, byte))
            else:
                slot = cgutils.alloca_once_value(builder, value)
                pointers.append(builder.bitcast(slot, byte))
        function_type = ir.FunctionType(ir.VoidType(), [byte] * len(pointers))
        name = _symbol(routine)
        function = cgutils.get_or_insert_function(builder.module, function_type, name)
        builder.call(function, pointers)
        return context.get_dummy_value()

    return signature, generate


@kernel
def gemm(
    transpose_a: bool, transpose_b: bool, a: Floats, b: Floats, beta: float, c: Floats
) -> None:
    """c = op(a) op(b) + beta c, for matrices with contiguous rows.

    Args:
        transpose_a, transpose_b: whether op is the transpose.
        a, b, c: 2-D, of one dtype; rows may lie apart (a view of some columns), the numbers of a
            row may not. Nothing checks this here.
        beta: 0 (c is only written), or 1.
    """
    rows, columns = c.shape
    inner = a.shape[0] if transpose_a else a.shape[1]
    one = a.dtype.type(1)
    # BLAS counts by columns: a row-major product is the product of the transposes, swapped.
    _fortran_gemm(
        ord("T") if transpose_b else ord("N"),
        ord("T") if transpose_a else ord("N"),
        columns,
        rows,
        inner,
        one,
        b.ctypes.data,
        b.strides[0] // b.itemsize,
        a.ctypes.data,
        a.strides[0] // a.itemsize,
        one * beta,
        c.ctypes.data,
        c.strides[0] // c.itemsize,
    )
