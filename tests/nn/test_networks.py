"""Networks by name: what they are made of, and what docs/networks.md shows of them."""

from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest
from pages import assert_shown_with_defaults

from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.nn.layers import Dense, MaxPool, Residual
from ensemble_pipe.nn.networks import NETWORKS, Cnn, LinearModel, Mlp, ResNet, WideAndDeep

PAGE = (Path(__file__).parents[2] / "docs" / "networks.md").read_text()
IMAGE = (28, 28, 1)


def test_the_cnn_is_the_net_of_the_benchmark() -> None:
    network = Cnn().build(IMAGE, 10)
    kernels = {p.name: p.shape for p in network.layout.parameters if p.name.endswith("kernel")}
    assert kernels == {
        "conv2d1/kernel": (3, 3, 1, 32),
        "conv2d2/kernel": (3, 3, 32, 64),
        "dense1/kernel": (7 * 7 * 64, 128),
        "dense2/kernel": (128, 10),
    }


def test_survival_falls_linearly_to_that_of_the_last_block() -> None:
    network = ResNet(filters=(4, 8), blocks=2, survival=0.6).build(IMAGE, 10)
    survivals = [v for name, v in network.values.items() if name.endswith("/survival")]
    assert survivals == pytest.approx([0.9, 0.8, 0.7, 0.6])
    assert sum(isinstance(layer, Residual) for layer in network.chain.layers) == 4


def test_wide_and_deep_adds_a_linear_model_to_an_mlp() -> None:
    wide, deep = LinearModel().build((5,), 3), Mlp(hidden=(7,)).build((5,), 3)
    both = WideAndDeep(hidden=(7,)).build((5,), 3)
    assert both.layout.size == wide.layout.size + deep.layout.size


@pytest.mark.parametrize("name", NETWORKS)
def test_dropout_may_differ_between_learners_of_a_stack(name: str) -> None:
    kind: Any = NETWORKS[name]
    if "dropout" not in kind.__dataclass_fields__:
        assert name in ("linear", "resnet", "sequential")
        return
    network = kind(dropout=0.3).build(IMAGE, 10)
    rates = [value for field, value in network.values.items() if field.endswith("/rate")]
    assert set(rates) == {0.3}


@pytest.mark.parametrize(
    ("network", "shape", "message"),
    [
        (Cnn(), (5,), r"layer conv2d1 cannot take rows of shape \(5,\): needs images"),
        (Cnn(filters=(4, 4, 4)), (4, 4, 1), r"layer max_pool3 cannot take .* \(1, 1, 4\)"),
        (ResNet(), (7,), r"layer conv2d1 cannot take rows of shape \(7,\)"),
    ],
)
def test_a_shape_that_does_not_fit_is_named(network: Any, shape: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        network.build(shape, 10)


def test_layers_are_numbered_within_their_kind() -> None:
    names = Cnn().build(IMAGE, 10).chain.names
    assert names[:8] == [
        *("conv2d1", "batch_norm1", "relu1", "max_pool1"),
        *("conv2d2", "batch_norm2", "relu2", "max_pool2"),
    ]
    assert isinstance(Cnn().build(IMAGE, 10).chain.layers[-1], Dense)
    assert MaxPool().name == "max_pool"


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "sequential"])
def test_the_page_shows_a_network_with_its_defaults(name: str) -> None:
    assert_shown_with_defaults(PAGE, name, NETWORKS[name])
    assert all(field.default is not MISSING for field in fields(NETWORKS[name]))
