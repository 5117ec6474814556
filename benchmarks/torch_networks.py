"""Networks of the engine as PyTorch modules with the same weights; needs torch 2.13."""

from collections.abc import Mapping
from math import prod
from typing import Any

import torch  # type: ignore[import-not-found]
from torch import nn

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.nn.layers import Dense, Dropout, Embedding, Flatten, GlobalAveragePool, MaxPool
from ensemble_pipe.nn.layers.activation import ReLU
from ensemble_pipe.nn.layers.base import Layer
from ensemble_pipe.nn.layers.chain import Chain, within
from ensemble_pipe.nn.layers.convolution import Conv2d
from ensemble_pipe.nn.layers.normalization import BatchNorm
from ensemble_pipe.nn.layers.residual import SHORTCUT, Residual
from ensemble_pipe.nn.layers.separable import SeparableConv2d
from ensemble_pipe.nn.network import Network

torch.set_num_threads(1)
torch.set_flush_denormal(True)

Tensors = Mapping[str, Floats]


def members_of(network: Network, rows: Floats) -> Any:
    """Return one module whose outputs are those (M, N, O) of networks with parameters (M, P)."""
    views = network.layout.views(rows)
    learners = [{name: tensor[m] for name, tensor in views.items()} for m in range(len(rows))]
    return Members([_sequence(network.chain, tensors) for tensors in learners]).eval()


class Members(nn.Module):  # type: ignore[misc]
    """Networks one after another on the same inputs."""

    def __init__(self, modules: list[Any]) -> None:
        super().__init__()
        self.all = nn.ModuleList(modules)

    def forward(self, x: Any) -> Any:
        return torch.stack([module(x) for module in self.all])


def _sequence(chain: Chain, tensors: Tensors) -> Any:
    modules: list[Any] = []
    flattened: tuple[int, ...] = ()
    for name, layer, shape in zip(chain.names, chain.layers, chain.shapes, strict=False):
        if isinstance(layer, Flatten) and len(shape) == 3:
            flattened = shape
        modules += _modules(layer, shape, within(name, tensors), flattened)
        if isinstance(layer, Dense):
            flattened = ()
    return nn.Sequential(*modules)


def _modules(
    layer: Layer, shape: tuple[int, ...], tensors: Tensors, flattened: tuple[int, ...]
) -> list[Any]:
    match layer:
        case Flatten():
            return [nn.Flatten()] if len(shape) == 3 else []
        case Dropout():
            return []
        case ReLU():
            return [nn.ReLU()]
        case MaxPool():
            return [nn.MaxPool2d(layer.size)]
        case GlobalAveragePool():
            return [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        case Dense():
            return [_linear(tensors, flattened)]
        case Conv2d():
            return [_convolution(tensors["kernel"], layer.stride)]
        case SeparableConv2d():
            kernel = tensors["depthwise_kernel"][:, :, None]
            depthwise = _convolution(kernel, layer.stride, groups=kernel.shape[-1])
            return [depthwise, _convolution(tensors["pointwise_kernel"], 1)]
        case BatchNorm():
            return [_batch_norm(tensors)]
        case Embedding():
            return [Embedded(layer, shape[0], tensors)]
        case Residual():
            return [Added(layer, shape, tensors)]
    raise NotImplementedError(f"a {layer.name} in PyTorch")


def _linear(tensors: Tensors, flattened: tuple[int, ...]) -> Any:
    kernel = torch.from_numpy(tensors["kernel"].copy())
    if flattened:  # PyTorch flattens channels first
        kernel = kernel.reshape(*flattened, -1).permute(2, 0, 1, 3).reshape(prod(flattened), -1)
    module = nn.Linear(*kernel.shape)
    module.weight.data = kernel.T.contiguous()
    module.bias.data = torch.from_numpy(tensors["bias"].copy())
    return module


def _convolution(kernel: Floats, stride: int, groups: int = 1) -> Any:
    size, _, channels, filters = kernel.shape
    padding = (
        size // 2
    )  # with a stride, windows lie elsewhere than the engine's: only the time counts
    module = nn.Conv2d(channels * groups, filters, size, stride, padding, groups=groups, bias=False)
    module.weight.data = torch.from_numpy(kernel.copy()).permute(3, 2, 0, 1).contiguous()
    return module.to(memory_format=torch.channels_last)


def _batch_norm(tensors: Tensors) -> Any:
    module = nn.BatchNorm2d(len(tensors["gamma"]))
    parts = {
        "weight": "gamma",
        "bias": "beta",
        "running_mean": "running_mean",
        "running_var": "running_variance",
    }
    for own, name in parts.items():
        getattr(module, own).data = torch.from_numpy(tensors[name].copy())
    return module


class Added(nn.Module):  # type: ignore[misc]
    """A residual block."""

    def __init__(self, layer: Residual, shape: tuple[int, ...], tensors: Tensors) -> None:
        super().__init__()
        branch = Chain(shape, layer.layers)
        self.survival = layer.survival
        self.branch = _sequence(branch, tensors)
        around = within(SHORTCUT, tensors)
        self.shortcut = nn.Identity()
        if around:
            (kernel,) = [name for name in around if name.endswith("kernel")]
            own = within(kernel.split("/")[0], around)
            stride = max(1, shape[0] // branch.output_shape[0])
            images = len(shape) == 3
            self.shortcut = _convolution(own["kernel"], stride) if images else _linear(own, ())

    def forward(self, x: Any) -> Any:
        return self.branch(x) * self.survival + self.shortcut(x)


class Embedded(nn.Module):  # type: ignore[misc]
    """Vectors in place of codes, behind the other columns."""

    def __init__(self, layer: Embedding, features: int, tensors: Tensors) -> None:
        super().__init__()
        self.places = [column.column for column in layer.columns]
        self.others = [place for place in range(features) if place not in self.places]
        tables = [torch.from_numpy(tensors[column.tensor].copy()) for column in layer.columns]
        self.tables = nn.ModuleList(nn.Embedding.from_pretrained(table) for table in tables)

    def forward(self, x: Any) -> Any:
        places = zip(self.places, self.tables, strict=True)
        found = [table(x[:, place].long()) for place, table in places]
        return torch.cat([x[:, self.others], *found], dim=1)
