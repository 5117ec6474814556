"""A trained ensemble in memory, loaded from a model artifact."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import numpy as np
import pyarrow as pa

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.errors import DataError, InputError
from ensemble_pipe.core.messages import quote, row_name, shell_word
from ensemble_pipe.core.path_kinds import describe_misplaced
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.data.base import shard_table
from ensemble_pipe.data.shard_view import ShardView
from ensemble_pipe.data.sources.rows import Place
from ensemble_pipe.data.tables.strays import Strays
from ensemble_pipe.ensemble.combiners import softmax
from ensemble_pipe.ensemble.members import ExternalOutputs, external_members, member_outputs
from ensemble_pipe.ensemble.members.external import Cells, external_outputs
from ensemble_pipe.ensemble.members.member import NO_EXTERNAL
from ensemble_pipe.ensemble.numbers import member_means
from ensemble_pipe.ensemble.prediction import Prediction
from ensemble_pipe.nn.blas import one_thread
from ensemble_pipe.serving.artifact import Model, read_artifact
from ensemble_pipe.serving.column_texts import Uncertainty
from ensemble_pipe.serving.description import describe
from ensemble_pipe.serving.external import PredictionTable, with_predictions
from ensemble_pipe.serving.in_memory import SparseMatrix, is_sparse, sparse_parts
from ensemble_pipe.serving.inputs import batch_of
from ensemble_pipe.serving.predictions import prediction_columns
from ensemble_pipe.training.components import takes_components

if TYPE_CHECKING:
    import pandas as pd

# Rows as a person has them: features (R, D), also sparse, images (R, H, W[, C]) uint8, a data frame
# of pandas or polars, Arrow, a dict with the values of each column, or a list with a dict for each
# row.
Inputs = Union[
    Array,
    SparseMatrix,
    "pd.DataFrame",
    pa.Table,
    pa.RecordBatch,
    Mapping[str, Sequence[Any]],
    Sequence[Mapping[str, Any]],
]
# Predictions of other programs for these rows, by the name of the external member.
ExternalPredictions = Mapping[str, PredictionTable] | None

_MLFLOW_SCHEMES = ("models:/", "runs:/", "mlflow-artifacts:/")


class Ensemble:
    """K members behind one predictor.

    Where members' predictions come from other programs, every method that predicts takes these as
    `given`: by name an array, whose columns are in the order of `ExternalMember.columns`, or a
    table of them. Tables may also have them beside the input's own columns, as `columns` names
    them.

    Attributes:
        schema: of the data it was trained on.
        members: in order.
        combiner: of their predictions.
        conformal: of the classes, or of each target; empty for none.
        decision: on a class; None for the most probable one.
    """

    def __init__(self, model: Model) -> None:
        self.schema = model.schema
        self.members = tuple(model.members)
        self.combiner = model.combiner
        self.conformal = model.conformal
        self.decision = model.decision
        self._draws = model.draws

    def __repr__(self) -> str:
        return f"<Ensemble: {describe(self.schema, self.members)}>"

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that a block must have to be predicted."""
        wanted = external_members(self.members).values()
        joined = [name for member in wanted for name in member.input_columns(self.schema)]
        return (*self.schema.source_columns, *joined)

    def predict(self, inputs: Inputs, given: ExternalPredictions = None) -> Array:
        """Return (R,) class names, or means in the target's units; (R, D) of several targets."""
        prediction = self.prediction(inputs, given)
        if self.schema.task == "regression":
            return self._flat(prediction.mean)
        found: Array = np.array(self.schema.classes)[prediction.decided]
        return found

    def predict_proba(self, inputs: Inputs, given: ExternalPredictions = None) -> Floats:
        """Return class probabilities (R, O), float64, in the order of `schema.classes`."""
        self._require("classification", "predict_proba")
        return self.prediction(inputs, given).probabilities

    def predict_members(self, inputs: Inputs, given: ExternalPredictions = None) -> Floats:
        """Return each member's probabilities (K, R, O), or its means (K, R) in the target's units.

        Of several targets (K, R, D).
        """
        outputs, schema = self.outputs(inputs, given), self.schema
        if schema.task == "classification":
            return softmax(outputs)
        return self._flat(member_means(outputs, schema))

    def uncertainty(self, inputs: Inputs, given: ExternalPredictions = None) -> dict[str, Floats]:
        """Return measures of uncertainty for each row (R,): see `Prediction.uncertainty`."""
        found = self.prediction(inputs, given).uncertainty()
        return {name: self._flat(values) for name, values in found.items()}

    def predict_sets(self, inputs: Inputs, given: ExternalPredictions = None) -> Array:
        """Return which classes are in each row's conformal set, (R, O) bool.

        The order is that of `schema.classes`.

        Raises:
            InputError: the model has no conformal sets.
        """
        self._require("classification", "predict_sets")
        self._require_coverage()
        return self.prediction(inputs, given).sets

    def predict_intervals(
        self,
        inputs: Inputs,
        given: ExternalPredictions = None,
        *,
        coverage: float | None = None,
    ) -> Floats:
        """Return the low and the high end of each row's conformal interval.

        (R, 2) in the target's units, or (R, D, 2) of several targets.

        Args:
            inputs: rows.
            given: predictions of other programs.
            coverage: None for that of the model's conformal intervals. With another one the
                intervals are the central ones of the predictive distribution, without guarantee.

        Raises:
            InputError: the model has no conformal intervals and no coverage is given, or it does
                not lie between 0 and 1.
        """
        self._require("regression", "predict_intervals")
        if coverage is None:
            self._require_coverage()
        elif not 0 < coverage < 1:
            raise InputError(f"coverage: must lie between 0 and 1, got {coverage}")
        prediction = self.prediction(inputs, given)
        ends = prediction.interval if coverage is None else prediction.interval_of(coverage)
        return np.stack([self._flat(end) for end in ends], axis=-1)

    def prediction(self, inputs: Inputs, given: ExternalPredictions = None) -> Prediction:
        """Return the ensemble's prediction of some rows."""
        return self.of_outputs(self.outputs(inputs, given))

    def of_outputs(self, outputs: Floats) -> Prediction:
        """Return the ensemble's prediction from the members' outputs (K, R, O)."""
        return Prediction(outputs, self.combiner, self.schema, self.conformal, self.decision)

    def table(
        self,
        inputs: Inputs,
        given: ExternalPredictions = None,
        *,
        uncertainty: Uncertainty = "one",
    ) -> pa.Table:
        """Return one row for each input row, in its order.

        Args:
            inputs: rows.
            given: predictions of other programs.
            uncertainty: "one" measure of it, or "all"; the columns are those of
                `serving.predictions.prediction_columns`.
        """
        return self.as_table(self.outputs(inputs, given), uncertainty)

    def as_table(self, outputs: Floats, uncertainty: Uncertainty = "one") -> pa.Table:
        """Return the predictions from the members' outputs (K, R, O), a row for each of R."""
        columns = prediction_columns(self.of_outputs(outputs), uncertainty)
        return pa.table({name: pa.array(column) for name, column in columns.items()})

    def outputs(self, inputs: Inputs, given: ExternalPredictions = None) -> Floats:
        """Return the members' outputs (K, R, O) float32, see `ensemble.members.member_outputs`.

        Raises:
            DataError: a column is missing, or a value is not as the model needs it.
            InputError: predictions of an external member are missing.
        """
        if is_sparse(inputs) and not given:  # which would not fit into memory as a whole
            parts = [self._outputs(part, None, first) for first, part in sparse_parts(inputs)]
            return np.concatenate(parts, axis=1)
        return self._outputs(inputs.toarray() if is_sparse(inputs) else inputs, given)

    def _outputs(self, inputs: Any, given: ExternalPredictions, first: int = 0) -> Floats:
        batch = batch_of(inputs, self.schema)
        block = with_predictions(batch, inputs, given, self.members, self.schema)
        strays = Strays()
        found = self.block_outputs(block, lambda row: row_name(first + row), first, strays=strays)
        strays.warn()
        return found

    def block_outputs(
        self,
        block: pa.RecordBatch,
        place: Place,
        first: int = 0,
        cells: Cells | None = None,
        strays: Strays | None = None,
    ) -> Floats:
        """Return the outputs for a part of an input.

        Args:
            block: with the columns that the model needs, see `columns`.
            place: names row i of the block, for messages.
            first: number of its first row in the whole input.
            cells: cells(column) names row i of a column of external predictions; None for `place`.
            strays: counts the values that are no numbers, dates or known categories.
        """
        cells = cells or (lambda column: lambda row: f"{place(row)}, column {quote(column)}")
        given = {
            name: self._external_outputs(block, member.input_columns(self.schema), cells)
            for name, member in external_members(self.members).items()
        }
        if block.num_rows == 0:
            return member_outputs(self.members, self.schema, [lambda *_: None], 0, given)
        try:
            with one_thread():
                encoded = self.schema.encode_inputs(block, place, strays)
        except DataError as error:
            raise DataError(error.at_prediction) from None
        return self.stored_outputs(encoded, given, first)

    def stored_outputs(
        self, stored: Array, given: ExternalOutputs = NO_EXTERNAL, first: int = 0
    ) -> Floats:
        """Return the outputs (K, R, O) for rows (R, *shape) as base files hold them."""
        none = np.zeros(len(stored), np.int32)
        view = ShardView([shard_table(stored, none, none)], *self.schema.input_scale())
        reads = self._draws.reads(view, self.schema.spans, first)
        return member_outputs(self.members, self.schema, reads, len(stored), given)

    def _external_outputs(
        self, block: pa.RecordBatch, names: tuple[str, ...], cells: Cells
    ) -> Floats:
        """Return the predictions of an external member, as its outputs (R, O)."""
        columns = [block.column(name) for name in names]
        return external_outputs(columns, names, self.schema, cells)

    def _flat(self, values: Floats) -> Floats:
        """Return numbers without the axis of their targets where there is one target."""
        alone = self.schema.task == "regression" and self.schema.target_count == 1
        return values[..., 0] if alone else values

    def _require(self, task: str, what: str) -> None:
        if self.schema.task != task:
            raise InputError(f"{what} needs a {task} model; this one is for {self.schema.task}")

    def _require_coverage(self) -> None:
        if not self.conformal:
            raise InputError(
                "this model was trained without a stated coverage; train it with, for instance, "
                "ensemble.combine.coverage: 0.9"
            )


@takes_components
def load(model: str | Path, *, components: Sequence[type[Any]] = ()) -> Ensemble:
    """Load an ensemble; nothing that is loaded is executed.

    Args:
        model: a run directory, a model directory, or an MLflow URI (models:/..., runs:/...),
            which is downloaded first.
        components: classes of a caller's own that the model has; see `training.components`.

    Raises:
        ConfigError: a component that the model has is missing, or one is not as it must be.
        InputError: there is no model at `model`.
        CorruptFileError: its files do not match their sums.
    """
    if str(model).startswith(_MLFLOW_SCHEMES):
        return _load_from_mlflow(str(model))
    root = Path(model)
    for folder in (root, RunPaths(root).model, root / "artifacts" / "model"):
        if (folder / "model.json").is_file() and (folder / "manifest.json").is_file():
            return Ensemble(read_artifact(folder))
    if RunPaths(root).manifest.is_file():
        raise InputError(
            f"{root}: this run has no model yet; finish it with "
            f"`ensemble-pipe resume {shell_word(root)}`"
        )
    raise InputError(
        describe_misplaced(root, "a model")
        or f"{root}: no model there; name a run directory, a model directory or an MLflow model URI"
    )


def _load_from_mlflow(uri: str) -> Ensemble:
    import tempfile

    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        try:
            path = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder)
        except (mlflow.MlflowException, OSError) as error:
            raise InputError(
                f"{uri}: MLflow cannot give this model ({error}); set MLFLOW_TRACKING_URI to the "
                "store that holds it"
            ) from None
        return load(path)
