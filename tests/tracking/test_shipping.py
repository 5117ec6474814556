"""What becomes of the journal in MLflow: every kind of entry, every name, every ending."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import StopAt
from journal_entries import PLAN
from mlflow import MlflowClient

import ensemble_pipe
from ensemble_pipe.config.defaults import DataFacts, settle
from ensemble_pipe.config.reading import Pipeline, resolve
from ensemble_pipe.core.addresses import sqlite_address
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.run import pipeline as runs
from ensemble_pipe.tracking import names
from ensemble_pipe.tracking.journal import Journal, line_of, read_lines
from ensemble_pipe.tracking.kinds import (
    AcceptedEntry,
    CostEntry,
    EndedEntry,
    EpochEntry,
    FailedEntry,
    FinishedEntry,
    GrownEntry,
    KnownEntry,
    LearnerEntry,
    MemberEntry,
    MemberTestEntry,
    PicturesEntry,
    ResultEntry,
    ResumedEntry,
    SparedEntry,
    StartedEntry,
    Status,
)
from ensemble_pipe.tracking.rewinding import rewind
from ensemble_pipe.tracking.run_summary import flat
from ensemble_pipe.tracking.schemas import LearnerUnderWay
from ensemble_pipe.tracking.shipping import Shipper
from ensemble_pipe.tracking.store import open_store, sweep_orphans

PACKAGE = Path(ensemble_pipe.__file__).parent
ODD = {
    "age (years)": "missing: median", "region_*": "kind: category", "a/../b": "missing: mean",
    "..": "", "Age": "", "age": "", "😀\n": "", "x" * 300: "", "x" * 299 + "y": "", "a_x002A_b": "",
    "a*b": "", "\x1b[31m": "", "50%": "",
}  # fmt: skip


@pytest.fixture
def store(empty_store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(empty_store, tmp_path / "mlflow.db"))


class Fake:
    """A run directory with a journal and nothing else, and its view in a store."""

    def __init__(
        self,
        folder: Path,
        store: Path,
        learners: int = 1,
        combined_from: str | None = None,
        **pipeline: Any,
    ) -> None:
        self.paths, self.store = RunPaths(folder), sqlite_address(store)
        folder.mkdir()
        self.paths.pipeline.write_text("seed: 1\n")
        whole = {**resolve(settle(Pipeline(), DataFacts())), **pipeline}
        rows = {"train": 9, "stop": 1, "validation": 1, "test": 1}
        self.append(StartedEntry(folder.name, whole, rows, {}, combined_from))
        self.append(*(LearnerEntry(k, PLAN) for k in range(learners)))

    def append(self, *entries: KnownEntry) -> None:
        journal = Journal(self.paths.journal)
        for entry in entries:
            journal.append(entry)
        journal.close()

    def ship(self, *, again: bool = False) -> Shipper:
        shipper = Shipper(self.paths, self.store, "test", lambda *_: "models:/none")
        if again:
            shipper.cursor.rewind()
        lines = list(read_lines(self.paths.journal, shipper.cursor.offset))
        shipper.ship([line.entry for line in lines], lines[-1].end)
        return shipper

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(tracking_uri=self.store)

    def seen(self) -> tuple[Any, list[Any]]:
        """Return the parent and its children, as MLflow has them."""
        cursor = json.loads(self.paths.cursor.read_text())
        children = sorted(cursor["children"].items(), key=lambda pair: int(pair[0]))
        get = self.client.get_run
        return get(cursor["parent"]), [get(child) for _, child in children]

    def statuses(self) -> list[str]:
        parent, children = self.seen()
        return [parent.info.status, *(child.info.status for child in children)]


@pytest.fixture
def fake(store: Path, tmp_path: Path) -> Callable[..., Fake]:
    return lambda **facts: Fake(tmp_path / "runs-1", store, **facts)


def epoch(learner: int, number: int = 1) -> EpochEntry:
    return EpochEntry(learner, number, number, {"train/loss": 0.5})


def test_a_run_joins_an_experiment_of_the_users_whose_kind_stays(
    fake: Callable[..., Fake],
) -> None:
    made = fake()
    others = made.client.create_experiment("test", tags={"mlflow.experimentKind": "finetuning"})
    mine = made.client.create_experiment("mine")
    made.ship()
    assert made.seen()[0].info.experiment_id == others
    open_store(made.store, "mine")
    kinds = [
        made.client.get_experiment(one).tags["mlflow.experimentKind"] for one in (others, mine)
    ]
    assert kinds == ["finetuning", "custom_model_development"]


def test_a_kind_of_a_later_version_holds_up_nothing(fake: Callable[..., Fake]) -> None:
    made = fake()
    with made.paths.journal.open("ab") as journal:
        journal.write(line_of({"kind": "from_the_future", "time_ms": 1, "x": 1}))
    made.append(FinishedEntry(0), EndedEntry("FINISHED"))
    shipper = made.ship()
    assert made.statuses() == ["FINISHED"] * 2
    assert shipper.cursor.left_out == {"entries from_the_future": "are unknown to this version"}


def test_the_time_of_a_member_is_a_metric(fake: Callable[..., Fake]) -> None:
    made = fake()
    made.append(CostEntry(0, 1, 0.25))
    made.ship()
    made.ship(again=True)
    child = made.seen()[1][0]
    history = made.client.get_metric_history(child.info.run_id, "milliseconds_per_row")
    assert [(one.step, one.value) for one in history] == [(1, 0.25)]


def test_a_run_that_has_grown_is_tagged_with_its_learners(fake: Callable[..., Fake]) -> None:
    made = fake()
    made.append(
        LearnerEntry(1, PLAN), GrownEntry(2, resolve(settle(Pipeline(), DataFacts()))["ensemble"])
    )
    made.ship()
    assert made.seen()[0].data.tags["ensemble_pipe.learners"] == "2"


def test_what_a_run_goes_on_with_is_a_tag_and_its_learners_are_under_way_again(
    fake: Callable[..., Fake],
) -> None:
    made = fake(learners=2)
    made.append(FinishedEntry(0), FinishedEntry(1), EndedEntry("FINISHED"))
    made.ship()
    rewind(made.paths.journal, {}, train=True)
    changes = ["training.epochs: 3 -> 5", "data.path: rows.csv, 1 file -> 2 files"]
    made.append(AcceptedEntry(changes, None, {"1": PLAN}, time_ms=0), ResumedEntry())
    shipper = made.ship(again=True)
    assert made.statuses() == ["RUNNING", "FINISHED", "RUNNING"]
    assert made.seen()[0].data.tags["accepted/1970-01-01 00:00:00 UTC"] == "; ".join(changes)
    made.append(FinishedEntry(0), FinishedEntry(1), EndedEntry("FINISHED"))
    made.ship()
    assert made.statuses() == ["FINISHED"] * 3
    assert shipper.cursor.left_out == {}


def test_a_run_of_members_of_another_names_that_one(fake: Callable[..., Fake]) -> None:
    made = fake(combined_from="first-1")
    made.ship()
    assert made.seen()[0].data.tags["ensemble_pipe.combined_from"] == "first-1"


def test_every_name_comes_back(fake: Callable[..., Fake]) -> None:
    pipeline = {"data": {"columns": {name: {"kind": rule} for name, rule in ODD.items()}}}
    made = fake(**pipeline)
    metrics = {f"test/rmse/{name}": float(number) for number, name in enumerate(ODD)}
    made.append(ResultEntry(metrics, 1, True))
    shipper = made.ship()
    assert shipper.cursor.left_out == {}
    parent, _ = made.seen()
    path = made.client.download_artifacts(parent.info.run_id, "names.json")
    cut = json.loads(Path(path).read_text())
    found = {cut.get(key, names.name_of(key)): v for key, v in parent.data.params.items()}
    expected = {name: str(value) for name, value in flat(pipeline).items()}
    assert {name: value for name, value in found.items() if name.startswith("data.")} == expected
    assert sorted(parent.data.metrics.values()) == sorted(metrics.values())
    short = {name: value for name, value in metrics.items() if len(name) < 250}
    read = {names.name_of(key): value for key, value in parent.data.metrics.items()}
    assert short.items() <= read.items()


def test_what_is_refused_keeps_nothing_else_back(fake: Callable[..., Fake]) -> None:
    made = fake(**{f"p{number}": number for number in range(250)})
    made.ship()
    parent, _ = made.seen()
    text = re.sub(r', "crc": \d+}$', "}", made.paths.journal.read_text(), flags=re.M)
    # Parameters cannot change in MLflow.
    text = text.replace('"p7": 7', '"p7": "other"').replace('"p240": 240', '"p240": "x", "new": 1')
    made.paths.journal.write_text(text)
    made.append(FinishedEntry(0), PicturesEntry(["gone.png"]), EndedEntry("FINISHED"))
    shipper = made.ship(again=True)
    assert shipper.cursor.left_out.keys() == {"param p7", "param p240", "gone.png"}
    assert "Changing param values is not allowed" in shipper.cursor.left_out["param p7"]
    parent, _ = made.seen()
    assert parent.data.params["new"] == "1"
    assert made.statuses() == ["FINISHED"] * 2


# How a learner ended, its entries, and its status; None where that is the run's.
OF_LEARNERS: list[tuple[str, Callable[[int], list[KnownEntry]], str | None]] = [
    ("trained whole", lambda learner: [epoch(learner), FinishedEntry(learner)], "FINISHED"),
    ("unfinished", lambda learner: [epoch(learner)], None),
    ("never begun", lambda learner: [], None),
    ("failed", lambda learner: [epoch(learner), FailedEntry(learner, "x")], "FAILED"),
    ("spared", lambda learner: [SparedEntry(learner, "x")], "KILLED"),
    (
        "trained, then spared",
        lambda learner: [FinishedEntry(learner), SparedEntry(learner, "x")],
        "FINISHED",
    ),
]


@pytest.mark.parametrize("run_status", ["FINISHED", "KILLED", "FAILED"])
def test_each_learner_has_its_own_ending(run_status: Status, fake: Callable[..., Fake]) -> None:
    made = fake(learners=len(OF_LEARNERS))
    for learner, (_, entries, _) in enumerate(OF_LEARNERS):
        made.append(*entries(learner))
    made.append(EndedEntry(run_status))
    made.ship()
    # What a failure of the run cut off has failed with it.
    cut_off = "FAILED" if run_status == "FAILED" else "KILLED"
    wanted = [run_status, *(own or cut_off for _, _, own in OF_LEARNERS)]
    assert made.statuses() == wanted
    made.ship(again=True)
    assert made.statuses() == wanted

    parent, children = made.seen()
    for run in (parent, *children):  # as if shipping had been cut off
        made.client.update_run(run.info.run_id, status="RUNNING")
    made.paths.lock.touch()
    sweep_orphans(made.client, parent.info.experiment_id, made.paths.root / "another")
    assert made.statuses() == wanted


@pytest.mark.parametrize(("train", "then"), [(True, "FINISHED"), (False, "FAILED")])
def test_a_failed_learner_is_tried_again_or_stays_failed(
    train: bool, then: str, fake: Callable[..., Fake]
) -> None:
    made = fake(learners=2)
    made.append(FinishedEntry(0), FailedEntry(1, "no memory"), EndedEntry("FINISHED"))
    made.ship()
    assert made.statuses() == ["FINISHED", "FINISHED", "FAILED"]
    rewind(made.paths.journal, {}, train=train)
    made.append(ResumedEntry())
    shipper = made.ship(again=True)
    assert made.statuses() == ["RUNNING", "FINISHED", "RUNNING" if train else "FAILED"]
    made.append(FinishedEntry(0))
    if train:
        made.append(FinishedEntry(1))
    made.append(EndedEntry("FINISHED"))
    made.ship()
    assert made.statuses() == ["FINISHED", "FINISHED", then]
    assert ("failure" in made.seen()[1][1].data.tags) is not train
    assert shipper.cursor.left_out == {}


def test_a_cursor_of_an_earlier_version_goes_on(fake: Callable[..., Fake]) -> None:
    made = fake(learners=2)
    made.append(FinishedEntry(0), FailedEntry(1, "x"))
    made.ship()
    cursor = json.loads(made.paths.cursor.read_text())
    del cursor["left_out"], cursor["crc"]
    made.paths.cursor.write_text(json.dumps({**cursor, "ended": ["0", "1"]}))
    rewind(made.paths.journal, {}, train=True)
    made.append(ResumedEntry(), FinishedEntry(0), FinishedEntry(1))
    made.append(EndedEntry("FINISHED"))
    made.ship(again=True)
    assert made.statuses() == ["FINISHED"] * 3


@pytest.mark.parametrize("experiment", ["../../out", "/etc/x", "a: b%41?#", "..", "x" * 600])
def test_any_experiment_keeps_its_files_inside(
    experiment: str, fake: Callable[..., Fake], tmp_path: Path
) -> None:
    made = fake()
    _, experiment_id = open_store(made.store, experiment)
    run = made.client.create_run(experiment_id).info.run_id
    made.client.log_artifact(run, str(made.paths.pipeline))
    path = Path(made.client.download_artifacts(run, "pipeline.yaml"))
    assert path.read_text() == "seed: 1\n"
    assert len(list((tmp_path / "mlartifacts").glob("*/*/artifacts/pipeline.yaml"))) == 1
    assert open_store(made.store, experiment)[1] == experiment_id


def test_a_member_of_a_halted_learner_is_followed_by_that_of_the_resumed_one(
    fake: Callable[..., Fake],
) -> None:
    made = fake(learners=2)
    made.append(MemberEntry(0, 0, 3, {"nll": 0.5}), MemberTestEntry(0, 0, {"test/nll": 0.6}))
    under_way = [LearnerUnderWay(0, 0.25, True)]
    result = ResultEntry({"test/nll": 0.6}, 1, True, [0, 1], under_way, limit_s=20.0)
    made.append(result, EndedEntry("FINISHED"))
    made.ship()
    parent, (child, other) = made.seen()
    text = "time limit 20s: learner 0 joins as it was at 25% of its steps; learner 1 not begun"
    assert parent.data.tags["left_undone"] == text
    assert child.data.metrics == {"validation/nll": 0.5, "test/nll": 0.6}
    assert other.data.metrics == {}

    made.append(ResumedEntry(), MemberEntry(0, 0, 9, {"nll": 0.25}))
    made.append(MemberTestEntry(0, 0, {"test/nll": 0.3}), FinishedEntry(0))
    result = ResultEntry({"test/nll": 0.3}, 1, True)
    made.append(result, EndedEntry("FINISHED"))
    made.ship()
    parent, (child, _) = made.seen()
    assert parent.data.tags["left_undone"] == "nothing"
    assert child.data.metrics == {"validation/nll": 0.25, "test/nll": 0.3}


def test_finish_leaves_what_was_not_trained_unfinished(store: Path, tmp_path: Path) -> None:
    config = {
        "network": {"hidden": [4]}, "training": {"epochs": 3}, "ensemble": {"learners": 3},
        "cluster": {"stack": 1}, "tracking": {"mlflow": False},
    }  # fmt: skip
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(KeyboardInterrupt):
        runs.run(tmp_path / "p.yaml", output=tmp_path / "runs", inline=True, display=StopAt(5))
    made = Fake.__new__(Fake)
    made.paths = RunPaths(next((tmp_path / "runs").iterdir()))
    made.store = sqlite_address(store)
    made.ship()
    assert made.statuses() == ["KILLED", "FINISHED", "KILLED", "KILLED"]
    runs.resume(made.paths.root, inline=True, train=False)
    made.ship(again=True)
    assert made.statuses() == ["FINISHED", "FINISHED", "KILLED", "KILLED"]
    told = [child.data.tags.get("unfinished") for child in made.seen()[1]]
    assert told == [None, "not trained beyond epoch 1", "not trained beyond epoch 0"]
    report = made.paths.report.read_text()
    assert "not begun" in report
    assert ">stopped</td>" in report
    runs.grow(made.paths.root, 1, inline=True)
    made.ship(again=True)
    assert made.statuses() == ["FINISHED"] * 5
    assert [child.data.tags.get("unfinished") for child in made.seen()[1]] == [None] * 4
