"""Conversion of documents to validated pipelines, and of pipelines to plain values."""

from typing import Any

from pydantic import ValidationError

from ensemble_pipe.config import yaml_errors
from ensemble_pipe.config.sections import Pipeline, json_schema
from ensemble_pipe.config.yaml_documents import Document
from ensemble_pipe.core.addresses import mask_secrets
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.registry import handed_in

# Keys whose values are addresses.
_ADDRESSES = {"uri", "path", "test_path"}


def validate(document: Document) -> Pipeline:
    """Validate a document as a pipeline, each section by itself.

    Raises:
        ConfigError: lists every invalid value.
    """
    try:
        return Pipeline.model_validate(document.data)
    except ValidationError as error:
        schema = Pipeline.model_json_schema() if handed_in() else json_schema()
        mistakes = yaml_errors.describe(error, document, schema)
    raise ConfigError(mistakes=mistakes)


def resolve(pipeline: Pipeline) -> dict[str, Any]:
    """Return a pipeline with every default filled in, as plain values without secrets."""
    values: dict[str, Any] = _without_secrets(pipeline.model_dump(mode="json"))
    return values


def _without_secrets(value: Any, name: str = "") -> Any:
    """Return nested values without the passwords and tokens of addresses."""
    if isinstance(value, list):
        return [_without_secrets(one) for one in value]
    if isinstance(value, dict):
        return {key: _without_secrets(one, key) for key, one in value.items()}
    return mask_secrets(value) if name in _ADDRESSES and isinstance(value, str) else value
