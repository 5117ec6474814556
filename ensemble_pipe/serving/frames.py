"""Extends MLflow's pyfunc to data frames whose types differ from the signature.

A typed signature makes MLflow refuse frames with whole numbers for doubles, or dates for strings,
which the model reads well. MLflow compares types before it calls the model, so its own `predict` is
called with frames of the right types.
"""

from functools import wraps
from typing import Any

from mlflow import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PyFuncModel

from ensemble_pipe.core.errors import InputError
from ensemble_pipe.data.sources.paths import bare_names, require_none_renamed
from ensemble_pipe.serving.signature import as_signed


class WrongInputError(InputError, MlflowException):  # type: ignore[misc]
    """The input is wrong: MLflow's server answers with status 400 and this message."""

    def __init__(self, error: InputError) -> None:
        MlflowException.__init__(self, str(error), error_code=INVALID_PARAMETER_VALUE)


def take_any_frame() -> None:
    """Let MLflow take frames of any kind of number, dates and texts for models that say so."""
    predict = PyFuncModel.predict
    if getattr(predict, "takes_any_frame", False):
        return

    @wraps(predict)
    def taking(self: Any, data: Any, params: dict[str, Any] | None = None) -> Any:
        model = getattr(self._model_impl, "python_model", None)  # which not every model has
        if getattr(model, "takes_any_frame", False):
            columns = self.metadata.get_input_schema()
            data = data if columns.is_tensor_spec() else _as_frame(data)
            if hasattr(data, "columns"):
                _require_none_renamed(data, columns)
                data = as_signed(data, columns)
        return predict(self, data, params)

    taking.takes_any_frame = True  # type: ignore[attr-defined]
    PyFuncModel.predict = taking


def _require_none_renamed(frame: Any, columns: Any) -> None:
    try:
        require_none_renamed("the input", columns.input_names(), bare_names(frame.columns))
    except InputError as error:
        raise WrongInputError(error) from None


def _as_frame(data: Any) -> Any:
    """Return columns by name, a row, or a list of rows, as a frame; else what was given."""
    import numpy as np
    import pandas as pd

    try:
        if isinstance(data, dict):
            is_row = all(np.ndim(value) == 0 for value in data.values())
            return pd.DataFrame([data] if is_row else data)
        if isinstance(data, list) and data and all(isinstance(row, dict) for row in data):
            return pd.DataFrame(data)
    except ValueError:  # columns of several lengths: MLflow refuses them
        pass
    return data
