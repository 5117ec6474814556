"""What is sampled of the machine while a run goes on, and its way to MLflow."""

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from journal_entries import write_journal
from mlflow import MlflowClient
from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

from ensemble_pipe.core.addresses import sqlite_address
from ensemble_pipe.tracking import system_metrics
from ensemble_pipe.tracking.journal import read_lines
from ensemble_pipe.tracking.sending import Sender
from ensemble_pipe.tracking.shipping import Shipper
from ensemble_pipe.tracking.system_metrics import MOST_KEPT, Sample, Sampler, make_sampler

INTERVAL = "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"
NAMES = {
    "system/cpu_utilization_percentage", "system/system_memory_usage_megabytes",
    "system/system_memory_usage_percentage", "system/disk_usage_percentage",
    "system/disk_usage_megabytes", "system/disk_available_megabytes",
    "system/network_receive_megabytes", "system/network_transmit_megabytes",
}  # fmt: skip


def busy(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_a_sample_has_the_names_of_mlflows_own_and_is_of_the_time_since_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(INTERVAL, "0.05")
    sampler = Sampler()
    busy(0.2)
    sampler.take()
    (sample,) = sampler.kept
    assert sample.metrics.keys() == NAMES
    assert 0 < sample.metrics["system/cpu_utilization_percentage"] <= 100
    assert 0 < sample.metrics["system/system_memory_usage_percentage"] < 100
    assert abs(sample.time_ms / 1000 - time.time()) < 10
    sampler.take()
    assert len(sampler.kept) == 1  # the interval is not over


class Clock:
    """A time that passes when it is told to."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time_ns(self) -> int:
        return int(self.now * 1e9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.delenv(INTERVAL, raising=False)
    monkeypatch.setattr(system_metrics, "time", made)
    return made


def sampled(clock: Clock, seconds: int) -> Sampler:
    """Return what looks every second."""
    sampler = Sampler()
    for _ in range(seconds):
        clock.now += 1
        sampler.take()
    return sampler


def test_ten_seconds_lie_between_two_samples(clock: Clock) -> None:
    kept = sampled(clock, 25).kept
    assert [sample.time_ms for sample in kept] == [1_010_000, 1_020_000]


def test_those_of_a_long_run_are_a_thousandth_of_its_time_apart(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Sampler, "_measure", lambda _: {})
    *_, before, last = sampled(clock, 100_000).kept
    assert last.time_ms - before.time_ms == pytest.approx(100_000, rel=0.02)


def test_only_the_newest_are_kept_for_a_server_that_is_down(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Sampler, "_measure", lambda _: {})
    sampler = sampled(clock, 10 * MOST_KEPT + 50)
    assert [sampler.kept[0].time_ms, len(sampler.kept)] == [1_060_000, MOST_KEPT]
    newest = sampler.kept[-1]
    sampler.sent(MOST_KEPT - 1)
    assert [*sampler.kept] == [newest]


def test_a_machine_that_does_not_show_its_use_is_not_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: object) -> None:
        raise AttributeError("'NoneType' object has no attribute 'bytes_recv'")

    monkeypatch.setenv(INTERVAL, "1e-9")
    sampler = Sampler()
    monkeypatch.setattr(CPUMonitor, "collect_metrics", fail)
    sampler.take()
    assert not sampler.kept
    monkeypatch.setattr(NetworkMonitor, "_set_initial_metrics", fail)
    assert make_sampler() is None


def test_samples_are_metrics_of_the_run_that_are_there_once(
    empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = sqlite_address(Path(shutil.copy(empty_store, tmp_path)))
    paths = write_journal(tmp_path / "run-1", learners=1)
    lines = list(read_lines(paths.journal))
    samples = [Sample(1000 * k, {"system/cpu_utilization_percentage": 10.0 * k}) for k in (1, 2)]

    def ship() -> Shipper:
        shipper = Shipper(paths, store, "test", lambda *_: "models:/none")
        shipper.ship([line.entry for line in lines], lines[-1].end, samples)
        return shipper

    with monkeypatch.context() as patch:
        patch.setattr(Sender, "flush", _sends_and_fails(Sender.flush))
        with pytest.raises(ConnectionError):
            ship()
    client: Any = MlflowClient(tracking_uri=store)
    history = client.get_metric_history(ship().cursor.parent, "system/cpu_utilization_percentage")
    found = [(metric.step, metric.timestamp, metric.value) for metric in history]
    assert found == [(1, 1000, 10.0), (2, 2000, 20.0)]


def _sends_and_fails(flush: Any) -> Any:
    """Return what sends, and fails where there was a metric of the machine."""

    def fail(sender: Sender) -> None:
        sampled = any(
            metric.key.startswith("system/")
            for unsent in sender._unsent.values()
            for metric in unsent.metrics
        )
        flush(sender)
        if sampled:
            raise ConnectionError("the answer was lost")

    return fail
