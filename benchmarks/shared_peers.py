"""Learners of several members that share weights in PyTorch; needs torch 2.13.

The same network as the engine's (`ensemble_pipe.nn.sharing`, form full) in the ways that it can be
written: members before or behind the rows, written out or compiled by torch.compile where there is
a C++ compiler. The fastest is what the engine is compared with.
"""

import itertools
import shutil
from collections.abc import Callable
from typing import Any

import torch  # type: ignore[import-not-found]
from torch import nn
from torch_peers import flushed

from ensemble_pipe.core.arrays import Array, Floats

torch.set_num_threads(1)

Step = Callable[[], object]


class SharedNetwork(nn.Module):  # type: ignore[misc]
    """Blocks x -> relu(((x r) W) s + b), then heads apart.

    Args:
        shape: features, outputs, width and number of blocks.
        members: K.
        first: whether activations are (K, N, D), or else (N, K, D).
    """

    def __init__(self, shape: tuple[int, int, int, int], members: int, *, first: bool) -> None:
        super().__init__()
        features, outputs, width, blocks = shape
        self.first, self.members = first, members
        sizes = [features, *[width] * blocks]

        def vectors(size: int, values: Any) -> nn.Parameter:
            return nn.Parameter(values(members, size)[:, None] if first else values(members, size))

        self.r = nn.ParameterList([vectors(size, torch.ones) for size in sizes[:-1]])
        self.r[0].data = self.r[0].data.bernoulli(0.5) * 2 - 1
        self.s = nn.ParameterList([vectors(size, torch.ones) for size in sizes[1:]])
        self.b = nn.ParameterList([vectors(size, torch.zeros) for size in sizes[1:]])
        pairs = itertools.pairwise(sizes)
        self.w = nn.ParameterList([torch.randn(d, o) * (2 / d) ** 0.5 for d, o in pairs])
        self.heads = nn.Parameter(torch.randn(members, width, outputs) * (2 / width) ** 0.5)
        self.head_bias = nn.Parameter(torch.zeros(members, 1, outputs))

    def forward(self, x: Any) -> Any:
        """Return logits (K N, O), the rows of the first member first."""
        x = x[None] if self.first else x[:, None]
        for r, w, s, b in zip(self.r, self.w, self.s, self.b, strict=True):
            x = torch.addcmul(b, (x * r) @ w, s).relu_()
        x = x if self.first else x.transpose(0, 1)
        return torch.baddbmm(self.head_bias, x, self.heads).flatten(0, 1)


def shared_peers(
    shape: tuple[int, int, int, int], members: int, inputs: Floats, labels: Array
) -> dict[str, Step]:
    """Return the steps to compare with, by name.

    Args:
        shape: features, outputs, width and number of blocks.
        members: K.
        inputs: (B, N, D) batches.
        labels: (B, N).
    """
    x, y = torch.from_numpy(inputs), torch.from_numpy(labels).long()
    found = {}
    for first in (True, False):
        name = "torch_members_first" if first else "torch_rows_first"
        model = SharedNetwork(shape, members, first=first)
        found[name] = flushed(_step(model, model, x, y))
        if shutil.which("g++"):
            model = SharedNetwork(shape, members, first=first)
            found[f"{name}_compiled"] = flushed(_step(model, torch.compile(model), x, y))
    return found


def _step(model: SharedNetwork, forward: Any, x: Any, y: Any) -> Step:
    rule = torch.optim.Adam(model.parameters(), fused=True)
    taken = 0

    def step() -> None:
        nonlocal taken
        rule.zero_grad(set_to_none=True)
        batch = taken % len(x)
        targets = y[batch].repeat(model.members)
        nn.functional.cross_entropy(forward(x[batch]), targets).backward()
        rule.step()
        taken += 1

    return step
