"""Compiled gathering of batches from shards."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.core import cgutils
from numba.extending import intrinsic

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.compilation import kernel

# Rows whose numbers are asked for so early that they are there when they are copied.
AHEAD = 16


@intrinsic
def _pointer(typing_context: Any, address: Any, like: Any) -> Any:
    """The address as a pointer to the item type of the array `like`."""
    signature = types.CPointer(like.dtype)(types.uint64, like)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return signature, generate


@intrinsic
def _prefetch(typing_context: Any, address: Any) -> Any:
    """Ask the processor for the cache line at an address, without waiting for it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        function_type = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0")
        hints = number(0), number(3), number(1)  # for reading, into every cache, of data
        builder.call(function, [builder.inttoptr(arguments[0], byte), *hints])
        return context.get_dummy_value()

    return types.void(types.uint64), generate


@kernel
def _prefetch_row(addresses: Integers, shard_rows: int, stored_row: int, row_bytes: int) -> None:
    """Ask for the beginning of a row, whose rest the processor then expects."""
    shard = stored_row // shard_rows
    offset = (stored_row - shard * shard_rows) * row_bytes
    _prefetch(np.uint64(addresses[shard]) + np.uint64(offset))


@kernel
def gather(
    input_addresses: Integers,
    target_addresses: Integers,
    weight_addresses: Integers,
    shard_rows: int,
    input_like: Array,
    target_like: Array,
    ids: Integers,
    scale: Floats,
    shift: Floats,
    inputs: Floats,
    targets: Array,
    weights: Floats,
) -> None:
    """Copy rows out of shards: inputs = stored * scale + shift.

    Shards are separate blocks of memory with other owners (a memory map, an object store), so the
    kernel takes their addresses; `ShardView` keeps the owners alive and checks `ids`.

    Args:
        input_addresses, target_addresses, weight_addresses: (S,) uint64, of the first row of each
            shard; (0,) where rows have no weights, which are then left as they are.
        shard_rows: rows in every shard but the last.
        input_like, target_like: any array of the stored item types.
        ids: (N,) rows to copy.
        scale, shift: (D,).
        inputs: (N, D), written.
        targets: (N, T), written.
        weights: (N,) float32, written.
    """
    width, columns = scale.shape[0], targets.shape[1]
    for n in range(ids.shape[0]):
        coming = ids[min(n + AHEAD, ids.shape[0] - 1)]
        _prefetch_row(input_addresses, shard_rows, coming, width * input_like.itemsize)
        _prefetch_row(target_addresses, shard_rows, coming, columns * target_like.itemsize)
        shard = ids[n] // shard_rows
        row = ids[n] - shard * shard_rows  # a remainder would be a second, slower division
        stored = carray(_pointer(input_addresses[shard], input_like), (shard_rows * width,))
        start = row * width
        for d in range(width):
            inputs[n, d] = stored[start + d] * scale[d] + shift[d]
        known = carray(_pointer(target_addresses[shard], target_like), (shard_rows * columns,))
        for t in range(columns):
            targets[n, t] = known[row * columns + t]
        if weight_addresses.shape[0] > 0:
            stored_weights = carray(_pointer(weight_addresses[shard], weights), (shard_rows,))
            weights[n] = stored_weights[row]
