"""What a model knows about its data: columns, scaling, class names. Fitted on the training part."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from pydantic import TypeAdapter, ValidationError

from ensemble_pipe.arrays import Array, Floats, Integers
from ensemble_pipe.data.sources.raw import Raw
from ensemble_pipe.errors import CorruptFileError, DataError

# A column whose deviation is a smaller share of its largest value has one value only.
CONSTANT_SHARE = 1e-12

Task = Literal["classification", "regression"]


@dataclass(frozen=True)
class Schema:
    """How rows become network inputs and targets, and back.

    Attributes:
        task: classification or regression.
        input_shape: of one row, (H, W, C) or (D,).
        feature_names: of a table, in order; empty for images.
        target_name: column of the target; empty where the source has none.
        classes: class names in the order of the network's outputs; empty for regression.
        means, deviations: of each feature, or of each image channel, on the training part.
        target_mean, target_deviation: of a regression target; 0 and 1 for classes.
    """

    task: Task
    input_shape: tuple[int, ...]
    feature_names: tuple[str, ...]
    target_name: str
    classes: tuple[int | str, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    target_mean: float = 0.0
    target_deviation: float = 1.0

    @classmethod
    def fit(
        cls, raw: Raw, task: Task, train_rows: Integers, codes: Collection[int] = ()
    ) -> "Schema":
        """Fit to the rows `train_rows` of `raw`; the set of classes is that of all rows.

        The columns `codes` of a table hold category codes and are not standardised.

        Raises:
            DataError: the targets do not fit the task, or a class has no training rows.
        """
        inputs = raw.inputs[train_rows]
        axes = (0, 1, 2) if raw.is_image else (0,)
        deviations = inputs.std(axis=axes, dtype=np.float64)
        # The deviation of a constant is not exactly zero where its mean is rounded.
        constant = deviations <= CONSTANT_SHARE * np.abs(inputs).max(axis=axes)
        means = inputs.mean(axis=axes, dtype=np.float64)
        for column in codes:
            means[column], deviations[column] = 0.0, 1.0
        targets = _targets(raw)
        classes = _classes(raw, targets) if task == "classification" else ()
        mean, deviation = 0.0, 1.0
        if task == "regression":
            numbers = _numbers(raw, targets)[train_rows]
            mean, deviation = float(numbers.mean()), float(numbers.std())
            if deviation <= CONSTANT_SHARE * np.abs(numbers).max():
                raise DataError(f"{raw.where}: every training row has the same target, {mean}")
        schema = cls(
            task=task,
            input_shape=tuple(raw.inputs.shape[1:]),
            feature_names=raw.feature_names,
            target_name=raw.target_name,
            classes=classes,
            means=tuple(float(x) for x in means),
            deviations=tuple(float(x) for x in np.where(constant, 1.0, deviations)),
            target_mean=mean,
            target_deviation=deviation,
        )
        if task == "classification":
            _require_every_class(schema, raw, train_rows)
        return schema

    @property
    def is_image(self) -> bool:
        return len(self.input_shape) == 3

    def encode_inputs(self, raw: Raw) -> Array:
        """Return what base files hold: images as they are, features standardised as float32.

        Raises:
            DataError: shape or columns differ from those of the training data.
        """
        if tuple(raw.inputs.shape[1:]) != self.input_shape:
            kind = "images" if self.is_image else "rows"
            raise DataError(
                f"{raw.where}: {kind} of shape {tuple(raw.inputs.shape[1:])}, "
                f"but the training data has {self.input_shape}"
            )
        if self.is_image:
            if raw.inputs.dtype != np.uint8:
                raise DataError(f"{raw.where}: images of {raw.inputs.dtype}; uint8 is needed")
            return np.ascontiguousarray(raw.inputs)
        scaled = (raw.inputs - np.array(self.means)) / np.array(self.deviations)
        return np.ascontiguousarray(scaled, np.float32)

    def input_scale(self) -> tuple[Floats, Floats]:
        """Return (scale, shift), float32 of `input_shape`: inputs = encoded * scale + shift."""
        if not self.is_image:
            return np.ones(self.input_shape, np.float32), np.zeros(self.input_shape, np.float32)
        scale = 1.0 / np.array(self.deviations)
        shift = -np.array(self.means) * scale
        shape = self.input_shape
        return (
            np.broadcast_to(scale, shape).astype(np.float32),
            np.broadcast_to(shift, shape).astype(np.float32),
        )

    def encode_targets(self, raw: Raw) -> Array:
        """Return (R,) class numbers int32, or standardised targets float32.

        Raises:
            DataError: a label is no class of the training data, or no number.
        """
        targets = _targets(raw)
        if self.task == "regression":
            numbers = _numbers(raw, targets)
            with np.errstate(over="ignore"):
                scaled = ((numbers - self.target_mean) / self.target_deviation).astype(np.float32)
            if not np.isfinite(scaled).all():
                row = int(np.argmax(~np.isfinite(scaled)))
                raise DataError(
                    f"{raw.at(row)}: the target {numbers[row]} is too large for float32"
                )
            return scaled
        codes = {name: code for code, name in enumerate(self.classes)}
        values = [codes.get(label, -1) for label in targets.tolist()]
        encoded = np.array(values, np.int32)
        if (encoded < 0).any():
            row = int(np.argmax(encoded < 0))
            names = ", ".join(str(name) for name in self.classes[:12])
            raise DataError(
                f"{raw.at(row)}: label {targets.tolist()[row]!r} is no class of the training data; "
                f"its classes are: {names}"
            )
        return encoded

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any], where: str) -> "Schema":
        """Read what `to_json` wrote.

        Raises:
            CorruptFileError: a field is missing or of another type.
        """
        try:
            return TypeAdapter(cls).validate_python(value)
        except ValidationError as error:
            first = error.errors()[0]
            raise CorruptFileError(
                f"{where}: not a schema of this version ({first['loc']}: {first['msg']})"
            ) from None


def _targets(raw: Raw) -> Array:
    if raw.targets is None:
        raise DataError(f"{raw.where}: has no labels")
    return raw.targets


def _classes(raw: Raw, targets: Array) -> tuple[int | str, ...]:
    if targets.dtype.kind == "f":
        whole = np.isfinite(targets) & (targets == np.round(targets))
        if not whole.all():
            row = int(np.argmin(whole))
            raise DataError(
                f"{raw.at(row)}: label {targets[row]} is not a class; "
                "for a numeric target set `task: regression`"
            )
        targets = targets.astype(np.int64)
    classes: list[int | str] = sorted(set(targets.tolist()))
    if len(classes) < 2:
        raise DataError(
            f"{raw.where}: all {raw.rows} rows have the one class {classes[0]!r}; "
            "a classifier needs at least two"
        )
    if len(classes) > raw.rows // 2:
        raise DataError(
            f"{raw.where}: {len(classes)} classes for {raw.rows} rows; "
            "for a numeric target set `task: regression`"
        )
    return tuple(classes)


def _numbers(raw: Raw, targets: Array) -> Floats:
    if targets.dtype.kind not in "iuf":
        raise DataError(
            f"{raw.at(0)}: target {targets.tolist()[0]!r} is not a number; "
            "for classes set `task: classification`"
        )
    numbers = targets.astype(np.float64)
    if not np.isfinite(numbers).all():
        row = int(np.argmax(~np.isfinite(numbers)))
        raise DataError(f"{raw.at(row)}: the target is {numbers[row]}; remove such rows")
    return numbers


def _require_every_class(schema: Schema, raw: Raw, train_rows: Integers) -> None:
    counts = np.bincount(schema.encode_targets(raw)[train_rows], minlength=len(schema.classes))
    if (counts == 0).any():
        name = schema.classes[int(np.argmin(counts))]
        raise DataError(
            f"{raw.where}: class {name!r} has no row in the training part; "
            "make the other splits smaller, or remove or merge the class"
        )
