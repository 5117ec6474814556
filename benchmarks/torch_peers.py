"""The nets of `engine.py` in PyTorch, at the best setting found on one core; needs torch 2.13.

Adam's moments of weights whose gradients have vanished fall into denormal numbers, which take many
times as long: `flushed` sets them to zero. The setting is one of the thread, so it is taken back
after each step, and holds for no other contestant.
"""

import itertools
from collections.abc import Callable
from typing import Any

import torch  # type: ignore[import-not-found]
from torch import nn

from ensemble_pipe.core.arrays import Array, Floats

torch.set_num_threads(1)

Step = Callable[[], object]


def peers(name: str, inputs: Floats, labels: Array, outputs: int) -> dict[str, Step]:
    """Return the steps to compare with, by name.

    Args:
        name: of the network: mlp, cnn or separable_cnn.
        inputs: (B, M, N, ...) batches of each learner.
        labels: (B, M, N).
        outputs: O.
    """
    learners = inputs.shape[1]
    x, y = torch.from_numpy(inputs), torch.from_numpy(labels).long()
    if inputs.ndim == 6:
        x = x.permute(0, 1, 2, 5, 3, 4)
    models = [_model(name, inputs.shape[3:], outputs, learners) for _ in range(learners)]
    found = {"torch": flushed(_one_after_another(models, x, y))}
    if learners > 1:
        found["torch_bmm"] = flushed(_stacked(inputs.shape[-1], outputs, x, y))
    return found


def flushed(step: Step) -> Step:
    """Return a step during which denormal numbers are zero."""

    def run() -> None:
        torch.set_flush_denormal(True)
        step()
        torch.set_flush_denormal(False)

    return run


def _model(name: str, shape: tuple[int, ...], outputs: int, learners: int) -> Any:
    if name == "mlp":
        widths = [shape[0], *([50] if learners > 1 else [512, 256])]
        layers: list[Any] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(widths[-1], outputs))
    second = [nn.Conv2d(32, 64, 3, padding=1, bias=False)]
    if name == "separable_cnn":
        second = [
            nn.Conv2d(32, 32, 3, padding=1, groups=32, bias=False),
            nn.Conv2d(32, 64, 1, bias=False),
        ]
    model = nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.MaxPool2d(2), *second, nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(7 * 7 * 64, 128), nn.ReLU(), nn.Dropout(0.25)),
        nn.Linear(128, outputs),
    )
    return model.to(memory_format=torch.channels_last)


def _one_after_another(models: list[Any], x: Any, y: Any) -> Step:
    rules = [torch.optim.Adam(model.parameters(), fused=True) for model in models]
    if x.ndim == 6:
        x = x.flatten(0, 2).contiguous(memory_format=torch.channels_last).view(x.shape)
    taken = 0

    def step() -> None:
        nonlocal taken
        for m, (model, rule) in enumerate(zip(models, rules, strict=True)):
            rule.zero_grad(set_to_none=True)
            batch = taken % len(x)
            nn.functional.cross_entropy(model(x[batch, m]), y[batch, m]).backward()
            rule.step()
        taken += 1

    return step


def _stacked(features: int, outputs: int, x: Any, y: Any) -> Step:
    """The same stack of two-layer nets as batched products over all learners."""
    learners = x.shape[1]
    shapes = [(learners, features, 50), (learners, 1, 50), (learners, 50, outputs)]
    shapes.append((learners, 1, outputs))
    tensors = [torch.randn(shape).mul_(0.1).requires_grad_() for shape in shapes]
    rule = torch.optim.Adam(tensors, fused=True)
    taken = 0

    def step() -> None:
        nonlocal taken
        first, bias1, second, bias2 = tensors
        rule.zero_grad(set_to_none=True)
        batch = taken % len(x)
        hidden = torch.baddbmm(bias1, x[batch], first).relu()
        logits = torch.baddbmm(bias2, hidden, second)
        loss = nn.functional.cross_entropy(
            logits.flatten(0, 1), y[batch].flatten(), reduction="sum"
        )
        (loss / x.shape[2]).backward()
        rule.step()
        taken += 1

    return step
