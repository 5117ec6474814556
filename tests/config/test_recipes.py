"""Training settings that come with a network, and what of them a pipeline may say itself."""

from dataclasses import replace

import pytest

from ensemble_pipe.config.defaults import DataFacts, settle
from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.data.tables.scaling import Quantile, RobustClip
from ensemble_pipe.nn.layers import Mish, Parametric
from ensemble_pipe.nn.losses import CrossEntropy, SquaredError
from ensemble_pipe.nn.networks import RealMlp, TabM
from ensemble_pipe.optim import AdamW, ConstantRate, Cosine, CosLog, FlatCosine
from ensemble_pipe.training.regularization import Regularization


def settled(**values: object) -> Pipeline:
    return settle(Pipeline.model_validate(values), DataFacts(rows=10_000))


def test_realmlp_is_trained_as_its_authors_do() -> None:
    found = settled(network={"name": "realmlp"})
    assert found.network == RealMlp()
    assert found.scale == RobustClip()
    assert found.training.optimizer == AdamW(learning_rate=0.04, beta2=0.95, weight_decay=0.02)
    assert found.training.schedule == CosLog()
    assert found.training.loss == CrossEntropy()
    assert found.training.regularization == Regularization(
        dropout=FlatCosine(), weight_decay=FlatCosine()
    )
    assert (found.training.epochs, found.training.batch_size) == (256, 256)
    numbers = settled(network={"name": "realmlp"}, task="regression").training
    assert numbers.optimizer == replace(found.training.optimizer, learning_rate=0.2)
    assert numbers.loss == SquaredError()


def test_targets_are_standardised_as_a_squared_error_needs() -> None:
    network = {"name": "realmlp"}
    assert settled(network=network, task="regression").target.scale == "standardize"
    assert settled(network=network).target.scale == "auto"
    logarithm = settled(network=network, task="regression", target={"scale": "log"})
    assert logarithm.target.scale == "log"


def test_labels_are_smoothed_where_accuracy_counts() -> None:
    combine = {"metric": "accuracy", "method": "greedy"}
    found = settled(network={"name": "realmlp"}, ensemble={"combine": combine})
    assert found.training.loss == CrossEntropy(smoothing=0.1)


def test_tabm_is_trained_as_its_authors_do() -> None:
    found = settled(network={"name": "tabm"})
    assert (found.network, found.scale) == (TabM(), Quantile())
    assert found.training.optimizer == AdamW(
        learning_rate=0.002, weight_decay=0.0003, clip_norm=1.0
    )
    assert found.training.schedule == ConstantRate()
    assert found.training.early_stopping is not None
    assert found.training.early_stopping.patience == 16


def test_what_a_pipeline_says_stays() -> None:
    training = {
        "optimizer": {"learning_rate": 0.01},
        "schedule": {"name": "cosine"},
        "epochs": 3,
        "regularization": {},
    }
    found = settled(network={"name": "realmlp"}, training=training, scale={"name": "quantile"})
    expected = AdamW(learning_rate=0.01, beta2=0.95, weight_decay=0.02)
    assert found.training.optimizer == expected
    assert (found.training.schedule, found.scale) == (Cosine(), Quantile())
    assert found.training.epochs == 3
    assert found.training.early_stopping is None
    assert found.training.regularization == Regularization()


def test_images_have_their_own_settings() -> None:
    pipeline = Pipeline.model_validate({"network": {"name": "realmlp"}})
    found = settle(pipeline, DataFacts(images=True))
    assert (found.training.epochs, found.training.schedule) == (20, Cosine())


def test_the_activation_follows_the_task() -> None:
    layers = RealMlp().listed(classes=False).layers
    assert Parametric(activation=Mish().name, rate=0.1) in layers


def test_smoothing_needs_a_loss_that_has_it() -> None:
    training = {
        "loss": {"name": "hinge"},
        "regularization": {"label_smoothing": {"name": "cosine"}},
    }
    with pytest.raises(Exception, match=r"label_smoothing: hinge has no smoothing; take cross"):
        make_plans(Pipeline.model_validate({"training": training}))
