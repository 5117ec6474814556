"""Rows that a layer cannot take: the message names layer and shape, and what would be right."""

import pytest

from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.nn import layers


def columns(*places: int) -> tuple[layers.CategoricalColumn, ...]:
    return tuple(layers.CategoricalColumn(column=n, categories=2, dimension=1) for n in places)


REFUSED: dict[str, tuple[layers.Layer, tuple[int, ...], str]] = {
    "dense of images": (
        layers.Dense(units=3), (4, 3, 2),
        "layer dense1 cannot take rows of shape (4, 3, 2): needs flat rows (features,), got "
        "(4, 3, 2); put a flatten before it",
    ),
    "max_pool of flat rows": (
        layers.MaxPool(), (5,),
        "layer max_pool1 cannot take rows of shape (5,): needs images (height, width, channels)",
    ),
    "max_pool of small images": (
        layers.MaxPool(size=4), (3, 9, 1),
        "layer max_pool1 cannot take rows of shape (3, 9, 1): a window of 4 by 4 does not fit into "
        '3 by 9 pixels; make it smaller, or use padding "same"',
    ),
    "average_pool of small images": (
        layers.AveragePool(size=2), (1, 1, 1),
        "layer average_pool1 cannot take rows of shape (1, 1, 1): a window of 2 by 2 does not fit",
    ),
    "global_average_pool of flat rows": (
        layers.GlobalAveragePool(), (5,),
        "layer global_average_pool1 cannot take rows of shape (5,)"
    ),
    "fractional_max_pool of small images": (
        layers.FractionalMaxPool(ratio=1.9, overlapping=False), (3, 20, 1),
        "layer fractional_max_pool1 cannot take rows of shape (3, 20, 1): steps of 1 and 2 cannot "
        "cut height 3 into 1 regions, as ratio 1.9 asks; use a ratio nearer to 1.5, or larger",
    ),
    "drop_connect of images": (
        layers.DropConnect(units=3), (4, 3, 2),
        "layer drop_connect1 cannot take rows of shape (4, 3, 2)"
    ),
    "embedding of images": (
        layers.Embedding(columns=columns(0)), (4, 3, 2),
        "layer embedding1 cannot take rows of shape (4, 3, 2): needs flat rows",
    ),
    "embedding of a column that is not there": (
        layers.Embedding(columns=columns(5)), (5,),
        "rows have columns 0 to 4, so there is no column 5",
    ),
    "embedding of a column twice": (
        layers.Embedding(columns=columns(1, 1)), (5,),
        "names a column twice in [1, 1]; name each once",
    ),
    "embedding of nothing": (
        layers.Embedding(columns=()), (5,), "has no columns; list at least one"
    ),
    "residual of nothing": (
        layers.Residual(layers=()), (5,), "has no layers inside; list at least one"
    ),
    "residual around a layer that does not fit": (
        layers.Residual(layers=(layers.Dense(units=3), layers.MaxPool())), (5,),
        "layer residual1 cannot take rows of shape (5,): layer max_pool1 cannot take rows of shape "
        "(3,): needs images",
    ),
    "residual with an identity that does not fit": (
        layers.Residual(layers=(layers.Dense(units=3),), shortcut="identity"), (5,),
        "layer residual1 cannot take rows of shape (5,): its layers give rows of shape (3,), to "
        'which an identity shortcut cannot be added; let them keep the shape, or use shortcut',
    ),
    "residual from images to flat rows": (
        layers.Residual(layers=(layers.Flatten(),)), (4, 3, 2),
        "its layers give rows of shape (24,) from rows of shape (4, 3, 2), which no shortcut does; "
        "let them give flat rows from flat rows, or from images those that 1 by 1 pixels with a",
    ),
    "residual that shrinks images unevenly": (
        layers.Residual(layers=(layers.GlobalAveragePool(), layers.Flatten())), (4, 3, 2),
        "its layers give rows of shape (2,) from rows of shape (4, 3, 2), which no shortcut does",
    ),
    "residual that cuts off the edge of images": (
        layers.Residual(layers=(layers.Conv2d(filters=2, padding="valid"),)), (8, 8, 2),
        "its layers give rows of shape (6, 6, 2) from rows of shape (8, 8, 2), which no shortcut",
    ),
    "conv2d of flat rows": (
        layers.Conv2d(filters=2), (5,), "layer conv2d1 cannot take rows of shape (5,): needs images"
    ),
    "conv2d of small images": (
        layers.Conv2d(filters=2, kernel_size=5, padding="valid"), (4, 9, 1),
        "layer conv2d1 cannot take rows of shape (4, 9, 1): a kernel of 5 by 5 does not fit into 4 "
        'by 9 pixels; make it smaller, or use padding "same"',
    ),
    "depthwise_conv2d of flat rows": (
        layers.DepthwiseConv2d(), (5,),
        "layer depthwise_conv2d1 cannot take rows of shape (5,): needs"
    ),
    "separable_conv2d of flat rows": (
        layers.SeparableConv2d(filters=2), (5,),
        "layer separable_conv2d1 cannot take rows of shape (5,)"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_rows_that_do_not_fit_are_refused_with_layer_shape_and_remedy(name: str) -> None:
    layer, shape, message = REFUSED[name]
    with pytest.raises(ConfigError) as caught:
        layers.Chain(shape, [layer])
    assert str(caught.value).startswith("network: layer ")
    assert message in str(caught.value)
