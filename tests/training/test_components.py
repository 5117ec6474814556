"""Components of a caller's own: checked when handed in, known while a call runs, saved by name.

The layer and the loss are those of docs/components.md.
"""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
import yaml
from annotated_types import Ge

import ensemble_pipe
from ensemble_pipe.config.reading import Pipeline, resolve
from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.settings import settings
from ensemble_pipe.data.augment import HorizontalFlip
from ensemble_pipe.data.augment.policy import Augment
from ensemble_pipe.data.sources import Bundled, Rows
from ensemble_pipe.data.sources.kinds import image_roles
from ensemble_pipe.data.tables.columns import Roles
from ensemble_pipe.nn.layers import Dense, ReLU, Residual
from ensemble_pipe.nn.losses import numbers_of
from ensemble_pipe.nn.network import Network
from ensemble_pipe.optim import Adam, Update
from ensemble_pipe.run.pipeline import resume
from ensemble_pipe.training.components import custom_components, names_in

PAGE = (Path(__file__).parents[2] / "docs" / "components.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)

# A pipeline's settings, and the classes that it needs.
Everything = tuple[dict[str, Any], list[type[Any]]]


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    """Return what the page defines, as a script would."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(BLOCKS[0], names)
    return names


def own_classes() -> list[type[Any]]:
    """Return an update rule, an augmentation and a source, which no module holds."""

    def signs(
        rows: Floats, gradients: Floats, velocity: Floats, spans: Array, effects: Floats,
        numbers: Floats, rate: Floats, scales: Floats, step: int,
    ) -> None:  # fmt: skip
        for m in range(len(rows)):
            keep = np.float32(numbers[m, 5])
            for start, stop in spans:
                velocity[m, start:stop] *= keep
                velocity[m, start:stop] += gradients[m, start:stop]
                rows[m, start:stop] -= np.float32(rate[m]) * np.sign(velocity[m, start:stop])

    @settings
    class Sign(Update):
        slots = ("velocity",)
        kernel = staticmethod(signs)

        name: Literal["sign"] = "sign"
        learning_rate: float = 0.003
        momentum: Annotated[float, Ge(0)] = 0.5

    @settings
    class Invert:
        rows = "images"

        name: Literal["invert"] = "invert"
        probability: float = 0.5

        def apply(self, images: Array, random: np.random.Generator) -> Array:
            chosen = random.random(len(images)) < self.probability
            return np.where(chosen[:, None, None, None], 255 - images, images)

    @settings
    class Digits:
        source: Literal["my_digits"] = "my_digits"

        def open(self) -> tuple[Rows, Rows | None]:
            return Bundled(set="digits").open()

        def roles(self, rows: Rows) -> Roles:
            return image_roles(rows)

    return [Sign, Invert, Digits]


@pytest.fixture(scope="module")
def everything(example: dict[str, Any]) -> Everything:
    """Return a small pipeline with a component of each kind, and their classes."""
    network = {
        "name": "sequential",
        "layers": [{"name": "flatten"}, {"name": "maxout", "units": 4}],
    }
    values = {
        "data": {"source": "my_digits"},
        "augment": [{"name": "invert", "probability": 0.1}],
        "network": network,
        "training": {"epochs": 2, "loss": {"name": "focal"}, "optimizer": {"name": "sign"}},
        "ensemble": {"learners": 2, "vary": {"training.optimizer.momentum": [0.5, 0.6]}},
        "tracking": {"mlflow": False},
    }
    return values, [example["Maxout"], example["Focal"], *own_classes()]


Load = Callable[..., Pipeline]


def refusal(load: Load, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(text)
    return str(caught.value)


# The worked example


def test_the_layer_of_the_page_has_the_gradient_of_its_outputs(example: dict[str, Any]) -> None:
    network = Network((4,), [Dense(units=5), example["Maxout"](units=3), Dense(units=2)])
    random = np.random.default_rng(1)
    rows = random.normal(size=(2, network.layout.size))
    inputs, towards = random.normal(size=(6, 4)), random.normal(size=(2, 6, 2))
    gradients = np.zeros_like(rows)
    bound = network.bind(rows, 6, gradients)
    bound.forward(inputs)
    bound.backward(towards.copy())
    direction, step = random.normal(size=rows.shape), 1e-6

    def value(rows: Floats) -> Floats:
        outputs: Floats = network.bind(rows, 6).forward(inputs)
        summed: Floats = (outputs * towards).sum(axis=(1, 2))
        return summed

    slope = (value(rows + step * direction) - value(rows - step * direction)) / (2 * step)
    np.testing.assert_allclose((gradients * direction).sum(axis=1), slope, rtol=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_the_loss_of_the_page_has_the_gradient_of_its_value(
    example: dict[str, Any], gamma: float
) -> None:
    loss = example["Focal"](gamma=gamma)
    random = np.random.default_rng(2)
    outputs, direction = random.normal(size=(2, 1, 5, 3))
    targets, weights = np.array([[0, 1, 2, 1, 0]], np.int32), random.random((1, 5))

    def evaluate(outputs: Floats) -> tuple[float, Floats]:
        gradient, losses = np.zeros_like(outputs), np.zeros(1)
        loss.evaluate(outputs, targets, weights, numbers_of([loss]), gradient, losses)
        return float(losses[0]), gradient

    step = 1e-6
    after, before = evaluate(outputs + step * direction), evaluate(outputs - step * direction)
    slope = (after[0] - before[0]) / (2 * step)
    assert (evaluate(outputs)[1] * direction).sum() == pytest.approx(slope, rel=1e-6)


@pytest.mark.slow
def test_the_page_runs_as_it_stands_on_ray(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(BLOCKS)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    accuracy, predicted = done.stdout.strip().splitlines()[-2:]
    assert float(accuracy) > 0.9
    assert re.fullmatch(r"\[\d\]", predicted)


# Reading


def test_a_name_stands_for_a_class_only_where_it_was_handed_in(
    example: dict[str, Any], load: Load
) -> None:
    text = "network: {name: sequential, layers: [{name: flatten}, {name: maxout, units: 3}]}"
    unknown = refusal(load, text)
    assert unknown.startswith("network.layers.1.name: unknown 'maxout'")
    assert "with its class: ensemble_pipe.run(PIPELINE, components=[...]) (p.yaml:1)" in unknown
    with custom_components([example["Maxout"]]):
        layer = load(text).network.layers[1]  # type: ignore[union-attr]
        assert layer == example["Maxout"](units=3)
        elsewhere: list[str] = []
        thread = threading.Thread(target=lambda: elsewhere.append(refusal(load, text)))
        thread.start()
        thread.join()
    assert elsewhere == [unknown]
    assert refusal(load, text) == unknown


def test_mistakes_in_a_component_of_ones_own_name_its_keys(
    example: dict[str, Any], load: Load
) -> None:
    layers = "[{name: maxout, unit: 3}, {name: maxout, units: 0}, {name: maxut}]"
    with custom_components([example["Maxout"]]):
        found = refusal(load, f"network: {{name: sequential, layers: {layers}}}").splitlines()
    assert found[:3] == [
        "network.layers.0.units: is missing; it has no default (p.yaml:1)",
        "network.layers.0.unit: unknown key 'unit'; did you mean 'units'? "
        "valid: name, pieces, units (p.yaml:1)",
        "network.layers.1.units: input should be greater than 0, got 0 (p.yaml:1)",
    ]
    assert found[3].startswith("network.layers.2.name: unknown 'maxut'; did you mean 'maxout'?")


def test_a_pipeline_with_own_components_is_written_as_it_is_read(
    everything: Everything,
) -> None:
    values, classes = everything
    branch = {"name": "residual", "layers": [{"name": "maxout", "units": 4}]}
    values = {**values, "network": {"name": "sequential", "layers": [{"name": "flatten"}, branch]}}
    with custom_components(classes):
        pipeline = Pipeline.model_validate(values)
        again = Pipeline.model_validate(yaml.safe_load(yaml.safe_dump(resolve(pipeline))))
    assert again == pipeline


# What is handed in


def write_pipeline(everything: Everything, folder: Path) -> tuple[Path, list[type[Any]]]:
    values, classes = everything
    path = folder / "p.yaml"
    path.write_text(yaml.safe_dump(values))
    return path, classes


def test_a_model_names_the_components_that_it_needs(everything: Everything, tmp_path: Path) -> None:
    path, classes = write_pipeline(everything, tmp_path)
    result = ensemble_pipe.run(path, output=tmp_path, inline=True, components=classes)
    record = json.loads((Path(result.run_dir) / "model" / "model.json").read_text())
    assert record["components"] == {
        "augmentation": ["invert"],
        "layer": ["maxout"],
        "loss": ["focal"],
    }
    images = np.zeros((2, 8, 8), np.uint8)
    assert ensemble_pipe.load(result.run_dir, components=classes).predict(images).shape == (2,)
    with pytest.raises(ConfigError, match="augmentation 'invert', the loss 'focal', which") as told:
        ensemble_pipe.load(result.run_dir, components=classes[:1])
    assert str(told.value).endswith("classes: ensemble_pipe.load(MODEL, components=[...])")
    with pytest.raises(ConfigError, match="unknown 'my_digits'"):
        resume(result.run_dir, inline=True)
    again = resume(result.run_dir, inline=True, components=classes)
    assert again.metrics == result.metrics


def test_an_estimator_takes_components(example: dict[str, Any], tmp_path: Path) -> None:
    inputs = np.random.default_rng(3).normal(size=(60, 4))
    labels = (inputs[:, 0] > 0).astype(int)
    layers = [{"name": "maxout", "units": 3}]
    overrides = {"network": {"name": "sequential", "layers": layers}}
    classes = (example["Maxout"],)
    estimator = ensemble_pipe.EnsembleClassifier(
        learners=1, epochs=1, overrides=overrides, components=classes, random_state=1
    ).fit(inputs, labels)
    estimator.save(tmp_path)
    loaded = ensemble_pipe.load(tmp_path, components=classes)
    np.testing.assert_array_equal(loaded.predict_proba(inputs), estimator.predict_proba(inputs))


def test_the_components_of_the_package_are_not_named() -> None:
    assert names_in((Augment(policy=(HorizontalFlip(),)), Residual(layers=(ReLU(),)), Adam())) == {}


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_own_components_train_on_ray_to_the_bits_of_the_calling_process(
    everything: Everything, tmp_path: Path
) -> None:
    path, classes = write_pipeline(everything, tmp_path)
    results = [
        ensemble_pipe.run(path, output=tmp_path, components=classes, inline=inline, address="auto")
        for inline in (True, False)
    ]
    here, there = [Path(result.run_dir) / "model" / "members.safetensors" for result in results]
    assert here.read_bytes() == there.read_bytes()
