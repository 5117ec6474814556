"""Members of a learner that share weights: identities, gradients, bits and first values."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pytest
from gradient_checks import check_gradient
from loss_cases import evaluate

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.seeds import Draws, Purpose
from ensemble_pipe.nn.inference import outputs_of
from ensemble_pipe.nn.initializers import Scales
from ensemble_pipe.nn.kernels import shared as kernels
from ensemble_pipe.nn.layers import (
    BatchNorm,
    CategoricalColumn,
    Dense,
    Embedding,
    Flatten,
    Layer,
    LayerNorm,
    Periodic,
    PiecewiseLinear,
    ReLU,
    Tanh,
    shared_dense,
)
from ensemble_pipe.nn.layers.members import Spread
from ensemble_pipe.nn.losses import CrossEntropy, SquaredError
from ensemble_pipe.nn.network import Network
from ensemble_pipe.nn.networks import Cnn, Mlp, ResNet, WideAndDeep
from ensemble_pipe.nn.sharing import Form, Sharing, members_row, share
from ensemble_pipe.nn.tabular import RealMlp, TabM

FORMS: tuple[Form, ...] = ("full", "mini", "packed")
MEMBERS, ROWS = 4, 6

every_form = pytest.mark.parametrize("form", FORMS)
stacks = pytest.mark.parametrize("learners", [1, 3])


def draw(*shape: int) -> Floats:
    return np.random.default_rng(sum(shape)).standard_normal(shape)


def plain(**settings: object) -> Network:
    return Mlp(**{"hidden": (7, 6, 5), **settings}).build((5,), 3)  # type: ignore[arg-type]


def embedded() -> Network:
    column = CategoricalColumn(column=1, categories=3, dimension=2)
    layers: list[Layer] = [Embedding(columns=(column,)), Dense(units=7), ReLU(), Dense(units=2)]
    return Network((4,), layers)


def normed() -> Network:
    return Network((5,), [Dense(units=7), LayerNorm(), Tanh(), Dense(units=6), Dense(units=2)])


NETWORKS = {
    "relu": plain(),
    "gelu, dropout": plain(activation="gelu", dropout=0.3),
    "leaky_relu": plain(activation="leaky_relu"),
    "one hidden layer": plain(hidden=(7,), activation="tanh"),
    "linear": plain(hidden=()),
    "embedding": embedded(),
    "a norm between": normed(),
    "realmlp": RealMlp(hidden=(7, 6)).build((5,), 3),
    "tabm": TabM(hidden=(7,), embedding=Periodic(dimension=3, frequencies=4)).build((5,), 2),
}


def rows_of(network: Network, learners: int, kind: type[np.floating] = np.float32) -> Floats:
    """Return rows (M, P) with all vectors away from 1 and all biases from 0."""
    rows = np.stack([network.initialize(3, m, np.float64) for m in range(learners)])
    return (rows + 0.2 * draw(*rows.shape)).astype(kind)


def run(
    network: Network,
    rows: Floats,
    inputs: Floats,
    above: Floats,
    *,
    learners: Sequence[int] = (0, 1, 2),
    frozen: Sequence[str] = (),
) -> tuple[Floats, Floats]:
    """Return outputs (M, K N, O) and gradients (M, T), for a gradient (M, K N, O) of outputs."""
    gradients = np.full((len(rows), network.layout.trainable), np.nan, rows.dtype)
    draws = Draws(1, Purpose.LAYER, learners[: len(rows)])
    bound = network.bind(rows, inputs.shape[-2], gradients, draws=draws, frozen=frozen)
    outputs = bound.forward(inputs).copy()
    bound.backward(above.astype(rows.dtype))
    return outputs, gradients


def inputs_of(network: Network, *lead: int) -> Floats:
    inputs = draw(*lead, *network.input_shape)
    if isinstance(network.chain.layers[0], Embedding):
        inputs[..., 1] = np.arange(inputs[..., 1].size).reshape(lead) % 3 + 0.5
    return inputs


def check(network: Network, learners: int, *, shared_inputs: bool) -> None:
    """Check all gradients of the mean of the members' losses."""
    inputs = inputs_of(network, *(() if shared_inputs else (learners,)), ROWS)
    rows = rows_of(network, learners, np.float64)
    targets = np.tile(draw(learners, ROWS).argsort(axis=1).astype(np.int32), network.members)
    losses = [CrossEntropy()] * learners

    def loss_of(rows: Floats) -> Floats:
        above = np.zeros((*targets.shape, network.outputs))
        return evaluate(losses, run(network, rows, inputs, above)[0], targets % network.outputs)[0]

    outputs, _ = run(network, rows, inputs, np.zeros((*targets.shape, network.outputs)))
    _, above = evaluate(losses, outputs, targets % network.outputs)
    check_gradient(loss_of, rows, run(network, rows, inputs, above)[1])


@every_form
@stacks
@pytest.mark.parametrize("shared_inputs", [False, True], ids=["own", "shared"])
@pytest.mark.parametrize("name", NETWORKS)
def test_gradient(name: str, form: Form, learners: int, shared_inputs: bool) -> None:
    network = share(NETWORKS[name], Sharing(members=MEMBERS, form=form))
    check(network, learners, shared_inputs=shared_inputs)


def forgotten(gradient: Floats, rows: Floats, factors: Floats, sums: Floats) -> None:
    sums[:] = 0
    gradient *= factors[:, None]


def unscaled(gradient: Floats, rows: Floats, factors: Floats, sums: Floats) -> None:
    sums[:] = (gradient * rows).sum(axis=1)


def of_first(gradient: Floats, rows: Floats, sums: Floats) -> None:
    sums[:] = (gradient[:1] * rows).sum(axis=1)


def of_outputs(*arguments: Any) -> None:
    *_, gradient, scale_sums, _, _ = arguments
    bend_gradient(*arguments)
    scale_sums[:] = (gradient * arguments[0]).sum(axis=1)  # of the sums: scaled once too often


bend_gradient = kernels.bend_gradient

MISTAKES = {
    "vectors stay": ("gelu", "scale_gradient", forgotten),
    "gradient not scaled": ("gelu", "scale_gradient", unscaled),
    "gradient of the wrong numbers": ("relu", "bend_gradient", of_outputs),
    "one member's for all": ("relu", "spread_factor_gradient", of_first),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_checker_refuses_a_plausible_mistake(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    activation, attribute, mistake = MISTAKES[name]
    monkeypatch.setattr(kernels, attribute, mistake)
    with pytest.raises(AssertionError):
        check(share(plain(activation=activation), Sharing(members=MEMBERS)), 1, shared_inputs=False)


def test_members_are_taken_in_blocks_that_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    network = share(plain(), Sharing(members=MEMBERS))
    rows, inputs = rows_of(network, 3), draw(3, 17, 5).astype(np.float32)
    above = draw(3, MEMBERS * 17, 3)
    together = run(network, rows, inputs, above)
    monkeypatch.setattr(shared_dense, "BLOCK_BYTES", 17 * 7 * 4 * 2)  # two members at a time
    in_blocks = run(network, rows, inputs, above)
    for whole, parts in zip(together, in_blocks, strict=True):
        np.testing.assert_allclose(whole, parts, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", ["full", "mini"])
@pytest.mark.parametrize("activation", ["relu", "silu"])
def test_one_member_with_vectors_of_one_is_the_plain_network_bit_for_bit(
    form: Form, activation: Literal["relu", "silu"]
) -> None:
    alone = plain(activation=activation, dropout=0.2)
    network = share(alone, Sharing(members=1, form=form))
    rows, inputs, above = rows_of(alone, 3), draw(3, 17, 5).astype(np.float32), draw(3, 17, 3)
    own = np.ones((3, network.layout.size), np.float32)
    views, given = network.layout.views(own), alone.layout.views(rows)
    for name, tensor in given.items():
        views[name][...] = tensor.reshape(views[name].shape)
    outputs, gradients = run(network, own, inputs, above)
    expected, plain_gradients = run(alone, rows, inputs, above)
    assert outputs.tobytes() == expected.tobytes()
    found = network.layout.gradient_views(gradients)
    for name, tensor in alone.layout.gradient_views(plain_gradients).items():
        assert found[name].tobytes() == tensor.tobytes()


def test_packed_members_are_plain_networks_bit_for_bit() -> None:
    alone = plain(activation="tanh")
    network = share(alone, Sharing(members=MEMBERS, form="packed"))
    rows, inputs = rows_of(network, 2), draw(2, 17, 5).astype(np.float32)
    above = draw(2, MEMBERS * 17, 3).astype(np.float32)
    outputs, gradients = run(network, rows, inputs, above)
    for m, k in np.ndindex(2, MEMBERS):
        own = members_row(network, rows[m], [k])[None]
        part = slice(k * 17, (k + 1) * 17)
        expected, gradient = run(alone, own, inputs[m : m + 1], above[m : m + 1, part].copy())
        assert outputs[m, part].tobytes() == expected[0].tobytes()
        assert members_row(network, gradients[m], [k]).tobytes() == gradient[0].tobytes()


def test_a_full_member_is_a_plain_network_whose_kernels_its_vectors_scale() -> None:
    alone = plain(activation="gelu")
    network = share(alone, Sharing(members=MEMBERS))
    rows, inputs = rows_of(network, 1, np.float64), draw(1, ROWS, 5)
    outputs, _ = run(network, rows, inputs, np.zeros((1, MEMBERS * ROWS, 3)))
    views = {name: tensor[0] for name, tensor in network.layout.views(rows).items()}
    names = ["members1", "dense1", "dense2", "dense3", "dense4"]
    for k in range(MEMBERS):
        own = np.zeros((1, alone.layout.size))
        tensors = alone.layout.views(own)
        for before, name in pairwise(names):
            kernel = views[f"{name}/kernel"]
            if name == "dense4":
                tensors["dense4/kernel"][0] = kernel[k]
            else:
                r = views[f"{before}/r"][k]
                tensors[f"{name}/kernel"][0] = r[:, None] * kernel * views[f"{name}/s"][k]
            tensors[f"{name}/bias"][0] = views[f"{name}/bias"][k]
        expected, _ = run(alone, own, inputs, np.zeros((1, ROWS, 3)))
        np.testing.assert_allclose(outputs[0, k * ROWS : (k + 1) * ROWS], expected[0], rtol=1e-9)


@every_form
@pytest.mark.parametrize("count", [17, 200])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_learner_of_three_is_bitwise_the_one_alone(name: str, form: Form, count: int) -> None:
    network = share(NETWORKS[name], Sharing(members=MEMBERS, form=form))
    rows, above = rows_of(network, 3), draw(3, MEMBERS * count, network.outputs).astype(np.float32)
    inputs = inputs_of(network, 3, count).astype(np.float32)
    together = run(network, rows, inputs, above)
    for m in range(3):
        one = slice(m, m + 1)
        alone = run(network, rows[one].copy(), inputs[one], above[one].copy(), learners=[m])
        for stacked, single in zip(together, alone, strict=True):
            assert stacked[m].tobytes() == single[0].tobytes()


@every_form
@pytest.mark.parametrize("count", [1, 13, 700])
def test_a_member_predicts_alike_with_any_others_and_any_number_of_rows(
    form: Form, count: int
) -> None:
    network = share(plain(dropout=0.3), Sharing(members=MEMBERS, form=form))
    rows, inputs = rows_of(network, 2), draw(700, 5).astype(np.float32)

    def read(start: int, stop: int, out: Floats) -> None:
        out[...] = inputs[start:stop]

    every = outputs_of(network, rows, read, 700)
    assert every.shape == (2 * MEMBERS, 700, 3)
    some = [2, 0]
    few = share(plain(dropout=0.3), Sharing(members=2, form=form))
    for m in range(2):
        own = members_row(network, rows[m], some)
        found = outputs_of(few, own[None], read, count)
        expected = every[m * MEMBERS : (m + 1) * MEMBERS][some][:, :count]
        assert found.tobytes() == expected.tobytes()


@every_form
def test_members_begin_different_from_one_another_and_alike_on_every_start(form: Form) -> None:
    network = share(plain(), Sharing(members=MEMBERS, form=form))
    row = network.initialize(1, 0)
    assert row.tobytes() == network.initialize(1, 0).tobytes()
    outputs, _ = run(network, row[None], draw(1, 1, 5).astype(np.float32), np.zeros((1, 4, 3)))
    assert len({tuple(own) for own in outputs[0].tolist()}) == MEMBERS


def test_only_the_first_vector_is_random() -> None:
    network = share(plain(), Sharing(members=32))
    views = network.layout.views(network.initialize(1, 0)[None])
    assert set(np.unique(views["members1/r"])) == {-1.0, 1.0}
    for name in ("dense1/s", "dense1/r", "dense2/s", "dense2/r", "dense3/s"):
        assert (views[name] == 1).all()
    assert "dense3/r" not in views  # heads have all of their own


def test_a_mini_learner_has_the_parameters_of_one_network_its_first_vectors_and_heads() -> None:
    sizes = {form: share(plain(), Sharing(members=32, form=form)).layout.size for form in FORMS}
    alone, head = plain().layout.size, 5 * 3 + 3
    assert sizes["mini"] == alone + 32 * 5 + 31 * head
    assert sizes["full"] == sizes["mini"] + (32 - 1) * (7 + 6 + 5) + 32 * (2 * 7 + 2 * 6 + 5)
    assert sizes["packed"] == 32 * alone


def test_inputs_that_stand_for_one_feature_get_one_first_factor() -> None:
    network = share(embedded(), Sharing(members=16))
    r = network.layout.views(network.initialize(1, 0)[None])["members1/r"][0]
    assert r.shape == (16, 5)
    assert (r[:, 3] == r[:, 4]).all()
    assert (r[:, 2] != r[:, 3]).any()


def test_normal_factors_are_drawn_once_for_each_feature() -> None:
    spread = Spread(members=300, scales=Scales(form="normal", widths=(1, 3, 2)))
    network = Network((6,), [spread, Dense(units=1)])
    r = network.layout.views(network.initialize(1, 0)[None])["members1/r"][0]
    assert (r[:, 1:3] == r[:, 2:4]).all()
    assert (r[:, 4] == r[:, 5]).all()
    assert abs(r[:, [0, 1, 4]].std() - 1) < 0.1


@pytest.mark.parametrize(
    ("network", "layer"),
    [
        (Cnn().build((8, 8, 1), 3), "conv2d1"),
        (ResNet().build((8, 8, 1), 3), "conv2d1"),
        (WideAndDeep().build((5,), 3), "residual1"),
        (Network((5,), [Dense(units=4), BatchNorm(), Dense(units=3)]), "batch_norm1"),
    ],
    ids=["cnn", "resnet", "wide_and_deep", "batch_norm"],
)
@every_form
def test_layers_that_members_cannot_share_are_refused(
    network: Network, layer: str, form: Form
) -> None:
    with pytest.raises(ConfigError, match=f"shared is for networks of dense layers, but {layer} "):
        share(network, Sharing(form=form))


def test_factors_stand_before_a_product_that_the_layer_before_cannot_scale_for() -> None:
    names = share(normed(), Sharing()).chain.names
    assert names == [
        "members1", "dense1", "layer_norm1", "tanh1", "feature_scale1", "dense2", "dense3",
    ]  # fmt: skip


@every_form
def test_first_values_from_the_data_give_every_unit_of_every_member_its_spread(form: Form) -> None:
    network = share(RealMlp(hidden=(7, 6), dropout=None).build((5,), 3), Sharing(form=form))
    row, rows = network.initialize(1, 0), draw(500, 5).astype(np.float32)
    network.fit(row, rows, 1, 0)
    (outputs,), _ = run(network, row[None], rows, np.zeros((1, 32 * 500, 3)))
    spreads = outputs.reshape(32, 500, 3).std(axis=1)
    np.testing.assert_allclose(spreads, 1, rtol=1e-3)
    assert np.isfinite(row).all()


@every_form
def test_embeddings_are_shared_and_their_edges_found(form: Form) -> None:
    layer = PiecewiseLinear(bins=4, dimension=3)
    plain_network = TabM(hidden=(7,), embedding=layer).build((5,), 2)
    network = share(plain_network, Sharing(members=2, form=form))
    row, rows = network.initialize(1, 0), draw(500, 5).astype(np.float32)
    network.fit(row, rows, 1, 0)
    widths = network.layout.views(row[None])["piecewise_linear1/widths"][0]
    assert widths.shape == ((2, 5, 4) if form == "packed" else (5, 4))
    np.testing.assert_allclose(widths.sum(axis=-1) - np.ptp(rows, axis=0), 0, atol=1e-5)


def test_factors_of_embedded_numbers_are_normal_and_one_for_each_number() -> None:
    network = share(TabM(hidden=(7,)).build((5,), 2), Sharing(members=64))
    r = network.layout.views(network.initialize(1, 0)[None])["members1/r"][0]
    by_number = r.reshape(64, 5, 16)
    assert (by_number == by_number[..., :1]).all()
    assert abs(by_number[..., 0].std() - 1) < 0.2


def test_flatten_passes_images_to_the_members() -> None:
    network = share(Mlp(hidden=(4,)).build((3, 2, 2), 3), Sharing(members=2))
    assert isinstance(network.chain.layers[0], Flatten)
    assert network.layout.views(np.zeros((1, network.layout.size)))["members1/r"].shape == (
        1,
        2,
        12,
    )


def test_the_loss_of_all_rows_is_the_mean_of_the_members_losses() -> None:
    outputs, targets = draw(2, MEMBERS * ROWS, 1), draw(2, ROWS)
    both = [SquaredError()] * 2
    together, gradient = evaluate(both, outputs, np.tile(targets, MEMBERS))
    parts = [
        evaluate(both, outputs[:, k * ROWS : (k + 1) * ROWS].copy(), targets)
        for k in range(MEMBERS)
    ]
    np.testing.assert_allclose(together, np.mean([losses for losses, _ in parts], axis=0))
    own = np.concatenate([gradient for _, gradient in parts], axis=1)
    np.testing.assert_allclose(gradient, own / MEMBERS)
