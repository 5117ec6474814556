"""What a run says of its progress."""

import numpy as np
import pytest

from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.terminal import set_volume
from ensemble_pipe.run.display import Lines, Quiet, count_text, make_display
from ensemble_pipe.training.events import Checkpoint, EstimatorFitted, Failed, Progress
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


def test_a_quiet_display_says_warnings_alone(capsys: pytest.CaptureFixture[str]) -> None:
    display = Quiet()
    display.begin(PLANS.networks, ())
    display.message("training")
    display.event(Failed(1, 2, 3, "its loss is no number"))
    display.warn("few rows")
    display.warn("")
    told = capsys.readouterr().err
    assert told == "learner 1 failed: its loss is no number\nfew rows\n"


def test_a_verbose_one_has_a_line_for_each_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    state = LearnerState(9, np.zeros(1, np.float32), {})
    for display, lines in ((Lines(), 1), (Lines(0.0), 3)):
        display.begin(PLANS.networks, ())
        capsys.readouterr()
        for epoch in (1, 2, 3):
            display.event(Checkpoint(0, epoch, epoch, 9, state, {"train/loss": 0.5}))
        assert len(capsys.readouterr().err.splitlines()) == lines


def test_the_volume_says_which_display_there_is() -> None:
    try:
        for quiet, verbose, kind in ((True, False, Quiet), (False, True, Lines)):
            set_volume(quiet=quiet, verbose=verbose)
            assert type(make_display()) is kind
    finally:
        set_volume(quiet=False, verbose=False)
