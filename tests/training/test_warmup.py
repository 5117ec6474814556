"""Warming up takes a step with every kind of learner, so that training compiles nothing more."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Prepared
from numba.core.dispatcher import Dispatcher

from ensemble_pipe.core import compilation
from ensemble_pipe.nn.losses import LOSSES
from ensemble_pipe.optim import AVERAGES, RULES, SCHEDULES
from ensemble_pipe.training import warmup
from ensemble_pipe.training.warmup import compile_kernels, warm_up

CLASSIFIERS = [name for name, loss in LOSSES.items() if loss.task == "classification"]
VARIED: dict[str, dict[str, Any]] = {
    "rules": {"training.optimizer.name": list(RULES)},
    "losses": {"training.loss.name": CLASSIFIERS},
    "averages": {"training.averaging.name": [*AVERAGES]},
    "averages at cycles": {
        "training.averaging": [{"name": "swa", "at": "cycle"}],
        "training.schedule.name": ["snapshot", "fast_geometric"],
    },
    "schedules": {"training.schedule.name": list(SCHEDULES)},
    "batches and orders": {"training.batch_size": ["all", 8], "training.order": ["own", "shared"]},
    "ends": {"training.early_stopping": [None, {}], "training.epochs": [1, 5]},
    "networks": {
        "network": [
            {"hidden": [4]},
            {"hidden": [4], "dropout": 0.5},
            {"name": "linear"},
            {"name": "wide_and_deep", "hidden": [4]},
            {"name": "cnn", "filters": [4, 5], "hidden": [8]},
            {"name": "separable_cnn", "filters": [4, 5], "hidden": []},
            {"name": "resnet", "filters": [4, 5], "blocks": 1},
        ]
    },
}


def compiled() -> set[tuple[str, str]]:
    """Return every kernel of the package with every signature that it is compiled for."""
    modules = [m for name, m in sys.modules.items() if name.startswith("ensemble_pipe")]
    kernels = {k for m in modules for k in vars(m).values() if isinstance(k, Dispatcher)}
    return {(str(kernel), str(types)) for kernel in kernels for types in kernel.signatures}


@pytest.mark.parametrize("vary", VARIED.values(), ids=VARIED.keys())
def test_training_compiles_nothing_after_a_warm_up(
    prepare: Callable[..., Prepared], vary: dict[str, Any]
) -> None:
    learners = max(len(values) for values in vary.values())
    ensemble = {"learners": learners, "vary": vary}
    prepared = prepare(ensemble=ensemble, classes=[0, 1])  # two, for binary cross-entropy
    warm_up(prepared.schema, prepared.plans, prepared.recipe)
    known = compiled()
    for learner in range(learners):
        prepared.train(learner)
    assert compiled() == known
    assert len(known) > 5


def test_kernels_that_the_cache_has_are_not_tried_again(
    prepare: Callable[..., Prepared], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tried: list[int] = []
    monkeypatch.setattr(compilation, "cache_folder", lambda: tmp_path / "kernels")
    monkeypatch.setattr(warmup, "warm_up", lambda _, plans, __: tried.append(len(plans)))
    one = prepare(ensemble={"learners": 2})
    assert compile_kernels(one.schema, one.plans, one.recipe)
    assert not compile_kernels(one.schema, one.plans[:1], one.recipe)  # of the same kind
    assert tried == [2]
    augmented = replace(one.recipe, augment=prepare(augment=[{"name": "rotation"}]).recipe.augment)
    assert compile_kernels(one.schema, one.plans, augmented)
    others = prepare(network={"name": "linear"}).plans
    assert compile_kernels(one.schema, others, one.recipe)
    assert tried == [2, 2, len(others)]


def test_a_compilation_that_fails_leaves_no_stamp(
    prepare: Callable[..., Prepared], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(compilation, "cache_folder", lambda: tmp_path / "kernels")
    monkeypatch.setattr(warmup, "warm_up", fail)
    one = prepare()
    for _ in range(2):
        with pytest.raises(MemoryError):
            compile_kernels(one.schema, one.plans, one.recipe)


@pytest.mark.filterwarnings("error")
def test_every_fold_of_the_made_up_rows_has_some(prepare: Callable[..., Prepared]) -> None:
    folds = prepare(splits={"folds": 7}, ensemble={"learners": 7})
    warm_up(folds.schema, folds.plans, folds.recipe)
    warm_up(folds.schema, tuple(reversed(folds.plans)), folds.recipe)
