"""The parameters of an estimator, as a pipeline."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ensemble_pipe.config.plans import Plans
from ensemble_pipe.config.reading import read_pipeline
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.config.yaml_documents import Document
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.search.spaces import paths_of

# Where in a pipeline each parameter stands.
PATHS = {
    "learners": "ensemble.learners",
    "hidden": "network.hidden",
    "activation": "network.activation",
    "dropout": "network.dropout",
    "epochs": "training.epochs",
    "batch_size": "training.batch_size",
    "optimizer": "training.optimizer.name",
    "learning_rate": "training.optimizer.learning_rate",
    "weight_decay": "training.optimizer.weight_decay",
    "schedule": "training.schedule.name",
    "patience": "training.early_stopping.patience",
    "validation_fraction": "splits.validation",
    "folds": "splits.folds",
    "refit": "splits.refit",
    "search": "search",
    "time_limit": "time_limit",
}
# What comes with the rows, or from a parameter that is no value of a pipeline.
NOT_OVERRIDDEN = ("classes", "data", "name", "seed", "splits", "task", "tracking", "transfer")
# But these say how the columns are read.
_OF_COLUMNS = ("data.columns", "data.missing_values")


def pipeline_of(
    parameters: Mapping[str, Any], overrides: Mapping[str, Any], task: str, seed: int, name: str
) -> tuple[Pipeline, Plans]:
    """Return the pipeline of an estimator, and its plans; of its data only the rules are used.

    Args:
        parameters: of the estimator, by the names in `PATHS`; None for what a pipeline has.
        overrides: values by path, which come last.
        task: classification or regression.
        seed: of the run.
        name: of the estimator, for messages.

    Raises:
        ConfigError: lists every mistake, by the name of the parameter or the path that holds it.
    """
    _require_overridable(overrides, name)
    data = {"source": "table", "path": "X", "label": "y"}
    document = Document(name, {"task": task, "seed": seed, "data": data})
    for parameter, path in PATHS.items():
        value = _plain(parameters[parameter])
        if parameter == "search" and isinstance(value, str):
            value = {"space": value}
        if value is not None:
            document.override(path, value)
    document.sources.clear()  # a parameter is named, and is no --set
    try:
        for path, value in overrides.items():
            document.override(str(path), _plain(value))
        config, plans = read_pipeline(document)
        _require_no_transfer(config, plans)
        return config, plans
    except ConfigError as error:
        raise ConfigError(_by_parameter(str(error), overrides, name)) from None


def _require_overridable(overrides: Mapping[str, Any], name: str) -> None:
    if not isinstance(overrides, Mapping):
        raise ConfigError(
            f"overrides: must be a dict of values by path, such as "
            f"{{'training.loss.name': 'hinge'}}, got {overrides!r} ({name})"
        )
    for path in overrides:
        is_rule = any(f"{path}.".startswith(f"{allowed}.") for allowed in _OF_COLUMNS)
        if str(path).split(".")[0] in NOT_OVERRIDDEN and not is_rule:
            raise ConfigError(
                f"overrides: {path!r} is for pipeline files; an estimator's rows come with fit, "
                f"its seed from random_state, its held-out rows from validation_fraction ({name})"
            )


def _require_no_transfer(config: Pipeline, plans: Plans) -> None:
    """Raise ConfigError where learners, or trials of a search, are to have weights of a run."""
    search = config.search
    of_trials = frozenset() if search is None else paths_of(search)
    for path, has in (
        ("ensemble.pool", bool(plans.transfers)),
        ("search.space", any(path.split(".")[0] == "transfer" for path in of_trials)),
    ):
        if has:
            raise ConfigError(
                f"{path}: transfer is for pipeline files; an estimator begins every learner anew"
            )


def _plain(value: Any) -> Any:
    """Return a value without NumPy's types, as a grid of parameters may have them."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _by_parameter(message: str, overrides: Mapping[str, Any], name: str) -> str:
    """Name parameters in a message by what the user calls them."""
    lines = []
    for line in message.splitlines():
        path, _, text = line.partition(": ")
        named = {own: parameter for parameter, own in PATHS.items() if own not in overrides}
        lines.append(f"{named.get(path, path)}: {text}".replace("--set ", "overrides "))
    return "\n".join(lines)
