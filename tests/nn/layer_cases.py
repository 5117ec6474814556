"""Every layer with small shapes, and how one is run: the table behind the tests of layers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.seeds import Draws, Purpose
from ensemble_pipe.nn.layers import (
    ACTIVATIONS,
    ELU,
    GELU,
    AveragePool,
    BatchNorm,
    CategoricalColumn,
    Chain,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    DropConnect,
    Dropout,
    Embedding,
    FeatureScale,
    Flatten,
    FractionalMaxPool,
    GlobalAveragePool,
    Layer,
    LayerNorm,
    LeakyReLU,
    MaxPool,
    Parametric,
    Pbld,
    Periodic,
    PiecewiseLinear,
    ReLU,
    Residual,
    SeparableConv2d,
    SiLU,
    Tanh,
)
from ensemble_pipe.nn.layers.base import Binding
from ensemble_pipe.nn.layers.chain import BoundChain
from ensemble_pipe.nn.layout import Layout

LEARNERS = (0, 1, 2)


@dataclass(frozen=True)
class LayerCase:
    """A layer, with those that it may absorb.

    Attributes:
        layers: in order.
        input_shape, output_shape: of one row.
        trains: how the outputs of training differ from those of a prediction.
        codes: columns that hold category codes, with the number of categories.
    """

    layers: tuple[Layer, ...]
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...] = ()
    trains: Literal["as it predicts", "with draws", "with statistics"] = "as it predicts"
    codes: dict[int, int] = field(default_factory=dict)

    @property
    def chain(self) -> Chain:
        return Chain(self.input_shape, self.layers)

    @property
    def layout(self) -> Layout:
        return Layout(self.chain.parameters)

    def rows(self, learners: int, kind: type[np.floating] = np.float32) -> Floats:
        """Return the rows (M, P) of a stack; statistics are positive, as variances must be."""
        layout = self.layout
        rows = draw(learners, layout.size)
        rows[:, layout.trainable :] = 0.5 + np.abs(rows[:, layout.trainable :])
        return rows.astype(kind)

    def inputs(self, *lead: int, kind: type[np.floating] = np.float32) -> Floats:
        """Return inputs (*lead, *input_shape)."""
        inputs = draw(*lead, *self.input_shape)
        for column, categories in self.codes.items():
            # Half way between codes, so that a small step changes none.
            inputs[..., column] = np.abs(inputs[..., column] * 10).astype(int) % categories + 0.5
        return inputs.astype(kind)


_table = (CategoricalColumn(column=1, categories=3, dimension=2),)
_tables = (
    CategoricalColumn(column=3, categories=4, dimension=3),
    CategoricalColumn(column=0, categories=2, dimension=1),
)

CASES: dict[str, LayerCase] = {
    "flatten-image": LayerCase((Flatten(),), (4, 3, 2), (24,)),
    "flatten-flat": LayerCase((Flatten(),), (5,), (5,)),
    # Odd sizes put the learners after the first at odd offsets in the matrix of rows.
    "dense": LayerCase((Dense(units=3),), (5,), (3,)),
    "dense-relu": LayerCase((Dense(units=7), ReLU()), (13,), (7,)),
    "dense-tanh": LayerCase((Dense(units=11), Tanh()), (7,), (11,)),
    "dense-silu": LayerCase((Dense(units=11), SiLU()), (7,), (11,)),
    "dense-one-input": LayerCase((Dense(units=5), ReLU()), (1,), (5,)),
    "dense-one-unit": LayerCase((Dense(units=1),), (7,), (1,)),
    "dense-wide": LayerCase((Dense(units=65), ReLU()), (129,), (65,)),
    **{name: LayerCase((kind(),), (5,), (5,)) for name, kind in ACTIVATIONS.items()},
    **{
        f"{name}-image": LayerCase((kind(),), (4, 3, 17), (4, 3, 17))
        for name, kind in ACTIVATIONS.items()
    },
    "parametric": LayerCase((Parametric(),), (5,), (5,)),
    "parametric-mish": LayerCase((Dense(units=7), Parametric(activation="mish")), (5,), (7,)),
    "parametric-elu-image": LayerCase((Parametric(activation="elu"),), (4, 3, 5), (4, 3, 5)),
    "feature_scale": LayerCase((FeatureScale(),), (7,), (7,)),
    "feature_scale-image": LayerCase((FeatureScale(),), (4, 3, 5), (4, 3, 5)),
    "elu-alpha": LayerCase((ELU(alpha=1.3),), (5,), (5,)),
    # Shapes for each way to compute a convolution, with sizes that fill no group or register.
    "conv2d": LayerCase((Conv2d(filters=5),), (6, 5, 7), (6, 5, 5)),
    "conv2d-relu": LayerCase((Conv2d(filters=5), ReLU()), (6, 5, 7), (6, 5, 5)),
    "conv2d-few-channels": LayerCase((Conv2d(filters=9), GELU()), (7, 6, 2), (7, 6, 9)),
    "conv2d-many-channels": LayerCase((Conv2d(filters=32),), (5, 6, 16), (5, 6, 32)),
    "conv2d-strided": LayerCase(
        (Conv2d(filters=4, kernel_size=4, stride=3, bias=False),), (8, 7, 5), (3, 3, 4)
    ),
    "conv2d-valid": LayerCase(
        (Conv2d(filters=3, kernel_size=5, stride=2, padding="valid"),), (8, 9, 3), (2, 3, 3)
    ),
    "conv2d-pointwise": LayerCase((Conv2d(filters=6, kernel_size=1),), (4, 3, 9), (4, 3, 6)),
    "depthwise_conv2d": LayerCase((DepthwiseConv2d(),), (6, 5, 5), (6, 5, 5)),
    "depthwise_conv2d-relu": LayerCase(
        (DepthwiseConv2d(stride=2, padding="valid", bias=False), ReLU()), (7, 8, 18), (3, 3, 18)
    ),
    "separable_conv2d": LayerCase((SeparableConv2d(filters=4),), (6, 5, 3), (6, 5, 4)),
    "separable_conv2d-relu": LayerCase(
        (SeparableConv2d(filters=4, stride=2), ReLU()), (6, 5, 3), (3, 3, 4)
    ),
    "batch_norm": LayerCase((BatchNorm(),), (7,), (7,), trains="with statistics"),
    "batch_norm-image": LayerCase((BatchNorm(),), (4, 3, 5), (4, 3, 5), trains="with statistics"),
    "batch_norm-leaky_relu": LayerCase(
        (BatchNorm(), LeakyReLU(slope=0.2)), (7,), (7,), trains="with statistics"
    ),
    "batch_norm-relu-max_pool": LayerCase(
        (BatchNorm(), ReLU(), MaxPool()), (5, 4, 3), (2, 2, 3), trains="with statistics"
    ),
    "batch_norm-max_pool": LayerCase(
        (BatchNorm(), MaxPool(size=3)), (7, 6, 3), (2, 2, 3), trains="with statistics"
    ),
    "batch_norm-tanh": LayerCase((BatchNorm(), Tanh()), (7,), (7,), trains="with statistics"),
    "max_pool": LayerCase((MaxPool(),), (6, 5, 3), (3, 2, 3)),
    "max_pool-overlapping": LayerCase((MaxPool(size=3, stride=2),), (7, 6, 2), (3, 2, 2)),
    "max_pool-same": LayerCase((MaxPool(size=3, stride=2, padding="same"),), (6, 5, 2), (3, 3, 2)),
    "average_pool": LayerCase((AveragePool(),), (6, 5, 3), (3, 2, 3)),
    "average_pool-same": LayerCase(
        (AveragePool(size=3, stride=1, padding="same"),), (4, 5, 2), (4, 5, 2)
    ),
    "global_average_pool": LayerCase((GlobalAveragePool(),), (4, 3, 5), (5,)),
    "fractional_max_pool": LayerCase(
        (FractionalMaxPool(ratio=1.4),), (9, 7, 2), (6, 5, 2), trains="with draws"
    ),
    "fractional_max_pool-disjoint": LayerCase(
        (FractionalMaxPool(ratio=1.5, sequence="pseudorandom", overlapping=False),),
        (11, 10, 2),
        (7, 6, 2),
        trains="with draws",
    ),
    "dropout": LayerCase((Dropout(rate=0.3),), (13,), (13,), trains="with draws"),
    "dropout-classic": LayerCase(
        (Dropout(rate=0.3, form="classic"),), (4, 3, 2), (4, 3, 2), trains="with draws"
    ),
    "dropout-none": LayerCase((Dropout(rate=0.0),), (13,), (13,)),
    "drop_connect": LayerCase((DropConnect(units=5, rate=0.4),), (7,), (5,), trains="with draws"),
    "drop_connect-relu": LayerCase(
        (DropConnect(units=5, rate=0.4), ReLU()), (7,), (5,), trains="with draws"
    ),
    "layer_norm": LayerCase((LayerNorm(),), (11,), (11,)),
    "layer_norm-image": LayerCase((LayerNorm(),), (3, 2, 4), (3, 2, 4)),
    "embedding": LayerCase((Embedding(columns=_table),), (4,), (5,), codes={1: 3}),
    "embedding-two": LayerCase((Embedding(columns=_tables),), (5,), (7,), codes={3: 4, 0: 2}),
    "embedding-only": LayerCase(
        (Embedding(columns=(CategoricalColumn(column=0, categories=3, dimension=4),)),),
        (1,),
        (4,),
        codes={0: 3},
    ),
    "pbld": LayerCase((Pbld(places=(2, 0), frequencies=5),), (4,), (10,)),
    "pbld-only": LayerCase((Pbld(places=(0,), frequencies=3, dimension=2),), (1,), (2,)),
    "periodic": LayerCase(
        (Periodic(places=(0, 3), frequencies=3, dimension=5, deviation=1.0),), (4,), (12,)
    ),
    "piecewise_linear": LayerCase(
        (PiecewiseLinear(places=(1, 2), bins=4, dimension=3),), (3,), (7,)
    ),
    "piecewise_linear-one-bin": LayerCase(
        (PiecewiseLinear(places=(0,), bins=1, dimension=2),), (2,), (3,)
    ),
    "pbld-no-numbers": LayerCase((Pbld(places=()),), (3,), (3,)),
    "residual": LayerCase((Residual(layers=(Dense(units=5), Tanh())),), (5,), (5,)),
    "residual-projection": LayerCase((Residual(layers=(Dense(units=3),)),), (5,), (3,)),
    "residual-image": LayerCase((Residual(layers=(LayerNorm(), SiLU())),), (3, 2, 4), (3, 2, 4)),
    "residual-strided": LayerCase(
        (Residual(layers=(Conv2d(filters=4, stride=2), BatchNorm(), ReLU(), Conv2d(filters=4))),),
        (7, 8, 2),
        (4, 4, 4),
        trains="with statistics",
    ),
    "residual-stochastic": LayerCase(
        (Residual(layers=(Dense(units=5), ReLU(), Dropout(rate=0.3)), survival=0.7),),
        (5,),
        (5,),
        trains="with draws",
    ),
}


class Pass(NamedTuple):
    """What one pass through layers gives: outputs, parameter and input gradients."""

    outputs: Floats
    gradients: Floats
    below: Floats


def draw(*shape: int) -> Floats:
    return np.random.default_rng(sum(shape)).standard_normal(shape)


def bind(
    case: LayerCase,
    rows: Floats,
    batch_rows: int,
    gradients: Floats | None = None,
    *,
    learners: Sequence[int] = LEARNERS,
    numbers: dict[str, Sequence[float]] | None = None,
    seed: int = 1,
    input_gradient: bool = True,
    row_products: bool = False,
) -> BoundChain:
    """Bind a case to rows (M, P) of learners, for training or (without gradients) predictions.

    Unless `numbers` says otherwise, each learner has its own; those of 1 stay 1, as a survival of 1
    is no stochastic depth.
    """
    chain, layout = case.chain, case.layout
    learners = learners[: len(rows)]
    own = {
        name: [value if value == 1 else value * (1 - 0.1 * learner) for learner in learners]
        for name, value in chain.values.items()
    }
    values = {k: np.array(v, rows.dtype) for k, v in {**own, **(numbers or {})}.items()}
    return chain.bind(
        Binding(
            name="",
            input_shape=case.input_shape,
            learners=len(rows),
            batch_rows=batch_rows,
            dtype=rows.dtype,
            tensors=layout.views(rows),
            gradients=None if gradients is None else layout.gradient_views(gradients),
            values=values,
            draws=None if gradients is None else Draws(seed, Purpose.LAYER, learners),
            input_gradient=input_gradient,
            row_products=row_products,
        )
    )


def train(
    case: LayerCase,
    rows: Floats,
    inputs: Floats,
    above: Floats,
    *,
    learners: Sequence[int] = LEARNERS,
    step: int = 0,
) -> Pass:
    """Run a batch forward and backward; the rows' statistics move, as in training.

    Args:
        case: what is run.
        rows: (M, P).
        inputs: (M, N, ...), or (1, N, ...) shared by all learners.
        above: (M, N, ...), the gradient of the outputs.
        learners: ids of the M learners.
        step: of the training.
    """
    gradients = np.full((len(rows), case.layout.trainable), np.nan, rows.dtype)
    bound = bind(case, rows, inputs.shape[1], gradients, learners=learners)
    outputs = np.broadcast_to(bound.forward(inputs, step), above.shape).copy()
    below = bound.backward(above.copy())
    assert below is not None
    return Pass(outputs, gradients, below)


def predict(
    case: LayerCase,
    rows: Floats,
    inputs: Floats,
    *,
    learners: Sequence[int] = LEARNERS,
    row_products: bool = False,
) -> Floats:
    """Return the outputs (M, N, ...) of a prediction."""
    bound = bind(case, rows, inputs.shape[1], learners=learners, row_products=row_products)
    outputs = bound.forward(inputs, 0)
    return np.broadcast_to(outputs, (len(rows), *outputs.shape[1:])).copy()
