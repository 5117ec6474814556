"""`resume --accept-changes` goes on with other settings where what the run keeps can bear them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import StopAt
from small_pipelines import noisy_columns, write_rows
from typer.testing import CliRunner

from ensemble_pipe.cli import app
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.errors import ConfigError, RunDirectoryError
from ensemble_pipe.core.storage import RunPaths, read_manifest
from ensemble_pipe.run import accepting
from ensemble_pipe.run.pipeline import changes_since, grow, resume, run
from ensemble_pipe.search import pipeline as searches
from ensemble_pipe.search.pipeline import combine, search
from ensemble_pipe.tracking.run_summary import read_run_summary
from ensemble_pipe.training.checkpoints import list_checkpoints, load_state

CONSTANT = {"name": "constant"}


def begin(
    folder: Path, *, stop_at: int | None = None, training: dict[str, Any], **sections: Any
) -> RunPaths:
    """Run a small pipeline, or begin it and stop after so many checkpoints."""
    settings = {
        "name": f"of{len(list(folder.iterdir()))}",
        "network": {"hidden": [4]},
        "training": {"epochs": 2, "schedule": CONSTANT, **training},
        "ensemble": {"learners": 2},
        "tracking": {"mlflow": False},
        **sections,
    }
    config = Pipeline.model_validate(settings)
    if stop_at is None:
        return RunPaths(Path(run(config, output=folder, inline=True).run_dir))
    with pytest.raises(KeyboardInterrupt):
        run(config, output=folder, inline=True, display=StopAt(stop_at))
    (root,) = folder.glob(f"{settings['name']}-*")
    return RunPaths(root)


def edit(paths: RunPaths, **changes: Any) -> None:
    """Change settings of a run's pipeline, by path."""
    values = yaml.safe_load(paths.pipeline.read_text())
    for path, value in changes.items():
        *above, last = path.split(".")
        section = values
        for step in above:
            section = section[step]
        section[last] = value
    paths.pipeline.write_text(yaml.safe_dump(values, sort_keys=False))


def final_rows(paths: RunPaths) -> list[tuple[int, bytes]]:
    """Return the last step and the bytes of the member of each learner."""
    found = []
    for learner in (0, 1):
        *_, last = list_checkpoints(paths, learner)
        assert last.finished
        state = load_state(paths, learner, last.step)
        found.append((last.step, state.member_row.tobytes()))
    return found


@pytest.mark.parametrize(
    "stop_at",
    [pytest.param(3, id="under way", marks=pytest.mark.slow), pytest.param(None, id="finished")],
)
@pytest.mark.parametrize(
    ("training", "changes"),
    [
        ({}, {"training.epochs": 3}),
        (
            {"epochs": 6, "early_stopping": {"patience": 1, "min_change": 10.0}},
            {"training.early_stopping.patience": 3},
        ),
    ],
    ids=["epochs", "patience"],
)
def test_a_longer_training_has_the_bits_of_one_that_was_longer_from_the_start(
    tmp_path: Path, training: dict[str, Any], changes: dict[str, Any], stop_at: int | None
) -> None:
    paths = begin(tmp_path, stop_at=stop_at, training=training)
    edit(paths, **changes)
    resume(paths.root, inline=True, accept_changes=True)
    (path, value), longer = *changes.items(), json.loads(json.dumps(training))
    if path == "training.epochs":
        longer["epochs"] = value
    else:
        longer["early_stopping"]["patience"] = value
    whole = begin(tmp_path, training=longer)
    assert final_rows(paths) == final_rows(whole)
    predictions = [one.predictions("test").read_bytes() for one in (paths, whole)]
    assert predictions[0] == predictions[1]


@pytest.mark.slow
def test_finished_learners_go_on_through_a_kill_after_the_change_was_accepted(
    tmp_path: Path,
) -> None:
    paths = begin(tmp_path, training={})
    edit(paths, **{"training.epochs": 4})
    with pytest.raises(KeyboardInterrupt):
        resume(paths.root, inline=True, accept_changes=True, display=StopAt(1))
    resume(paths.root, inline=True)
    assert final_rows(paths) == final_rows(begin(tmp_path, training={"epochs": 4}))


def test_what_was_accepted_stands_in_the_manifest_the_journal_and_the_report(
    tmp_path: Path,
) -> None:
    paths = begin(tmp_path, stop_at=1, training={})
    rate, how = "training.optimizer.learning_rate", "ensemble.combine.method"
    edit(paths, **{rate: 0.02, how: "mean_logit"})
    before = yaml.safe_load(paths.pipeline.read_text())
    result = resume(paths.root, inline=True, accept_changes=True)
    (accepted,) = read_manifest(paths).accepted
    assert [line.partition(": ")[0] for line in accepted.changes] == [rate, how]
    assert accepted.changes[0].endswith(" -> 0.02")
    assert yaml.safe_load(paths.pipeline.read_text()) == before
    summary = read_run_summary(paths)
    assert summary.pipeline["ensemble"]["combine"]["method"] == "mean_logit"
    assert {plan["optimizer"]["learning_rate"] for plan in summary.plans.values()} == {0.02}
    assert accepted.changes[0].replace(">", "&gt;") in paths.report.read_text()
    assert result.members == 2
    assert changes_since(paths.root) == []


def test_without_the_flag_differences_are_shown_and_nothing_is_changed(tmp_path: Path) -> None:
    paths = begin(tmp_path, stop_at=1, training={})
    edit(paths, **{"training.epochs": 5})
    there = {path: path.read_bytes() for path in paths.root.rglob("*") if path.is_file()}
    done = CliRunner().invoke(app, ["resume", str(paths.root), "--inline"])
    assert done.exit_code == 2
    assert "  training.epochs: 2 -> 5\n" in done.stderr
    assert "to go on all the same, add --accept-changes" in done.stderr
    assert f"`ensemble-pipe run {paths.pipeline}`" in done.stderr
    assert {path: path.read_bytes() for path in there} == there


REFUSED = {
    "seed": (2, "seed: the rows in base/"),
    "splits.test": (0.4, "splits.test: the rows in base/"),
    "data.set": ("iris", "data.set: the rows in base/"),
    "shard_rows": (64, "shard_rows: the rows in base/"),
    "network.hidden": ([8], "network: learner 0 has weights"),
    "training.batch_size": (16, "training.batch_size: the rows that learner 0 has seen"),
    "training.optimizer": ({"name": "sgd"}, "training.optimizer: the checkpoint of learner 0"),
    "training.loss": ({"name": "hinge"}, "training.loss: learner 0 was measured"),
    "training.early_stopping": ({"patience": 2}, "training.early_stopping: the checkpoint of"),
    "training.averaging": ({"name": "ema"}, "training.averaging: the checkpoint of learner 0"),
    "training.epochs": (1, "training.epochs: learner 0 has trained 2 epochs; take more"),
    "ensemble.learners": (3, "grow {} --learners N"),
    "view.features": (0.5, "view"),
}


@pytest.fixture(scope="module")
def under_way(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    return begin(tmp_path_factory.mktemp("runs"), stop_at=4, training={"epochs": 3})


@pytest.mark.parametrize("path", REFUSED)
@pytest.mark.parametrize("accept", [False, True])
def test_what_is_kept_and_cannot_bear_a_change_refuses_it_by_name(
    under_way: RunPaths, path: str, accept: bool
) -> None:
    whole, (value, why) = under_way.pipeline.read_text(), REFUSED[path]
    try:
        edit(under_way, **{path: value})
        with pytest.raises((RunDirectoryError, ConfigError)) as caught:
            resume(under_way.root, inline=True, accept_changes=accept)
        assert why.format(under_way.root) in str(caught.value)
        if isinstance(caught.value, RunDirectoryError):
            assert f"begin another run: `ensemble-pipe run {under_way.pipeline}`" in str(
                caught.value
            )
    finally:
        under_way.pipeline.write_text(whole)


@pytest.mark.slow
def test_learners_that_have_not_begun_take_any_plan_that_the_base_can_bear(
    tmp_path: Path,
) -> None:
    pool = [
        {"strategy": "independent", "learners": 1, "set": {"network.hidden": [4]}},
        {"strategy": "independent", "learners": 1, "set": {"network.hidden": [5]}},
        {"strategy": "random_forest", "trees": 5},
    ]
    paths = begin(tmp_path, stop_at=2, training={"epochs": 2}, ensemble={"pool": pool})
    begun = [len(list_checkpoints(paths, learner)) for learner in (0, 1)]
    assert begun == [1, 0]
    values = yaml.safe_load(paths.pipeline.read_text())
    values["ensemble"]["pool"][1]["set"] = {"network.hidden": [6], "training.batch_size": 16}
    paths.pipeline.write_text(yaml.safe_dump(values))
    assert resume(paths.root, inline=True, accept_changes=True).members == 3
    values["ensemble"]["pool"][2]["trees"] = 9
    paths.pipeline.write_text(yaml.safe_dump(values))
    with pytest.raises(RunDirectoryError, match="learner 2 is fitted already") as caught:
        resume(paths.root, inline=True, accept_changes=True)
    assert "  ensemble.pool.2.trees: 5 -> 9\n" in str(caught.value)


def test_a_kill_between_the_journal_and_the_manifest_is_made_good_by_the_next_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = begin(tmp_path, stop_at=1, training={})
    edit(paths, **{"training.epochs": 3})

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(accepting, "write_summed_json", killed)
        with pytest.raises(KeyboardInterrupt):
            resume(paths.root, inline=True, accept_changes=True)
    with pytest.raises(RunDirectoryError, match="was rewritten, with the same settings"):
        resume(paths.root, inline=True)
    resume(paths.root, inline=True, accept_changes=True)
    assert [entry.changes for entry in read_manifest(paths).accepted] == [
        ["training.epochs: 2 -> 3"],
        ["pipeline.yaml: was rewritten, with the same settings"],
    ]
    assert final_rows(paths) == final_rows(begin(tmp_path, training={"epochs": 3}))


def test_a_run_does_not_grow_by_a_changed_pipeline_unasked(tmp_path: Path) -> None:
    paths = begin(tmp_path, training={})
    edit(paths, **{"training.epochs": 3})
    with pytest.raises(RunDirectoryError, match=r"training\.epochs: 2 -> 3"):
        grow(paths.root, 1, inline=True)
    with pytest.raises(RunDirectoryError, match=r"training\.epochs: 2 -> 3"):
        combine(paths.root, **{"ensemble.combine.method": "mean_logit"})
    assert grow(paths.root, 1, inline=True, accept_changes=True).members == 3
    *_, last = list_checkpoints(paths, 0)
    assert last.epoch == 3


@pytest.mark.slow
def test_a_run_made_of_changed_ones_members_says_what_was_accepted(tmp_path: Path) -> None:
    paths = begin(tmp_path, training={})
    edit(paths, **{"training.epochs": 3})
    resume(paths.root, inline=True, accept_changes=True)
    made = combine(paths.root, **{"ensemble.combine.method": "mean_logit"})
    summary = read_run_summary(RunPaths(Path(made.run_dir)))
    assert [entry.changes for entry in summary.accepted] == [["training.epochs: 2 -> 3"]]
    assert summary.pipeline["ensemble"]["combine"]["method"] == "mean_logit"
    assert {plan["epochs"] for plan in summary.plans.values()} == {3}


def test_a_changed_data_file_is_shown_and_the_run_goes_on_with_the_rows_that_it_has(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "runs"
    folder.mkdir()
    source = write_rows(tmp_path, noisy_columns(np.random.default_rng(1), 200))
    data = {"source": "table", "path": str(source), "label": "y", "ignore": ["z"]}
    whole = begin(folder, training={}, data=data)
    paths = begin(folder, stop_at=2, training={}, data=data)
    write_rows(tmp_path, noisy_columns(np.random.default_rng(2), 300))
    with pytest.raises(RunDirectoryError, match=rf"data\.path: {source}, 1 file of") as caught:
        resume(paths.root, inline=True)
    assert "it goes on with the rows that it has read, which are kept in base/" in str(caught.value)
    resume(paths.root, inline=True, accept_changes=True)
    assert final_rows(paths) == final_rows(whole)
    assert read_manifest(paths).accepted[0].changes[0].startswith("data.path: ")
    assert changes_since(paths.root) == []  # until it changes again


@pytest.mark.slow
def test_in_a_search_only_what_is_about_no_trial_changes(tmp_path: Path) -> None:
    space = {"training.optimizer.learning_rate": [0.01, 0.02]}
    settings = {
        "network": {"hidden": [4]},
        "training": {"epochs": 1},
        "search": {"space": space, "driver": "grid", "top": 2},
        "tracking": {"mlflow": False},
    }
    found = search(Pipeline.model_validate(settings), output=tmp_path, inline=True)
    paths = RunPaths(Path(found.run.run_dir))
    for path, value in {"training.epochs": 2, "search.top": 1, "network.hidden": [5]}.items():
        text = paths.pipeline.read_text()
        edit(paths, **{path: value})
        with pytest.raises(RunDirectoryError, match=rf"\n  {path}: the trials of a search are"):
            searches.resume(paths.root, inline=True, accept_changes=True)
        paths.pipeline.write_text(text)
    edit(paths, **{"ensemble.combine.method": "mean_logit"})
    searches.resume(paths.root, inline=True, accept_changes=True)
    assert read_run_summary(paths).pipeline["ensemble"]["combine"]["method"] == "mean_logit"


@pytest.mark.slow
def test_a_transferred_run_keeps_its_first_weights_and_unfreezes_its_layers(tmp_path: Path) -> None:
    source = begin(tmp_path, training={})
    transfer = {"weights": str(source.root), "freeze": ["dense1*"]}
    paths = begin(tmp_path, stop_at=1, training={}, transfer=transfer)
    for path, value in {"transfer.fresh": ["dense1*"], "network.hidden": [5]}.items():
        text = paths.pipeline.read_text()
        edit(paths, **{path: value})
        with pytest.raises(RunDirectoryError, match="what it keeps cannot go on with this"):
            resume(paths.root, inline=True, accept_changes=True)
        paths.pipeline.write_text(text)
    edit(paths, **{"transfer.freeze": ["nothing*"]})
    with pytest.raises(ConfigError, match=r"transfer\.freeze"):
        resume(paths.root, inline=True, accept_changes=True)
    edit(paths, **{"transfer.freeze": []})
    resume(paths.root, inline=True, accept_changes=True)
    whole = begin(tmp_path, training={}, transfer={"weights": str(source.root)})
    assert final_rows(paths) == final_rows(whole)


@pytest.mark.slow
def test_members_that_are_trained_again_keep_learners_as_they_are(tmp_path: Path) -> None:
    paths = begin(tmp_path, training={}, splits={"refit": True})
    text = paths.pipeline.read_text()
    edit(paths, **{"training.epochs": 3})
    with pytest.raises(RunDirectoryError, match=r"splits\.refit: learner 0 is trained again"):
        resume(paths.root, inline=True, accept_changes=True)
    paths.pipeline.write_text(text)
    edit(paths, **{"ensemble.combine.coverage": 0.8})
    assert resume(paths.root, inline=True, accept_changes=True).members == 2
