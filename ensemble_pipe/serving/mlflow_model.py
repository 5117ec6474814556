"""The code that MLflow stores with a logged ensemble, and runs to serve it ("models from code").

MLflow executes this file when `mlflow.pyfunc.load_model` loads the model, by MLflow's own design.
`ensemble_pipe.load` reads the same artifacts without executing anything. It may run with a later
version of the package, so it imports nothing but one name that stays.
"""

from mlflow.models import set_model

from ensemble_pipe.serving.pyfunc import EnsembleModel

set_model(EnsembleModel())
