"""Compiled gathering of batches from shards."""

from typing import Any

from numba import carray, types
from numba.extending import intrinsic

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.compilation import kernel


@intrinsic
def _pointer(typing_context: Any, address: Any, like: Any) -> Any:
    """The address as a pointer to the item type of the array `like`."""
    signature = types.CPointer(like.dtype)(types.uint64, like)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return signature, generate


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
