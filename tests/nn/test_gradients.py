"""Every layer's and network's gradient against finite differences, in float64.

The losses' own gradients are in test_loss_gradients.py. A checker that passes everything proves
nothing, so gradients that are wrong on purpose must be refused.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gradient_checks import check_gradient
from layer_cases import CASES, LayerCase, bind, draw, train
from loss_cases import evaluate

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.seeds import Draws, Purpose
from ensemble_pipe.nn.kernels import embedding, pooling
from ensemble_pipe.nn.kernels.embedding import add_up
from ensemble_pipe.nn.kernels.pooling import average_pool_backward, max_pool_backward
from ensemble_pipe.nn.layers import (
    ACTIVATIONS,
    GELU,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    LayerNorm,
    MaxPool,
    Pbld,
    Residual,
    Tanh,
    dropout,
    layer_norm,
    residual,
)
from ensemble_pipe.nn.losses import CrossEntropy, Loss, SquaredError
from ensemble_pipe.nn.network import Network
from ensemble_pipe.nn.networks import NETWORKS as NAMES
from ensemble_pipe.nn.networks import (
    Architecture,
    Cnn,
    LinearModel,
    Mlp,
    RealMlp,
    ResNet,
    SeparableCnn,
    Sequential,
    TabM,
    WideAndDeep,
)

ROWS = 6

stacks = pytest.mark.parametrize("learners", [1, 3])
inputs_of_learners = pytest.mark.parametrize("shared", [False, True], ids=["own", "shared"])


def check_layer(case: LayerCase, learners: int, *, shared: bool = False) -> None:
    """Check all gradients of sum(weights * outputs); layers that draw do so for one fixed step."""
    rows = case.rows(learners, np.float64)
    inputs = case.inputs(1 if shared else learners, ROWS, kind=np.float64)
    size = learners * ROWS * int(np.prod(case.output_shape))
    weights = np.cos(np.arange(size)).reshape(learners, ROWS, *case.output_shape)
    trainable = case.layout.trainable

    def losses(rows: Floats, inputs: Floats) -> Floats:
        gradients = np.zeros((learners, trainable))
        outputs = bind(case, rows.copy(), ROWS, gradients).forward(inputs.copy(), 0)
        sums: Floats = (weights * outputs).reshape(learners, -1).sum(axis=1)
        return sums

    def losses_of(moving: Floats) -> Floats:
        return losses(np.concatenate([moving, rows[:, trainable:]], axis=1), inputs)

    _, gradients, below = train(case, rows.copy(), inputs.copy(), weights)
    check_gradient(losses_of, rows[:, :trainable], gradients)
    check_gradient(lambda inputs: losses(rows, inputs), inputs, below)


class NetworkCase:
    """A network with a loss on a batch."""

    def __init__(
        self, network: Network, loss: Loss, learners: int = 3, *, shared: bool = False
    ) -> None:
        self.network = network
        self.loss = loss
        self.inputs = draw(*(() if shared else (learners,)), 8, *network.input_shape)
        self.targets: Array = draw(learners, 8)
        if loss.task == "classification":
            self.targets = self.targets.argsort(axis=1).astype(np.int32) % network.outputs
        self.rows = np.stack([network.initialize(3, m, np.float64) for m in range(learners)])
        self.rows += 0.1 * draw(*self.rows.shape)  # biases start at zero

    def run(self, rows: Floats) -> tuple[Floats, Floats]:
        """Return losses (M,) and gradients (M, T)."""
        rows = rows.copy()  # statistics move
        gradients = np.full((len(rows), self.network.layout.trainable), np.nan)
        draws = Draws(1, Purpose.LAYER, range(len(rows)))
        bound = self.network.bind(rows, 8, gradients, draws=draws)
        losses = [self.loss] * len(rows)
        values, output_gradient = evaluate(losses, bound.forward(self.inputs), self.targets)
        bound.backward(output_gradient)
        return values, gradients

    def check(self, spoil: Callable[[Floats], Floats] = lambda gradients: gradients) -> None:
        _, gradients = self.run(self.rows)
        trainable = self.network.layout.trainable

        def loss_of(moving: Floats) -> Floats:
            return self.run(np.concatenate([moving, self.rows[:, trainable:]], axis=1))[0]

        check_gradient(loss_of, self.rows[:, :trainable], spoil(gradients))


@stacks
@inputs_of_learners
@pytest.mark.parametrize("name", CASES)
def test_gradient_of_layer(name: str, learners: int, shared: bool) -> None:
    check_layer(CASES[name], learners, shared=shared)


# Networks by name, small: every name has a case.
NAMED: dict[str, Architecture] = {
    "linear": LinearModel(),
    "mlp": Mlp(hidden=(7,), activation="silu", dropout=0.3),
    "wide_and_deep": WideAndDeep(hidden=(7, 5), activation="tanh", dropout=0.2),
    "realmlp": RealMlp(hidden=(5, 4), embedding=Pbld(frequencies=2, dimension=2), dropout=0.2),
    "tabm": TabM(hidden=(5,), embedding=None),
    "cnn": Cnn(filters=(3, 4), hidden=(5,)),
    "separable_cnn": SeparableCnn(filters=(3, 4), hidden=(5,), dropout=None),
    "resnet": ResNet(filters=(3, 4), blocks=1, survival=0.5),
    "sequential": Sequential(layers=(Conv2d(filters=3), Tanh(), Flatten(), Dense(units=4), GELU())),
}


def build(kind: Architecture) -> Callable[[int], Network]:
    return lambda outputs: kind.build((6, 5, 2), outputs)


NETWORKS: dict[str, Callable[[int], Network]] = {
    "linear-model": lambda outputs: Mlp(hidden=()).build((5,), outputs),
    "relu-deep": lambda outputs: Mlp(hidden=(9, 5, 3)).build((5,), outputs),
    "tanh-image": lambda outputs: Mlp(hidden=(5,), activation="tanh").build((4, 3, 2), outputs),
    **{name: build(kind) for name, kind in NAMED.items()},
    "many-layers": lambda outputs: Network(
        (6, 6, 2),
        [
            MaxPool(),
            *Mlp(hidden=(7,), activation="tanh").build((3, 3, 2), outputs).chain.layers[:-1],
            Dropout(rate=0.2),
            Residual(layers=(LayerNorm(), Dense(units=7), GELU()), survival=0.6),
            Dense(units=outputs),
        ],
    ),
}


@stacks
@inputs_of_learners
@pytest.mark.parametrize(
    ("loss", "outputs"), [(CrossEntropy(), 4), (SquaredError(), 1)], ids=["classes", "numbers"]
)
@pytest.mark.parametrize("name", NETWORKS)
def test_gradient_of_network(
    name: str, loss: Loss, outputs: int, learners: int, shared: bool
) -> None:
    NetworkCase(NETWORKS[name](outputs), loss, learners, shared=shared).check()


def nudge_one_entry(gradients: Floats) -> Floats:
    wrong = gradients.copy()
    place = np.unravel_index(np.abs(wrong).argmax(), wrong.shape)
    wrong[place] *= 1.001
    return wrong


def drop_the_last_bias(gradients: Floats) -> Floats:
    wrong = gradients.copy()
    wrong[:, -1] = 0.0
    return wrong


SPOILED: dict[str, Callable[[Floats], Floats]] = {
    "one entry off by a thousandth": nudge_one_entry,
    "one bias forgotten": drop_the_last_bias,
    "sum for mean": lambda gradients: 8.0 * gradients,
    "wrong sign": lambda gradients: -gradients,
    "learners exchanged": lambda gradients: gradients[::-1].copy(),
    "shifted by one place": lambda gradients: np.roll(gradients, 1, axis=1),
    "all zero": np.zeros_like,
    "not a number": lambda gradients: np.full_like(gradients, np.nan),
    "in half precision": lambda gradients: gradients.astype(np.float16).astype(np.float64),
}


@pytest.mark.parametrize("name", SPOILED)
def test_checker_refuses_a_spoiled_gradient(name: str) -> None:
    case = NetworkCase(Mlp(hidden=(7,)).build((5,), 4), CrossEntropy())
    case.check()
    with pytest.raises(AssertionError):
        case.check(SPOILED[name])


def test_checker_refuses_a_gradient_of_another_point() -> None:
    case = NetworkCase(Mlp(hidden=(7,)).build((5,), 4), CrossEntropy())
    _, stale = case.run(case.rows + 1e-3)
    with pytest.raises(AssertionError):
        case.check(lambda gradients: stale)


# Derivatives, from the outputs or the sums that are kept, with a plausible mistake in each.
WRONG_DERIVATIVES: dict[str, tuple[str, Callable[..., Floats]]] = {
    "relu without its mask": ("relu", np.ones_like),
    "leaky_relu as relu": ("leaky_relu", lambda y, slope: (y > 0) * 1.0),
    "elu without its alpha": ("elu", lambda y, alpha: np.where(y > 0, 1.0, y)),
    "tanh unsquared": ("tanh", lambda y: 1 - y),
    "sigmoid as tanh": ("sigmoid", lambda y: 1 - y * y),
    "silu without its second term": ("silu", lambda x: 1 / (1 + np.exp(-x))),
    "gelu as silu": ("gelu", lambda x: (lambda s: s * (1 + x * (1 - s)))(1 / (1 + np.exp(-x)))),
}


@pytest.mark.parametrize("name", WRONG_DERIVATIVES)
def test_checker_refuses_a_wrong_derivative(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    activation, derivative = WRONG_DERIVATIVES[name]

    def backward(gradient: Floats, kept: Floats, bias_gradient: Floats, *numbers: Any) -> None:
        gradient *= derivative(kept, *(number[:, None, None] for number in numbers))
        bias_gradient[:] = gradient.sum(axis=1)

    kind = ACTIVATIONS[activation]
    monkeypatch.setattr(kind, "backward_kernel", staticmethod(backward))
    with pytest.raises(AssertionError):
        check_layer(LayerCase((Dense(units=7), kind()), (5,), (7,)), 3)


@pytest.mark.parametrize("factor", [0.0, 1.0], ids=["forgotten", "averaged"])
def test_checker_refuses_a_wrong_bias_gradient(
    monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    def backward(gradient: Floats, kept: Floats, bias_gradient: Floats) -> None:
        bias_gradient[:] = factor * gradient.mean(axis=1)

    monkeypatch.setattr(ACTIVATIONS["linear"], "backward_kernel", staticmethod(backward))
    with pytest.raises(AssertionError):
        check_layer(CASES["dense"], 3)


def to_the_first_cell(gradient: Floats, rows: Any, columns: Any, winners: Any, below: Any) -> None:
    max_pool_backward(gradient, rows, columns, 0 * winners, below)


def as_a_sum(gradient: Floats, rows: Any, columns: Any, below: Floats) -> None:
    counts = np.diff(rows)[:, None, :, None] * np.diff(columns)[:, None, None]
    average_pool_backward(gradient * counts, rows, columns, below)


def of_fixed_statistics(
    gradient: Floats, inputs: Floats, gamma: Floats, means: Floats, scales: Floats, *sums: Floats
) -> None:
    z = (inputs - means[..., None]) * scales[..., None]
    sums[0][:], sums[1][:] = (gradient * z).sum(axis=1), gradient.sum(axis=1)
    gradient *= gamma[:, None] * scales[..., None]


def of_the_last_row_only(gradient: Any, inputs: Any, column: int, first: int, table: Any) -> None:
    add_up(gradient[:, -1:], inputs[:, -1:], column, first, table)


# The case that must fail, what is replaced, and by which plausible mistake.
MISTAKES: dict[str, tuple[str, object, str, Callable[..., Any]]] = {
    "dropout without its mask": (
        "dropout", dropout.BoundDropout, "backward", lambda self, gradient: gradient,
    ),
    "drop_connect without its mask": (
        "drop_connect", dropout.BoundDropConnect, "backward",
        lambda self, gradient: self.dense.backward(gradient),
    ),
    "residual without its shortcut": (
        "residual", residual.BoundResidual, "backward",
        lambda self, gradient: self.branch.backward(gradient),
    ),
    "residual without its gate": (
        "residual-stochastic", residual, "scale",
        lambda gradient, gates, out: np.copyto(out, gradient),
    ),
    "max_pool to the first cell": (
        "max_pool", pooling, "max_pool_backward", to_the_first_cell,
    ),
    "average_pool as a sum": (
        "average_pool-same", pooling, "average_pool_backward", as_a_sum,
    ),
    "layer_norm of fixed statistics": (
        "layer_norm", layer_norm, "layer_norm_backward", of_fixed_statistics,
    ),
    "embedding of the last row only": (
        "embedding", embedding, "add_up", of_the_last_row_only,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_checker_refuses_a_plausible_mistake(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    case, place, attribute, mistake = MISTAKES[name]
    monkeypatch.setattr(place, attribute, mistake)
    with pytest.raises(AssertionError):
        check_layer(CASES[case], 3)


def test_every_network_by_name_is_checked() -> None:
    assert set(NAMED) == set(NAMES)
