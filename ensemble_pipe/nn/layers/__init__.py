"""Layers, by the name that pipelines write.

A pipeline's own list of layers holds `AnyLayer`; those inside of a residual block are `PlainLayer`.
"""

from ensemble_pipe.nn.layers.activation import Activation, Linear, ReLU, Tanh
from ensemble_pipe.nn.layers.base import Binding, BoundLayer, Layer
from ensemble_pipe.nn.layers.chain import Chain
from ensemble_pipe.nn.layers.dense import Dense, Flatten

__all__ = [
    "ACTIVATIONS",
    "LAYERS",
    "Activation",
    "AnyLayer",
    "Binding",
    "BoundLayer",
    "Chain",
    "Dense",
    "Flatten",
    "Layer",
    "Linear",
    "PlainLayer",
    "ReLU",
    "Tanh",
]

PlainLayer = Flatten | Dense | Linear | ReLU | Tanh
AnyLayer = PlainLayer

ACTIVATIONS: dict[str, type[Activation]] = {"linear": Linear, "relu": ReLU, "tanh": Tanh}
LAYERS: dict[str, type[Layer]] = {"flatten": Flatten, "dense": Dense, **ACTIVATIONS}
