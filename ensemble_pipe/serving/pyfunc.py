"""An ensemble as an MLflow model of the flavour pyfunc.

`mlflow_model.py` is the code that MLflow stores with each logged model, and it imports the class
below by this name, in whatever version of the package is installed when the model is served. So
`ensemble_pipe.serving.pyfunc.EnsembleModel` keeps its name.
"""

import warnings
from pathlib import Path

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
        """Predicts data frames, with the columns that `ensemble-pipe predict` writes."""

        takes_any_frame = True

        def load_context(self, context: PythonModelContext) -> None:
            """Load the ensemble; only safetensors, JSON and skops files are read."""
            take_any_frame()
            self.ensemble = load(Path(context.artifacts["model"]))

        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
            """Return a data frame with a row of predictions for each row of the input.

            The parameter `uncertainty` is "one" measure of it, or "all".
            """
            uncertainty = (params or {}).get("uncertainty", "one")
            schema = self.ensemble.schema
            rows = model_input if schema.is_image else as_read(model_input, schema)
            try:
                return self.ensemble.table(rows, uncertainty=uncertainty).to_pandas()
            except InputError as error:
                raise WrongInputError(error) from None
