"""Embeddings of numbers: their formulas, the features that they embed, and their bins."""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
from layer_cases import LayerCase, draw, predict

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.nn.building import build
from ensemble_pipe.nn.layers import (
    CategoricalColumn,
    Chain,
    Dense,
    Embedding,
    FeatureScale,
    Layer,
    NumberEmbedding,
    Pbld,
    Periodic,
    PiecewiseLinear,
)
from ensemble_pipe.nn.losses import CrossEntropy
from ensemble_pipe.nn.network import Network
from ensemble_pipe.nn.networks import Sequential

PLACES = (3, 1)
ROWS = 40

KINDS: dict[str, NumberEmbedding] = {
    "piecewise_linear": PiecewiseLinear(places=PLACES, bins=5, dimension=3),
    "periodic": Periodic(places=PLACES, frequencies=4, dimension=3, deviation=2.0),
    "pbld": Pbld(places=PLACES, frequencies=4, dimension=3, deviation=2.0),
}
every_kind = pytest.mark.parametrize("name", KINDS)


def tensors_and_outputs(layer: Layer, inputs: Floats) -> tuple[dict[str, Floats], Floats]:
    """Return the tensors of one learner, and its outputs (N, D') for inputs (N, D)."""
    case = LayerCase((layer,), inputs.shape[1:])
    rows = case.rows(1, inputs.dtype.type)
    views = case.layout.views(rows)
    own = {name.split("/")[-1]: view[0].astype(np.float64) for name, view in views.items()}
    return own, predict(case, rows, inputs[None])[0]


def encoded(x: Floats, lowest: float, widths: Floats) -> Floats:
    """Return the encoding (N, B) of numbers (N,), as the paper's equation 1 has it."""
    edges = lowest + np.concatenate([[0], np.cumsum(widths)])
    parts = [(x - low) / (high - low) for low, high in pairwise(edges)]
    last = len(parts) - 1
    limited = [
        np.clip(part, -np.inf if b == 0 else 0, np.inf if b == last else 1)
        for b, part in enumerate(parts)
    ]
    return np.stack(limited, axis=1)


def expected_vectors(name: str, own: dict[str, Floats], x: Floats, k: int) -> Floats:
    """Return the vectors (N, J) of the number k, by the formula of its embedding, in float64."""
    if name == "piecewise_linear":
        encoding = encoded(x, own["lowest"][k], own["widths"][k])
        line: Floats = x[:, None] * own["slope"][k] + own["bias"][k]
        line += encoding @ own["kernel"][k]
        return line
    angles = 2 * np.pi * x[:, None] * own["frequencies"][k]
    if name == "periodic":
        waves = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
        sums: Floats = waves @ own["kernel"][k] + own["bias"][k]
        return np.maximum(sums, 0)
    mixed = np.cos(angles + own["phases"][k]) @ own["kernel"][k] + own["bias"][k]
    return np.concatenate([x[:, None], mixed], axis=1)


@every_kind
@pytest.mark.parametrize(("kind", "error"), [(np.float32, 3e-6), (np.float64, 1e-13)])
def test_vectors_are_those_of_the_formula_and_other_features_pass_by(
    name: str, kind: type[np.floating], error: float
) -> None:
    inputs = (3 * draw(ROWS, 5)).astype(kind)
    own, outputs = tensors_and_outputs(KINDS[name], inputs)
    np.testing.assert_array_equal(outputs[:, :3], inputs[:, [0, 2, 4]])
    for k, place in enumerate(PLACES):
        expected = expected_vectors(name, own, inputs[:, place].astype(np.float64), k)
        vectors = outputs[:, 3 + 3 * k : 6 + 3 * k]
        scale = np.abs(expected).max()
        np.testing.assert_allclose(vectors, expected, rtol=0, atol=error * scale)


def test_a_number_that_is_none_gives_a_vector_that_is_none() -> None:
    inputs = np.full((1, 5), np.nan, np.float32)
    for layer in KINDS.values():
        assert np.isnan(tensors_and_outputs(layer, inputs)[1][:, :5]).all()


def fitted(layer: Layer, inputs: Floats, seed: int = 1) -> tuple[Network, dict[str, Floats]]:
    """Return a network of one layer, and its tensors once it was fitted to rows (N, D)."""
    network = Network(inputs.shape[1:], [layer])
    row = network.initialize(seed, 0)
    network.fit(row, inputs, seed, 0)
    return network, {name: view[0] for name, view in network.layout.views(row[None]).items()}


def test_edges_of_bins_are_quantiles_of_the_rows() -> None:
    inputs = draw(1001, 2).astype(np.float32) ** 3
    _, own = fitted(PiecewiseLinear(places=(1,), bins=4), inputs)
    widths = own["piecewise_linear1/widths"][0]
    edges = own["piecewise_linear1/lowest"][0] + np.concatenate([[0], np.cumsum(widths)])
    expected = np.quantile(inputs[:, 1], np.linspace(0, 1, 5))
    np.testing.assert_allclose(edges, expected, rtol=1e-5, atol=1e-6)


def test_equal_edges_are_one_and_a_constant_has_none() -> None:
    inputs = np.zeros((100, 2), np.float32)
    inputs[60:, 1] = np.arange(40)
    _, own = fitted(PiecewiseLinear(places=(0, 1), bins=10), inputs)
    widths = own["piecewise_linear1/widths"]
    assert not widths[0].any()
    assert (widths[1, :4] > 0).all()
    assert not widths[1, 4:].any()


def test_a_constant_column_and_numbers_beyond_the_bins_give_finite_vectors() -> None:
    inputs = np.zeros((100, 1), np.float32)
    network, _ = fitted(PiecewiseLinear(places=(0,), bins=10), inputs)
    row = network.initialize(1, 0)
    network.fit(row, inputs, 1, 0)
    far = np.array([[-1e4], [0], [1e4]], np.float32)
    assert np.isfinite(network.bind(row[None], 3).forward(far)).all()


@dataclass(frozen=True)
class Table:
    """The shapes of a table: two numbers around a code, then a one-hot feature."""

    input_shape: tuple[int, ...] = (4,)
    classes: tuple[int | str, ...] = (0, 1)
    target_count: int = 1
    code_counts: dict[int, int] = field(default_factory=lambda: {1: 3})
    code_places: dict[str, int] = field(default_factory=lambda: {"job": 1})
    number_places: tuple[int, ...] = (0, 2)
    vectors: dict[int, int] = field(default_factory=lambda: {1: 8})


def test_numbers_are_found_behind_an_embedding_of_codes_and_scales() -> None:
    scaled = Sequential(layers=(FeatureScale(), Pbld()))
    assert placed(build(scaled, CrossEntropy(), Table())) == (0, 1)
    code = CategoricalColumn(column="job", dimension=2)
    own = Sequential(layers=(Embedding(columns=(code,)), Pbld()))
    assert placed(build(own, CrossEntropy(), Table())) == (0, 1)
    no_codes = Table(code_counts={}, code_places={}, vectors={})
    assert placed(build(Sequential(layers=(Pbld(),)), CrossEntropy(), no_codes)) == (0, 2)


def placed(network: Network) -> tuple[int, ...] | None:
    layers: list[Layer] = list(network.chain.layers)
    (found,) = (layer for layer in layers if isinstance(layer, NumberEmbedding))
    return found.places


def test_a_table_without_numbers_passes_by() -> None:
    network = build(Sequential(layers=(Pbld(),)), CrossEntropy(), Table(number_places=()))
    assert not any("pbld" in name for name in network.layout.offsets)


def test_an_embedding_that_does_not_come_first_needs_its_places() -> None:
    late = Sequential(layers=(Dense(units=3), Pbld()))
    with pytest.raises(ConfigError, match=r"pbld1 cannot take .* must be the first layer"):
        build(late, CrossEntropy(), Table())


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ((1, 1), r"names a place twice in \[1, 1\]"),
        ((0, 4), r"rows have places 0 to 3, not \[0, 4"),
    ],
)
def test_places_that_cannot_be_are_refused(places: tuple[int, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Chain((4,), [Periodic(places=places)])
