"""Searches in folds: a trial is a learner for each fold, judged on the fold that it left out."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from conftest import StopAt
from small_pipelines import noisy_columns, small_settings, write_rows

import ensemble_pipe
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.errors import InputError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.search.pipeline import SearchResult, resume, search
from ensemble_pipe.search.trials import score_of
from ensemble_pipe.tracking.run_summary import read_run_summary

ROWS = 150
RATES: dict[str, Any] = {
    "training.optimizer.learning_rate": [0.003, 0.03, 0.1],
    "network.hidden": [[4], [8]],
}
# Each is another kind of folds, with as many learners to a trial.
FOLDS: dict[str, tuple[Any, int]] = {
    "drawn": (3, 3),
    "repeated": ({"count": 3, "repeats": 2}, 6),
    "named": ({"column": "part"}, 3),
    "expanding": ({"count": 3, "forward": "expanding", "gap": 4}, 3),
    "sliding": ({"count": 3, "forward": "sliding"}, 3),
    "grouped": (3, 3),
}
# Each is a search with another way through its trials.
SEARCHES: dict[str, dict[str, Any]] = {
    "top": {},
    "greedy": {"ensemble": "greedy"},
    "hyper_deep": {"ensemble": "hyper_deep"},
    "pruned": {"pruning": "successive_halving"},
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(5)
    return write_rows(tmp_path_factory.mktemp("rows"), {
        **noisy_columns(random, ROWS),
        "day": random.permutation(ROWS),
        "part": np.array(["first", "second", "third"])[random.integers(0, 3, ROWS)],
        "person": random.integers(0, 40, ROWS),
    })  # fmt: skip


def pipeline(
    path: Path, folds: Any = 3, kind: str = "drawn", epochs: int = 9, **sections: Any
) -> Pipeline:
    roles = {"label": "y", "ignore": ["z", "day", "part", "person"]}
    own = {"named": "part", "grouped": "person", "expanding": "day", "sliding": "day"}.get(kind)
    roles["ignore"] = [name for name in roles["ignore"] if name != own]
    if own in ("person", "day"):
        roles["group" if own == "person" else "time"] = own
    if "ensemble" not in sections:
        more = sections.pop("search", {})
        sections["search"] = {"space": RATES, "driver": "grid", "top": 2, **more}
    settings = small_settings(
        hidden=4, epochs=epochs, batch_size=16, splits={"folds": folds},
        data={"source": "table", "path": str(path), **roles}, **sections,
    )  # fmt: skip
    settings["training"] |= {"early_stopping": {"patience": 3}}
    return Pipeline.model_validate(settings)


def search_here(folder: Path, config: Pipeline, **options: Any) -> SearchResult:
    return search(config, output=folder, inline=True, **options)


def bits(found: SearchResult) -> list[bytes]:
    """Return what a search leaves: its model, and what each of its trials predicts."""
    names = ("model/model.json", "model/members.safetensors", "predictions/trials.arrow")
    return [(Path(found.run.run_dir) / name).read_bytes() for name in names]


@pytest.fixture(scope="module")
def drawn(path: Path, tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    return search_here(tmp_path_factory.mktemp("drawn"), pipeline(path))


@pytest.mark.parametrize("kind", FOLDS)
def test_a_trial_has_a_learner_for_each_fold_and_the_mean_of_their_scores(
    kind: str, path: Path, tmp_path: Path
) -> None:
    folds, count = FOLDS[kind]
    found = search_here(tmp_path, pipeline(path, folds, kind, epochs=3))
    run = read_run_summary(RunPaths(Path(found.run.run_dir)))
    assert len(run.plans) == 6 * count
    for trial in found.trials:
        learners = range(trial.number * count, (trial.number + 1) * count)
        scores = [run.by_place[learner, 0].validation["nll"] or 0.0 for learner in learners]
        assert trial.score == pytest.approx(np.mean(scores))
        partitions: Floats = np.reshape(scores, (-1, 3))
        errors = partitions.std(axis=1, ddof=1) / np.sqrt(3)
        assert trial.standard_error == pytest.approx(np.sqrt((errors**2).mean()))


def test_learners_of_a_trial_are_those_of_a_run_in_folds_with_its_values(
    drawn: SearchResult, path: Path, tmp_path: Path
) -> None:
    best = drawn.trials[0]
    fixed = {"strategy": "independent", "learners": 3, "set": dict(best.values)}
    others = {"strategy": "independent", "learners": 3 * best.number}  # so that ids are the same
    pool = [others, fixed] if best.number else [fixed]
    alone = ensemble_pipe.run(pipeline(path, ensemble={"pool": pool}), output=tmp_path, inline=True)
    theirs, own = (
        read_run_summary(RunPaths(Path(run_dir))).by_place
        for run_dir in (alone.run_dir, drawn.run.run_dir)
    )
    for fold in range(3):
        place = 3 * best.number + fold, 0
        assert theirs[place].validation == own[place].validation


def test_a_chosen_trial_brings_the_learners_of_all_folds(drawn: SearchResult) -> None:
    members = ensemble_pipe.load(drawn.run.run_dir).members
    best = [trial.number for trial in drawn.trials[:2]]
    assert {m.learner for m in members} == {3 * number + f for number in best for f in range(3)}


def test_trials_predict_every_row_of_the_training_part(drawn: SearchResult) -> None:
    run_paths = RunPaths(Path(drawn.run.run_dir))
    table = pa.ipc.open_file(str(run_paths.predictions("trials"))).read_all()
    outputs = table.column("outputs").chunk(0).to_numpy_ndarray()
    assert outputs.shape == (read_run_summary(run_paths).rows["train"], 6, 2)


@pytest.mark.parametrize("kind", SEARCHES)
def test_the_width_of_stacks_changes_no_bit(kind: str, path: Path, tmp_path: Path) -> None:
    config = pipeline(path, search=SEARCHES[kind])
    wide = search_here(tmp_path, config)
    narrow = search_here(tmp_path, pipeline(path, search=SEARCHES[kind], cluster={"stack": 1}))
    assert bits(wide) == bits(narrow)
    assert wide.trials == narrow.trials


@pytest.mark.slow
@pytest.mark.parametrize("kind", SEARCHES)
def test_a_search_that_was_stopped_goes_on_to_the_same_bits(
    kind: str, path: Path, tmp_path: Path
) -> None:
    config = pipeline(path, search=SEARCHES[kind])
    whole = search_here(tmp_path / "whole", config)
    for checkpoints in (3, 20, 45):
        with pytest.raises(KeyboardInterrupt):
            search_here(tmp_path / str(checkpoints), config, display=StopAt(checkpoints))
        (run_dir,) = (tmp_path / str(checkpoints)).iterdir()
        found = resume(run_dir, inline=True)
        assert isinstance(found, SearchResult)
        assert found.trials == whole.trials
        assert bits(found) == bits(whole)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize("kind", ["greedy", "pruned"])
def test_trainers_on_ray_give_the_same_bits(kind: str, path: Path, tmp_path: Path) -> None:
    here = search_here(tmp_path, pipeline(path, search=SEARCHES[kind]))
    stacks = {"stack": 2, "trainers": 2}
    config = pipeline(path, search=SEARCHES[kind], cluster=stacks)
    there = search(config, output=tmp_path, address="local")
    assert bits(here) == bits(there)
    assert here.trials == there.trials


def test_a_pruned_trial_ends_in_all_folds(path: Path, tmp_path: Path) -> None:
    found = search_here(tmp_path, pipeline(path, search=SEARCHES["pruned"]))
    run = read_run_summary(RunPaths(Path(found.run.run_dir)))
    pruned = [trial for trial in found.trials if trial.ending == "pruned"]
    assert len(pruned) == 4
    for trial in pruned:
        assert trial.score is None
        assert trial.epochs in (1, 3)
        for learner in range(3 * trial.number, 3 * trial.number + 3):
            assert learner in run.pruned or learner in run.finished


def test_a_greedy_ensemble_selects_whole_trials(path: Path, tmp_path: Path) -> None:
    found = search_here(tmp_path, pipeline(path, search=SEARCHES["greedy"]))
    trials = {member.learner // 3 for member in ensemble_pipe.load(found.run.run_dir).members}
    assert 1 <= len(trials) <= 2
    assert found.run.members == 3 * len(trials)


def test_hyper_deep_ensembles_are_trained_again_in_all_folds(path: Path, tmp_path: Path) -> None:
    found = search_here(tmp_path, pipeline(path, search=SEARCHES["hyper_deep"]))
    run = read_run_summary(RunPaths(Path(found.run.run_dir)))
    again = sorted(learner for learner in run.plans if learner >= 18)
    assert len(again) in (3, 6)
    assert found.run.members in (3, 6)


@pytest.mark.parametrize("pruning", [None, "median"])
def test_a_trial_fails_with_the_first_of_its_learners(
    pruning: str | None, path: Path, tmp_path: Path
) -> None:
    rates = {"training.optimizer.learning_rate": [0.03, 1e30]}
    config = pipeline(path, search={"space": rates, "pruning": pruning})
    found = search_here(tmp_path, config)
    assert [trial.ending for trial in found.trials] == ["finished", "failed"]
    assert found.trials[1].score is None
    assert found.run.members == 3


def test_a_score_that_is_not_known_in_all_folds_is_none() -> None:
    assert score_of([0.5, None, 0.4], 3) == (None, None)
    assert score_of([0.5, float("inf"), 0.4], 3) == (None, None)


@pytest.mark.parametrize(("folds", "kind", "message"), [
    (55, "drawn", "55 folds are to be left out in turn.* has 54 rows of class .yes.; take at"),
    (39, "grouped", "39 folds are to be left out in turn, but the training part has"),
    ({"count": 130, "forward": "expanding"}, "expanding", "130 folds forward in time need 131"),
    ({"column": "part", "count": 4}, "named", "has 3 values, but splits.folds.count is 4"),
])  # fmt: skip
def test_folds_that_cannot_be_made_are_refused_and_nothing_is_left(
    folds: Any, kind: str, message: str, path: Path, tmp_path: Path
) -> None:
    few = {"space": {"network.hidden": [[4], [8]]}}
    with pytest.raises(InputError, match=message):
        search_here(tmp_path, pipeline(path, folds, kind, search=few))
    assert list(tmp_path.iterdir()) == []
