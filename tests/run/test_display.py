"""What a run says of its progress."""

import numpy as np
import pytest

from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.run.bars import Bars
from ensemble_pipe.run.display import Lines, count_text
from ensemble_pipe.training.events import Checkpoint, EstimatorFitted, Progress
from ensemble_pipe.training.state import LearnerState

POOL = [
    {"strategy": "independent", "learners": 5},
    {"strategy": "histogram_boosting", "learners": 3},
    {"strategy": "linear"},
]
PLANS = make_plans(Pipeline.model_validate({"ensemble": {"pool": POOL}}))


def test_learners_are_counted_by_kind() -> None:
    networks, others = PLANS.networks, PLANS.estimators
    assert count_text(networks, others) == "5 networks, 3 histogram_boosting and 1 linear"
    assert count_text(networks[:1], ()) == "1 network"
    assert count_text((), others[:3]) == "3 histogram_boosting"


def test_lines_tell_the_rounds_of_boosted_trees(capsys: pytest.CaptureFixture[str]) -> None:
    display = Lines()
    display.begin(PLANS.networks, PLANS.estimators)
    display.event(Progress(5, 40, 2000, 0.3125))
    display.event(Progress(5, 41, 2000, 0.3125))  # within a second
    display.event(Progress(0, 1, 9, 0.5))  # of a network, whose epochs are told
    display.event(EstimatorFitted(5, ".safetensors", b"", 2.5))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "training 5 networks, 3 histogram_boosting and 1 linear",
        "learner 5  round 40/2000  stop/loss 0.3125  left ? at most",
        "learner 5 fitted in 2.5 s",
    ]


def test_every_learner_has_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars() as bars:
        bars.begin(PLANS.networks, PLANS.estimators)
        bars.event(Progress(5, 40, 2000, 0.3125))
        bars.event(EstimatorFitted(8, ".skops", b"", 2.5))
    told = capsys.readouterr().err
    assert "learner 8" in told
    assert "fitted in 2.5 s" in told
    assert "loss 0.3125" in told


@pytest.mark.parametrize(("metrics", "text"), [
    ({"train/loss": 0.5, "stop/loss": 0.25}, "done, stop loss 0.2500"),
    ({"train/loss": 0.5}, "done, train loss 0.5000"),
], ids=["rows held out", "none held out"])  # fmt: skip
def test_a_bar_ends_with_the_loss_of_the_last_epoch(
    capsys: pytest.CaptureFixture[str], metrics: dict[str, float], text: str
) -> None:
    state = LearnerState(9, np.zeros(1, np.float32), {})
    with Bars() as bars:
        bars.begin(PLANS.networks, ())
        bars.event(Checkpoint(0, 3, 9, 9, state, metrics, 0, finished=True))
    assert text in capsys.readouterr().err
