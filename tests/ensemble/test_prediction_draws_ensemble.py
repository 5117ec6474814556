"""Augmentation at prediction, in the ensemble: the mean prediction over the draws of a row."""

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import plain_schema

import ensemble_pipe
from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.data.augment import HorizontalFlip, ShiftCrop
from ensemble_pipe.data.augment.policy import Augment, ShardStep
from ensemble_pipe.data.augment.prediction import PredictionDraws
from ensemble_pipe.data.augment.tables import FeatureNoise
from ensemble_pipe.data.base import shard_table
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shard_view import ShardView
from ensemble_pipe.ensemble.combiners import Weighted, softmax
from ensemble_pipe.ensemble.members import NetworkMember, member_outputs
from ensemble_pipe.nn.building import build
from ensemble_pipe.nn.losses import CrossEntropy, GaussianNLL, Loss, SquaredError
from ensemble_pipe.nn.networks import Mlp
from ensemble_pipe.run.pipeline import run
from ensemble_pipe.serving.artifact import Model
from ensemble_pipe.serving.files import predict_file
from ensemble_pipe.serving.inputs import batch_of, open_input
from ensemble_pipe.serving.model import Ensemble

ROWS, DRAWS = 300, 4
NETWORK = Mlp(hidden=(9,))
CLASSES = plain_schema("classification", (5, 4, 1), ("x", "y", "z"), mean=100.0, deviation=50.0)
NUMBERS = plain_schema("regression", (6,))
FLIP: tuple[ShardStep, ...] = (HorizontalFlip(probability=0.5),)
NOISE: tuple[ShardStep, ...] = (FeatureNoise(deviation=0.5),)
IMAGES = np.random.default_rng(0).integers(0, 256, (ROWS, 5, 4, 1)).astype(np.uint8)
FEATURES = np.random.default_rng(0).standard_normal((ROWS, 6), np.float32)


def members_of(schema: Schema, loss: Loss) -> list[NetworkMember]:
    rows = [build(NETWORK, loss, schema).initialize(1, learner) for learner in range(2)]
    return [NetworkMember(n, 0, 1, NETWORK, loss, row) for n, row in enumerate(rows)]


def draws_of(policy: tuple[ShardStep, ...], draws: int = DRAWS) -> PredictionDraws:
    return PredictionDraws(Augment(policy=policy, test_draws=draws), seed=7)


def outputs(schema: Schema, loss: Loss, rows: Array, draws: PredictionDraws) -> Floats:
    """Return the members' outputs (K, R, O)."""
    view = view_of(schema, rows)
    reads = draws.reads(view, schema.spans)
    return member_outputs(members_of(schema, loss), schema, reads, len(rows))


def each_draw(schema: Schema, loss: Loss, rows: Array, draws: PredictionDraws) -> list[Floats]:
    """Return the members' outputs for each draw alone."""
    view = view_of(schema, rows)
    members = members_of(schema, loss)
    return [
        member_outputs(members, schema, [read], len(rows)).astype(np.float64)
        for read in draws.reads(view, schema.spans)
    ]


def view_of(schema: Schema, rows: Array) -> ShardView:
    none = np.zeros(len(rows), np.int32)
    return ShardView([shard_table(rows, none, none)], *schema.input_scale())


def test_the_mean_is_over_probabilities_not_logits() -> None:
    draws, loss = draws_of(FLIP), CrossEntropy()
    parts = each_draw(CLASSES, loss, IMAGES, draws)
    by_hand = sum(softmax(part) for part in parts) / DRAWS
    found = softmax(outputs(CLASSES, loss, IMAGES, draws))
    assert np.allclose(found, by_hand, atol=1e-6)
    assert not np.allclose(found, softmax(np.mean(parts, axis=0)), atol=1e-3)


def test_means_and_variances_follow_the_law_of_total_variance() -> None:
    draws, loss = draws_of(NOISE), GaussianNLL()
    parts = np.stack(each_draw(NUMBERS, loss, FEATURES, draws))
    means, variances = parts[..., 0], parts[..., 1]
    found = outputs(NUMBERS, loss, FEATURES, draws)
    assert np.allclose(found[..., 0], means.mean(axis=0), atol=1e-6)
    total = variances.mean(axis=0) + means.var(axis=0)
    assert np.allclose(found[..., 1], total, rtol=1e-5)
    assert (means.var(axis=0) > 1e-3).any()


def test_a_variance_stays_above_0_where_the_mean_is_large() -> None:
    # The mean squared is about 1e14 here, which float64 knows to within 0.02.
    still = draws_of((FeatureNoise(deviation=0.0),), draws=3)
    loss = GaussianNLL()
    far = FEATURES * np.float32(1e7)
    (plain,) = each_draw(NUMBERS, loss, far, draws_of(NOISE, draws=0))
    found = outputs(NUMBERS, loss, far, still)
    assert np.allclose(found, plain, rtol=1e-6)
    assert (found[..., 1] > 0).all()


def test_numbers_without_a_variance_are_averaged() -> None:
    draws, loss = draws_of(NOISE), SquaredError()
    by_hand = np.mean(each_draw(NUMBERS, loss, FEATURES, draws), axis=0)
    assert np.allclose(outputs(NUMBERS, loss, FEATURES, draws), by_hand, atol=1e-6)


def test_no_draws_are_the_plain_prediction_bit_for_bit() -> None:
    loss = CrossEntropy()
    plain = member_outputs(
        members_of(CLASSES, loss), CLASSES, [view_of(CLASSES, IMAGES).read], ROWS
    )
    assert outputs(CLASSES, loss, IMAGES, draws_of(FLIP, draws=0)).tobytes() == plain.tobytes()


@pytest.mark.parametrize(
    ("schema", "loss", "rows", "policy"),
    [
        (CLASSES, CrossEntropy(), IMAGES, (HorizontalFlip(probability=0.0), ShiftCrop(pixels=0))),
        (NUMBERS, GaussianNLL(), FEATURES, (FeatureNoise(deviation=0.0),)),
    ],
    ids=["images", "numbers"],
)
def test_a_policy_of_strength_zero_predicts_as_without(
    schema: Schema, loss: Loss, rows: Array, policy: tuple[ShardStep, ...]
) -> None:
    plain = outputs(schema, loss, rows, draws_of(policy, draws=0))
    found = outputs(schema, loss, rows, draws_of(policy, draws=3))
    if schema.task == "classification":
        plain, found = softmax(plain), softmax(found)
    assert np.allclose(found, plain, atol=1e-5)


@pytest.mark.parametrize("length", [21, 256, 290])
def test_an_input_is_predicted_alike_however_it_is_cut(length: int) -> None:
    draws = draws_of((*FLIP, ShiftCrop(pixels=1)), draws=3)
    members = members_of(CLASSES, CrossEntropy())
    model = Ensemble(Model(CLASSES, members, Weighted.equal(len(members)), draws))
    whole = batch_of(IMAGES, CLASSES)
    parts = [
        model.block_outputs(whole.slice(first, length), str, first)
        for first in range(0, ROWS, length)
    ]
    assert np.concatenate(parts, axis=1).tobytes() == model.outputs(IMAGES).tobytes()


PIPELINE = """
name: drawn
augment: {policy: [{name: horizontal_flip}, {name: shift_crop, pixels: 1}], test_draws: 3}
network: {hidden: [8]}
training: {epochs: 2, batch_size: 64}
ensemble: {learners: 2}
"""


@pytest.mark.slow
def test_a_run_with_draws_predicts_alike_however_its_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn.datasets import load_digits

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setattr("mlflow.tracking._tracking_service.utils._tracking_uri", None)
    (tmp_path / "p.yaml").write_text(PIPELINE)
    images = load_digits().images.astype(np.uint8)[:, :, :, None]
    np.save(tmp_path / "rows.npy", images)
    result = run(tmp_path / "p.yaml", inline=True)

    model = ensemble_pipe.load(result.run_dir)
    in_memory = model.table(images).to_pandas()
    predict_file(model, open_input("rows.npy", model.schema), tmp_path / "out.parquet")
    from_file = pq.read_table(tmp_path / "out.parquet").to_pandas()
    assert from_file.pop("row").tolist() == list(range(len(images)))
    served = mlflow.pyfunc.load_model(result.model_uri)
    pd.testing.assert_frame_equal(from_file, in_memory, check_exact=True)
    pd.testing.assert_frame_equal(served.predict(images), in_memory, check_exact=True)

    path = RunPaths(Path(result.run_dir)).predictions("test")
    parts = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    test = images[parts.column("row").to_numpy()]
    assert np.array_equal(model.predict_proba(test)[:, 3], parts.column("probability_3"))
