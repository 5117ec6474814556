"""Networks by name: settings that become layers, once the shapes of the data are known."""

from typing import Annotated, Literal

from annotated_types import Gt, Le

from ensemble_pipe.nn.initializers import Initializer
from ensemble_pipe.nn.layers import ACTIVATIONS, Dense, Flatten, Layer
from ensemble_pipe.nn.network import Network
from ensemble_pipe.settings import settings

Width = Annotated[int, Gt(0), Le(65536)]


@settings
class Mlp:
    """A multi-layer perceptron: dense layers of the given widths, then a linear output.

    Attributes:
        hidden: units of each hidden layer; an empty list makes a linear model.
        activation: after each hidden layer.
        initializer: of every kernel.
    """

    name: Literal["mlp"] = "mlp"
    hidden: tuple[Width, ...] = (128,)
    activation: Literal["relu", "tanh"] = "relu"
    initializer: Initializer = "he_normal"

    def build(self, input_shape: tuple[int, ...], outputs: int) -> Network:
        """Return the network for rows of `input_shape` and `outputs` outputs."""
        layers: list[Layer] = [Flatten()]
        for units in self.hidden:
            layers += [
                Dense(units=units, initializer=self.initializer),
                ACTIVATIONS[self.activation](),
            ]
        return Network(input_shape, [*layers, Dense(units=outputs, initializer=self.initializer)])


Architecture = Mlp
NETWORKS: dict[str, type[Architecture]] = {"mlp": Mlp}
