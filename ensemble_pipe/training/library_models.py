"""Models of LightGBM and CatBoost: the file that holds them, and the checks of what is in it.

A file is JSON with the models in the text formats of their libraries, LightGBM's text and
CatBoost's JSON. Both are parsed by compiled code that trusts them, so no library is given a text of
a file: it is given one that is written anew from what was checked.
"""

import importlib
import json
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import Any, Literal

from ensemble_pipe.core.documents import parse_json
from ensemble_pipe.core.errors import ConfigError, CorruptFileError
from ensemble_pipe.training.catboost_json import checked_catboost
from ensemble_pipe.training.lightgbm_text import checked_lightgbm

Library = Literal["lightgbm", "catboost"]


def load_library(name: Library) -> Any:
    """Import a library of boosted trees, which are extras.

    Raises:
        ConfigError: it is not installed; says how it would be.
    """
    if find_spec(name) is None:
        raise ConfigError(
            f'{name} is not installed; install it with `pip install "ensemble-pipe[boosting]"`'
        )
    return importlib.import_module(name)


@dataclass(frozen=True)
class LibraryModels:
    """A fitted learner.

    Attributes:
        facts: what it was fitted by, as plain values.
        classes: that it was fitted to; () for numbers.
        groups: see `tree_inputs.join_groups`.
        models: text of the one model of classes, or of each target.
    """

    facts: dict[str, Any]
    classes: tuple[int, ...]
    groups: tuple[int, ...]
    models: tuple[str, ...]

    def to_bytes(self) -> bytes:
        """Return the content of the file."""
        return json.dumps(asdict(self), allow_nan=False).encode()


def read_models(
    content: bytes, library: Library, columns: int, categories: int, where: str
) -> LibraryModels:
    """Return what `LibraryModels.to_bytes` wrote, with models that the library may be given.

    Args:
        content: of the file.
        library: that made the models.
        columns: C, that the trees may ask for.
        categories: how many of them, the first, are categories.
        where: its place, for messages.

    Raises:
        CorruptFileError: it is no such file, or something in a model does not fit the rest.
    """
    found = parse_json(content, LibraryModels, where)
    sums = len(found.classes) if len(found.classes) > 2 else 1
    check = checked_lightgbm if library == "lightgbm" else partial(checked_catboost, where=where)
    try:
        models = tuple(check(model, columns, categories, sums) for model in found.models)
    except ValueError as error:
        raise CorruptFileError(f"{where}: not a model of {library} ({error})") from None
    return replace(found, models=models)
