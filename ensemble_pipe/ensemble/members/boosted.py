"""Members that are chains of boosted networks."""

from dataclasses import dataclass

import numpy as np

from ensemble_pipe.core.arrays import Floats, Read
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.nn.building import build
from ensemble_pipe.nn.inference import add_network, outputs_of
from ensemble_pipe.nn.losses import Loss
from ensemble_pipe.nn.networks import Architecture


@dataclass(frozen=True)
class BoostedMember:
    """A sum of networks, each with a factor; see `training.boosting`.

    Attributes:
        learner, number, step, network, mask, noise: as of a `NetworkMember`.
        loss: of the sum, which says what its outputs mean.
        rows: (r, P) parameters and statistics of its networks.
        factors: of these, r.
    """

    learner: int
    number: int
    step: int
    network: Architecture
    loss: Loss
    rows: Floats
    factors: tuple[float, ...]
    mask: Floats | None = None
    noise: tuple[float, ...] = ()

    @property
    def kind(self) -> str:
        """What the member is, for tables."""
        return f"{len(self.factors)} boosted {self.network.name}"

    def outputs(self, schema: Schema, read: Read, rows: int) -> Floats:
        """Return the predictions (R, O) float32, as `Loss.predictions` has them."""
        network = build(self.network, self.loss, schema)
        sums = np.zeros((rows, network.outputs))
        masks = [self.mask]
        for row, factor in zip(self.rows, self.factors, strict=True):
            (outputs,) = outputs_of(network, row[None], read, rows, masks=masks)
            add_network(sums, factor, outputs)
        return self.loss.predictions(sums.astype(np.float32))
