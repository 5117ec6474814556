"""Where a run trains: what the pipeline says, what the command overrides, and what Ray stays."""

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Prepared

from ensemble_pipe.cluster import standing
from ensemble_pipe.cluster.auto import AutoExecutor
from ensemble_pipe.cluster.executor import Executor
from ensemble_pipe.cluster.inline import InlineExecutor
from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.core.timeline import Timeline
from ensemble_pipe.run import executors
from ensemble_pipe.run.executors import make_executor


class Started(InlineExecutor):
    """Keeps what an executor on Ray is made with."""

    def __init__(self, address: str, **settings: Any) -> None:
        self.address = address
        self.settings = settings


@pytest.fixture
def chosen(
    prepare: Callable[..., Prepared], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Executor, list[str]]]:
    """Return a function that returns the executor of a run, and what was said."""
    monkeypatch.setattr("ensemble_pipe.cluster.ray.RayExecutor", Started)
    monkeypatch.setattr("ensemble_pipe.cluster.connection.is_connected", lambda: False)

    def choose(
        executor: str,
        address: str | None = None,
        inline: bool = False,
        training_s: float = math.inf,
    ) -> tuple[Executor, list[str]]:
        config = prepare(cluster={"executor": executor}, ensemble={"learners": 3}).config
        said: list[str] = []
        plans = make_plans(config)
        made = make_executor(config, plans, address, inline, said.append, Timeline(), training_s)
        return made, said

    return choose


def test_the_pipeline_says_where(chosen: Callable[..., tuple[Executor, list[str]]]) -> None:
    assert isinstance(chosen("inline")[0], InlineExecutor)
    assert isinstance(chosen("auto")[0], AutoExecutor)
    made, said = chosen("ray")
    assert isinstance(made, Started)
    assert (made.address, made.settings["ahead"]) == ("local", 3)
    assert said == ["starting Ray and its trainers"]


@pytest.mark.parametrize("executor", ["auto", "inline", "ray"])
def test_the_command_overrides_it(
    chosen: Callable[..., tuple[Executor, list[str]]], executor: str
) -> None:
    assert type(chosen(executor, inline=True)[0]) is InlineExecutor
    made, _ = chosen(executor, address="10.0.0.1:6379")
    assert isinstance(made, Started)
    assert made.address == "10.0.0.1:6379"


def test_under_a_time_limit_ray_starts_where_it_trains_more_than_this_process(
    chosen: Callable[..., tuple[Executor, list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "read_start_seconds", lambda stays: 8.0)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    for address in (None, "local"):
        made, said = chosen("ray", address, training_s=16.0)
        assert type(made) is InlineExecutor
        assert said == ["this process trains: Ray takes about 8 s of the time limit to start"]
        assert isinstance(chosen("ray", address, training_s=16.1)[0], Started)
    assert isinstance(chosen("ray", "10.0.0.1:6379", training_s=16.0)[0], Started)


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"versions": {}}, "ray is .* here and None there"), ({}, "does not answer")],
    ids=["other versions", "no answer"],
)
def test_a_ray_that_stays_but_cannot_be_used_is_told_of(
    chosen: Callable[..., tuple[Executor, list[str]]],
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    why: str,
) -> None:
    known = standing.versions()
    stays = standing.Standing(
        "127.0.0.1:1", "s", 1, 1.0, 1, "00", 2, **{"versions": known, **changes}
    )
    monkeypatch.setattr(executors, "find", lambda: stays)
    made, said = chosen("ray")
    assert isinstance(made, Started)
    assert made.address == "local"
    assert said[0].startswith("the Ray that stays is not used: ")
    assert re.search(why, said[0])
