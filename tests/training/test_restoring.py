"""Checkpoints that are read back: of this learner, this run and this plan, whole, and finite."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Prepared, StopAt
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from ensemble_pipe.cli import app
from ensemble_pipe.config.reading import load_pipeline
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.core.storage import RunPaths, read_manifest, sums_of
from ensemble_pipe.data.base import open_base, read_schema
from ensemble_pipe.run.pipeline import run
from ensemble_pipe.training.checkpoints import list_checkpoints, save_checkpoint
from ensemble_pipe.training.events import Checkpoint
from ensemble_pipe.training.loop import StackTraining, train
from ensemble_pipe.training.restoring import Restored, restore
from ensemble_pipe.training.stacks import Stack

PIPELINE: dict[str, Any] = {
    "network": {"hidden": [4]},
    "training": {
        "epochs": 4,
        "early_stopping": {"patience": 9},
        "averaging": {"name": "ema"},
        "schedule": {"name": "plateau"},
    },
    "ensemble": {"learners": 2},
    "tracking": {"mlflow": False},
}


def stopped(folder: Path, checkpoints: int, **settings: Any) -> RunPaths:
    """Return a run that was stopped after so many checkpoints of its two learners."""
    config = Pipeline.model_validate({**PIPELINE, **settings})
    with pytest.raises(KeyboardInterrupt):
        run(config, output=folder, inline=True, display=StopAt(checkpoints))
    (root,) = folder.iterdir()
    return RunPaths(root)


@pytest.fixture(scope="module")
def half_trained(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    """A run whose learners 0 and 1 have a checkpoint at the end of their second epoch."""
    paths = stopped(tmp_path_factory.mktemp("half") / "runs", 5)
    assert [list_checkpoints(paths, learner)[-1].epoch for learner in (0, 1)] == [2, 2]
    return paths


@pytest.fixture
def paths(half_trained: RunPaths, tmp_path: Path) -> RunPaths:
    return RunPaths(Path(shutil.copytree(half_trained.root, tmp_path / "copied")))


def read_back(paths: RunPaths, learner: int) -> list[Restored]:
    plan = load_pipeline(paths.pipeline)[1].networks[learner]
    rows = open_base(paths.base / "train.arrow").table.num_rows
    run_id = read_manifest(paths).run_id
    return list(restore(paths, plan, read_schema(paths), rows, run_id))


def facts_path(paths: RunPaths, learner: int) -> Path:
    """Return the JSON of the newest checkpoint of a learner."""
    return max(paths.learner(learner).glob("step-*.json"))


def state(paths: RunPaths, place: int, /, **facts: Any) -> None:
    """Write other facts into the JSON of a checkpoint."""
    path = facts_path(paths, place)
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


def as_earlier_versions(
    paths: RunPaths, learner: int, change: Callable[[dict[str, Floats]], object] | None = None
) -> None:
    """Write a checkpoint anew, with right sums, whose tensors say nothing of whose they are."""
    path = facts_path(paths, learner)
    weights = path.with_suffix(".safetensors")
    tensors = load_file(weights)
    if change is not None:
        change(tensors)
    save_file(tensors, weights)
    facts = json.loads(path.read_text())
    del facts["run"]
    path.write_text(json.dumps({**facts, "sums": sums_of(weights.parent, [weights.name])}))


def test_a_checkpoint_is_that_of_its_learner_run_and_step(paths: RunPaths) -> None:
    for learner in (0, 1):
        (found,) = read_back(paths, learner)
        assert found.saved.run == read_manifest(paths).run_id
        assert (found.saved.learner, found.saved.step) == (learner, found.state.step)


def test_one_of_an_earlier_version_is_read_too(paths: RunPaths) -> None:
    (expected,) = read_back(paths, 0)
    as_earlier_versions(paths, 0)
    (found,) = read_back(paths, 0)
    assert found.saved.run is None
    assert found.state.row.tobytes() == expected.state.row.tobytes()
    assert found.state.counters == expected.state.counters


def copy_over(paths: RunPaths) -> None:
    """Give learner 1 the newest checkpoint of learner 0, and no other."""
    shutil.rmtree(paths.learner(1))
    paths.learner(1).mkdir()
    newest = facts_path(paths, 0)
    for path in (newest, newest.with_suffix(".safetensors")):
        shutil.copy(path, paths.learner(1))


def test_that_of_another_learner_is_refused(paths: RunPaths) -> None:
    copy_over(paths)
    with pytest.raises(CorruptFileError, match=r"learners/0001/step-\d+\.json: is a checkpoint of"):
        read_back(paths, 1)
    done = CliRunner().invoke(app, ["resume", str(paths.root), "--inline", "--accept-changes"])
    assert done.exit_code == 2
    assert "is a checkpoint of learner 0" in done.stderr
    state(paths, 1, learner=1)  # the tensors still say whose they are
    with pytest.raises(CorruptFileError, match=r"learner: is 1, but step-.* checkpoint with 0"):
        read_back(paths, 1)


def test_tensors_of_another_learner_are_refused(paths: RunPaths) -> None:
    own, other = (facts_path(paths, learner).with_suffix(".safetensors") for learner in (1, 0))
    shutil.copy(other, own)
    state(paths, 1, sums=sums_of(own.parent, [own.name]))
    with pytest.raises(CorruptFileError, match="learner: is 1, but"):
        read_back(paths, 1)


def test_that_of_another_run_is_refused(paths: RunPaths) -> None:
    state(paths, 0, run="another-20260101")
    with pytest.raises(CorruptFileError, match="learner 0 of run another-20260101 at step"):
        read_back(paths, 0)


def test_that_of_another_step_is_refused(paths: RunPaths) -> None:
    old = facts_path(paths, 0)
    for path in (old, old.with_suffix(".safetensors")):
        path.rename(path.with_stem("step-00000007"))
    with pytest.raises(CorruptFileError, match=r"step-00000007\.json: is a checkpoint of"):
        read_back(paths, 0)


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"finished": True}, "finished, at step"),
        ({"member": 0}, "yields member 0"),
        ({"epoch": 3}, "in epoch 3 is none of its"),
        ({"counters": {"best_value": 0.1}}, "counters do not fit its early stopping"),
        ({"counters": {"factors": [1.0]}}, "factors of 1 networks, not of 0"),
        ({"counters": {"loss_sum": "much"}}, "counters: loss_sum: input should be a valid number"),
        ({"counters": {"plateau": {"factor": 1.0}}}, "counters: lacks plateau.best"),
    ],
)
def test_what_is_changed_in_its_json_is_refused(
    paths: RunPaths, facts: dict[str, Any], told: str
) -> None:
    (name,) = facts
    state(paths, 0, **facts)
    with pytest.raises(CorruptFileError, match=rf"step-\d+\.json: {name}: is "):
        read_back(paths, 0)
    as_earlier_versions(paths, 0)  # where the tensors do not say so, the plan does
    with pytest.raises(CorruptFileError, match=told):
        read_back(paths, 0)


def put(name: str, value: float) -> Callable[[dict[str, Floats]], object]:
    return lambda tensors: tensors[name].__setitem__(1, value)


@pytest.mark.parametrize("name", ["row", "first_moment", "second_moment", "ema", "best"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(paths: RunPaths, name: str, value: float) -> None:
    as_earlier_versions(paths, 0, put(name, value))
    with pytest.raises(CorruptFileError, match=f"{name} holds numbers that are not finite"):
        read_back(paths, 0)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda tensors: tensors.update(row=tensors["row"][:-1].copy()), "its row is float32 of"),
        (lambda tensors: tensors.update(row=tensors["row"].astype(np.float64)), "is float64 of"),
        (lambda tensors: tensors.pop("row"), "no tensor named row"),
        (lambda tensors: tensors.pop("best"), "but its plan needs"),
        (lambda tensors: tensors.update(more=np.zeros(3, np.float32)), "but its plan needs"),
        (lambda tensors: tensors.update(best=tensors["best"][:3].copy()), "its best is float32 of"),
    ],
)
def test_tensors_of_another_plan_are_refused(
    paths: RunPaths, change: Callable[[dict[str, Floats]], object], told: str
) -> None:
    as_earlier_versions(paths, 0, change)
    with pytest.raises(CorruptFileError, match=told):
        read_back(paths, 0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not valid JSON"),
        ("[]", "is no JSON object"),
        ('{"sums": null}', "lacks learner, epoch, step, member, finished, counters"),
        ("[" * 100_000, "nested more than 64 deep"),
    ],
)
def test_json_of_a_wrong_shape_is_refused(paths: RunPaths, text: str, told: str) -> None:
    facts_path(paths, 0).write_text(text)
    with pytest.raises(CorruptFileError, match=told):
        read_back(paths, 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("member", "x"), ("sums", None), ("sums", {}), ("sums", {"../x": "0"}), ("step", "12"),
        ("step", 10**400), ("step", -1), ("finished", "yes"), ("finished", 1), ("counters", []),
        ("learner", True), ("epoch", 1.5), ("run", 3),
    ],
)  # fmt: skip
def test_a_field_of_a_wrong_type_is_named(paths: RunPaths, name: str, value: object) -> None:
    state(paths, 0, **{name: value})
    with pytest.raises(CorruptFileError, match=name if value != 10**400 else "not valid JSON"):
        read_back(paths, 0)


@pytest.mark.parametrize("ending", [".json", ".safetensors"])
def test_a_folder_in_place_of_a_file_is_refused(paths: RunPaths, ending: str) -> None:
    path = facts_path(paths, 0).with_suffix(ending)
    path.unlink()
    path.mkdir()
    with pytest.raises(CorruptFileError, match=f"{path.name}: (is a folder|missing)"):
        read_back(paths, 0)


@pytest.mark.parametrize(
    ("strategy", "schedule"),
    [
        ({"strategy": "snapshot"}, {"name": "snapshot", "cycles": 4}),
        ({"strategy": "checkpoints", "every": 1}, {"name": "cosine"}),
    ],
)
def test_the_checkpoint_of_an_earlier_member_is_missed(
    tmp_path: Path, strategy: dict[str, Any], schedule: dict[str, Any]
) -> None:
    training = {"epochs": 4, "schedule": schedule}
    paths = stopped(tmp_path / "runs", 7, ensemble={"learners": 2, **strategy}, training=training)
    first, *_, last = [found.saved for found in read_back(paths, 0)]
    assert (first.member, last.step > first.step) == (0, True)
    path = paths.checkpoint(0, first.step)
    path.unlink()
    path.with_suffix(".json").unlink()
    with pytest.raises(CorruptFileError, match=rf"{path.name}: missing, though learner 0 is at"):
        read_back(paths, 0)


def test_a_checkpoint_may_stand_within_an_epoch(prepare: Callable[..., Prepared]) -> None:
    prepared = prepare(ensemble={"learners": 2}, training=PIPELINE["training"])
    plan, paths, data = prepared.plans[1], prepared.paths, prepared.data
    begun = StackTraining(Stack(tuple(prepared.plans)), data, prepared.schema)
    for _ in range(begun.steps.end_of(0)):
        begun.take_step()
    assert len(list(begun.checkpoints())) == 2
    for _ in range(3):
        begun.take_step()
    step, total, state = begun.step, begun.steps.total, begun.state.learner(1)
    save_checkpoint(paths, Checkpoint(1, 1, step, total, state), "run-1")
    (found,) = restore(paths, plan, prepared.schema, data.rows, "run-1")
    assert found.state.counters.loss.steps_summed == 3
    rest = list(train(Stack((plan,), (found.state,)), data, prepared.schema))
    last, expected = rest[-1], prepared.train(1)[1][-1]
    assert isinstance(last, Checkpoint)
    assert last.metrics == expected.metrics
    assert last.state.counters == expected.state.counters
    assert last.state.row.tobytes() == expected.state.row.tobytes()
    assert last.state.member_row.tobytes() == expected.state.member_row.tobytes()
