"""Components of a caller's own that return or write what they must not: a message, and no crash."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pytest
import yaml

import ensemble_pipe
from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.errors import InputError
from ensemble_pipe.core.settings import settings
from ensemble_pipe.data.augment.policy import augment
from ensemble_pipe.data.sources import Rows
from ensemble_pipe.data.sources.checked import open_source
from ensemble_pipe.data.sources.kinds import image_roles
from ensemble_pipe.data.sources.rows import image_array, rows_of
from ensemble_pipe.nn.building import build
from ensemble_pipe.nn.layers import Binding, Layer
from ensemble_pipe.nn.losses import numbers_of
from ensemble_pipe.nn.losses.classification import OnePerClass
from ensemble_pipe.nn.networks import Mlp
from ensemble_pipe.optim import Update


def message_of(action: Any) -> str:
    with pytest.raises(InputError) as caught:
        action()
    return str(caught.value)


# Losses


def squares(
    outputs: Floats, targets: Array, weights: Floats, gradient: Floats, losses: Floats
) -> None:
    """A kernel that is right in its form."""
    gradient[...] = outputs
    losses[:] = 1.0


@settings
class Squares(OnePerClass):
    name: Literal["squares"] = "squares"
    kernel = staticmethod(squares)


def evaluated(kernel: Any) -> Floats:
    loss: Any = type("Other", (Squares,), {"kernel": staticmethod(kernel)})()
    outputs, gradient, losses = (
        np.ones((2, 3, 4), np.float32),
        np.zeros((2, 3, 4), "f4"),
        np.ones(2),
    )
    targets, weights = np.zeros((2, 3), np.int32), np.ones((2, 3), np.float32)
    loss.evaluate(outputs, targets, weights, numbers_of([loss]), gradient, losses)
    return gradient


def test_a_loss_writes_into_the_given_arrays() -> None:
    assert (evaluated(squares) == 1).all()

    def no_gradient(outputs: Any, targets: Any, weights: Any, gradient: Any, losses: Any) -> None:
        gradient = outputs  # noqa: F841
        losses[:] = 1.0

    def no_losses(outputs: Any, targets: Any, weights: Any, gradient: Any, losses: Any) -> None:
        gradient[...] = outputs
        losses = outputs.sum(axis=(1, 2))  # noqa: F841

    for kernel, name in ((no_gradient, "gradient"), (no_losses, "losses")):
        found = message_of(lambda kernel=kernel: evaluated(kernel))
        assert found.startswith(f"loss 'squares': kernel did not overwrite all of {name}; write")


class Shape:
    input_shape = (4,)
    classes = (0, 1, 2)
    target_count = 1
    code_counts: ClassVar[dict[int, int]] = {}
    code_places: ClassVar[dict[str, int]] = {}
    number_places = (0, 1, 2, 3)
    vectors: ClassVar[dict[int, int]] = {}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"outputs": lambda self, c, t=1: 3.0}, "outputs returned 3.0, must be a whole number"),
        ({"outputs": lambda self, c, t=1: 0}, "outputs returned 0, must be a whole number above 0"),
        (
            {"predictions": lambda self, outputs: outputs.astype(np.float64)},
            "predictions returned float64 (2, 3, 3), must be float32 (2, 3, 3)",
        ),
        (
            {"predictions": lambda self, outputs: outputs.argmax(axis=-1)},
            "predictions returned int64 (2, 3), must be float32 (2, 3, 3)",
        ),
    ],
)
def test_outputs_and_predictions_of_a_loss_fit_the_data(members: Any, message: str) -> None:
    build(Mlp(), Squares(), Shape())  # type: ignore[arg-type]
    loss = type("Other", (Squares,), members)()
    assert f"loss 'squares': {message}" in message_of(lambda: build(Mlp(), loss, Shape()))


# Augmentations


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda images: images / 2, "float64 (3, 4, 4, 1)"),
        (lambda images: images[:, :2], "uint8 (3, 2, 4, 1)"),
        (lambda images: images[1:], "uint8 (2, 4, 4, 1)"),
        (lambda images: None, "None"),
    ],
)
def test_an_augmentation_keeps_type_and_shape(change: Any, found: str) -> None:
    class Own:
        rows = "images"
        name = "own"

        def apply(self, images: Array, random: Any) -> Any:
            return change(images)

    images = np.zeros((3, 4, 4, 1), np.uint8)
    policy: Any = [Own()]
    message = message_of(lambda: augment(images, policy, np.random.default_rng(1)))
    assert message == f"augmentation 'own': apply returned {found}, must be uint8 (3, 4, 4, 1)"


# Sources


class Source:
    source = "own"
    found: ClassVar[Any] = None

    def open(self) -> Any:
        return self.found

    def roles(self, rows: Rows) -> Any:
        return image_roles(rows)


def source_of(found: Any, **members: Any) -> Any:
    return type("Other", (Source,), {"found": found, **members})()


def images(batch: Any = None) -> Rows:
    columns = {"image": image_array(np.zeros((3, 4, 4), np.uint8)), "label": pa.array([0, 1, 0])}
    rows = rows_of("zeros", pa.table(columns))

    def read(names: Sequence[str]) -> Any:
        yield batch

    return rows if batch is None else Rows(rows.where, rows.count, rows.schema, read, rows.place)


def test_a_source_returns_rows_and_roles() -> None:
    rows, test, roles = open_source(source_of((images(), None)))
    assert (rows.count, test, roles.label) == (3, None, "label")
    right = "must be (Rows, Rows or None)"
    for found, name in (
        (images(), "Rows"), (None, "None"), ((images(),), "tuple"), ((None, 3), "(None, int)"),
    ):  # fmt: skip
        message = message_of(lambda found=found: open_source(source_of(found)))
        assert message == f"data source 'own': open returned {name}, {right}"
    odd = source_of((images(), None), roles=lambda self, rows: {"label": "y"})
    message = message_of(lambda: open_source(odd))
    assert message == "data source 'own': roles returned dict, must be Roles"


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"label": [1]}, "read yielded dict, must be a RecordBatch"),
        (
            pa.RecordBatch.from_pydict({"label": [0.5]}),
            "read yielded columns label double, must be those of its schema: label int64",
        ),
    ],
)
def test_the_batches_of_a_source_have_its_schema(batch: Any, message: str) -> None:
    rows, _, _ = open_source(source_of((images(batch), None)))
    found = message_of(lambda: list(rows.blocks(["label"])))
    assert found == f"data source 'own': {message}"


# Whole runs


class BoundDouble:
    outputs_may_change = True

    def forward(self, inputs: Floats, step: int) -> Any:
        return inputs.astype(np.float64)

    def backward(self, gradient: Floats) -> Any:
        return gradient


@settings
class Double(Layer):
    name: Literal["double"] = "double"

    def bind(self, binding: Binding) -> Any:
        return BoundDouble()


def plain_descent(*arguments: Any) -> None:
    rows, gradients, *_, rate, _, _ = arguments
    rows[:, : gradients.shape[1]] -= rate.astype(np.float32)[:, None] * gradients


@settings
class Plain(Update):
    name: Literal["plain"] = "plain"
    learning_rate: float = 0.01
    slots: ClassVar[tuple[str, ...]] = ()
    kernel = staticmethod(plain_descent)


@settings
class Clashing(Plain):
    name: Literal["clashing"] = "clashing"  # type: ignore[assignment]
    slots = ("member",)


def run(folder: Path, classes: list[type[Any]], layer: str = "relu", rule: str = "adam") -> Any:
    # Four numbers of many distinct values, so that each is one feature.
    numbers = np.random.default_rng(0).normal(size=(150, 4))
    rows = np.column_stack([numbers, numbers[:, 0] > 0])
    np.savetxt(folder / "t.csv", rows, delimiter=",", header="a,b,c,d,y", comments="")
    layers = [{"name": layer}, {"name": "dense", "units": 4}]
    values = {
        "data": {"source": "table", "path": str(folder / "t.csv"), "label": "y"},
        "network": {"name": "sequential", "layers": layers},
        "training": {"epochs": 1, "optimizer": {"name": rule}},
        "ensemble": {"learners": 1},
        "tracking": {"mlflow": False},
    }
    path = folder / "p.yaml"
    path.write_text(yaml.safe_dump(values))
    return ensemble_pipe.run(path, output=folder, inline=True, components=classes)


def test_a_run_ends_with_the_message_of_a_wrong_layer(tmp_path: Path) -> None:
    found = message_of(lambda: run(tmp_path, [Double], layer="double"))
    assert found == "layer 'double': forward returned float64 (1, 4, 4), must be float32 (1, 4, 4)"


def test_an_update_rule_may_remember_nothing(tmp_path: Path) -> None:
    assert run(tmp_path, [Plain], rule="plain").metrics["test/accuracy"] > 0


def test_a_slot_has_a_name_of_its_own(tmp_path: Path) -> None:
    found = message_of(lambda: run(tmp_path, [Clashing], rule="clashing"))
    assert (
        found == "update rule 'clashing': slots has member, which means something else; rename it"
    )
