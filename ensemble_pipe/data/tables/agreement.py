"""What is done with a schema that was read from a file: names as of today, parts that agree."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ensemble_pipe.data.sources.paths import bare_names

if TYPE_CHECKING:
    from ensemble_pipe.data.schema import Schema


def with_bare_names(schema: "Schema") -> "Schema":
    """Return a schema whose columns have no blanks around their names, as no source gives any.

    Models of earlier versions may have them, from data frames and files other than CSV.
    """
    names = (*schema.input_names, *schema.target_names)
    bare = dict(zip(names, bare_names(names), strict=True))
    if all(name == own for own, name in bare.items()) or len(set(bare.values())) < len(bare):
        return schema
    return replace(
        schema,
        columns=tuple(replace(one, name=bare.get(one.name, one.name)) for one in schema.columns),
        decisions=tuple(replace(one, name=bare[one.name]) for one in schema.decisions),
        target_names=tuple(bare[name] for name in schema.target_names),
    )


def agrees(schema: "Schema") -> bool:
    """Return whether shape, columns, scaling, classes and targets fit each other."""
    scaling = schema.scaling
    own = [column for column in schema.columns if column.kind != "category"]
    sources = schema.input_shape[2] if schema.is_image else len(own)
    if not all(one.agrees(sources) for one in (scaling, *schema.further_scalings)):
        return False
    targets = schema.target_count if schema.task == "regression" else 0
    lengths = {len(schema.target_means), len(schema.target_deviations)}
    optional = {len(schema.target_transforms), len(schema.target_bounds)}
    if not schema.target_names or lengths != {targets} or not optional <= {0, targets}:
        return False
    if not all(one.is_usable for one in schema.fitted_targets):
        return False
    if len(set(map(str, schema.classes))) < len(schema.classes):
        return False
    if (schema.task == "classification") != (len(schema.classes) > 1):
        return False
    exact = [value for column in own for value in (column.offset, *column.values)]
    if not np.isfinite(exact).all():
        return False
    if not {column.name for column in schema.columns} <= set(schema.input_names):
        return False
    return schema.is_image or schema.input_shape == (len(schema.encoded_names),)
