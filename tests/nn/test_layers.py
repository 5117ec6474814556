"""One table of promises that every layer keeps; its gradients are in test_gradients.py.

What only some layers promise stands in test_activations.py, test_pooling.py, test_random_layers.py
and, for the others, at the end.
"""

import numpy as np
import pytest
from layer_cases import CASES, LayerCase, bind, draw, predict, train

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.nn.inference import CHUNK_ROWS
from ensemble_pipe.nn.layers import (
    LAYERS,
    BatchNorm,
    CategoricalColumn,
    Chain,
    Dense,
    Embedding,
    Flatten,
    LayerNorm,
    ReLU,
    Residual,
)
from ensemble_pipe.nn.layers.dense import MANY_ROWS, write_kernel_gradient
from ensemble_pipe.nn.network import Network

every_layer = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
every_stack = pytest.mark.parametrize("learners", [1, 3])
some_batches = pytest.mark.parametrize("batch_rows", [1, 17])
own_and_shared = pytest.mark.parametrize("shared", [False, True], ids=["own", "shared"])
both_types = pytest.mark.parametrize("kind", [np.float32, np.float64])


def gradient_above(
    case: LayerCase, learners: int, batch_rows: int, kind: type[np.floating] = np.float32
) -> Floats:
    return draw(learners, batch_rows, *case.output_shape).astype(kind)


def test_every_layer_is_in_the_table() -> None:
    tried = {layer.name for case in CASES.values() for layer in case.layers}
    assert tried == set(LAYERS)


@every_layer
def test_says_its_output_shape(case: LayerCase) -> None:
    assert case.chain.output_shape == case.output_shape


@every_layer
@every_stack
@both_types
def test_shapes_and_types(case: LayerCase, learners: int, kind: type[np.floating]) -> None:
    rows, inputs = case.rows(learners, kind), case.inputs(learners, 2, kind=kind)
    done = train(case, rows, inputs, gradient_above(case, learners, 2, kind))
    assert predict(case, rows, inputs).shape == (learners, 2, *case.output_shape)
    assert done.outputs.shape == (learners, 2, *case.output_shape)
    assert done.below.shape == inputs.shape
    assert done.outputs.dtype == done.below.dtype == kind
    assert np.isfinite(done.gradients).all()


@every_layer
@some_batches
@own_and_shared
def test_a_learner_of_three_is_bitwise_the_one_alone(
    case: LayerCase, batch_rows: int, shared: bool
) -> None:
    rows, above = case.rows(3), gradient_above(case, 3, batch_rows)
    inputs = case.inputs(1 if shared else 3, batch_rows)
    together = train(case, rows.copy(), inputs, above)
    predicted = predict(case, rows, inputs)
    for m in range(3):
        one, source = slice(m, m + 1), slice(0, 1) if shared else slice(m, m + 1)
        own = inputs[source].copy()
        alone = train(case, rows[one].copy(), own, above[one].copy(), learners=[m])
        for stacked, single in zip(together, alone, strict=True):
            assert stacked[m].tobytes() == single[0].tobytes()
        predicted_alone = predict(case, rows[one].copy(), own, learners=[m])
        assert predicted_alone[0].tobytes() == predicted[m].tobytes()


@every_layer
@every_stack
def test_shared_inputs_give_what_copies_of_them_give(case: LayerCase, learners: int) -> None:
    rows, inputs = case.rows(learners), case.inputs(1, 17)
    copies, above = np.repeat(inputs, learners, axis=0), gradient_above(case, learners, 17)
    assert predict(case, rows, inputs).tobytes() == predict(case, rows, copies).tobytes()
    shared = train(case, rows.copy(), inputs, above)
    for values, others in zip(shared, train(case, rows, copies, above), strict=True):
        assert values.tobytes() == others.tobytes()


@every_layer
@every_stack
def test_a_prediction_computes_what_training_does_or_says_otherwise(
    case: LayerCase, learners: int
) -> None:
    rows, inputs = case.rows(learners), case.inputs(learners, 17)
    predicted = predict(case, rows, inputs)
    trained = train(case, rows, inputs, gradient_above(case, learners, 17)).outputs
    assert (predicted.tobytes() == trained.tobytes()) == (case.trains == "as it predicts")


@every_layer
@pytest.mark.parametrize("count", [1, 7, 13])
def test_a_row_is_predicted_alike_in_any_batch(case: LayerCase, count: int) -> None:
    rows, inputs = case.rows(3), case.inputs(3, CHUNK_ROWS)
    many = predict(case, rows, inputs, row_products=True)
    few = predict(case, rows, inputs[:, :count].copy(), row_products=True)
    assert few.tobytes() == many[:, :count].tobytes()
    turned = predict(case, rows, inputs[:, ::-1].copy(), row_products=True)
    assert turned.tobytes() == many[:, ::-1].tobytes()


@every_layer
def test_single_precision_rounds_what_double_precision_computes(case: LayerCase) -> None:
    rows, inputs, above = case.rows(3), case.inputs(3, 17), gradient_above(case, 3, 17)
    single = train(case, rows.copy(), inputs, above)
    double = train(case, *(values.astype(np.float64) for values in (rows, inputs, above)))
    for values, exact in zip(single, double, strict=True):
        scale = max(1.0, np.abs(exact).max(initial=0.0))
        np.testing.assert_allclose(values, exact, rtol=1e-4, atol=1e-5 * scale)


@every_layer
def test_leaves_inputs_and_parameters_as_they_are(case: LayerCase) -> None:
    rows, inputs = case.rows(3), case.inputs(3, 17)
    before, inputs_before = rows.copy(), inputs.copy()
    predict(case, rows, inputs)
    assert rows.tobytes() == before.tobytes()
    train(case, rows, inputs, gradient_above(case, 3, 17))
    trainable = case.layout.trainable
    assert rows[:, :trainable].tobytes() == before[:, :trainable].tobytes()
    assert inputs.tobytes() == inputs_before.tobytes()


@every_layer
def test_a_second_pass_overwrites_the_gradients_of_the_first(case: LayerCase) -> None:
    rows, inputs, above = case.rows(3), case.inputs(3, 17), gradient_above(case, 3, 17)
    gradients = np.full((3, case.layout.trainable), np.nan, np.float32)
    bound = bind(case, rows, 17, gradients)
    passes = []
    for _ in range(2):
        bound.forward(inputs, 0)
        below = bound.backward(above.copy())
        assert below is not None
        passes.append((gradients.tobytes(), below.tobytes()))
    assert passes[0] == passes[1]


@every_layer
def test_outputs_that_may_change_are_not_needed_by_backward(case: LayerCase) -> None:
    rows, inputs, above = case.rows(3), case.inputs(3, 5), gradient_above(case, 3, 5)
    gradients = np.zeros((3, case.layout.trainable), np.float32)
    bound = bind(case, rows.copy(), 5, gradients)
    outputs = bound.forward(inputs.copy(), 0)
    if bound.outputs_may_change:
        outputs[...] = np.nan
    below = bound.backward(above.copy())
    expected = train(case, rows, inputs, above)
    assert below is not None
    assert below.tobytes() == expected.below.tobytes()
    assert gradients.tobytes() == expected.gradients.tobytes()


@every_layer
def test_an_input_gradient_that_is_not_wanted_changes_no_other(case: LayerCase) -> None:
    rows, inputs, above = case.rows(3), case.inputs(3, 5), gradient_above(case, 3, 5)
    gradients = np.full((3, case.layout.trainable), np.nan, np.float32)
    bound = bind(case, rows.copy(), 5, gradients, input_gradient=False)
    bound.forward(inputs, 0)
    below = bound.backward(above.copy())
    assert gradients.tobytes() == train(case, rows, inputs, above).gradients.tobytes()
    if case.layout.trainable:
        assert below is None


def test_layers_are_named_by_kind_and_place() -> None:
    residual = Residual(layers=(Dense(units=4), ReLU(), Dense(units=2)))
    chain = Chain((5,), [Dense(units=5), LayerNorm(), residual, Dense(units=2)])
    assert [(parameter.name, parameter.shape) for parameter in chain.parameters] == [
        ("dense1/kernel", (5, 5)),
        ("dense1/bias", (5,)),
        ("layer_norm1/gamma", (5,)),
        ("layer_norm1/beta", (5,)),
        ("residual1/dense1/kernel", (5, 4)),
        ("residual1/dense1/bias", (4,)),
        ("residual1/dense2/kernel", (4, 2)),
        ("residual1/dense2/bias", (2,)),
        ("residual1/shortcut/dense1/kernel", (5, 2)),
        ("residual1/shortcut/dense1/bias", (2,)),
        ("dense2/kernel", (2, 2)),
        ("dense2/bias", (2,)),
    ]
    assert chain.values == {"residual1/survival": 1.0}


@pytest.mark.parametrize("shape", [(5,), (4, 3, 2)])
def test_flatten_lays_out_each_row_in_order(shape: tuple[int, ...]) -> None:
    inputs = draw(3, 6, *shape)
    case = LayerCase((Flatten(),), shape, (int(np.prod(shape)),))
    flat = bind(case, np.zeros((3, 0)), 6).forward(inputs, 0)
    for m, n in np.ndindex(3, 6):
        np.testing.assert_array_equal(flat[m, n], inputs[m, n].ravel())
    assert np.shares_memory(flat, inputs)


@pytest.mark.parametrize("name", ["dense", "dense-wide", "dense-one-input"])
@own_and_shared
def test_a_learner_of_three_is_bitwise_the_one_alone_with_many_rows(
    name: str, shared: bool
) -> None:
    case, count = CASES[name], MANY_ROWS + 1
    rows, above = case.rows(3), gradient_above(case, 3, count)
    inputs = case.inputs(1 if shared else 3, count)
    together = train(case, rows, inputs, above)
    for m in range(3):
        one, source = slice(m, m + 1), slice(0, 1) if shared else slice(m, m + 1)
        alone = train(case, rows[one].copy(), inputs[source], above[one].copy(), learners=[m])
        for stacked, single in zip(together, alone, strict=True):
            assert stacked[m].tobytes() == single[0].tobytes()


def test_a_kernel_gradient_over_many_rows_is_the_sum_over_few() -> None:
    inputs, gradient = draw(2, MANY_ROWS, 5), draw(2, MANY_ROWS, 3)
    whole, parts = np.empty((2, 5, 3)), np.empty((8, 2, 5, 3))
    write_kernel_gradient(inputs, gradient, whole)
    for part, some in zip(parts, np.split(np.arange(MANY_ROWS), 8), strict=True):
        write_kernel_gradient(inputs[:, some], gradient[:, some], part)
    np.testing.assert_allclose(whole, parts.sum(axis=0), rtol=1e-9, atol=1e-9)


def test_dense_by_hand() -> None:
    case = LayerCase((Dense(units=2), ReLU()), (2,), (2,))
    rows = np.array([[1.0, -1.0, 2.0, 0.5, 0.5, 0.25]])  # kernel [[1, -1], [2, 0.5]], bias
    done = train(case, rows, np.array([[[1.0, 1.0]]]), np.array([[[2.0, 10.0]]]))
    np.testing.assert_array_equal(done.outputs, [[[3.5, 0.0]]])  # -1 + 0.5 + 0.25 < 0
    np.testing.assert_array_equal(done.gradients, [[2.0, 0.0, 2.0, 0.0, 2.0, 0.0]])
    np.testing.assert_array_equal(done.below, [[[2.0, 4.0]]])


@pytest.mark.parametrize("shape", [(1,), (7,), (64,), (3, 2, 5)], ids=str)
def test_layer_norm_is_the_formula(shape: tuple[int, ...]) -> None:
    case = LayerCase((LayerNorm(epsilon=0.1),), shape, shape)
    rows, inputs = case.rows(3, np.float64), 3 + 10 * case.inputs(3, 4, kind=np.float64)
    views = case.layout.views(rows)
    gamma, beta = (
        views[f"layer_norm1/{name}"].reshape(3, 1, *[1] * (len(shape) - 1), shape[-1])
        for name in ("gamma", "beta")
    )
    mean, variance = inputs.mean(-1, keepdims=True), inputs.var(-1, keepdims=True)
    expected = gamma * (inputs - mean) / np.sqrt(variance + 0.1) + beta
    np.testing.assert_allclose(predict(case, rows, inputs), expected, rtol=1e-12, atol=1e-12)


def test_layer_norm_ignores_shift_and_scale_of_a_row() -> None:
    case = CASES["layer_norm"]
    rows, inputs = case.rows(3, np.float64), case.inputs(3, 5, kind=np.float64)
    moved = predict(case, rows, 7.0 + 1000.0 * inputs)
    np.testing.assert_allclose(moved, predict(case, rows, 1000.0 * inputs), rtol=1e-9)
    np.testing.assert_allclose(moved, predict(case, rows, inputs), rtol=1e-3, atol=1e-3)


def test_embedding_puts_vectors_behind_the_other_columns() -> None:
    columns = (
        CategoricalColumn(column=2, categories=3, dimension=2),
        CategoricalColumn(column=0, categories=2, dimension=1),
    )
    case = LayerCase((Embedding(columns=columns),), (4,), (5,))
    rows = np.array([[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 70.0, 71.0]])  # table2 (3, 2), table0 (2, 1)
    inputs = np.array([[[1.0, -8.0, 2.0, -9.0], [0.0, -8.0, 1.0, -9.0]]])
    expected = [[[-8.0, -9.0, 4.0, 5.0, 71.0], [-8.0, -9.0, 2.0, 3.0, 70.0]]]
    above = np.arange(10.0).reshape(1, 2, 5)
    done = train(case, rows, inputs, above)
    np.testing.assert_array_equal(done.outputs, expected)
    np.testing.assert_array_equal(done.below, [[[0, 0, 0, 1], [0, 5, 0, 6]]])
    np.testing.assert_array_equal(done.gradients, [[0.0, 0.0, 7.0, 8.0, 2.0, 3.0, 9.0, 4.0]])


@pytest.mark.parametrize("code", [-1.0, -0.5, 3.0, 1e30, -np.inf, np.inf, np.nan, 0.9])
def test_embedding_counts_strange_codes_as_category_0(code: float) -> None:
    case = CASES["embedding-only"]  # three categories
    rows = case.rows(3)
    strange, zero = np.full((3, 1, 1), code, np.float32), np.zeros((3, 1, 1), np.float32)
    assert predict(case, rows, strange).tobytes() == predict(case, rows, zero).tobytes()


def test_a_residual_adds_its_branch_to_its_input() -> None:
    case, branch = CASES["residual"], CASES["residual"].layers[0]
    assert isinstance(branch, Residual)
    inner = LayerCase(branch.layers, (5,), (5,))
    rows, inputs = case.rows(3), case.inputs(3, 6)
    expected = predict(inner, rows, inputs) + inputs
    assert predict(case, rows, inputs).tobytes() == expected.tobytes()


def test_a_projection_is_a_dense_layer_beside_the_branch() -> None:
    case = LayerCase((Residual(layers=(Dense(units=5),), shortcut="projection"),), (5,), (5,))
    dense = LayerCase((Dense(units=5),), (5,), (5,))
    rows, inputs = case.rows(3), case.inputs(3, 6)
    parts = [predict(dense, half.copy(), inputs) for half in np.split(rows, 2, axis=1)]
    assert predict(case, rows, inputs).tobytes() == (parts[0] + parts[1]).tobytes()


def test_layers_in_a_chain_do_what_they_do_one_by_one() -> None:
    layers = [layer for case in CASES.values() for layer in case.layers if case.input_shape == (5,)]
    kinds = [layer for layer in layers if layer.output_shape((5,)) == (5,)]
    chain = LayerCase(tuple(kinds), (5,), (5,))
    rows, values = chain.rows(3), chain.inputs(3, 6)
    expected, first = values, 0
    for layer in kinds:
        alone = LayerCase((layer,), (5,), (5,))
        end = first + alone.layout.size
        expected = predict(alone, np.ascontiguousarray(rows[:, first:end]), expected)
        first = end
    np.testing.assert_allclose(predict(chain, rows, values), expected, rtol=1e-5, atol=1e-6)


def test_a_frozen_batch_norm_in_a_residual_keeps_its_statistics() -> None:
    block = Residual(layers=(Dense(units=5), BatchNorm()))
    network = Network((5,), [block, Dense(units=2)])
    rows = np.stack([network.initialize(1, m) for m in range(2)])
    first, inputs = rows.copy(), draw(2, 6, 5).astype(np.float32)
    norm = {"residual1/batch_norm1/gamma", "residual1/batch_norm1/beta"}
    dense = {"residual1/dense1/kernel", "residual1/dense1/bias"}
    for some, moves in ((norm | dense, False), (norm, False), (dense, True), (set(), True)):
        rows[:] = first
        gradients = np.zeros((2, network.layout.trainable), np.float32)
        network.bind(rows, 6, gradients, frozen=some).forward(inputs)
        assert (rows.tobytes() != first.tobytes()) == moves
