"""The layers allowed inside others: all but containers."""

from typing import Literal

from ensemble_pipe.core.registry import Registry
from ensemble_pipe.nn.layers.activation import (
    ELU,
    GELU,
    Identity,
    LeakyReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Tanh,
)
from ensemble_pipe.nn.layers.base import Layer
from ensemble_pipe.nn.layers.convolution import Conv2d, DepthwiseConv2d
from ensemble_pipe.nn.layers.dense import Dense, Flatten
from ensemble_pipe.nn.layers.dropout import DropConnect, Dropout
from ensemble_pipe.nn.layers.embedding import Embedding
from ensemble_pipe.nn.layers.fractional_pooling import FractionalMaxPool
from ensemble_pipe.nn.layers.layer_norm import LayerNorm
from ensemble_pipe.nn.layers.normalization import BatchNorm
from ensemble_pipe.nn.layers.pooling import AveragePool, GlobalAveragePool, MaxPool
from ensemble_pipe.nn.layers.separable import SeparableConv2d

AnyActivation = Identity | ReLU | LeakyReLU | ELU | GELU | SiLU | Tanh | Sigmoid
ActivationName = Literal["linear", "relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid"]
AnyConvolution = Conv2d | DepthwiseConv2d | SeparableConv2d
AnyPooling = MaxPool | AveragePool | GlobalAveragePool | FractionalMaxPool
PlainLayer = (
    Flatten
    | Dense
    | DropConnect
    | Embedding
    | AnyConvolution
    | AnyPooling
    | Dropout
    | BatchNorm
    | LayerNorm
    | AnyActivation
)

ACTIVATIONS: Registry[AnyActivation] = Registry("activation", AnyActivation)
PLAIN_LAYERS: Registry[PlainLayer] = Registry("layer", PlainLayer, base=Layer, members={"bind": ()})
