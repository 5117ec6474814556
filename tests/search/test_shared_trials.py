"""Searches whose trials are members that share weights: how many, in which form, with what else."""

from pathlib import Path
from typing import Any

import pytest
from test_search import bits, search_here

import ensemble_pipe
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.run.display import Silent
from ensemble_pipe.search.pipeline import refined_of, resume, search
from ensemble_pipe.search.results import read_trials
from ensemble_pipe.training.events import Checkpoint, Event

MEMBERS, FORM = "ensemble.members", "ensemble.form"
SPACE: dict[str, Any] = {
    MEMBERS: [1, 2, 3],
    FORM: ["full", "mini", "packed"],
    "training.optimizer.learning_rate": {"log_uniform": [0.003, 0.03]},
}


def pipeline(shared: dict[str, Any] | None = None, **sections: Any) -> Pipeline:
    search = {"space": SPACE, "trials": 4, "top": 2, **sections.pop("search", {})}
    values = {
        "data": {"source": "bundled", "set": "wine"},
        "network": {"hidden": [4]},
        "training": {"epochs": 3, "batch_size": 16},
        "tracking": {"mlflow": False},
        "ensemble": {"strategy": "shared", **(shared or {})},
        "search": search,
        **sections,
    }
    return Pipeline.model_validate(values)


class Stops(Silent):
    """Presses Ctrl-C after some epochs of trials."""

    def __init__(self, epochs: int) -> None:
        self.left = epochs

    def event(self, event: Event) -> None:
        self.left -= isinstance(event, Checkpoint)
        if not self.left:
            raise KeyboardInterrupt


@pytest.mark.parametrize("folds", [None, 3], ids=["one part", "folds"])
def test_a_trial_is_scored_by_the_mean_of_its_members_and_brings_all_of_them(
    tmp_path: Path, folds: int | None
) -> None:
    splits: dict[str, Any] = {"validation": 0.3} if folds is None else {"folds": folds}
    found = search_here(tmp_path, pipeline(splits=splits))
    each = folds or 1
    members = ensemble_pipe.load(found.run.run_dir).members
    assert len(members) == each * sum(trial.values[MEMBERS] for trial in found.trials[:2])
    (first,) = (trial for trial in found.trials if trial.number == 0)
    only = {"driver": "manual", "trials": None, "space": [first.values]}
    alone = search_here(tmp_path / "alone", pipeline(splits=splits, search=only))
    assert alone.trials[0].score == first.score
    if folds is None:
        assert alone.run.metrics["validation/nll"] == pytest.approx(first.score)
    assert read_trials(RunPaths(Path(found.run.run_dir))) == ("nll", found.trials)
    assert "(4 trials: 4 finished)" in repr(found)
    assert repr(found).endswith(repr(found.run))


def test_a_search_that_was_stopped_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    config = pipeline(search={"driver": "tpe", "batch": 2})
    whole = search_here(tmp_path / "whole", config)
    goes_on = r"search stopped; `ensemble-pipe resume .*` goes on with the trials that are left"
    with pytest.raises(KeyboardInterrupt, match=goes_on):
        search_here(tmp_path / "stopped", config, display=Stops(8))
    (run_dir,) = (tmp_path / "stopped").iterdir()
    resume(run_dir, inline=True)
    assert bits(run_dir) == bits(whole.run.run_dir)
    assert read_trials(RunPaths(run_dir)) == read_trials(RunPaths(Path(whole.run.run_dir)))


def test_a_refined_search_is_one_of_such_members_too(tmp_path: Path) -> None:
    done = search_here(
        tmp_path,
        pipeline(
            {"members": 5, "form": "mini"},
            search={
                "space": {"training.optimizer.learning_rate": {"log_uniform": [0.003, 0.03]}},
            },
        ),
    )
    data = refined_of(done.run.run_dir, 2.0, {}).document.data
    kept = {name: data["ensemble"][name] for name in ("strategy", "members", "form")}
    assert kept == {"strategy": "shared", "members": 5, "form": "mini"}
    assert [member.kind for member in ensemble_pipe.load(done.run.run_dir).members] == (
        ["mlp that shares weights"] * 10
    )


@pytest.mark.parametrize(
    ("shared", "search_settings", "message"),
    [
        ({}, {"ensemble": "greedy"}, "search.ensemble: greedy selects single members"),
        ({}, {"space": {MEMBERS: [0]}}, "ensemble.members: input should be greater than or equal"),
        ({}, {"space": {FORM: ["half"]}}, "ensemble.form: unknown 'half'"),
        ({"yields": "epochs"}, {}, "ensemble.yields: the trials of a search are its learners"),
        ({"learners": 3}, {}, "ensemble.learners: the trials of a search are its learners"),
    ],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path, shared: dict[str, Any], search_settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        search(pipeline(shared, search=search_settings), output=tmp_path, inline=True)
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []
