"""The kinds of combiners that a model may hold: a new kind is added here, in the union."""

from typing import Annotated

from ensemble_pipe.core.registry import Registry
from ensemble_pipe.ensemble.combiners.linear import LinearCombiner
from ensemble_pipe.ensemble.combiners.weighted import Weighted

_Kind = Weighted | LinearCombiner
COMBINERS: Registry[_Kind] = Registry("combiner", _Kind)
AnyCombiner = Annotated[_Kind, COMBINERS]
