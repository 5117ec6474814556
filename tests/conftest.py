"""Shared pieces: real data, a small prepared data set, and one Ray cluster for each process."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from ensemble_pipe.config.reading import load_pipeline
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.data.schema import Schema, Task
from ensemble_pipe.data.shards import Recipe, TrainingData
from ensemble_pipe.data.tables.features import NumberColumn
from ensemble_pipe.data.tables.scaling import Scaling
from ensemble_pipe.nn.inference import outputs_of
from ensemble_pipe.report import drawing, pictures
from ensemble_pipe.report.drawing import Draw, Drawings, new_figure, svg_of
from ensemble_pipe.report.numbers import Numbers
from ensemble_pipe.run import preparation
from ensemble_pipe.run.display import Silent
from ensemble_pipe.training.events import Checkpoint, Event
from ensemble_pipe.training.loop import train
from ensemble_pipe.training.measures import stop_metrics
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.stacks import Stack
from ensemble_pipe.training.state import initial_state

NOT_RENDERED = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"></svg>'
SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run the whole suite in a process for each core, and named files in this one: it starts sooner
    and can be debugged."""
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return (os.cpu_count() or 1) if whole else 0


@dataclass(frozen=True)
class Prepared:
    """A run directory that is ready to be trained."""

    paths: RunPaths
    config: Pipeline
    plans: tuple[LearnerPlan, ...]
    schema: Schema
    recipe: Recipe

    @property
    def data(self) -> TrainingData:
        return TrainingData(self.recipe, self.schema)

    def train(self, *learners: int, rows: Sequence[Floats] = ()) -> dict[int, list[Checkpoint]]:
        """Train learners in one stack; return the checkpoints of each.

        Args:
            learners: all where none is named.
            rows: (P,) that each learner begins with; fresh ones where there are none.
        """
        chosen = learners or range(len(self.plans))
        plans = tuple(self.plans[learner] for learner in chosen)
        pairs = zip(plans, rows, strict=False)
        stack = Stack(plans, tuple(initial_state(plan, self.schema, row) for plan, row in pairs))
        found: dict[int, list[Checkpoint]] = {learner: [] for learner in chosen}
        for event in train(stack, self.data, self.schema):
            if isinstance(event, Checkpoint):
                found[event.learner].append(event)
        return found

    def stop_metrics(self, learner: int, row: Floats) -> dict[str, float]:
        """Return the metrics of a row (P,) on the stop part."""
        plan, stop = self.plans[learner], self.data.stop
        outputs = outputs_of(plan.build(self.schema), row[None], stop.read, stop.rows)
        further = None if plan.early_stopping is None else plan.early_stopping.metric
        mean = plan.loss.mean_outputs(outputs)
        return stop_metrics(mean, stop.targets, plan.loss, stop.weights, further)


class StopAt(Silent):
    """Stops a run, as Ctrl-C would, at its n-th checkpoint."""

    def __init__(self, checkpoints: int) -> None:
        self.left = checkpoints
        self.messages: list[str] = []

    def event(self, event: Event) -> None:
        self.left -= isinstance(event, Checkpoint)
        if self.left == 0:
            raise KeyboardInterrupt

    def message(self, text: str) -> None:
        self.messages.append(text)


@pytest.fixture(scope="session", autouse=True)
def _heard_signals() -> Iterator[None]:
    """Let signals be heard here and by processes begun here, even if they were ignored before.

    `nohup` ignores SIGHUP, and a shell without job control SIGINT for what it starts by `&`.
    """
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    interrupt = signal.getsignal(signal.SIGINT)
    if interrupt is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGHUP, before)
    signal.signal(signal.SIGINT, interrupt)


@pytest.fixture(scope="session", autouse=True)
def _quick_files() -> Iterator[None]:
    """Leave out what takes most of a small run and no test reads.

    Files are not flushed to the disk: that is for machines that lose their power. Pictures are
    only rendered within `rendering`.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr(drawing, "svg_of", lambda figure: NOT_RENDERED)
        yield


@pytest.fixture(scope="module", autouse=True)
def _few_compositions() -> Iterator[None]:
    """Compose each picture of a kind of run once in a file of tests: it takes half of a small run.

    Within `rendering`, all are.
    """
    composed: set[tuple[str, ...]] = set()
    every = pictures.drawings

    def drawings(numbers: Numbers) -> Drawings:
        task = numbers.schema.task

        def once(name: str, draw: Draw) -> Draw:
            def composition() -> Any:
                is_new = (name, task) not in composed
                composed.add((name, task))
                return draw() if is_new or drawing.svg_of is svg_of else new_figure(1.0, 1.0)

            return composition

        return {name: once(name, draw) for name, draw in every(numbers).items()}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "drawings", drawings)
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_standing_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Leave alone a Ray that stays for this user; also in processes begun here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@contextmanager
def rendering() -> Iterator[None]:
    """Render pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "svg_of", svg_of)
        yield


@pytest.fixture(scope="module")
def rendered_pictures() -> Iterator[None]:
    """Render the pictures of a whole file of tests."""
    with rendering():
        yield


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Pipeline]:
    """Return a function that loads a text as the pipeline file `p.yaml`."""
    monkeypatch.chdir(tmp_path)

    def read(text: str, overrides: dict[str, Any] | None = None) -> Pipeline:
        path = Path("p.yaml")
        path.write_text(text, encoding="utf-8")
        return load_pipeline(path, overrides)[0]

    return read


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in an empty folder, and keep the signals of the tests as they are."""
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def prepare(tmp_path: Path) -> Callable[..., Prepared]:
    """Return a function that prepares a small run on the digits, with settings changed."""

    def make(**settings: Any) -> Prepared:
        training = {
            "epochs": 3, "batch_size": 32, "schedule": {"name": "constant"},
            **settings.pop("training", {}),
        }  # fmt: skip
        config = Pipeline.model_validate(
            {
                "network": {"hidden": [16]},
                "splits": {"validation": 0.15, "stop": 0.1},
                "training": training,
                "shard_rows": 500,
                "tracking": {"mlflow": False},
                **settings,
            }
        )
        prepared = preparation.prepare(config)
        config, plans = prepared.config, prepared.plans
        paths = RunPaths(tmp_path / f"run-{len(list(tmp_path.iterdir()))}")
        preparation.write_run(paths, prepared)
        recipe = preparation.recipe_of(paths, config, prepared.schema)
        return Prepared(paths, config, plans.networks, prepared.schema, recipe)

    return make


def shared(name: str) -> Path:
    """Return the path of real data beside the repository."""
    path = SHARED_DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not here: it is a user's to bring, in shared/data")
    return path


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow store to copy: making one takes seconds."""
    from ensemble_pipe.core.addresses import sqlite_address
    from ensemble_pipe.tracking.store import open_store

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    open_store(sqlite_address(path), "unused")
    return path


@pytest.fixture(scope="session")
def fashion_mnist() -> Path:
    return shared("fashion-mnist")


@pytest.fixture(scope="session")
def adult() -> Path:
    return shared("adult")


@pytest.fixture(scope="session")
def uci_regression() -> Path:
    return shared("uci_regression")


@pytest.fixture(scope="session", autouse=True)
def _ray_ends_with_the_tests() -> Iterator[None]:
    yield
    if "ray" in sys.modules:
        sys.modules["ray"].shutdown()


@pytest.fixture
def ray_cluster(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One local cluster of two CPUs for each process of tests: starting it takes 5 to 11 s."""
    import ray

    if ray.is_initialized():
        return
    # One after the other: Ray gives up where its start takes more than 30 s.
    with FileLock(tmp_path_factory.getbasetemp().parent / "ray.lock"):
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)


@pytest.fixture
def no_ray_cluster() -> None:
    """This process is not connected to Ray, whichever tests came before."""
    import ray

    ray.shutdown()


def plain_schema(
    task: Task,
    shape: tuple[int, ...],
    classes: tuple[int | str, ...] = (),
    *,
    mean: float = 0.0,
    deviation: float = 1.0,
    **target: Any,
) -> Schema:
    """Return a schema of number columns x0, x1, ..., or of images, with one scale for all."""
    width = shape[-1]
    columns = (
        ()
        if len(shape) == 3
        else tuple(
            NumberColumn(f"x{index}", "number", None, indicator=False) for index in range(width)
        )
    )
    means, deviations = (mean,) * width, (deviation,) * width
    scaling = Scaling("standardize", means, deviations, (0.0,) * width, (1.0,) * width)
    if task == "regression":
        target = {"target_means": (0.0,), "target_deviations": (1.0,), **target}
    count = len(target.get("target_means", "y"))
    names = ("y",) if count == 1 else tuple(f"y{place}" for place in range(count))
    return Schema(task, shape, columns, scaling, names, classes, **target)
