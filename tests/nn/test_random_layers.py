"""Layers that draw in training: where their draws come from, and what they are in the mean."""

from collections.abc import Sequence

import numpy as np
import pytest
from layer_cases import CASES, LEARNERS, LayerCase, bind, draw, predict, train

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.nn.layers import (
    BatchNorm,
    Chain,
    Dense,
    DropConnect,
    Dropout,
    Flatten,
    FractionalMaxPool,
    Identity,
    Layer,
    ReLU,
    Residual,
)
from ensemble_pipe.nn.layers.base import Binding

RANDOM = {name: case for name, case in CASES.items() if case.trains == "with draws"}
every_random_layer = pytest.mark.parametrize("case", RANDOM.values(), ids=RANDOM)
forms = pytest.mark.parametrize("form", ["inverted", "classic"])


class Bench:
    """Layers bound to rows (M, P) for training or, without ids of learners, for predictions."""

    def __init__(
        self,
        layers: Sequence[Layer],
        input_shape: tuple[int, ...],
        rows: Floats,
        *,
        learners: Sequence[int] = (),
        numbers: dict[str, Sequence[float]] | None = None,
        seed: int = 1,
        batch_rows: int = 4,
    ) -> None:
        case = LayerCase(tuple(layers), input_shape)
        self.gradients = np.zeros((len(rows), case.layout.trainable), rows.dtype)
        same = {name: [value] * len(rows) for name, value in case.chain.values.items()}
        self.bound = bind(
            case,
            rows,
            batch_rows,
            self.gradients if learners else None,
            learners=learners or LEARNERS,
            numbers={**same, **(numbers or {})},
            seed=seed,
        )

    def __call__(self, inputs: Floats, step: int = 0) -> Floats:
        outputs = self.bound.forward(inputs, step)
        return np.broadcast_to(outputs, (len(self.gradients), *outputs.shape[1:])).copy()

    def mean(self, inputs: Floats, steps: int) -> tuple[Floats, Floats]:
        """Return the mean outputs over steps, and five of its standard errors."""
        outputs = np.array([self(inputs, step) for step in range(steps)])
        return outputs.mean(axis=0), 5 * outputs.std(axis=0) / np.sqrt(steps) + 1e-12


def size_of(layers: Sequence[Layer], input_shape: tuple[int, ...]) -> int:
    return LayerCase(tuple(layers), input_shape).layout.size


@every_random_layer
def test_draws_follow_from_seed_learner_and_step_alone(case: LayerCase) -> None:
    rows = np.repeat(case.rows(1), 2, axis=0)
    inputs = case.inputs(1, 8)
    steps: dict[tuple[int, int, int], bytes] = {}
    for seed in (1, 2):
        for learners in ((0, 1), (7, 0)):
            bench = Bench(
                case.layers, case.input_shape, rows, learners=learners, seed=seed, batch_rows=8
            )
            for step in (5, 3, 5, 900):
                for outputs, learner in zip(bench(inputs, step), learners, strict=True):
                    address = (seed, learner, step)
                    assert steps.setdefault(address, outputs.tobytes()) == outputs.tobytes()
    # Regions or gates of two addresses may be equal by chance, but not most of them.
    assert len(set(steps.values())) > len(steps) / 2


@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        ((Dropout(rate=0.5), Dropout(rate=0.5)), (64,)),
        ((Residual(layers=(Dropout(rate=0.5),)), Residual(layers=(Dropout(rate=0.5),))), (64,)),
    ],
    ids=["dropout", "in residuals"],
)
def test_layers_of_a_network_draw_apart(layers: tuple[Layer, ...], shape: tuple[int, ...]) -> None:
    bench = Bench(layers, shape, np.zeros((1, 0)), learners=[0])
    bench(np.ones((1, 4, *shape)))
    first, second = bench.bound.layers
    ones = np.ones((1, 4, *shape))
    assert first.forward(ones, 0).tobytes() != second.forward(ones, 0).tobytes()


@every_random_layer
def test_a_prediction_draws_nothing_of_a_learner(case: LayerCase) -> None:
    rows, inputs = np.repeat(case.rows(1), 3, axis=0), case.inputs(1, 4)
    bench = Bench(case.layers, case.input_shape, rows)
    first = bench(inputs)
    assert first[0].tobytes() == first[1].tobytes() == first[2].tobytes()
    if not isinstance(case.layers[0], FractionalMaxPool):
        assert bench(inputs, step=9).tobytes() == first.tobytes()
    assert bench(inputs).tobytes() == first.tobytes()


@every_random_layer
def test_training_without_draws_is_refused(case: LayerCase) -> None:
    rows = case.rows(1)
    chain = case.chain
    binding = Binding(
        name="",
        input_shape=case.input_shape,
        learners=1,
        batch_rows=2,
        dtype=rows.dtype,
        tensors=case.layout.views(rows),
        gradients=case.layout.views(np.zeros_like(rows)),
        values={name: np.full(1, value, rows.dtype) for name, value in chain.values.items()},
    )
    with pytest.raises(ValueError, match=f"^{chain.names[0]}.*: bound without draws"):
        chain.bind(binding).forward(case.inputs(1, 2), 0)


# Dropout.


@forms
def test_dropout_drops_the_share_that_each_learner_asks_for(form: str) -> None:
    layer = Dropout(form=form)  # type: ignore[arg-type]
    rates = np.array([0.0, 0.2, 0.9])
    bench = Bench(
        [layer],
        (1000,),
        np.zeros((3, 0)),
        learners=range(3),
        numbers={"dropout1/rate": [0.0, 0.2, 0.9]},
        batch_rows=40,
    )
    outputs = bench(np.ones((3, 40, 1000)))
    kept = 1 / (1 - rates) if form == "inverted" else np.ones(3)
    for own, value in zip(outputs, kept, strict=True):
        np.testing.assert_allclose(own[own != 0], value)
    dropped = (outputs == 0).mean(axis=(1, 2))
    np.testing.assert_allclose(dropped, rates, atol=5 * np.sqrt(0.25 / 40_000))


def test_dropout_drops_each_number_on_its_own() -> None:
    bench = Bench([Dropout(rate=0.5)], (50,), np.zeros((1, 0)), learners=[0], batch_rows=400)
    kept = bench(np.ones((1, 400, 50)))[0] > 0
    assert abs(np.corrcoef(kept, rowvar=False) - np.eye(50)).max() < 5 / np.sqrt(400)
    assert abs(np.corrcoef(kept[1:].ravel(), kept[:-1].ravel())[0, 1]) < 5 / np.sqrt(20_000)


@forms
def test_a_rate_of_zero_is_the_identity(form: str) -> None:
    layer = Dropout(rate=0.0, form=form)  # type: ignore[arg-type]
    inputs = draw(3, 4, 5).astype(np.float32)
    for learners in (range(3), ()):
        bench = Bench([layer], (5,), np.zeros((3, 0), np.float32), learners=learners)
        assert bench(inputs).tobytes() == inputs.tobytes()


def test_drop_connect_with_a_rate_of_zero_is_a_dense_layer() -> None:
    dense = LayerCase((Dense(units=5), ReLU()), (7,), (5,))
    dropped = LayerCase((DropConnect(units=5, rate=0.0), ReLU()), (7,), (5,))
    rows, inputs, above = dense.rows(3), dense.inputs(3, 6), draw(3, 6, 5).astype(np.float32)
    for values, others in zip(
        train(dropped, rows.copy(), inputs, above), train(dense, rows, inputs, above), strict=True
    ):
        assert values.tobytes() == others.tobytes()
    assert predict(dropped, rows, inputs).tobytes() == predict(dense, rows, inputs).tobytes()


@pytest.mark.parametrize("learners", [(3, 4), ()], ids=["training", "prediction"])
def test_both_forms_of_dropout_drop_the_same_and_differ_by_the_share_kept(
    learners: tuple[int, ...],
) -> None:
    inputs, rows = draw(2, 4, 9), np.zeros((2, 0))
    inverted = Bench([Dropout(rate=0.2, form="inverted")], (9,), rows, learners=learners)
    classic = Bench([Dropout(rate=0.2, form="classic")], (9,), rows, learners=learners)
    np.testing.assert_allclose(inverted(inputs, 7) * 0.8, classic(inputs, 7), rtol=1e-14)


# In the mean over many draws each of these is exactly its prediction, as they are linear in what
# they draw and nothing after it bends the mean.
IN_THE_MEAN: dict[str, tuple[tuple[Layer, ...], tuple[int, ...]]] = {
    "inverted dropout": ((Dropout(rate=0.3),), (4, 3, 2)),
    "classic dropout": ((Dropout(rate=0.3, form="classic"),), (5,)),
    "dropout before a linear layer": ((Dropout(rate=0.4), Dense(units=3)), (5,)),
    "classic dropout before a linear layer": (
        (Dropout(rate=0.4, form="classic"), Dense(units=3)), (5,),
    ),
    "dropout twice": ((Dropout(rate=0.2), Dense(units=4), Dropout(rate=0.3), Identity()), (5,)),
    "drop_connect": ((DropConnect(units=3, rate=0.4), Identity()), (5,)),
    "stochastic depth": ((Residual(layers=(Dense(units=5), ReLU()), survival=0.7),), (5,)),
    "stochastic depth with a projection": (
        (Residual(layers=(Dense(units=3), ReLU()), survival=0.4), Dense(units=2)), (5,),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", IN_THE_MEAN)
def test_the_mean_over_draws_is_the_prediction(name: str) -> None:
    layers, shape = IN_THE_MEAN[name]
    rows, inputs = draw(2, size_of(layers, shape)), draw(2, 4, *shape)
    mean, error = Bench(layers, shape, rows, learners=[0, 1]).mean(inputs, steps=1500)
    predicted = Bench(layers, shape, rows)(inputs)
    assert (np.abs(mean - predicted) <= error).all()
    assert (error > 1e-6).any()


def test_the_mean_would_show_a_wrong_prediction() -> None:
    layers = (Dropout(rate=0.4, form="classic"), Dense(units=3))
    rows, inputs = draw(2, size_of(layers, (5,))), draw(2, 4, 5)
    mean, error = Bench(layers, (5,), rows, learners=[0, 1]).mean(inputs, steps=1500)
    unscaled = Bench(layers[1:], (5,), rows)(inputs)
    assert (np.abs(mean - unscaled) > error).any()


# Stochastic depth.


def test_a_branch_is_kept_or_dropped_for_a_whole_batch() -> None:
    branch = (Dense(units=5), ReLU())
    rows, inputs = draw(3, size_of(branch, (5,))), draw(3, 4, 5)
    bench = Bench(
        [Residual(layers=branch)],
        (5,),
        rows,
        learners=range(3),
        numbers={"residual1/survival": [1.0, 0.5, 0.2]},
    )
    kept = Bench([Residual(layers=branch)], (5,), rows, learners=range(3))(inputs)
    counts = np.zeros(3)
    for step in range(400):
        for m, outputs in enumerate(bench(inputs, step)):
            was_kept = outputs.tobytes() == kept[m].tobytes()
            assert was_kept or outputs.tobytes() == inputs[m].tobytes()
            counts[m] += was_kept
    np.testing.assert_allclose(counts / 400, [1.0, 0.5, 0.2], atol=5 * np.sqrt(0.25 / 400))
    assert counts[0] == 400


def test_a_dropped_branch_gets_no_gradient_and_lets_that_of_its_input_through() -> None:
    layers = (Residual(layers=(Dense(units=5), ReLU()), survival=0.5),)
    rows, inputs, above = draw(1, size_of(layers, (5,))), draw(1, 4, 5), draw(1, 4, 5)
    bench = Bench(layers, (5,), rows, learners=[0])
    dropped = next(step for step in range(50) if bench(inputs, step).tobytes() == inputs.tobytes())
    bench(inputs, dropped)
    below = bench.bound.backward(above.copy())
    np.testing.assert_array_equal(bench.gradients, 0.0)
    np.testing.assert_array_equal(below, above)


def test_a_dropped_branch_that_overflows_does_no_harm() -> None:
    layers = (Residual(layers=(Dense(units=5),), survival=0.5),)
    rows, inputs = np.full((1, size_of(layers, (5,))), np.inf), np.ones((1, 4, 5))
    bench = Bench(layers, (5,), rows, learners=[0])
    finite = [bool(np.isfinite(bench(inputs, step)).all()) for step in range(50)]
    assert set(finite) == {False, True}


def test_the_statistics_of_a_dropped_branch_move_on() -> None:
    case = LayerCase((Residual(layers=(BatchNorm(),), survival=0.5),), (5,))
    for step in range(8):
        rows = case.rows(1)
        before = rows.copy()
        bound = bind(case, rows, 4, np.zeros((1, case.layout.trainable), np.float32))
        bound.forward(case.inputs(1, 4), step)
        statistics = slice(case.layout.trainable, None)
        assert (rows[:, statistics] != before[:, statistics]).all()


def test_a_residual_predicts_by_as_many_passes_as_its_layers_ask_for() -> None:
    pooling = FractionalMaxPool(test_draws=6)
    chain = Chain((9, 9, 2), [pooling, Flatten(), Residual(layers=(Dropout(rate=0.1),))])
    assert chain.test_draws == 6
    assert Residual(layers=(Dropout(rate=0.1),)).test_draws == 1
    assert Residual(layers=(pooling,)).test_draws == 6
