"""What a terminal shows of a run: a bar for the whole, and lines of the learners in training."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from rich.console import Console

from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.run.bars import Bars
from ensemble_pipe.run.learner_bars import LearnerBars
from ensemble_pipe.run.news import Expected, Grown, Stage
from ensemble_pipe.training.events import Checkpoint, EstimatorFitted, Failed, Progress
from ensemble_pipe.training.state import LearnerState

SIZES = [(80, 24), (120, 40)]
STATE = LearnerState(9, np.zeros(1, np.float32), {})
METRICS = {"stop/loss": 0.25, "train/loss": 0.5, "learning_rate": 0.001}


def plans(learners: int, epochs: int = 40, trees: int = 0):  # type: ignore[no-untyped-def]
    pool = [{"strategy": "independent", "learners": learners}]
    pool += [{"strategy": "histogram_boosting", "learners": trees}] if trees else []
    settings = {"ensemble": {"pool": pool}, "training": {"epochs": epochs, "batch_size": 100}}
    return make_plans(Pipeline.model_validate(settings))


def terminal(width: int, height: int, **kind: object) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=True, width=width, height=height, _environ={},
        **kind,  # type: ignore[arg-type]
    )  # fmt: skip


@contextmanager
def shown(bars: Bars, width: int, height: int) -> Iterator[list[str]]:
    """Give the lines that the bars take on a terminal now."""
    plain = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    with plain.capture() as captured:
        plain.print(bars._render())
    yield [line.rstrip() for line in captured.get().splitlines()]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("learners", [4, 60])
def test_the_lines_fit_the_terminal(width: int, height: int, learners: int) -> None:
    found = plans(learners)
    bars = Bars(terminal(width, height))
    bars.begin(found.networks, ())
    bars.note(Grown(1, lambda: {"accuracy": 0.9, "nll": 0.2}))
    for learner in range(learners):
        bars.event(Progress(learner, 400, 12345, 0.123456))
        bars.event(Checkpoint(learner, 12, 400, 12345, STATE, METRICS))
    with shown(bars, width, height) as lines:
        assert len(lines) <= height - 1
        assert max(map(len, lines)) <= width
        rows = [line for line in lines if line.startswith("learner ")]
        assert len(rows) == min(learners, height - 4)
        assert all(re.search(r"epoch 2/40 +stop 0.2500 +rate 0.001", row) for row in rows)
        if learners == 60:
            assert lines[-1] == f"{60 - len(rows)} more in training"


def test_the_whole_has_stage_share_and_time_left_and_the_ensemble_its_figures() -> None:
    found, bars = plans(2), Bars(terminal(80, 24))
    with shown(bars, 80, 24) as lines:
        assert re.fullmatch(r"starting +0% +left \?", lines[0])
    bars.begin(found.networks, ())
    bars.event(Progress(0, 1, 10, 0.5))
    with shown(bars, 80, 24) as lines:
        assert re.fullmatch(r"training +[━╸╺ ]+ +\d+% +left \d:\d\d:\d\d", lines[0])
        assert lines[-1] == "1 waiting"
    bars.note(Grown(2, lambda: {"rmse": 1.5, "nll": 0.25, "mae": 1.0}))
    with shown(bars, 80, 24) as lines:
        assert lines[1] == "ensemble of 2 members: validation rmse 1.5000  nll 0.2500"
    bars.note(Expected(90.0, np.inf))
    bars.note(Stage("combining", after_training=True))
    with shown(bars, 80, 24) as lines:
        assert re.fullmatch(r"combining .* left 0:01:(30|29)", lines[0])
        assert len(lines) == 2


def test_learners_that_have_ended_give_up_their_line() -> None:
    found, bars = plans(3, trees=1), Bars(terminal(80, 24))
    bars.begin(found.networks, found.estimators)
    bars.event(Progress(0, 1, 10, 0.5))
    bars.event(Progress(3, 7, 2000, 0.5))
    with shown(bars, 80, 24) as lines:
        assert [line.split("  ")[0] for line in lines[1:]] == [
            "learner 0",
            "learner 3",
            "2 waiting",
        ]
        assert "round 7/2000" in lines[2]
    bars.event(EstimatorFitted(3, ".skops", b"", 2.5))
    bars.event(Checkpoint(0, 4, 10, 10, STATE, METRICS, 0, finished=True))
    bars.event(Failed(1, 2, 3, "its loss is no number"))
    with shown(bars, 80, 24) as lines:
        assert lines[1:] == ["1 waiting, 3 done"]


def test_rows_a_second_are_those_of_the_last_moments() -> None:
    now = [0.0]
    learners = LearnerBars(lambda: now[0])
    learners.begin(plans(1).networks, ())
    for second, step in ((0.0, 0), (1.0, 100), (2.0, 150)):
        now[0] = second
        learners.take(Progress(0, step, 1000, 0.5))
    assert learners._lines[0].speed == "5k rows/s"


def test_messages_stand_above_the_bars_which_go_at_the_end() -> None:
    console = terminal(80, 24)
    with Bars(console) as bars:
        bars.begin(plans(1).networks, ())
        bars.event(Progress(0, 1, 10, 0.5))
        bars.event(Failed(0, 2, 3, "[red]its loss\x1b is no number"))
    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert "training 1 network" in written
    assert "learner 0 failed: [red]its loss\\x1b is no number" in written
    assert written.rstrip().endswith("\x1b[2K")  # the line of the bar is erased


def test_without_colours_there_are_none() -> None:
    for kind, coloured in (({}, True), ({"no_color": True}, False)):
        console = terminal(80, 24, color_system="standard", **kind)
        with Bars(console) as bars:
            bars.begin(plans(1).networks, ())
            bars.event(Progress(0, 5, 10, 0.5))
        written = console.file.getvalue()  # type: ignore[attr-defined]
        assert bool(re.search(r"\x1b\[(\d+;)?(3|9)\d", written)) is coloured
