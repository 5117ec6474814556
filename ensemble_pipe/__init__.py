"""Distributed ensembles of NumPy neural networks on Ray, fed by Arrow, tracked in MLflow.

    >>> import ensemble_pipe
    >>> sorted(ensemble_pipe.__all__)  # doctest: +ELLIPSIS
    ['Ensemble', 'EnsembleClassifier', 'EnsembleRegressor', 'RunResult', ..., 'load', 'run']

`run` trains an ensemble from a pipeline file; `load` reads the trained model back. The estimators
are ensembles behind scikit-learn's interface.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "Ensemble",
    "EnsembleClassifier",
    "EnsembleRegressor",
    "RunResult",
    "__version__",
    "load",
    "run",
]

if TYPE_CHECKING:
    from ensemble_pipe.estimators import EnsembleClassifier, EnsembleRegressor
    from ensemble_pipe.pipeline import RunResult, run
    from ensemble_pipe.serving.model import Ensemble, load

_HOMES = {
    "Ensemble": "ensemble_pipe.serving.model",
    "EnsembleClassifier": "ensemble_pipe.estimators",
    "EnsembleRegressor": "ensemble_pipe.estimators",
    "RunResult": "ensemble_pipe.pipeline",
    "load": "ensemble_pipe.serving.model",
    "run": "ensemble_pipe.pipeline",
}


def __getattr__(name: str) -> Any:
    # Imported on first use, so that the command line answers `--help` at once.
    if name not in _HOMES:
        raise AttributeError(f"module 'ensemble_pipe' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
