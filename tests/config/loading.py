"""A pipeline that is refused."""

from collections.abc import Callable
from typing import Any

import pytest

from ensemble_pipe.config.reading import Pipeline
from ensemble_pipe.core.errors import ConfigError

Load = Callable[..., Pipeline]


def refusal(load: Load, text: str, overrides: dict[str, Any] | None = None) -> str:
    with pytest.raises(ConfigError) as refused:
        load(text, overrides)
    return str(refused.value)
