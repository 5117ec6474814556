"""The kinds of combiners that a model may hold: a new kind is added here, in the union."""

from typing import Annotated

from pydantic import Discriminator

from ensemble_pipe.ensemble.combiners.linear import LinearCombiner
from ensemble_pipe.ensemble.combiners.weighted import Weighted

AnyCombiner = Annotated[Weighted | LinearCombiner, Discriminator("name")]
