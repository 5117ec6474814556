"""One training session, whatever its results go to: a run directory, or memory alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Prepared

from ensemble_pipe.cluster.inline import InlineExecutor
from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.core.errors import TrainingError
from ensemble_pipe.core.timeline import Timeline
from ensemble_pipe.ensemble.members import EstimatorMember, Member, NetworkMember
from ensemble_pipe.run.display import Silent
from ensemble_pipe.run.run_sink import RunSink
from ensemble_pipe.run.session import Session
from ensemble_pipe.run.sinks import MemorySink, Sink
from ensemble_pipe.serving.artifact import read_artifact
from ensemble_pipe.tracking.journal import Journal, read_entries
from ensemble_pipe.tracking.kinds import MemberEntry
from ensemble_pipe.training.events import Checkpoint

Prepare = Callable[..., Prepared]
POOL = [
    {"strategy": "independent", "learners": 2},
    {"strategy": "linear"},
]
ONE_FAILS = {"vary": {"training.optimizer.learning_rate": [0.001, 1e30]}}


def prepared_with(prepare: Prepare, ensemble: dict[str, Any], **settings: Any) -> Prepared:
    training = {"epochs": 1, **settings.pop("training", {})}
    return prepare(training=training, ensemble={"learners": 2, **ensemble}, **settings)


def session_of(prepared: Prepared, sink: Sink | None = None, **settings: Any) -> Session:
    plans, sink = make_plans(prepared.config), sink or MemorySink()
    settings = {"compile_first": False, **settings}
    data, schema = prepared.data, prepared.schema
    return Session(prepared.config, plans, data, schema, sink, Silent(), Timeline(), **settings)


def bits(member: Member) -> bytes:
    if isinstance(member, EstimatorMember):
        coefficients: bytes = member.estimator.coef_.tobytes()
        return coefficients
    assert isinstance(member, NetworkMember)
    return member.row.tobytes()


def files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_the_members_are_the_same_in_memory_as_in_a_run_directory(prepare: Prepare) -> None:
    prepared = prepared_with(prepare, {"learners": 5, "pool": POOL})
    before = files(prepared.paths.root)
    in_memory = session_of(prepared)
    in_memory.train(InlineExecutor())
    result = in_memory.finish()
    assert files(prepared.paths.root) == before
    assert (result.measured, result.metrics) == ({}, {})

    journal = Journal(prepared.paths.journal)
    in_run = session_of(prepared, RunSink(prepared.paths, journal, Timeline()))
    in_run.train(InlineExecutor())
    written = in_run.finish()
    journal.close()
    assert list(written.measured) == ["stop", "validation", "test"]
    kept = read_artifact(prepared.paths.model)
    for model in (written.model, kept):
        assert list(map(bits, model.members)) == list(map(bits, result.model.members))
        assert model.combiner == result.model.combiner
    assert in_run.registry.metrics == in_memory.registry.metrics
    entries = read_entries(prepared.paths.journal)
    journaled = {(e.learner, e.number): e.metrics for e in entries if isinstance(e, MemberEntry)}
    assert journaled == in_memory.registry.metrics


def test_whoever_reads_its_events_may_end_the_training(prepare: Prepare) -> None:
    combine = {"temperature": False}
    prepared = prepared_with(prepare, {"combine": combine}, cluster={"stack": 1})
    session = session_of(prepared, MemorySink(parts=("validation",)))
    for event in session.events(InlineExecutor(), session.begin()):
        if isinstance(event, Checkpoint) and event.finished:
            break
    result = session.finish()
    assert list(session.registry.metrics) == [(0, 0)]
    assert result.unfinished == (1,)
    assert len(result.model.members) == 1
    alone = session.registry.metrics[0, 0]
    assert result.metrics["validation/nll"] == pytest.approx(alone["nll"])


def test_it_goes_on_without_a_learner_that_fails(prepare: Prepare) -> None:
    training = {"optimizer": {"name": "sgd"}}
    session = session_of(prepared_with(prepare, ONE_FAILS, training=training))
    session.train(InlineExecutor())
    result = session.finish()
    assert list(result.failed) == [1]
    assert "not finite" in result.failed[1]
    assert (result.unfinished, len(result.model.members)) == ((), 1)


def test_without_members_there_is_no_ensemble(prepare: Prepare) -> None:
    session = session_of(prepared_with(prepare, {}))
    session.train(None)
    with pytest.raises(TrainingError, match="no learner is finished or has a first checkpoint"):
        session.finish()
    session.failed = {0: "its loss is not finite"}
    with pytest.raises(TrainingError, match="to the end: learner 0: its loss is not finite"):
        session.finish()


@pytest.mark.parametrize("held_out", [True, False])
def test_a_missing_fold_leaves_the_validation_part_where_it_is_held_out(
    prepare: Prepare, held_out: bool
) -> None:
    combine = {"evidence": "out_of_fold", "temperature": True}
    ensemble = {"strategy": "cross_validation", "combine": combine, **ONE_FAILS}
    training = {"optimizer": {"name": "sgd"}}
    prepared = prepared_with(prepare, ensemble, training=training)
    session = session_of(prepared, held_out=held_out)
    session.train(InlineExecutor())
    if held_out:
        (warning,) = session.finish().warnings
        assert "combined by the validation part" in warning
    else:
        with pytest.raises(TrainingError, match=r"no group has all .*\(learner 1: its loss"):
            session.finish()


def test_learners_that_gain_too_little_are_spared(prepare: Prepare) -> None:
    prepared = prepared_with(prepare, {"learners": 4, "stop_below_gain": 1e6})
    session = session_of(prepared)
    session.train(InlineExecutor())
    assert session.open == set()
    assert np.unique([m.learner for m in session.finish().model.members]).tolist() == [0, 1]
