"""Reading of pipeline files: YAML and overrides, with all mistakes reported at once."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from ensemble_pipe.config import yaml_documents
from ensemble_pipe.config.conversion import resolve, validate
from ensemble_pipe.config.file_names import with_name
from ensemble_pipe.config.plans import Plans, make_plans
from ensemble_pipe.config.sections import Pipeline, Tracking
from ensemble_pipe.config.yaml_documents import Document
from ensemble_pipe.core.errors import ConfigError, InputError

__all__ = [
    "Pipeline",
    "load_pipeline",
    "load_tracking",
    "read_pipeline",
    "require_pipeline",
    "resolve",
]


def require_pipeline(pipeline: object, overrides: dict[str, Any]) -> None:
    """Check what a function is given as a pipeline.

    Args:
        pipeline: a path, or a `Pipeline`.
        overrides: values by path, which only a file takes.

    Raises:
        InputError: it is something else, or a `Pipeline` with overrides.
    """
    if isinstance(pipeline, Pipeline):
        if overrides:
            raise InputError("overrides go with a pipeline file, not with a Pipeline object")
    elif not isinstance(pipeline, str | Path):
        raise InputError(
            f"a pipeline is a YAML file or a Pipeline, not a {type(pipeline).__name__}; "
            "ensemble_pipe.config.sections.Pipeline.model_validate(...) makes one of a mapping"
        )


def load_pipeline(path: Path, overrides: dict[str, Any] | None = None) -> tuple[Pipeline, Plans]:
    """Read a pipeline file, and plan its learners.

    Args:
        path: a YAML file.
        overrides: values by path, such as {"training.epochs": 3}; each replaces or adds one key.

    Raises:
        ConfigError: lists every mistake with its key, the right choices, file and line.
    """
    document, overrides = with_name(yaml_documents.read_document(path), path), overrides or {}
    try:
        return read_pipeline(document.with_overrides(overrides))
    except ConfigError as error:
        if not error.mistakes:
            raise
        raise _blame(error, document, overrides) from None


def load_tracking(path: Path) -> Tracking:
    """Return the `tracking` section of a run's pipeline; the others may name what is not here.

    A command has no way to be handed the components of a caller's own that a run was trained with,
    and needs none to ship it.

    Raises:
        ConfigError: lists every mistake of the section.
    """
    document = yaml_documents.read_document(path)
    return validate(
        replace(document, data={"tracking": document.data.get("tracking", {})})
    ).tracking


def read_pipeline(document: Document) -> tuple[Pipeline, Plans]:
    """Return the pipeline of a document, and its plans; errors as in `load_pipeline`."""
    pipeline = validate(document)
    return pipeline, make_plans(pipeline, document)


def _blame(error: ConfigError, document: Document, overrides: dict[str, Any]) -> ConfigError:
    """Return the error, with overrides named as the place of the mistakes that they cause."""
    without = {}
    for key in overrides:
        others = {other: value for other, value in overrides.items() if other != key}
        without[f"--set {key}"] = _mistakes(document, others)
    mistakes = []
    for text, where in error.mistakes:
        causes = [name for name, others in without.items() if _rule(text) not in others]
        mistakes.append((text, f" ({', '.join(causes)})" if causes else where))
    return ConfigError(mistakes=mistakes)


def _mistakes(document: Document, overrides: dict[str, Any]) -> set[str]:
    try:
        read_pipeline(document.with_overrides(overrides))
    except ConfigError as error:
        return {_rule(text) for text, _ in error.mistakes}
    return set()


def _rule(text: str) -> str:
    """Return a message without the value, which may be a whole section."""
    return text.rsplit(", got ", 1)[0]
