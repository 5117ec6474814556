"""The layers allowed inside others: all but containers."""

from ensemble_pipe.core.registry import Registry
from ensemble_pipe.nn.layers.activation import AnyActivation
from ensemble_pipe.nn.layers.base import Layer
from ensemble_pipe.nn.layers.convolution import Conv2d, DepthwiseConv2d
from ensemble_pipe.nn.layers.dense import Dense, Flatten
from ensemble_pipe.nn.layers.dropout import DropConnect, Dropout
from ensemble_pipe.nn.layers.embedding import Embedding
from ensemble_pipe.nn.layers.fractional_pooling import FractionalMaxPool
from ensemble_pipe.nn.layers.layer_norm import LayerNorm
from ensemble_pipe.nn.layers.normalization import BatchNorm
from ensemble_pipe.nn.layers.parametric import Parametric
from ensemble_pipe.nn.layers.periodic import Pbld, Periodic
from ensemble_pipe.nn.layers.piecewise import PiecewiseLinear
from ensemble_pipe.nn.layers.pooling import AveragePool, GlobalAveragePool, MaxPool
from ensemble_pipe.nn.layers.scale import FeatureScale
from ensemble_pipe.nn.layers.separable import SeparableConv2d

AnyConvolution = Conv2d | DepthwiseConv2d | SeparableConv2d
AnyPooling = MaxPool | AveragePool | GlobalAveragePool | FractionalMaxPool
AnyNumberEmbedding = PiecewiseLinear | Periodic | Pbld
PlainLayer = (
    Flatten
    | Dense
    | DropConnect
    | Embedding
    | AnyNumberEmbedding
    | AnyConvolution
    | AnyPooling
    | Dropout
    | BatchNorm
    | LayerNorm
    | AnyActivation
    | Parametric
    | FeatureScale
)

NUMBER_EMBEDDINGS: Registry[AnyNumberEmbedding] = Registry("embedding", AnyNumberEmbedding)
PLAIN_LAYERS: Registry[PlainLayer] = Registry("layer", PlainLayer, base=Layer, members={"bind": ()})
