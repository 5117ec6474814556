"""A mistake that an override makes names the override; one of the file names its line."""

from collections.abc import Callable
from typing import Any

import pytest

from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.errors import ConfigError

Load = Callable[..., Pipeline]

PIPELINE = """\
task: classification
network: {hidden: [8]}
training:
  epochs: 2
  loss: {name: cross_entropy}
  schedule: {name: snapshot, cycles: 2}
scale: {name: range, low: 0}
ensemble:
  strategy: snapshot
  learners: 2
  vary:
    training.optimizer.learning_rate: [0.1, 0.2]
"""


def mistakes(load: Load, overrides: dict[str, Any], text: str = PIPELINE) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        load(text, overrides)
    return str(refused.value).splitlines()


@pytest.mark.parametrize(("overrides", "begins", "blamed"), [
    # A value, a key, a kind, a whole section.
    ({"training.epochs": 0}, "training.epochs: ", "training.epochs"),
    ({"training.epoch": 3}, "training.epoch: unknown key", "training.epoch"),
    ({"training.schedule.name": "constant"}, "training.schedule.cycles: unknown key",
     "training.schedule.name"),
    ({"training": {"epochs": 0}}, "training.epochs: ", "training"),
    ({"data": 3}, "data: ", "data"),
    ({"data.source": "table"}, "data.path: is missing", "data.source"),
    # What another key, which the file has, does not go together with.
    ({"task": "regression"}, "training.loss.name: cross_entropy is for class", "task"),
    ({"training.schedule": {"name": "constant"}}, "ensemble.strategy: takes members",
     "training.schedule"),
    ({"training.averaging": {"name": "swa"}}, "ensemble.strategy: takes members",
     "training.averaging"),
    ({"scale.low": 2}, "scale: low (2.0) must be less", "scale.low"),
    ({"ensemble.passes": 3}, "ensemble: passes is for strategy mc_dropout", "ensemble.passes"),
    ({"ensemble.combine.evidence": "out_of_fold"}, "ensemble: combine.evidence",
     "ensemble.combine.evidence"),
    # Below vary and set stand paths.
    ({"ensemble.vary.training.optimizer.learning_rat": [1]},
     "training.optimizer.learning_rat: unknown key 'learning_rat'; did you mean 'learning_rate'?",
     "ensemble.vary.training.optimizer.learning_rat"),
    ({"ensemble.vary.training": 3}, "ensemble.vary.training: ", "ensemble.vary.training"),
    ({"ensemble.vary.data.path": ["a"]}, "ensemble.vary: 'data.path' cannot differ",
     "ensemble.vary.data.path"),
    ({"ensemble.vary.network.hidden": [8]}, "network.hidden: expected a list",
     "ensemble.vary.network.hidden"),
    ({"ensemble.vary.training.epochs.low": 1}, "ensemble.vary.training.epochs.low: ",
     "ensemble.vary.training.epochs.low"),
    ({"ensemble.set.network.width": 3}, "network.width: unknown key",
     "ensemble.set.network.width"),
    ({"ensemble.vary": {"network.depth": [1]}}, "network.depth: unknown key", "ensemble.vary"),
    ({"ensemble.learners.x": 3}, "ensemble.learners.x: there is no such key",
     "ensemble.learners.x"),
])  # fmt: skip
def test_the_override_is_named(
    load: Load, overrides: dict[str, Any], begins: str, blamed: str
) -> None:
    # One that is right is not to blame.
    found = mistakes(load, {"ensemble.learners": 3, **overrides})
    assert found[0].startswith(begins)
    for line in found:
        assert line.endswith(f" (--set {blamed})")


def test_two_that_make_a_mistake_together_are_both_named(load: Load) -> None:
    (line,) = mistakes(load, {"scale.low": 5, "scale.high": 4, "seed": 3})
    assert line.endswith(" (--set scale.low, --set scale.high)") or line.endswith(
        " (--set scale.low)"
    )


def test_mistakes_of_the_file_keep_their_lines(load: Load) -> None:
    text = PIPELINE.replace("epochs: 2", "epochs: none").replace("task:", "tusk:")
    lines = mistakes(load, {"ensemble.learners": 0, "seed": 3}, text)
    places = {line.split(":")[0]: line[line.rindex("(") :] for line in lines}
    assert places == {
        "training.epochs": "(p.yaml:4)",
        "tusk": "(p.yaml:1)",
        "ensemble.learners": "(--set ensemble.learners)",
    }


def test_what_an_override_replaces_is_its_own_though_the_file_was_wrong_too(load: Load) -> None:
    text = PIPELINE.replace("epochs: 2", "epochs: none")
    (line,) = mistakes(load, {"training.epochs": "never"}, text)
    assert line == "training.epochs: expected a whole number, got 'never' (--set training.epochs)"


@pytest.mark.parametrize("group", ["ensemble", "ensemble.pool.0"])
def test_paths_below_vary_and_set_can_be_overridden(load: Load, group: str) -> None:
    text = "ensemble: {pool: [{strategy: independent}]}\n" if "pool" in group else "seed: 1\n"
    config = load(
        text,
        {
            f"{group}.vary.training.optimizer.learning_rate": [0.5, 0.25],
            f"{group}.set.network.hidden": [7],
        },
    )
    plans = make_plans(config).networks
    assert [plan.rule.learning_rate for plan in plans[:3]] == [0.5, 0.25, 0.5]
    assert repr(plans[0].network) == repr(load("network: {hidden: [7], dropout: 0.1}").network)
