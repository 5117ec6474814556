"""The schema of the data: columns, scaling and class names, fitted to the training part."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from math import prod
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.documents import validate_as
from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.data.sources.paths import require_columns
from ensemble_pipe.data.sources.rows import IMAGE, Place, Rows
from ensemble_pipe.data.tables import encoding, target_scaling
from ensemble_pipe.data.tables.agreement import agrees, with_bare_names
from ensemble_pipe.data.tables.columns import Roles
from ensemble_pipe.data.tables.decisions import ColumnDecision
from ensemble_pipe.data.tables.features import (
    CategoryColumn,
    Column,
    FeatureLayout,
    lay_out_features,
)
from ensemble_pipe.data.tables.fitting import require_rows
from ensemble_pipe.data.tables.images import encode_images, require_images
from ensemble_pipe.data.tables.input_fitting import fit_inputs
from ensemble_pipe.data.tables.missing import Missing
from ensemble_pipe.data.tables.scaling import Scale, Scaling
from ensemble_pipe.data.tables.source_view import SourceView, view_columns
from ensemble_pipe.data.tables.spans import Span
from ensemble_pipe.data.tables.strays import Strays
from ensemble_pipe.data.tables.target_choice import Encoder, fit_targets
from ensemble_pipe.data.tables.target_scaling import Bounds, TargetScale
from ensemble_pipe.data.tables.target_transforms import TargetTransform
from ensemble_pipe.data.tables.targets import Targets, class_codes, classes_of, require_every_class
from ensemble_pipe.data.tables.training_rows import Train

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
        target_means, target_deviations: of the D targets of a regression, transformed; empty for
            classes.
        target_transforms: of these targets; empty where none is transformed.
        target_bounds: between which their means are predicted, standardised; empty in models of
            earlier versions, whose predictions have no bounds.
        missing_values: texts that stand for a missing value, in any source.
        decisions: what is done to each source column of a table, left out or not, in their order;
            empty for images, and in models of earlier versions.
        further_scalings: of the same numbers, for learners that have a scale of their own.
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
    target_transforms: tuple[TargetTransform, ...] = ()
    target_bounds: tuple[Bounds, ...] = ()
    decisions: tuple[ColumnDecision, ...] = ()
    further_scalings: tuple[Scaling, ...] = ()

    @classmethod
    def fit(
        cls,
        rows: Rows,
        roles: Roles,
        task: Task,
        train: Train,
        scale: Scale,
        targets: Targets,
        target_scale: TargetScale = "standardize",
        further: Sequence[Scale] = (),
    ) -> "Schema":
        """Fit to the rows where `train` (R,) is true; the set of classes is that of all rows.

        The targets (R,) or (R, D) are those of `read_targets`; `target_scale` is for numbers.
        Rows are stored in `scale`; `further` scales are for learners.

        Sums are made in float64, block by block in the order of the rows, so that they have the
        same bits however the files are divided.

        Raises:
            DataError: the columns or values do not fit the roles and rules, the targets do not fit
                the task, or a class has no training rows.
            ConfigError: the scale does not fit the columns.
        """
        require_rows(rows, roles, train)
        inputs = fit_inputs(rows, roles, train, scale, further)
        place = rows.cells(roles.labels[0])
        classes = classes_of(rows, targets, place) if task == "classification" else ()
        schema = cls(
            task=task,
            target_names=roles.labels,
            classes=classes,
            missing_values=roles.missing_values,
            **inputs,
        )
        if task == "classification":
            require_every_class(classes, rows, targets.distinct(train))
            return schema
        encoder = Encoder(schema.source_columns, prod(schema.input_shape), schema.encode_inputs)
        fitted = fit_targets(target_scale, rows, roles.labels, targets, train, encoder)
        return replace(schema, **target_scaling.target_fields(fitted))

    @property
    def is_image(self) -> bool:
        return len(self.input_shape) == 3

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the source columns that are learned from; empty for images."""
        return tuple(column.name for column in self.columns)

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the columns of rows without names, in order: those left out stand there too."""
        names = tuple(decision.name for decision in self.decisions)
        return names or self.feature_names

    @property
    def target_count(self) -> int:
        """D, the number of targets of a regression."""
        return len(self.target_names)

    @property
    def target_scale(self) -> tuple[Floats, Floats]:
        """Mean and deviation (D,) of the targets of a regression, transformed."""
        return np.array(self.target_means), np.array(self.target_deviations)

    @property
    def fitted_targets(self) -> list[target_scaling.FittedTarget]:
        """The scale of each of the D targets of a regression."""
        moments = self.target_means, self.target_deviations
        further = self.target_transforms, self.target_bounds
        return target_scaling.targets_of(self.target_names, *moments, *further)

    def decode_targets(self, targets: Array) -> Array:
        """Decode stored targets (R,) or (R, D): to class names (R,), or numbers (R, D)."""
        if self.task == "classification":
            return np.array(self.classes)[targets]
        return target_scaling.unscaled(targets.reshape(len(targets), -1), self.fitted_targets)

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
        return {self._layout.starts[column.name]: column.code_count for column in self._coded}

    @property
    def code_places(self) -> dict[str, int]:
        """The place in a row of each feature of codes, by the name of its column."""
        return {column.name: self._layout.starts[column.name] for column in self._coded}

    @property
    def number_places(self) -> tuple[int, ...]:
        """The places of the encoded numbers in a row; none of images."""
        return tuple(self._layout.numbers.tolist())

    @property
    def vectors(self) -> dict[int, int]:
        """The length of the learned vectors that stand for codes, by place in a row."""
        found = {self._layout.starts[column.name]: column.vector for column in self._coded}
        return {place: length for place, length in found.items() if length is not None}

    @property
    def _coded(self) -> list[CategoryColumn]:
        categories = [column for column in self.columns if isinstance(column, CategoryColumn)]
        return [column for column in categories if column.encode == "code"]

    @property
    def encoded_names(self) -> tuple[str, ...]:
        """Names of the D features of an encoded row; empty for images."""
        return self._layout.names

    @property
    def feature_places(self) -> dict[str, tuple[int, int]]:
        """Where the features of each column begin and end in a row; mixed numbers have none."""
        return self._layout.places

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
            return FeatureLayout((), (), np.zeros(0, np.int64), {}, {})
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
            require_images(rows.schema.field(IMAGE).type, self.input_shape, rows.where)

    def encode_inputs(
        self, block: pa.RecordBatch, place: Place, strays: Strays | None = None
    ) -> Array:
        """Encode a block of n rows as base files store them.

        Images are (n, H, W, C) uint8, not copied and not scaled: `input_scale` is for them. Rows of
        a table are (n, D) float32, scaled. The columns may stand in any order; further ones are
        ignored.

        Args:
            place: names row i of the block, for messages.
            strays: counts the values of recognised columns that are no numbers or dates, and of
                columns of categories those that are no known one.

        Raises:
            DataError: a column is missing, or its type or a value violates its rule.
        """
        if not self.is_image:
            missing = Missing(self.missing_values)
            layout = self._layout
            return encoding.encode(
                block, self.columns, self.scaling, layout, place, missing, strays
            )
        return encode_images(block, self.input_shape, place)

    def input_scale(self) -> tuple[Floats, Floats]:
        """Return (scale, shift), float32 of `input_shape`: inputs = encoded * scale + shift."""
        if not self.is_image:
            return np.ones(self.input_shape, np.float32), np.zeros(self.input_shape, np.float32)
        return self.scaling.factors(self.input_shape)

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
        return target_scaling.scaled_targets(values, self.fitted_targets, place)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any], where: str) -> "Schema":
        """Read a schema that `to_json` wrote.

        Raises:
            CorruptFileError: a field is missing or of another type, or the fields do not agree.
        """
        schema = with_bare_names(validate_as(value, cls, where, "a schema of this version"))
        if not agrees(schema):
            raise CorruptFileError(f"{where}: its shape, columns and scaling do not agree")
        return schema
