"""Short vectors for kernels whose speed depends on staying in registers.

A `Lanes` value holds 64 bytes: 16 float32 or 8 float64, one AVX-512 register (two or four
registers of other processors). Arithmetic is lane by lane, so each sum has the order that the code
shows. Loads, stores and copies take a flat index into a contiguous array and check nothing.
"""

import operator
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.extending import intrinsic, lower_builtin, register_model, type_callable

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.compilation import kernel

LANE_BYTES = 64


class Lanes(types.Type):
    """numba's type of such a vector."""

    def __init__(self, dtype: types.Float) -> None:
        self.dtype = dtype
        self.count = LANE_BYTES * 8 // dtype.bitwidth
        super().__init__(name=f"Lanes({dtype}, {self.count})")


def _vector(lanes: Lanes) -> ir.VectorType:
    number = ir.FloatType() if lanes.dtype is types.float32 else ir.DoubleType()
    return ir.VectorType(number, lanes.count)


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        super().__init__(manager, lanes, _vector(lanes))


def _element(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [index])


def _address(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    element = _element(context, builder, array_type, array, index)
    return builder.bitcast(element, _vector(Lanes(array_type.dtype)).as_pointer())


def _broadcast(builder: Any, vector: ir.VectorType, number: Any) -> Any:
    empty = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(empty, number, ir.IntType(32)(0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None)
    return builder.shuffle_vector(first, empty, mask)


def _first(builder: Any, lanes: Lanes, count: Any) -> Any:
    """Return the mask (lanes of 1 bit) of the first `count` lanes."""
    vector = ir.VectorType(count.type, lanes.count)
    places = ir.Constant(vector, list(range(lanes.count)))
    return builder.icmp_signed("<", places, _broadcast(builder, vector, count))


def _masked(builder: Any, lanes: Lanes, name: str, result: Any, arguments: list[Any]) -> Any:
    kind = f"v{lanes.count}f{lanes.dtype.bitwidth}"
    function_type = ir.FunctionType(result, [argument.type for argument in arguments])
    function = cgutils.get_or_insert_function(
        builder.module, function_type, f"llvm.masked.{name}.{kind}.p0"
    )
    return builder.call(function, arguments)


@intrinsic  # type: ignore[untyped-decorator]
def lane_count(context: Any, array: Any) -> Any:
    """Return the number of lanes for an array's dtype, a constant of the compiled code."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.get_constant(types.intp, Lanes(array.dtype).count)

    return types.intp(array), generate


@intrinsic  # type: ignore[untyped-decorator]
def load(context: Any, array: Any, index: Any) -> Any:
    """Return the lanes that start at an index."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature.args[0], *arguments)
        return builder.load(address, align=array.dtype.bitwidth // 8)

    return Lanes(array.dtype)(array, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def load_first(context: Any, array: Any, index: Any, count: Any) -> Any:
    """Return the first `count` lanes from an index on, and zeros."""
    lanes = Lanes(array.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature.args[0], *arguments[:2])
        align = ir.IntType(32)(array.dtype.bitwidth // 8)
        zeros = ir.Constant(_vector(lanes), None)
        mask = _first(builder, lanes, arguments[2])
        return _masked(builder, lanes, "load", _vector(lanes), [address, align, mask, zeros])

    return lanes(array, types.intp, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def load_one(context: Any, array: Any, index: Any) -> Any:
    """Return lanes that all hold the number at an index."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = builder.load(_element(context, builder, signature.args[0], *arguments))
        return _broadcast(builder, _vector(Lanes(array.dtype)), number)

    return Lanes(array.dtype)(array, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def store(context: Any, array: Any, index: Any, value: Any) -> Any:
    """Write lanes from an index on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature.args[0], *arguments[:2])
        builder.store(arguments[2], address, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), generate


@intrinsic  # type: ignore[untyped-decorator]
def store_first(context: Any, array: Any, index: Any, value: Any, count: Any) -> Any:
    """Write the first `count` lanes from an index on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature.args[0], *arguments[:2])
        align = ir.IntType(32)(array.dtype.bitwidth // 8)
        mask = _first(builder, value, arguments[3])
        _masked(builder, value, "store", ir.VoidType(), [arguments[2], address, align, mask])
        return context.get_dummy_value()

    return types.void(array, types.intp, value, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def zero_lanes(context: Any, array: Any) -> Any:
    """Return lanes of zeros, of an array's dtype."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(_vector(signature.return_type), None)

    return Lanes(array.dtype)(array), generate


@intrinsic  # type: ignore[untyped-decorator]
def where_greater(context: Any, a: Any, b: Any, chosen: Any, other: Any) -> Any:
    """Return `chosen` in the lanes where a > b, and `other` elsewhere (also where one is NaN)."""
    return a(a, a, a, a), _choose(">")


@intrinsic  # type: ignore[untyped-decorator]
def where_equal(context: Any, a: Any, b: Any, chosen: Any, other: Any) -> Any:
    """Return `chosen` in the lanes where a == b, and `other` elsewhere."""
    return a(a, a, a, a), _choose("==")


def _choose(comparison: str) -> Callable[..., Any]:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        mask = builder.fcmp_ordered(comparison, *arguments[:2])
        return builder.select(mask, *arguments[2:])

    return generate


@intrinsic  # type: ignore[untyped-decorator]
def copy(context: Any, out: Any, to: Any, source: Any, at: Any, count: Any) -> Any:
    """Copy `count` numbers between indices of two arrays of one dtype that do not overlap."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target = _element(context, builder, signature.args[0], *arguments[:2])
        origin = _element(context, builder, signature.args[2], *arguments[2:4])
        cgutils.raw_memcpy(builder, target, origin, arguments[4], out.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(out, types.intp, source, types.intp, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def clear(context: Any, out: Any, to: Any, count: Any) -> Any:
    """Write `count` zeros from an index on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target = _element(context, builder, signature.args[0], *arguments[:2])
        size = builder.mul(arguments[2], ir.Constant(arguments[2].type, out.dtype.bitwidth // 8))
        cgutils.memset(builder, target, size, 0)
        return context.get_dummy_value()

    return types.void(out, types.intp, types.intp), generate


def _arithmetic(function: Callable[..., Any], instruction: str) -> None:
    @type_callable(function)  # type: ignore[untyped-decorator]
    def type_of(context: Any) -> Any:
        def result(a: Any, b: Any) -> Any:
            return a if isinstance(a, Lanes) and a == b else None

        return result

    @lower_builtin(function, Lanes, Lanes)  # type: ignore[untyped-decorator]
    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return getattr(builder, instruction)(*arguments, flags=("contract",))


_arithmetic(operator.add, "fadd")
_arithmetic(operator.sub, "fsub")
_arithmetic(operator.mul, "fmul")


@kernel
def load_rest(array: Floats, index: int, left: int) -> Any:
    """Return the lanes from an index on, of which only the first `left` may be read."""
    if left >= lane_count(array):
        return load(array, index)
    return load_first(array, index, left)


@kernel
def store_rest(array: Floats, index: int, value: Any, left: int) -> None:
    """Write lanes from an index on, of which only the first `left` may be written."""
    if left >= lane_count(array):
        store(array, index, value)
    else:
        store_first(array, index, value, left)


def aligned_zeros(shape: tuple[int, ...], dtype: np.dtype[np.floating]) -> Floats:
    """Return zeros that start at a whole vector: others would cross a cache line at each load."""
    size = prod(shape) * dtype.itemsize
    room = np.zeros(size + LANE_BYTES, np.uint8)
    start = -room.ctypes.data % LANE_BYTES
    return room[start : start + size].view(dtype).reshape(shape)
