"""Values of a pipeline file that may be written in several ways."""

from typing import Annotated, Any

from annotated_types import Ge, Gt
from pydantic import BeforeValidator, Discriminator, Field, Tag

from ensemble_pipe.core.durations import parse_duration
from ensemble_pipe.data.folding import Folding

# In seconds, however it is written.
Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    Field(json_schema_extra={"type": ["number", "string"]}),
]
# A part of the data: a share below 1, or a number of rows.
Size = Annotated[float, Gt(0), Field(lt=1)] | Annotated[int, Ge(1), Field(strict=True)]


def _folds_kind(value: object) -> str:
    return "number" if isinstance(value, int | float | str | list) else Folding.__name__


def any_branch(schema: dict[str, Any]) -> None:
    """Let an editor accept a section without its kind, which then matches several branches."""
    schema["anyOf"] = schema.pop("oneOf")


FoldsSetting = Annotated[
    Annotated[int, Ge(2), Tag("number")] | Annotated[Folding, Tag(Folding.__name__)],
    Discriminator(_folds_kind),
    Field(json_schema_extra=any_branch),
]
