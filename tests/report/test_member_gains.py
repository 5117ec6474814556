"""More learners are advised where members have been seen to help, and nowhere else."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from conftest import plain_schema

from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.data.base import Base
from ensemble_pipe.ensemble.combiners.weighted import Weighted
from ensemble_pipe.ensemble.prediction import Prediction
from ensemble_pipe.report import numbers as parts
from ensemble_pipe.report.advice import steps
from ensemble_pipe.report.member_gains import fall_from
from ensemble_pipe.report.numbers import Numbers
from ensemble_pipe.tracking.kinds import CombinedEntry
from ensemble_pipe.tracking.run_summary import MemberSummary, RunSummary

FALLING = (0.9, 0.8, 0.7, 0.6, 0.55, 0.5, 0.45, 0.4)
ALIKE = {"diversity/test/error_correlation": 0.98}


def part_of(rows: int, noise: float, combiner: Weighted) -> parts.TestPart:
    """Return members that see the label through noise of their own, on some rows."""
    random = np.random.default_rng(0)
    schema, labels = plain_schema("classification", (2,), ("a", "b")), np.arange(rows) % 2
    members = len(combiner.weights)
    seen = (2 * labels - 1) + noise * random.normal(size=(members, rows))
    outputs = np.stack([-seen, seen], axis=2).astype(np.float32)
    outputs -= np.log(np.exp(outputs).sum(axis=2, keepdims=True))
    prediction = Prediction(outputs, combiner, schema)
    return parts.TestPart(prediction, labels, np.arange(rows), cast(Base, None))


def numbers_of(
    paths: RunPaths,
    combiner: Weighted,
    curve: Sequence[float] = FALLING,
    rows: int = 2000,
    noise: float = 1.5,
    **combine: str,
) -> Numbers:
    pipeline = {"training": {}, "ensemble": {"combine": combine}}
    run = RunSummary("one", "FINISHED", 0, 1, pipeline, {"train": 9000, "test": rows})
    run.metrics = {"test/nll": 0.4, **ALIKE}
    run.plans = {learner: {"network": {"name": "mlp"}} for learner in range(8)}
    run.by_place = {(one, 0): MemberSummary(one, 0, 9, {}) for one in range(8)}
    run.ensembles = {size: {"nll": nll} for size, nll in enumerate(curve, 1)}
    kept = [(one, 0) for one in range(len(combiner.weights))]
    run.combined = CombinedEntry(combiner, kept, [], [])
    test = part_of(rows, noise, combiner)
    return Numbers(paths, run, test.schema, test)


def advice(numbers: Numbers) -> str:
    return " ".join(" ".join(step) for step in steps(numbers))


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "one")


def test_an_ensemble_that_still_gains_is_grown(paths: RunPaths) -> None:
    numbers = numbers_of(paths, Weighted.equal(8))
    assert numbers.test is not None
    fall, said = fall_from(numbers.test, 4), advice(numbers)
    assert 0 < fall.low < fall.value < fall.high
    assert "lowered the NLL by 0.2000 on the validation part" in said
    assert f"by {fall.value:.4f} on the test part (95% interval {fall.low:.4f} to" in said
    assert said.count("ensemble-pipe grow") == 1
    assert "--learners 8" in said


def test_an_ensemble_that_still_gains_is_not_said_to_gain_little(paths: RunPaths) -> None:
    assert "Members make the same errors" not in advice(numbers_of(paths, Weighted.equal(8)))
    settled = numbers_of(paths, Weighted.equal(8), (0.4,) * 8)
    assert "Members make the same errors" in advice(settled)


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param({"curve": (0.9, 0.5, 0.39, 0.8, 0.6, 0.5, 0.45, 0.4)}, id="three were better"),
        pytest.param({"curve": (0.41, *(0.404,) * 6, 0.4)}, id="a small fall"),
        pytest.param({"noise": 0.0}, id="members that are alike on the test part"),
        pytest.param({"rows": 2, "noise": 0.1}, id="a fall within its noise"),
        pytest.param({"combiner": Weighted.equal(1)}, id="one member was kept"),
        pytest.param(
            {"combiner": Weighted(weights=(0.5, 0.5, *(0.0,) * 6))}, id="two members have weights"
        ),
        pytest.param(
            {"combiner": Weighted(weights=(0.3, *(0.1,) * 7))}, id="the curve is of other weights"
        ),
    ],
)
def test_no_growth_is_advised_where_it_does_not_follow(
    paths: RunPaths, numbers: dict[str, object]
) -> None:
    given = {"combiner": Weighted.equal(8), **numbers}
    assert "ensemble-pipe grow" not in advice(numbers_of(paths, **given))  # type: ignore[arg-type]


def test_members_that_were_left_out_are_said_with_the_reason(paths: RunPaths) -> None:
    said = advice(numbers_of(paths, Weighted.equal(1)))
    assert (
        "7 of 8 members were left out of the combination: on the validation part they did" in said
    )
    assert "did not raise the likelihood beyond its error" in said
    two = Weighted(weights=(0.5, 0.5, *(0.0,) * 6))
    said = advice(numbers_of(paths, two, metric="accuracy"))
    assert "6 of 8 members were left out" in said
    assert "improve the accuracy" in said
    assert "left out" not in advice(numbers_of(paths, Weighted.equal(8)))
