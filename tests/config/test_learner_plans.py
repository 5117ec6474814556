"""Learners that differ, and choices that do not go together."""

from typing import Any

import pytest
import yaml
from loading import Load, refusal

from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.config.reading import resolve
from ensemble_pipe.nn.layers import Pbld, PiecewiseLinear
from ensemble_pipe.nn.losses import CrossEntropy, Hinge
from ensemble_pipe.nn.networks import LinearModel, Mlp, RealMlp, TabM
from ensemble_pipe.optim import (
    EMA,
    SGD,
    SWA,
    Adam,
    Cosine,
    Plateau,
    Polyak,
    StepDecay,
)
from ensemble_pipe.training.stopping import EarlyStopping

# Learners that differ


def test_without_vary_all_learners_share_everything_but_their_id(load: Load) -> None:
    plans = make_plans(load("ensemble: {learners: 3}")).networks
    assert [plan.learner for plan in plans] == [0, 1, 2]
    assert len({(plan.rule, plan.schedule, plan.network, plan.epochs) for plan in plans}) == 1


def test_a_list_goes_round(load: Load) -> None:
    text = "ensemble: {learners: 5, vary: {network.hidden: [[8], [16, 8]]}}"
    networks = [plan.network for plan in make_plans(load(text)).networks]
    expected = [(8,), (16, 8), (8,), (16, 8), (8,)]
    assert networks == [Mlp(hidden=hidden, dropout=0.1) for hidden in expected]


def test_a_range_is_drawn_for_each_learner_whoever_else_trains(load: Load) -> None:
    vary = "vary: {training.optimizer.learning_rate: {low: 1e-4, high: 1e-1, scale: log}}"
    few = make_plans(load(f"ensemble: {{learners: 2, {vary}}}")).networks
    many = make_plans(load(f"ensemble: {{learners: 6, {vary}}}")).networks
    rates = [plan.rule.learning_rate for plan in many]
    assert few == many[:2]
    assert len(set(rates)) == 6
    assert min(rates) >= 1e-4
    assert max(rates) <= 1e-1


def test_a_varied_kind_drops_the_settings_of_the_other_kind(load: Load) -> None:
    text = """
training: {optimizer: {name: adam, learning_rate: 0.5, beta1: 0.8}}
ensemble: {learners: 2, vary: {training.optimizer.name: [adam, sgd]}}
"""
    rules = [plan.rule for plan in make_plans(load(text)).networks]
    assert rules == [Adam(learning_rate=0.5, beta1=0.8), SGD(learning_rate=0.5)]


@pytest.mark.parametrize(
    ("text", "path", "kinds", "field", "expected"),
    [
        (
            "network: {hidden: [8], dropout: 0.2, initializer: glorot_uniform}",
            "network.name", ["mlp", "linear"], "network",
            [
                Mlp(hidden=(8,), dropout=0.2, initializer="glorot_uniform"),
                LinearModel(initializer="glorot_uniform"),
            ],
        ),
        (
            "network: {name: mlp, hidden: [8], dropout: 0.2}",
            "network.name", ["mlp", "tabm", "realmlp"], "network",
            [
                Mlp(hidden=(8,), dropout=0.2), TabM(hidden=(8,), dropout=0.2),
                RealMlp(hidden=(8,), dropout=0.2, activation="relu"),
            ],
        ),
        (
            "network: {name: tabm, hidden: [8], embedding: null}",
            "network.name", ["mlp", "tabm"], "network",
            [Mlp(hidden=(8,), dropout=0.1), TabM(hidden=(8,), embedding=None)],
        ),
        (
            "network: {name: mlp, hidden: [8], embedding: {name: piecewise_linear, bins: 9}}",
            "network.embedding.name", ["piecewise_linear", "pbld"], "network",
            [
                Mlp(hidden=(8,), embedding=PiecewiseLinear(bins=9)),
                Mlp(hidden=(8,), embedding=Pbld(dimension=16)),
            ],
        ),
        (
            "training: {loss: {name: cross_entropy, smoothing: 0.2}}",
            "training.loss.name", ["cross_entropy", "hinge"], "loss",
            [CrossEntropy(smoothing=0.2), Hinge()],
        ),
        (
            "training: {averaging: {name: polyak, start: 0.3}}",
            "training.averaging.name", ["polyak", "ema", "swa"], "averaging",
            [Polyak(start=0.3), EMA(), SWA(start=0.3)],
        ),
        (
            "training: {schedule: {name: plateau, decay: 0.3}}",
            "training.schedule.name", ["plateau", "step", "cosine"], "schedule",
            [Plateau(decay=0.3), StepDecay(decay=0.3), Cosine()],
        ),
    ],
)  # fmt: skip
def test_each_kind_keeps_only_the_keys_that_it_knows(
    text: str, path: str, kinds: list[str], field: str, expected: list[Any], load: Load
) -> None:
    ensemble = {"ensemble.learners": len(kinds), "ensemble.vary": {path: kinds}}
    pipeline = load(text, ensemble)
    assert [getattr(plan, field) for plan in make_plans(pipeline).networks] == expected
    # The same where all defaults are filled in, as in a run directory.
    again = make_plans(load(yaml.safe_dump(resolve(pipeline)))).networks
    assert [getattr(plan, field) for plan in again] == expected


def test_a_kind_that_was_left_out_may_be_varied(load: Load) -> None:
    vary = {"training.averaging.name": ["ema", "swa"], "training.early_stopping.patience": [2, 3]}
    plans = make_plans(load("training: {averaging: null}", {"ensemble.vary": vary})).networks[:2]
    assert [plan.averaging for plan in plans] == [EMA(), SWA()]
    assert [plan.early_stopping for plan in plans] == [
        EarlyStopping(patience=2), EarlyStopping(patience=3)
    ]  # fmt: skip


def test_a_varied_schedule_reaches_its_learner_only(load: Load) -> None:
    text = "ensemble: {learners: 2, vary: {training.schedule.name: [constant, cosine]}}"
    schedules = [plan.schedule for plan in make_plans(load(text)).networks]
    assert schedules[1] == Cosine()
    assert schedules[0] != Cosine()


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        (
            "{data.path: [a], seed: [1, 2]}",
            "ensemble.vary: 'data.path' cannot differ between learners; name keys below network, "
            "training, view, scale, augment or transfer, such as "
            "training.optimizer.learning_rate (p.yaml:3)\n"
            "ensemble.vary: 'seed' cannot differ between learners; name keys below network, "
            "training, view, scale, augment or transfer, such as "
            "training.optimizer.learning_rate (p.yaml:3)",
        ),
        (
            "{training.epoch: [1, 2]}",
            "training.epoch: unknown key 'epoch'; did you mean 'epochs'? valid: averaging, "
            "batch_size, early_stopping, epochs, loss, optimizer, order, "
            "regularization, schedule (ensemble.vary, p.yaml:3)",
        ),
        (
            "{training.epochs: [1, many]}",
            "training.epochs: expected a whole number, got 'many' (ensemble.vary, p.yaml:3)",
        ),
        (
            "{training.epochs: {low: 2, high: 1}}",
            "ensemble.vary.training.epochs: low (2.0) must be less than high (1.0), "
            "got {'low': 2, 'high': 1} (p.yaml:3)",
        ),
        (
            "{training.epochs: {low: 1, high: 2, scal: log}}",
            "ensemble.vary.training.epochs.scal: unknown key 'scal'; did you mean 'scale'? "
            "valid: high, integer, low, scale (p.yaml:3)",
        ),
    ],
)
def test_a_wrong_vary_is_refused_at_its_line(vary: str, message: str, load: Load) -> None:
    assert refusal(load, f"ensemble:\n  learners: 2\n  vary: {vary}\n") == message


def test_snapshots_need_a_snapshot_schedule(load: Load) -> None:
    message = refusal(load, "ensemble:\n  strategy: snapshot\n")
    assert message == (
        "ensemble.strategy: takes members at the ends of cycles, so it needs a training.schedule "
        "with cycles (snapshot, sgdr, cos_log, triangular or fast_geometric), not 'constant' "
        "(p.yaml:2)"
    )


def test_snapshots_with_their_schedule_load(load: Load) -> None:
    text = "{training: {schedule: {name: snapshot}}, ensemble: {strategy: snapshot}}"
    assert all(plan.snapshots for plan in make_plans(load(text)).networks)


# Choices that do not go together

CONFLICTS: dict[str, tuple[str, str]] = {
    "a vote on numbers": (
        "task: regression\nensemble:\n  combine: {method: vote}",
        "ensemble.combine.method: vote is for classification, but task is regression; take "
        "mean_probability (p.yaml:3)",
    ),
    "a loss of the other task": (
        "task: regression\ntraining:\n  loss: {name: hinge}",
        "training.loss.name: hinge is for classification, but task is regression (p.yaml:3)",
    ),
    "the other way round": (
        "training:\n  loss: {name: beta_nll}",
        "training.loss.name: beta_nll is for regression, but task is classification (p.yaml:2)",
    ),
    "snapshots that are averaged": (
        "training: {schedule: {name: sgdr}, averaging: {name: ema}}\n"
        "ensemble: {strategy: snapshot}",
        "ensemble.strategy: takes members at the ends of cycles; remove averaging and "
        "early_stopping (p.yaml:2)",
    ),
    "snapshots that may end early": (
        "training: {schedule: {name: triangular}, early_stopping: {}}\n"
        "ensemble: {strategy: snapshot}",
        "ensemble.strategy: takes members at the ends of cycles; remove averaging and "
        "early_stopping (p.yaml:2)",
    ),
    "averages at cycles without cycles": (
        "training:\n  averaging: {name: swa, at: cycle}\n  schedule: {name: cosine}",
        "training.averaging.at: cycle needs a schedule with cycles, such as snapshot, not "
        "'cosine' (p.yaml:2)",
    ),
    "the accuracy of numbers": (
        "task: regression\ntraining:\n  early_stopping:\n    metric: stop/accuracy",
        "training.early_stopping.metric: stop/accuracy is for classification, but task is "
        "regression; take stop/loss (p.yaml:4)",
    ),
    "a decision on numbers": (
        "task: regression\nensemble: {decide: {threshold: 0.3}}",
        "ensemble.decide: is for classification, but task is regression; leave it out (p.yaml:2)",
    ),
    "an error of classes": (
        "ensemble:\n  combine: {method: greedy, metric: rmse}",
        "ensemble.combine.metric: rmse is not for classification; take one of nll, brier, "
        "accuracy, balanced_accuracy, f1, auroc (p.yaml:2)",
    ),
    "a metric that nothing aims at": (
        "ensemble:\n  combine: {method: stacking, metric: f1}",
        "ensemble.combine.metric: nothing aims at f1: stacking fits no weights to a metric; take "
        "weights, greedy or choose, or select members by keep, most_members or milliseconds "
        "(p.yaml:2)",
    ),
    "checkpoints of a training that stops early": (
        "ensemble: {strategy: checkpoints}\ntraining: {early_stopping: {}}",
        "ensemble.strategy: takes members after epochs; remove averaging and "
        "early_stopping (p.yaml:1)",
    ),
    "checkpoints after the last epoch": (
        "ensemble: {strategy: checkpoints, every: 9}\ntraining: {epochs: 8}",
        "ensemble.every: is 9, but training has 8 epochs, so only the last would yield a member; "
        "take fewer (p.yaml:1)",
    ),
    "one fold": (
        "ensemble: {strategy: cross_validation, learners: 1}",
        "ensemble.learners: cross_validation needs at least 2 learners, one for a fold (p.yaml:1)",
    ),
    "several at once": (
        "task: regression\ntraining:\n  loss: {name: hinge}\n  averaging: {name: swa, at: cycle}",
        "training.loss.name: hinge is for classification, but task is regression (p.yaml:3)\n"
        "training.averaging.at: cycle needs a schedule with cycles, such as snapshot, not "
        "'cosine' (p.yaml:4)",
    ),
    "one learner's own": (
        "ensemble:\n  vary: {training.loss.name: [cross_entropy, huber]}",
        "training.loss.name: huber is for regression, but task is classification "
        "(ensemble.vary, p.yaml:2)",
    ),
}


@pytest.mark.parametrize(("text", "message"), CONFLICTS.values(), ids=CONFLICTS.keys())
def test_choices_that_do_not_go_together_are_refused(text: str, message: str, load: Load) -> None:
    assert refusal(load, text) == message


def test_members_are_not_counted_where_groups_are_weighed(load: Load) -> None:
    text = "ensemble:\n  strategy: cross_validation\n  combine: {evidence: out_of_fold, keep: 2}"
    assert refusal(load, text).startswith(
        "ensemble: combine: keep and most_members count single members, but evidence: out_of_fold "
        "weighs whole groups; leave them out, or take evidence: validation"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "{learners: 16, pool: [{strategy: independent}]}",
            "learners: the groups of a pool have their own; set ensemble.pool.0.learners, or set "
            "ensemble.pool to null for one group alone",
        ),
        (
            "{strategy: cross_validation, stop_below_gain: 1, combine: {evidence: out_of_fold}}",
            "stop_below_gain leaves folds out",
        ),
        ("{pool: [{strategy: linear, cross_validate: true}]}", "needs at least 2 learners"),
        ("{strategy: bagging, passes: 50}", "passes is for strategy mc_dropout, not bagging"),
        (
            "{strategy: snapshot, every: 3}",
            "every is for strategy checkpoints or shared, not snapshot",
        ),
        ("{pool: [{strategy: snapshot, rounds: 3}]}", "rounds is for strategy boosting, not snap"),
        ("{strategy: bagging, members: 8}", "members is for strategy shared, not bagging"),
        ("{strategy: snapshot, form: mini}", "form is for strategy shared, not snapshot"),
        ("{members: 8}", "give strategy: shared, learners and network beside it"),
        ("{form: packed}", "give strategy: shared, learners and network beside it"),
        ("{strategy: snapshot, members: 8}", "take {strategy: shared, yields: cycles}"),
        ("{strategy: checkpoints, form: mini}", "take {strategy: shared, yields: epochs}"),
        ("{strategy: snapshot, yields: epochs}", "yields is for strategy shared, not snapshot"),
        ("{strategy: shared, every: 3}", "every is for yields: epochs, not end"),
        ("{strategy: shared, yields: cycles, last: 3}", "last is for yields: epochs, not cycles"),
        ("{strategy: shared, yields: cycles}", "so it needs a training.schedule with cycles"),
        (
            "{strategy: shared, vary: {ensemble.members: [2, 0]}}",
            "members: input should be greater",
        ),
        ("{strategy: shared, vary: {ensemble.form: [mini, none]}}", "unknown 'none'"),
        ("{vary: {ensemble.members: [2, 4]}}", "'ensemble.members' cannot differ between learners"),
        ("{strategy: mc_dropout, shrinkage: 0.1}", "shrinkage is for strategy boosting"),
        ("{pool: [{strategy: linear, set: {view.folds: 2}}]}", "'set'; valid: cross_validate, le"),
    ],
)
def test_settings_that_would_be_ignored_or_cannot_work_are_refused(
    text: str, message: str, load: Load
) -> None:
    assert message in refusal(load, f"ensemble: {text}")


def test_cross_validation_divides_by_its_learners_alone(load: Load) -> None:
    text = "{view: {folds: 4}, ensemble: {strategy: cross_validation, learners: 2}}"
    message = "view.folds: cross_validation has as many folds as learners; leave it out (p.yaml:1)"
    assert refusal(load, text) == message


def test_a_list_of_wrong_items_is_not_said_to_lack_them(load: Load) -> None:
    text = "ensemble: {pool: [{strategy: linear, sett: 1}]}"
    assert refusal(load, text).count("\n") == 0


def test_fast_geometric_does_not_silently_replace_another_schedule(load: Load) -> None:
    text = "{training: {schedule: {name: cosine}}, ensemble: {strategy: fast_geometric}}"
    assert "needs a training.schedule with cycles" in refusal(load, text)


def test_a_kind_that_is_no_word_is_refused(load: Load) -> None:
    text = "ensemble: {vary: {training.optimizer.name: [[sgd], [adam]]}}"
    assert "training.optimizer" in refusal(load, text)


@pytest.mark.parametrize("name", ["snapshot", "sgdr", "triangular", "fast_geometric"])
def test_snapshots_go_with_every_schedule_of_cycles(name: str, load: Load) -> None:
    strategy = {"ensemble.strategy": "snapshot"}
    for schedule in ({"name": name}, {"name": "warm_up", "then": {"name": name}}):
        plans = make_plans(load("seed: 1", {**strategy, "training.schedule": schedule})).networks
        assert all(len(plan.member_steps(rows=1000)) > 1 for plan in plans)
