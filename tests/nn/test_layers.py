"""One table of promises that every layer keeps; its gradients are in test_gradients.py."""

from dataclasses import dataclass

import numpy as np
import pytest

from ensemble_pipe.arrays import Floats
from ensemble_pipe.nn.layers import ACTIVATIONS, Binding, BoundLayer, Dense, Flatten, Layer
from ensemble_pipe.nn.layout import Layout


@dataclass(frozen=True)
class Case:
    layer: Layer
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]


CASES = {
    "flatten-image": Case(Flatten((4, 3, 2)), (4, 3, 2), (24,)),
    "flatten-flat": Case(Flatten((5,)), (5,), (5,)),
    # Odd sizes put the learners after the first at odd offsets in the matrix of rows.
    "dense-linear": Case(Dense("d", 5, 3, "linear", "he_normal"), (5,), (3,)),
    "dense-relu": Case(Dense("d", 13, 7, "relu", "he_normal"), (13,), (7,)),
    "dense-tanh": Case(Dense("d", 7, 11, "tanh", "he_normal"), (7,), (11,)),
    "dense-one-input": Case(Dense("d", 1, 5, "relu", "he_normal"), (1,), (5,)),
    "dense-one-unit": Case(Dense("d", 7, 1, "linear", "he_normal"), (7,), (1,)),
    "dense-one-each": Case(Dense("d", 1, 1, "tanh", "he_normal"), (1,), (1,)),
    "dense-wide": Case(Dense("d", 129, 65, "relu", "he_normal"), (129,), (65,)),
}

every_layer = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
every_stack = pytest.mark.parametrize("learners", [1, 3])
some_batches = pytest.mark.parametrize("batch_rows", [1, 2, 17, 64])
own_and_shared = pytest.mark.parametrize("shared", [False, True], ids=["own", "shared"])


def draw(*shape: int) -> Floats:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def bind(layer: Layer, rows: Floats, gradients: Floats | None, batch_rows: int) -> BoundLayer:
    layout = Layout(layer.parameters)
    views = None if gradients is None else layout.views(gradients)
    return layer.bind(
        Binding(len(rows), batch_rows, rows.dtype, layout.views(rows), views, input_gradient=True)
    )


def pass_through(
    layer: Layer, rows: Floats, inputs: Floats, above: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return outputs, parameter gradients and the input's gradient of one training pass."""
    gradients = np.full_like(rows, np.nan)
    bound = bind(layer, rows, gradients, above.shape[1])
    outputs = np.broadcast_to(bound.forward(inputs), above.shape).copy()
    below = bound.backward(above.copy())
    assert below is not None
    return outputs, gradients, below


def draw_case(
    case: Case, learners: int, batch_rows: int, *, shared: bool
) -> tuple[Floats, Floats, Floats]:
    """Return rows, inputs and the gradient from above."""
    lead = (batch_rows,) if shared else (learners, batch_rows)
    return (
        draw(learners, Layout(case.layer.parameters).size),
        draw(*lead, *case.input_shape),
        draw(learners, batch_rows, *case.output_shape),
    )


@every_layer
def test_says_its_output_shape(case: Case) -> None:
    assert case.layer.output_shape == case.output_shape


@every_layer
@every_stack
@some_batches
def test_shapes_and_types(case: Case, learners: int, batch_rows: int) -> None:
    rows, inputs, above = draw_case(case, learners, batch_rows, shared=False)
    outputs, gradients, below = pass_through(case.layer, rows, inputs, above)
    assert outputs.shape == (learners, batch_rows, *case.output_shape)
    assert below.shape == (learners, batch_rows, *case.input_shape)
    assert outputs.dtype == below.dtype == np.float32
    assert np.isfinite(gradients).all()


@every_layer
@every_stack
def test_shared_input_gives_what_copies_of_it_give(case: Case, learners: int) -> None:
    rows, inputs, _ = draw_case(case, learners, 17, shared=True)
    copies = np.broadcast_to(inputs, (learners, *inputs.shape)).copy()
    shared = bind(case.layer, rows, None, 17).forward(inputs)
    own = bind(case.layer, rows, None, 17).forward(copies)
    assert np.broadcast_to(shared, own.shape).tobytes() == own.tobytes()


@every_layer
@some_batches
@own_and_shared
def test_a_learner_of_three_is_bitwise_the_one_alone(
    case: Case, batch_rows: int, shared: bool
) -> None:
    rows, inputs, above = draw_case(case, 3, batch_rows, shared=shared)
    together = pass_through(case.layer, rows, inputs, above)
    for m in range(3):
        one = slice(m, m + 1)
        own_inputs = inputs if shared else inputs[one].copy()
        alone = pass_through(case.layer, rows[one].copy(), own_inputs, above[one].copy())
        for stacked, single in zip(together, alone, strict=True):
            assert stacked[m].tobytes() == single[0].tobytes()


@every_layer
@every_stack
def test_training_and_inference_give_the_same_outputs(case: Case, learners: int) -> None:
    rows, inputs, above = draw_case(case, learners, 17, shared=False)
    training, _, _ = pass_through(case.layer, rows, inputs, above)
    inference = bind(case.layer, rows, None, 17).forward(inputs)
    assert training.tobytes() == inference.tobytes()


@every_layer
def test_a_batch_of_one_is_the_first_row_of_a_larger_one(case: Case) -> None:
    rows, inputs, _ = draw_case(case, 3, 17, shared=False)
    many = bind(case.layer, rows, None, 17).forward(inputs)
    one = bind(case.layer, rows, None, 1).forward(inputs[:, :1].copy())
    # Another number of rows may change the last bits of a product.
    np.testing.assert_allclose(one[:, 0], many[:, 0], rtol=1e-5, atol=1e-5)


@every_layer
def test_leaves_inputs_and_parameters_as_they_are(case: Case) -> None:
    rows, inputs, above = draw_case(case, 3, 17, shared=False)
    rows_before, inputs_before = rows.tobytes(), inputs.tobytes()
    pass_through(case.layer, rows, inputs, above)
    assert rows.tobytes() == rows_before
    assert inputs.tobytes() == inputs_before


@every_layer
def test_a_second_pass_overwrites_the_gradients_of_the_first(case: Case) -> None:
    rows, inputs, above = draw_case(case, 3, 17, shared=False)
    gradients = np.full_like(rows, np.nan)
    bound = bind(case.layer, rows, gradients, 17)
    bound.forward(inputs)
    bound.backward(above.copy())
    first = gradients.tobytes()
    bound.forward(inputs)
    bound.backward(above.copy())
    assert gradients.tobytes() == first


@pytest.mark.parametrize("shape", [(5,), (4, 3, 2)])
def test_flatten_lays_out_each_row_in_order(shape: tuple[int, ...]) -> None:
    inputs = draw(3, 6, *shape)
    binding = Binding(3, 6, inputs.dtype, {}, None, input_gradient=False)
    flat = Flatten(shape).bind(binding).forward(inputs)
    for m, n in np.ndindex(3, 6):
        np.testing.assert_array_equal(flat[m, n], inputs[m, n].ravel())
    assert np.shares_memory(flat, inputs)


def test_flatten_keeps_a_shared_input_shared() -> None:
    inputs = draw(6, 4, 3, 2)
    binding = Binding(3, 6, inputs.dtype, {}, None, input_gradient=False)
    assert Flatten((4, 3, 2)).bind(binding).forward(inputs).shape == (6, 24)


def test_dense_without_a_wanted_input_gradient_returns_none() -> None:
    layer = Dense("d", 5, 3, "relu", "he_normal")
    layout = Layout(layer.parameters)
    rows, gradients = draw(3, layout.size), draw(3, layout.size)
    views = (layout.views(rows), layout.views(gradients))
    bound = layer.bind(Binding(3, 6, rows.dtype, *views, input_gradient=False))
    bound.forward(draw(3, 6, 5))
    assert bound.backward(draw(3, 6, 3)) is None


def test_dense_by_hand() -> None:
    layer = Dense("d", 2, 2, "relu", "he_normal")
    rows = np.array([[1.0, -1.0, 2.0, 0.5, 0.5, 0.25]])  # kernel [[1, -1], [2, 0.5]], bias
    gradients = np.empty_like(rows)
    bound = bind(layer, rows, gradients, 1)
    outputs = bound.forward(np.array([[[1.0, 1.0]]]))
    np.testing.assert_array_equal(outputs, [[[3.5, 0.0]]])  # -1 + 0.5 + 0.25 < 0
    below = bound.backward(np.array([[[2.0, 10.0]]]))
    np.testing.assert_array_equal(gradients, [[2.0, 0.0, 2.0, 0.0, 2.0, 0.0]])
    np.testing.assert_array_equal(below, [[[2.0, 4.0]]])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("linear", [-1.5, 0.0, 1.5]),
        ("relu", [0.0, 0.0, 1.5]),
        ("tanh", list(np.tanh([-1.5, 0.0, 1.5]))),
    ],
)
def test_activations_by_hand(name: str, expected: list[float]) -> None:
    forward, _ = ACTIVATIONS[name]
    outputs = np.array([[[-2.0, -0.5, 1.0]]])
    forward(outputs, np.full((1, 3), 0.5))
    np.testing.assert_allclose(outputs[0, 0], expected, rtol=1e-15)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_keep_what_is_not_a_number(name: str) -> None:
    forward, _ = ACTIVATIONS[name]
    outputs = np.array([[[np.nan, 1.0]]], np.float32)
    forward(outputs, np.zeros((1, 2), np.float32))
    assert np.isnan(outputs[0, 0]).tolist() == [True, False]
