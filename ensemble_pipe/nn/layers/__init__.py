"""The layers, by their names in pipelines.

A pipeline's own list of layers holds `AnyLayer`; those inside of a residual block are `PlainLayer`.
"""

from ensemble_pipe.core.registry import Registry
from ensemble_pipe.nn.layers.activation import (
    ACTIVATIONS,
    ELU,
    GELU,
    SELU,
    Activation,
    ActivationName,
    AnyActivation,
    Identity,
    LeakyReLU,
    Mish,
    ReLU,
    Sigmoid,
    SiLU,
    Tanh,
)
from ensemble_pipe.nn.layers.base import Binding, BoundLayer, Layer
from ensemble_pipe.nn.layers.chain import Chain
from ensemble_pipe.nn.layers.convolution import Conv2d, DepthwiseConv2d
from ensemble_pipe.nn.layers.dense import Dense, Flatten
from ensemble_pipe.nn.layers.dropout import DropConnect, Dropout
from ensemble_pipe.nn.layers.embedding import CategoricalColumn, Embedding
from ensemble_pipe.nn.layers.fractional_pooling import FractionalMaxPool
from ensemble_pipe.nn.layers.layer_norm import LayerNorm
from ensemble_pipe.nn.layers.normalization import BatchNorm
from ensemble_pipe.nn.layers.numbers import NumberEmbedding
from ensemble_pipe.nn.layers.parametric import Parametric
from ensemble_pipe.nn.layers.periodic import Pbld, Periodic
from ensemble_pipe.nn.layers.piecewise import PiecewiseLinear
from ensemble_pipe.nn.layers.plain import (
    NUMBER_EMBEDDINGS,
    PLAIN_LAYERS,
    AnyNumberEmbedding,
    PlainLayer,
)
from ensemble_pipe.nn.layers.pooling import AveragePool, GlobalAveragePool, MaxPool
from ensemble_pipe.nn.layers.residual import Residual
from ensemble_pipe.nn.layers.scale import FeatureScale
from ensemble_pipe.nn.layers.separable import SeparableConv2d

__all__ = [
    "ACTIVATIONS",
    "ELU",
    "GELU",
    "LAYERS",
    "NUMBER_EMBEDDINGS",
    "PLAIN_LAYERS",
    "SELU",
    "Activation",
    "ActivationName",
    "AnyActivation",
    "AnyLayer",
    "AnyNumberEmbedding",
    "AveragePool",
    "BatchNorm",
    "Binding",
    "BoundLayer",
    "CategoricalColumn",
    "Chain",
    "Conv2d",
    "Dense",
    "DepthwiseConv2d",
    "DropConnect",
    "Dropout",
    "Embedding",
    "FeatureScale",
    "Flatten",
    "FractionalMaxPool",
    "GlobalAveragePool",
    "Identity",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "MaxPool",
    "Mish",
    "NumberEmbedding",
    "Parametric",
    "Pbld",
    "Periodic",
    "PiecewiseLinear",
    "PlainLayer",
    "ReLU",
    "Residual",
    "SeparableConv2d",
    "SiLU",
    "Sigmoid",
    "Tanh",
]

AnyLayer = PlainLayer | Residual

LAYERS: Registry[AnyLayer] = Registry("layer", AnyLayer, base=Layer, members={"bind": ()})
