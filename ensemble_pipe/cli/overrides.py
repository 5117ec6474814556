"""The option `--set`: values by path, which override those of a pipeline file."""

from typing import Any

from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.messages import quote


def overrides_of(texts: list[str] | None) -> dict[str, Any]:
    """Return the values of `--set`, by path.

    Raises:
        ConfigError: one is not KEY=VALUE, or its value is no YAML.
    """
    return dict(_override(text) for text in texts or [])


def take_time_limit(overrides: dict[str, Any], option: str | None) -> Any:
    """Take the time limit out of the values of `--set`, since `run` and `search` have it apart.

    Args:
        overrides: by path.
        option: that of `--time-limit`, which comes first.

    Raises:
        ConfigError: it is set to nothing.
    """
    if "time_limit" not in overrides:
        return option
    given = overrides.pop("time_limit")
    if given is None:
        raise ConfigError(
            "--set time_limit: is empty; name a duration, or leave the key out of the pipeline"
        )
    return given if option is None else option


def _override(text: str) -> tuple[str, Any]:
    from ensemble_pipe.config.yaml_documents import read_value

    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {text}: must be KEY=VALUE, such as training.epochs=3")
    try:
        return key, read_value(value, key)
    except ConfigError:
        raise ConfigError(f"--set {text}: {quote(value)} is not a YAML value") from None
