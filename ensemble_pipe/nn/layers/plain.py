"""The layers that may stand inside of others: all but those that hold layers themselves."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

from ensemble_pipe.nn.layers.activation import (
    ELU,
    GELU,
    LeakyReLU,
    Linear,
    ReLU,
    Sigmoid,
    SiLU,
    Tanh,
)
from ensemble_pipe.nn.layers.convolution import Conv2d, DepthwiseConv2d
from ensemble_pipe.nn.layers.dense import Dense, Flatten
from ensemble_pipe.nn.layers.dropout import DropConnect, Dropout
from ensemble_pipe.nn.layers.embedding import Embedding
from ensemble_pipe.nn.layers.fractional_pooling import FractionalMaxPool
from ensemble_pipe.nn.layers.layer_norm import LayerNorm
from ensemble_pipe.nn.layers.normalization import BatchNorm
from ensemble_pipe.nn.layers.pooling import AveragePool, GlobalAveragePool, MaxPool
from ensemble_pipe.nn.layers.separable import SeparableConv2d

AnyActivation = Linear | ReLU | LeakyReLU | ELU | GELU | SiLU | Tanh | Sigmoid
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


@dataclass(frozen=True)
class ByName:
    """Marks a union of settings whose branch is chosen by `name`, for the pipeline's schema.

    pydantic calls the method below; its own marker would have to be imported here.
    """

    def __get_pydantic_core_schema__(
        self, source: Any, handler: Callable[[Any], Any]
    ) -> dict[str, Any]:
        kinds = {kind.name: handler(kind) for kind in get_args(source)}
        return {"type": "tagged-union", "choices": kinds, "discriminator": "name"}
