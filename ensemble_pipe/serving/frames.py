"""MLflow's pyfunc, as far as models of ensemble_pipe need more of it than it does.

A typed signature makes MLflow refuse frames with whole numbers for doubles, or dates for strings,
which the model reads well. MLflow compares types before it calls the model, so its own `predict` is
given frames of the right types.
"""

from functools import wraps
from typing import Any

from mlflow import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PyFuncModel

from ensemble_pipe.errors import InputError
from ensemble_pipe.serving.signature import as_signed


class WrongInputError(InputError, MlflowException):  # type: ignore[misc]
    """What was sent is wrong: MLflow's server answers with status 400 and this message."""

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
        if getattr(model, "takes_any_frame", False) and hasattr(data, "columns"):
            data = as_signed(data, self.metadata.get_input_schema())
        return predict(self, data, params)

    taking.takes_any_frame = True  # type: ignore[attr-defined]
    PyFuncModel.predict = taking
