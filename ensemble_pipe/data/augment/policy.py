"""The augmentations of a pipeline: policy, sharing between learners, and the cache of shards."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Le
from pydantic import BeforeValidator, Field

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.own_code import is_own, require_array
from ensemble_pipe.core.registry import Registry
from ensemble_pipe.core.settings import settings
from ensemble_pipe.data.augment import Augmentation, ShiftCrop
from ensemble_pipe.data.augment.mixing import Mixing
from ensemble_pipe.data.augment.signals import (
    FrequencyMask,
    SignalNoise,
    SignalScale,
    SignalShift,
    TimeMask,
)
from ensemble_pipe.data.augment.tables import FeatureDropout, FeatureNoise, SwapNoise
from ensemble_pipe.data.tables.spans import Span

TableStep = FeatureNoise | FeatureDropout | SwapNoise
SignalStep = SignalShift | SignalScale | TimeMask | FrequencyMask | SignalNoise
ShardStep = Augmentation | TableStep | SignalStep
Step = ShardStep | Mixing


STEPS: Registry[Step] = Registry(
    "augmentation", Step, members={"apply": (), "rows": ("images", "table", "series")}
)
_NAMED = Field(json_schema_extra={"required": ["name"]})
Policy = tuple[Annotated[Step, STEPS, _NAMED], ...]


@settings
class Augment:
    """What is done to the rows that are trained on.

    Attributes:
        policy: augmentations, one after another; those that mix the rows of a batch come last.
        share: "all" lets learners that train at the same time share one augmentation of each
            shard; "per_learner" gives each learner draws of its own, and costs one for each.
        pool: number of augmented versions of the data, which epochs go through in turn; null makes
            a new one for every epoch.
        memory_mb: how many megabytes (1e6 bytes) of augmented shards are kept; others are
            computed again on demand.
        test_draws: how many augmented versions of a row its prediction is the mean of; 0 predicts
            from the row as it is.
        test_policy: how these versions are made; null takes the policy, but for what mixes rows.
    """

    policy: Policy = ()
    share: Literal["all", "per_learner"] = "all"
    pool: Annotated[int, Ge(1)] | None = None
    memory_mb: Annotated[int, Ge(1)] = 1000
    test_draws: Annotated[int, Ge(0), Le(10_000)] = 0
    test_policy: Policy | None = None

    @property
    def shard_policy(self) -> tuple[ShardStep, ...]:
        """The augmentations of single rows, which shards are made with."""
        return _of_single_rows(self.policy)

    @property
    def draw_policy(self) -> tuple[ShardStep, ...]:
        """The augmentations that rows are predicted with."""
        return _of_single_rows(self.policy if self.test_policy is None else self.test_policy)

    @property
    def mixings(self) -> tuple[Mixing, ...]:
        """The augmentations of whole batches."""
        return tuple(step for step in self.policy if isinstance(step, Mixing))

    @property
    def _all_steps(self) -> Policy:
        return (*self.policy, *(self.test_policy or ()))

    @property
    def memory_bytes(self) -> int:
        return self.memory_mb * 1_000_000

    def version(self, epoch: int) -> int:
        """Return which version of the data an epoch sees."""
        return epoch if self.pool is None else epoch % self.pool

    def misfits(self, *, images: bool) -> list[Step]:
        """Return what cannot be done to this kind of rows."""
        return [step for step in self._all_steps if not _fits(step, images)]

    def require_fit(
        self, shape: tuple[int, ...], spans: Sequence[Span], names: Sequence[str]
    ) -> None:
        """Check steps that suit this kind of rows against their shape and features.

        Args:
            shape: (H, W, C) or (D,).
            spans, names: of the features of a table.

        Raises:
            ConfigError: a step may leave nothing of an image, or is for numbers alone.
        """
        for step in self._all_steps:
            if isinstance(step, ShiftCrop):
                _require_room(step, shape)
            elif step.rows == "series":
                _require_numbers(step, spans, names)


def _of_single_rows(policy: Policy) -> tuple[ShardStep, ...]:
    return tuple(step for step in policy if not isinstance(step, Mixing))


def _as_section(value: Any) -> Any:
    """Let a list mean the section that has it as its policy."""
    return {"policy": value} if isinstance(value, list) else value


AugmentSection = Annotated[
    Augment, BeforeValidator(_as_section, json_schema_input_type=Augment | Policy)
]


def augment(
    rows: Array,
    policy: Sequence[ShardStep],
    random: np.random.Generator,
    spans: tuple[Span, ...] = (),
) -> Array:
    """Apply a policy, one augmentation after another.

    Args:
        rows: images (R, H, W, C) uint8, or encoded rows (R, D) float32.
        policy: what to do.
        random: at the address of these rows.
        spans: of the features of a table.

    Raises:
        InputError: an augmentation of a caller's own returned rows of another type or shape.
    """
    dtype, shape = rows.dtype, rows.shape
    for step in policy:
        rows = np.ascontiguousarray(rows).view()
        rows.setflags(write=False)  # one kind of array, so one compiled kernel
        apply: Any = step.apply
        rows = apply(rows, random, spans) if step.rows == "table" else apply(rows, random)
        if is_own(type(step)):
            rows = require_array(rows, f"augmentation {step.name!r}: apply", dtype, shape)
    return rows


def _fits(step: Step, images: bool) -> bool:
    return step.rows == "any" or images == (step.rows == "images")


def _require_room(step: ShiftCrop, shape: tuple[int, ...]) -> None:
    height, width, _ = shape
    if step.pixels >= min(height, width):
        raise ConfigError(
            f"augment: {step.name} by up to {step.pixels} pixels may leave nothing of images of "
            f"{height}x{width}; take fewer than {min(height, width)}"
        )


def _require_numbers(step: Step, spans: Sequence[Span], names: Sequence[str]) -> None:
    numbers = {span.start for span in spans if span.kind == "number"}
    odd = next((name for place, name in enumerate(names) if place not in numbers), None)
    if odd is not None:
        raise ConfigError(
            f"augment: {step.name} is for series, which are numbers alone, but feature {odd!r} is "
            "a category, a code, an indicator or a frequent value; give its column "
            "`kind: number`, leave it out, or leave out the augmentation"
        )
