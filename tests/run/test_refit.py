"""Refit: after all is measured and combined, members are trained on every row but the test's."""

import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from conftest import StopAt
from looks import Looks
from small_pipelines import noisy_columns, small_settings, write_rows

import ensemble_pipe
from ensemble_pipe.cluster.inline import InlineExecutor
from ensemble_pipe.comparison.runs import cost_of
from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.data.base import open_base, read_schema
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.ensemble.members import NetworkMember
from ensemble_pipe.run import pipeline as runs
from ensemble_pipe.run.pipeline import RunResult, grow, resume, run
from ensemble_pipe.run.preparation import recipe_of
from ensemble_pipe.run.recombination import combine
from ensemble_pipe.run.refit import refit_recipe
from ensemble_pipe.serving.artifact import read_artifact
from ensemble_pipe.tracking.journal import read_entries
from ensemble_pipe.tracking.kinds import EpochEntry, RefittedEntry
from ensemble_pipe.training.events import Checkpoint
from ensemble_pipe.training.loop import train
from ensemble_pipe.training.stacks import Stack

FOLDS = {"folds": 2}
PARTS = {"validation": 0.2, "stop": 0.1}
SHARED = {"validation": 0.2, "stop": "validation"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("refit")


@pytest.fixture(scope="module")
def path(folder: Path) -> Path:
    """A table of 150 rows whose label follows from its numbers, but for noise."""
    return write_rows(folder, noisy_columns(np.random.default_rng(5), 150))


def pipeline(path: Path, splits: dict[str, Any], **sections: Any) -> Pipeline:
    roles = sections.pop("roles", {"label": "y", "ignore": ["z"]})
    training = sections.pop("training", {})
    settings = small_settings(
        hidden=12,
        epochs=12,
        batch_size=16,
        **{
            "data": {"source": "table", "path": str(path), **roles},
            "splits": {"refit": True, **splits},
            "ensemble": {"learners": 4, "combine": {"temperature": True, "coverage": 0.8}},
            **sections,
        },
    )
    settings["training"] |= {
        "optimizer": {"name": "adam", "learning_rate": 0.05},
        "schedule": {"name": "cosine"},
        "early_stopping": {"patience": 2},
        **training,
    }
    return Pipeline.model_validate(settings)


def without_refit(config: Pipeline) -> Pipeline:
    return config.model_copy(update={"splits": config.splits.model_copy(update={"refit": False})})


def entries_of(result: RunResult) -> list[Any]:
    return list(read_entries(RunPaths(Path(result.run_dir)).journal))


def refits(result: RunResult) -> dict[int, RefittedEntry]:
    return {e.learner: e for e in entries_of(result) if isinstance(e, RefittedEntry)}


def bits_of(result: RunResult) -> dict[str, bytes]:
    """Return the bytes of a run's model and predictions, by name."""
    paths = RunPaths(Path(result.run_dir))
    files = [*paths.model.iterdir(), *paths.predictions("test").parent.iterdir()]
    # Files of scikit-learn's estimators hold the time, which the manifest has the sums of.
    same = [path for path in files if path.suffix in (".json", ".safetensors", ".arrow")]
    same = [path for path in same if path.name != "manifest.json"]
    return {path.name: path.read_bytes() for path in same}


def rows_of(result: RunResult) -> list[Array]:
    members = read_artifact(Path(result.run_dir) / "model").members
    return [member.row for member in members if isinstance(member, NetworkMember)]


@pytest.mark.parametrize("splits", [FOLDS, PARTS, SHARED], ids=["folds", "parts", "shared"])
def test_members_are_replaced_and_all_that_was_fitted_to_held_out_rows_stays(
    folder: Path, path: Path, splits: dict[str, Any]
) -> None:
    config = pipeline(path, splits)
    result = run(config, output=folder, inline=True)
    before = run(without_refit(config), output=folder, inline=True)
    new, old = (read_artifact(Path(one.run_dir) / "model") for one in (result, before))
    assert new.combiner == old.combiner
    assert new.conformal == old.conformal
    assert new.schema == old.schema
    for again, first in zip(rows_of(result), rows_of(before), strict=True):
        assert not np.array_equal(again, first)
    held = {name for name in before.metrics if "validation/" in name}
    assert {name: result.metrics[name] for name in held} == {n: before.metrics[n] for n in held}
    name = "validation.arrow"
    assert bits_of(result)[name] == bits_of(before)[name]
    assert bits_of(result)["test.arrow"] != bits_of(before)["test.arrow"]


@pytest.mark.parametrize("splits", [FOLDS, PARTS, SHARED], ids=["folds", "parts", "shared"])
def test_no_row_but_those_of_the_test_part_is_held_out(
    folder: Path, path: Path, splits: dict[str, Any]
) -> None:
    result = run(pipeline(path, splits), output=folder, inline=True)
    paths = RunPaths(Path(result.run_dir))
    part = "train" if "folds" in splits else "refit"
    rows = open_base(paths.part(part)).read_column("row")
    test = open_base(paths.part("test")).read_column("row")
    assert sorted([*rows, *test]) == list(range(150))
    assert {one.rows for one in refits(result).values()} == {120}
    evaluated = ensemble_pipe.load(result.run_dir).predict(source_of(path).take(test))
    found = pa.ipc.open_file(pa.memory_map(str(paths.predictions("test")))).read_all()
    np.testing.assert_array_equal(evaluated, found.column("prediction").to_pylist())


def source_of(path: Path) -> pa.Table:
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


@pytest.mark.parametrize("splits", [FOLDS, PARTS], ids=["folds", "parts"])
def test_a_network_is_trained_for_the_epochs_of_its_best_row_by_the_same_schedule(
    folder: Path, path: Path, splits: dict[str, Any]
) -> None:
    config = pipeline(path, splits)
    result = run(config, output=folder, inline=True)
    losses: dict[int, list[float]] = {}
    for entry in entries_of(result):
        if isinstance(entry, EpochEntry):
            losses.setdefault(entry.learner, []).append(entry.metrics["stop/loss"] or 0.0)
    best = {learner: int(np.argmin(own)) + 1 for learner, own in losses.items()}
    assert {learner: one.epochs for learner, one in refits(result).items()} == best
    assert min(best.values()) < 12
    # The same by hand: on all rows, the schedule of 12 epochs left after the best of them.
    paths = RunPaths(Path(result.run_dir))
    schema = read_schema(paths)
    data = TrainingData(refit_recipe(recipe_of(paths, config, schema)), schema)
    for plan, member in zip(make_plans(config).networks, rows_of(result), strict=True):
        alone = _on_all_rows(config, plan.learner, best[plan.learner])
        *_, last = train(Stack((alone,)), data, schema)
        assert isinstance(last, Checkpoint)
        assert last.finished
        np.testing.assert_array_equal(last.state.member_row, member)


def _on_all_rows(config: Pipeline, learner: int, epochs: int) -> Any:
    plan = make_plans(config).networks[learner]
    view = replace(plan.view, folds=None)
    return replace(plan, view=view, early_stopping=None, last_epoch=epochs)


def test_stacks_of_any_width_give_the_same_bits(folder: Path, path: Path) -> None:
    found = []
    for width in (1, 3):
        config = pipeline(path, FOLDS, cluster={"stack": width})
        found.append(bits_of(run(config, output=folder, inline=True)))
    assert found[0] == found[1]


# Early stopping leaves about 30 checkpoints to the first training.
@pytest.mark.parametrize("checkpoints", [3, 45, 70])
def test_interrupted_equals_uninterrupted(folder: Path, path: Path, checkpoints: int) -> None:
    trees = {"strategy": "histogram_boosting", "learners": 2, "rounds": 20}
    pool = [{"strategy": "independent", "learners": 4}, trees]
    combine = {"method": "weights", "temperature": True}
    training = {"early_stopping": None, "epochs": 10}
    ensemble = {"pool": pool, "combine": combine}
    config = pipeline(path, FOLDS, training=training, ensemble=ensemble, cluster={"stack": 2})
    whole = run(config, output=folder, inline=True)
    output = folder / f"cut-{checkpoints}"
    with pytest.raises(KeyboardInterrupt):
        run(config, output=output, inline=True, display=StopAt(checkpoints))
    (cut,) = output.iterdir()
    assert bits_of(resume(cut, inline=True)) == bits_of(whole)
    assert bits_of(resume(cut, inline=True, train=False)) == bits_of(whole)


def test_a_run_that_is_ended_in_the_middle_has_the_members_that_are_ready(
    folder: Path, path: Path
) -> None:
    output = folder / "ended"
    training = {"early_stopping": None, "epochs": 5}
    config = pipeline(path, FOLDS, training=training, cluster={"stack": 1})
    with pytest.raises(KeyboardInterrupt):
        run(config, output=output, inline=True, display=StopAt(26))  # one learner is trained again
    (cut,) = output.iterdir()
    result = resume(cut, inline=True, train=False)
    before = run(without_refit(config), output=folder, inline=True)
    same = [
        np.array_equal(new, old) for new, old in zip(rows_of(result), rows_of(before), strict=True)
    ]
    assert same == [False, True, True, True]


@pytest.mark.parametrize("pool", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_time_limit_leaves_members_as_they_were_and_resume_goes_on_to_the_same_bits(
    folder: Path, path: Path, monkeypatch: pytest.MonkeyPatch, pool: bool
) -> None:
    networks = {"strategy": "independent", "learners": 4}
    trees = {"strategy": "histogram_boosting", "learners": 2, "rounds": 20}
    ensemble = {"pool": [networks, trees] if pool else [networks]}
    training = {"early_stopping": None, "epochs": 5}
    config = pipeline(path, FOLDS, training=training, ensemble=ensemble, cluster={"stack": 1})
    whole = run(config, output=folder, inline=True)
    before = run(without_refit(config), output=folder, inline=True)
    # The first training of 4 learners has 80 steps, the second 37 for each; trees have 20 rounds.
    for looks, again in ((60, set()), (150, {4, 5} if pool else {0})):
        with monkeypatch.context() as patch:
            patch.setattr(runs, "TimeLimit", partial(Looks, looks))
            ended = run(config, output=folder, inline=True, time_limit="1h")
        assert refits(ended).keys() == again
        assert bool(ended.unfinished) == (looks == 60)
        # A learner that is done, of a kind whose folds are not all done, is no member yet.
        members = {member.learner for member in ensemble_pipe.load(ended.run_dir).members}
        kept = sorted(members - {*again, *ended.unfinished})
        named = ", ".join(str(learner) for learner in kept)
        assert re.search(rf"learners? {named} not trained again on all rows", ended.left_undone)
        assert ended.left_undone in RunPaths(Path(ended.run_dir)).report.read_text()
        if looks > 60:
            rows, new, old = rows_of(ended), rows_of(whole), rows_of(before)
            for learner in range(4):
                np.testing.assert_array_equal(
                    rows[learner], (new if learner in again else old)[learner]
                )
        result = resume(ended.run_dir, inline=True)
        assert result.left_undone == ""
        assert bits_of(result) == bits_of(whole)


def test_a_run_combined_anew_has_the_members_that_were_trained_again(
    folder: Path, path: Path
) -> None:
    few = {"learners": 4, "combine": {"method": "greedy", "keep": 2}}
    first = run(pipeline(path, PARTS, ensemble=few), output=folder, inline=True)
    assert len(refits(first)) == 2
    alike: dict[str, Any] = {"ensemble.combine.keep": None}
    alike["ensemble.combine.method"] = "mean_probability"
    anew = combine(first.run_dir, **alike)
    missing = sorted(set(range(4)) - refits(first).keys())
    named = ", ".join(str(learner) for learner in missing)
    assert anew.left_undone == f"learners {named} not trained again on all rows"
    every = {"learners": 4, "combine": {"method": "mean_probability"}}
    whole = run(pipeline(path, PARTS, ensemble=every), output=folder, inline=True)
    for learner, (row, same) in enumerate(zip(rows_of(anew), rows_of(whole), strict=True)):
        assert np.array_equal(row, same) == (learner not in missing)
    assert bits_of(resume(anew.run_dir, inline=True)) == bits_of(whole)


def test_boosted_trees_have_the_rounds_that_were_found(folder: Path, path: Path) -> None:
    boosted = {"strategy": "histogram_boosting", "learners": 2, "rounds": 200, "learning_rate": 0.3}
    forest = {"strategy": "random_forest", "learners": 2, "trees": 5}
    config = pipeline(path, FOLDS, ensemble={"pool": [boosted, forest]})
    result = run(config, output=folder, inline=True)
    before = run(without_refit(config), output=folder, inline=True)
    new, old = (read_artifact(Path(one.run_dir) / "model") for one in (result, before))
    rounds = [member.rounds(old.schema) for member in old.members]
    assert [member.rounds(new.schema) for member in new.members] == rounds
    assert [refits(result)[learner].rounds for learner in range(4)] == rounds
    assert all(0 < own < 200 for own in rounds[:2] if own is not None)
    assert rounds[2:] == [None, None]
    assert [own.files() for own in new.members] != [own.files() for own in old.members]


@pytest.mark.parametrize("library", ["lightgbm", "catboost"])
@pytest.mark.parametrize("label", ["y", "z"])
def test_trees_of_a_library_have_the_rounds_that_were_found(
    folder: Path, path: Path, library: str, label: str
) -> None:
    pytest.importorskip(library)
    task = "classification" if label == "y" else "regression"
    roles = {"label": label, "ignore": [] if label == "z" else ["z"]}
    boosted = {"strategy": library, "learners": 2, "rounds": 60}
    config = pipeline(path, FOLDS, task=task, roles=roles, ensemble={"pool": [boosted]})
    result = run(config, output=folder, inline=True)
    before = run(without_refit(config), output=folder, inline=True)
    new, old = (read_artifact(Path(one.run_dir) / "model") for one in (result, before))
    assert [m.rounds(new.schema) for m in new.members] == [
        m.rounds(old.schema) for m in old.members
    ]


def test_the_noise_of_numbers_is_that_of_held_out_rows(folder: Path, path: Path) -> None:
    roles = {"label": "z", "ignore": ["y"]}
    training = {"loss": {"name": "squared_error"}}
    config = pipeline(path, FOLDS, task="regression", roles=roles, training=training)
    result = run(config, output=folder, inline=True)
    before = run(without_refit(config), output=folder, inline=True)
    new, old = (read_artifact(Path(one.run_dir) / "model").members for one in (result, before))
    assert [member.noise for member in new] == [member.noise for member in old]
    assert all(member.noise for member in new)


def test_a_run_grows(folder: Path, path: Path) -> None:
    less = pipeline(path, FOLDS, ensemble={"learners": 2})
    grown = grow(run(less, output=folder, inline=True).run_dir, learners=2, inline=True)
    whole = run(pipeline(path, FOLDS, ensemble={"learners": 4}), output=folder, inline=True)
    assert bits_of(grown) == bits_of(whole)


def test_passes_of_dropout_are_those_of_the_new_network(folder: Path, path: Path) -> None:
    network = {"name": "mlp", "hidden": [12], "dropout": 0.2}
    ensemble = {"strategy": "mc_dropout", "learners": 2, "passes": 3}
    result = run(
        pipeline(path, PARTS, network=network, ensemble=ensemble), output=folder, inline=True
    )
    rows = rows_of(result)
    assert len(rows) == 6
    np.testing.assert_array_equal(rows[0], rows[2])


def test_members_that_share_weights_are_those_of_the_new_learner(folder: Path, path: Path) -> None:
    ensemble = {"strategy": "shared", "learners": 2, "members": 3}
    result = run(pipeline(path, PARTS, ensemble=ensemble), output=folder, inline=True)
    rows = rows_of(result)
    assert len(rows) == 6
    np.testing.assert_array_equal(rows[0], rows[2])
    assert not np.array_equal(rows[0], rows[3])


def test_a_learner_that_diverges_when_it_is_trained_again_stays_as_it_was(
    folder: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = pipeline(path, FOLDS)
    execute = InlineExecutor.run

    def diverging(self: Any, stacks: Any, recipe: Any, *rest: Any) -> Any:
        if not recipe.stops:
            rate = replace(stacks[0].plans[0].rule, learning_rate=1e30)
            first, *others = stacks[0].plans
            plans = (replace(first, rule=rate), *others)
            stacks = [replace(stacks[0], plans=plans), *stacks[1:]]
        return execute(self, stacks, recipe, *rest)

    monkeypatch.setattr(InlineExecutor, "run", diverging)
    result = run(config, output=folder, inline=True)
    monkeypatch.undo()
    before = run(without_refit(config), output=folder, inline=True)
    same = [
        np.array_equal(new, old) for new, old in zip(rows_of(result), rows_of(before), strict=True)
    ]
    assert same == [True, False, False, False]
    assert refits(result)[0].failed is not None
    report = RunPaths(Path(result.run_dir)).report.read_text()
    assert "Learners 0 failed in this, and stay as they were" in report


def test_report_and_cost_include_the_second_training(folder: Path, path: Path) -> None:
    result = run(pipeline(path, FOLDS), output=folder, inline=True)
    report = RunPaths(Path(result.run_dir)).report.read_text()
    assert re.search("4 learners were trained again on all 120 rows", report)
    entries = entries_of(result)
    again = sum(entry.epochs for entry in refits(result).values())
    first = cost_of([entry for entry in entries if not isinstance(entry, RefittedEntry)])
    assert cost_of(entries).learner_epochs == first.learner_epochs + again


@pytest.mark.parametrize(("sections", "message"), [
    (
        {"ensemble": {"strategy": "snapshot", "learners": 2}, "training": {
            "schedule": {"name": "snapshot", "cycles": 2}, "early_stopping": None}},
        r"ensemble.strategy: its members are of one course .* splits.refit",
    ),
    (
        {"ensemble": {"strategy": "checkpoints", "every": 4}, "training": {"early_stopping": None}},
        r"ensemble.strategy: its members are of one course .* splits.refit",
    ),
    (
        {"ensemble": {"strategy": "boosting", "learners": 2}, "training": {"early_stopping": None}},
        r"ensemble.strategy: its networks are weighed by held-out rows.* splits.refit",
    ),
    (
        {"training": {"schedule": {"name": "plateau"}}},
        r"training.schedule.name: plateau follows the loss .* take cosine",
    ),
])  # fmt: skip
def test_what_needs_held_out_rows_is_refused(
    path: Path, sections: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        make_plans(pipeline(path, PARTS, **sections))


@pytest.mark.slow
def test_trainers_on_ray_give_the_same_bits(folder: Path, path: Path, ray_cluster: None) -> None:
    config = pipeline(path, PARTS, cluster={"stack": 2, "trainers": 2})
    inline = run(config, output=folder, inline=True)
    assert bits_of(run(config, output=folder, address="local")) == bits_of(inline)
