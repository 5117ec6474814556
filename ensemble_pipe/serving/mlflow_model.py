"""The code that MLflow runs to serve an ensemble ("models from code"); it reads safetensors only.

MLflow executes this file when `mlflow.pyfunc.load_model` loads the model, by MLflow's own design.
`ensemble_pipe.load` reads the same artifacts without executing anything.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
from mlflow.pyfunc import PythonModel, PythonModelContext

from ensemble_pipe.serving.model import load

if TYPE_CHECKING:
    import pandas as pd


class EnsembleModel(PythonModel):  # type: ignore[misc]
    """Predicts a data frame with the columns of `ensemble-pipe predict`."""

    def load_context(self, context: PythonModelContext) -> None:
        self.ensemble = load(Path(context.artifacts["model"]))

    def predict(
        self, context: PythonModelContext, model_input: Any, params: dict[str, Any] | None = None
    ) -> "pd.DataFrame":
        return self.ensemble.table(model_input).to_pandas()


mlflow.models.set_model(EnsembleModel())
