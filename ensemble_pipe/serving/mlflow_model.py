"""The code that MLflow runs to serve an ensemble ("models from code"); it reads safetensors only.

MLflow executes this file when `mlflow.pyfunc.load_model` loads the model, by MLflow's own design.
`ensemble_pipe.load` reads the same artifacts without executing anything.
"""

import warnings
from pathlib import Path

import mlflow
from mlflow.pyfunc import PythonModel, PythonModelContext

from ensemble_pipe.core.errors import InputError
from ensemble_pipe.serving.frames import WrongInputError, take_any_frame
from ensemble_pipe.serving.model import load
from ensemble_pipe.serving.signature import as_read

with warnings.catch_warnings():
    # MLflow asks for a type hint on `model_input`, and takes it for a data schema; the signature,
    # which is logged with the model, says more than a hint can.
    warnings.simplefilter("ignore")

    class EnsembleModel(PythonModel):  # type: ignore[misc]
        """Predicts a data frame with the columns of `ensemble-pipe predict`."""

        takes_any_frame = True

        def load_context(self, context: PythonModelContext) -> None:
            self.ensemble = load(Path(context.artifacts["model"]))

        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
            schema = self.ensemble.schema
            rows = model_input if schema.is_image else as_read(model_input, schema)
            try:
                return self.ensemble.table(rows).to_pandas()
            except InputError as error:
                raise WrongInputError(error) from None


take_any_frame()
mlflow.models.set_model(EnsembleModel())
