"""The schema of the data: columns, scaling and class names, fitted to the training part."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from math import prod
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.documents import validate_as
from ensemble_pipe.core.errors import CorruptFileError, DataError
from ensemble_pipe.data.sources.paths import require_columns
from ensemble_pipe.data.sources.rows import IMAGE, Place, Rows
from ensemble_pipe.data.tables import encoding
from ensemble_pipe.data.tables.columns import Roles
from ensemble_pipe.data.tables.features import (
    CategoryColumn,
    Column,
    FeatureLayout,
    NumberColumn,
    lay_out_features,
)
from ensemble_pipe.data.tables.fitting import Train, fit_images, fit_table, images_of, require_rows
from ensemble_pipe.data.tables.missing import Missing
from ensemble_pipe.data.tables.scaling import Scale, Scaling
from ensemble_pipe.data.tables.source_view import SourceView, view_columns
from ensemble_pipe.data.tables.spans import Span
from ensemble_pipe.data.tables.targets import (
    Targets,
    class_codes,
    classes_of,
    moments_of,
    require_every_class,
    scaled_targets,
)

Task = Literal["classification", "regression"]


@dataclass(frozen=True)
class Schema:
    """How rows become network inputs and targets, and back.

    Attributes:
        task: classification or regression.
        input_shape: of one encoded row, (H, W, C) or (D,).
        columns: of a table, the feature columns in order, fitted; empty for images.
        scaling: of the numbers of a table, or of the channels of images.
        target_names: columns of the targets: D of a regression, one of classes.
        classes: class names in the order of the network's outputs; empty for regression.
        target_means, target_deviations: of the D targets of a regression; empty for classes.
        missing_values: texts that stand for a missing value, in any source.
    """

    task: Task
    input_shape: tuple[int, ...]
    columns: tuple[Column, ...]
    scaling: Scaling
    target_names: tuple[str, ...]
    classes: tuple[int | str, ...]
    target_means: tuple[float, ...] = ()
    target_deviations: tuple[float, ...] = ()
    missing_values: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls, rows: Rows, roles: Roles, task: Task, train: Train, scale: Scale, targets: Targets
    ) -> "Schema":
        """Fit to the rows where `train` (R,) is true; the set of classes is that of all rows.

        The targets (R,) or (R, D) are those of `read_targets`.

        Sums are made in float64, block by block in the order of the rows, so that they have the
        same bits however the files are divided.

        Raises:
            DataError: the columns or values do not fit the roles and rules, the targets do not fit
                the task, or a class has no training rows.
            ConfigError: the scale does not fit the columns.
        """
        require_rows(rows, roles, train)
        columns: tuple[Column, ...] = ()
        if rows.is_image:
            shape, scaling = fit_images(rows, train, scale)
        else:
            columns, scaling = fit_table(rows, roles, train, scale)
            shape = (len(lay_out_features(columns, scaling).names),)
        moments: list[tuple[float, float]] = []
        classes: tuple[int | str, ...] = ()
        if task == "regression":
            named = zip(roles.labels, targets.columns, strict=True)
            moments = [moments_of(rows, values, train, name) for name, values in named]
        else:
            classes = classes_of(rows, targets, rows.cells(roles.labels[0]))
        schema = cls(
            task=task,
            input_shape=shape,
            columns=columns,
            scaling=scaling,
            target_names=roles.labels,
            classes=classes,
            target_means=tuple(mean for mean, _ in moments),
            target_deviations=tuple(deviation for _, deviation in moments),
            missing_values=roles.missing_values,
        )
        if task == "classification":
            require_every_class(classes, rows, targets.distinct(train))
        return schema

    @property
    def is_image(self) -> bool:
        return len(self.input_shape) == 3

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the source columns that are learned from; empty for images."""
        return tuple(column.name for column in self.columns)

    @property
    def target_count(self) -> int:
        """D, the number of targets of a regression."""
        return len(self.target_names)

    @property
    def target_scale(self) -> tuple[Floats, Floats]:
        """Mean and deviation (D,) of the targets of a regression."""
        return np.array(self.target_means), np.array(self.target_deviations)

    def decode_targets(self, targets: Array) -> Array:
        """Decode stored targets (R,) or (R, D): to class names (R,), or numbers (R, D)."""
        if self.task == "classification":
            return np.array(self.classes)[targets]
        center, unit = self.target_scale
        return targets.reshape(len(targets), -1).astype(np.float64) * unit + center

    @property
    def roles(self) -> Roles:
        """The roles of the columns: features, labels, and texts that mean a missing value."""
        names = self.source_columns
        return Roles(names, self.target_names, missing_values=self.missing_values)

    @property
    def named_columns(self) -> tuple[str, ...]:
        """The columns of names, which are read as text from a file without types."""
        names = [column.name for column in self.columns if isinstance(column, CategoryColumn)]
        return (*names, *(self.target_names if self.task == "classification" else ()))

    @property
    def source_columns(self) -> tuple[str, ...]:
        """Names of the columns that a block must have to be encoded."""
        return (IMAGE,) if self.is_image else self.feature_names

    @property
    def row_bytes(self) -> int:
        """Bytes of an encoded row."""
        return prod(self.input_shape) * (1 if self.is_image else 4)

    @property
    def code_counts(self) -> dict[int, int]:
        """The number of codes of each code feature, by its place, including 0 for the unknown."""
        return {
            self._layout.starts[column.name]: len(column.categories) + 1
            for column in self.columns
            if isinstance(column, CategoryColumn) and column.encode == "code"
        }

    @property
    def encoded_names(self) -> tuple[str, ...]:
        """Names of the D features of an encoded row; empty for images."""
        return self._layout.names

    @property
    def spans(self) -> tuple[Span, ...]:
        """The features of an encoded row by the column they came from; empty for images."""
        return self._layout.spans

    @cached_property
    def source_view(self) -> SourceView:
        """The columns of encoded rows as trees take them."""
        width, mixed = prod(self.input_shape), self.scaling.mixes
        return view_columns(self.columns, self._layout, width, mixed=mixed)

    @cached_property
    def _layout(self) -> FeatureLayout:
        if self.is_image:
            return FeatureLayout((), (), np.zeros(0, np.int64), {})
        return lay_out_features(self.columns, self.scaling)

    def require_columns(self, names: Sequence[str], where: str) -> None:
        """Check that every column that the model needs is among `names`, once.

        Raises:
            DataError: names the column and the requirement.
        """
        require_columns(where, self.source_columns, names, self.target_names)

    def require_rows(self, rows: Rows) -> None:
        """Check that a source has the columns, or images of the shape, that the model needs.

        Raises:
            DataError: names the column or the shape, and the requirement.
        """
        self.require_columns(rows.schema.names, rows.where)
        if self.is_image:
            self._require_images(rows.schema.field(IMAGE).type, rows.where)

    def encode_inputs(self, block: pa.RecordBatch, place: Place) -> Array:
        """Encode a block of n rows as base files store them.

        Images are (n, H, W, C) uint8, not copied and not scaled: `input_scale` is for them. Rows of
        a table are (n, D) float32, scaled. The columns may stand in any order; further ones are
        ignored.

        Args:
            place: names row i of the block, for messages.

        Raises:
            DataError: a column is missing, or its type or a value violates its rule.
        """
        if not self.is_image:
            missing = Missing(self.missing_values)
            return encoding.encode(block, self.columns, self.scaling, self._layout, place, missing)
        encoding.require_block(block, (IMAGE,), place)
        kind = block.schema.field(IMAGE).type
        if kind != pa.fixed_shape_tensor(pa.uint8(), self.input_shape):
            self._require_images(kind, place(0))
        return np.ascontiguousarray(images_of(block, place))

    def input_scale(self) -> tuple[Floats, Floats]:
        """Return (scale, shift), float32 of `input_shape`: inputs = encoded * scale + shift."""
        if not self.is_image:
            return np.ones(self.input_shape, np.float32), np.zeros(self.input_shape, np.float32)
        scale = 1.0 / np.array(self.scaling.units)
        shift = -np.array(self.scaling.centers) * scale
        shape = self.input_shape
        return (
            np.broadcast_to(scale, shape).astype(np.float32),
            np.broadcast_to(shift, shape).astype(np.float32),
        )

    def target_place(self, rows: Rows) -> Place:
        """Return the function that names the target of a row, or the row where it has several."""
        return rows.cells(self.target_names[0]) if self.target_count == 1 else rows.place

    def encode_targets(self, values: Targets, place: Place) -> Array:
        """Return (n,) class numbers int32, or standardised targets (n,) or (n, D) float32.

        Args:
            values: (n,) or (n, D), as `read_targets` returns them.
            place: names row i of them, for messages, as `target_place` does.

        Raises:
            DataError: a label is no class of the training data, or no number.
        """
        if self.task == "classification":
            return class_codes(values, self.classes, place)
        moments = zip(self.target_names, self.target_means, self.target_deviations, strict=True)
        return scaled_targets(values, list(moments), place)

    def _require_images(self, kind: pa.DataType, where: str) -> None:
        if not isinstance(kind, pa.FixedShapeTensorType) or kind.value_type != pa.uint8():
            raise DataError(f"{where}: images of {kind}; uint8 is needed")
        if tuple(kind.shape) != self.input_shape:
            raise DataError(
                f"{where}: images of shape {tuple(kind.shape)}, "
                f"but the training data has {self.input_shape}"
            )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any], where: str) -> "Schema":
        """Read a schema that `to_json` wrote.

        Raises:
            CorruptFileError: a field is missing or of another type, or the fields do not agree.
        """
        schema = validate_as(value, cls, where, "a schema of this version")
        if not _agrees(schema):
            raise CorruptFileError(f"{where}: its shape, columns and scaling do not agree")
        return schema


def _agrees(schema: Schema) -> bool:
    scaling = schema.scaling
    numbers = sum(isinstance(column, NumberColumn) for column in schema.columns)
    sources = schema.input_shape[2] if schema.is_image else numbers
    encoded = len(scaling.means)
    if len(scaling.centers) != sources or len(scaling.units) != sources:
        return False
    center, unit = schema.target_scale
    targets = schema.target_count if schema.task == "regression" else 0
    if not schema.target_names or len(center) != targets or len(unit) != targets:
        return False
    if not (np.isfinite(center).all() and ((unit > 0) & (unit < np.inf)).all()):
        return False
    if len(set(map(str, schema.classes))) < len(schema.classes):
        return False
    if (schema.task == "classification") != (len(schema.classes) > 1):
        return False
    exact = np.array([*scaling.centers, *scaling.units, *scaling.means, *scaling.deviations])
    if not np.isfinite(exact).all() or min(scaling.units, default=1.0) <= 0:
        return False
    if len(scaling.deviations) != encoded or (not scaling.mixes and encoded != sources):
        return False
    if scaling.mixes and [len(row) for row in scaling.matrix] != [encoded] * sources:
        return False
    offsets = [column.offset for column in schema.columns if isinstance(column, NumberColumn)]
    if not np.isfinite([*offsets, *np.ravel(scaling.matrix)]).all():
        return False
    return schema.is_image or schema.input_shape == (len(schema.encoded_names),)
