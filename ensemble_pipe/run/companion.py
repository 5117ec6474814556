"""The program of a run's companion, the process that ships its journal to MLflow.

It is started by `tracking.tracker` as `python -m ensemble_pipe.run.companion`.
"""

import os
from functools import partial

from ensemble_pipe.serving.mlflow_logging import log_model, prepare
from ensemble_pipe.tracking.companion import Assignment
from ensemble_pipe.tracking.companion_loop import serve
from ensemble_pipe.tracking.shipping import LogModel


def _log_model_of(assignment: Assignment) -> LogModel:
    return partial(log_model, register_as=assignment.register_as)


def _main() -> None:
    commands, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # What MLflow prints is no message to the driver.
    os.dup2(2, 1)
    serve(commands, answers, _log_model_of, prepare)


if __name__ == "__main__":
    _main()
