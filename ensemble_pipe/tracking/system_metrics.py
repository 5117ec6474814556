"""Samples of the machine of a run: processor, memory, disk and network, by MLflow's own names.

MLflow's monitors measure them. Its thread that sends them is not used: it ends for good at the
first failure of a server, and writes to a store beside the companion.
"""

import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

INTERVAL_S = 10.0  # MLflow's default
# After that many of them the time between two grows: MLflow reads all when it logs a model.
OFTEN = 1000
# An hour of them, while a server is down; older ones are lost.
MOST_KEPT = 360


@dataclass(frozen=True)
class Sample:
    """What was measured at a time, in ms since 1970; percentages are means since the sample before.

    Attributes:
        metrics: by name, such as "system/cpu_utilization_percentage".
    """

    time_ms: int
    metrics: dict[str, float]


class Sampler:
    """Takes samples, and keeps them until they are sent.

    Attributes:
        kept: the samples that were not sent yet, oldest first.
        interval_s: that of MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL, as for MLflow's own.
    """

    def __init__(self) -> None:
        from mlflow.environment_variables import MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL
        from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
        from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
        from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

        self.kept: deque[Sample] = deque(maxlen=MOST_KEPT)
        self.interval_s = float(MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL.get() or INTERVAL_S)
        self._monitors = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
        self._measure()  # the use of a processor is measured from one call to the next
        self._began = self._last = time.monotonic()

    def take(self) -> None:
        """Keep a sample, if the last one is an interval ago; one that fails is lost."""
        now = time.monotonic()
        if now - self._last < max(self.interval_s, (now - self._began) / OFTEN):
            return
        self._last = now
        with suppress(Exception):
            self.kept.append(Sample(time.time_ns() // 1_000_000, self._measure()))

    def sent(self, samples: int) -> None:
        """Drop the oldest samples."""
        for _ in range(samples):
            self.kept.popleft()

    def _measure(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for monitor in self._monitors:
            monitor.collect_metrics()
            found |= monitor.aggregate_metrics()
            monitor.clear_metrics()
        return {f"system/{name}": value for name, value in found.items()}


def make_sampler() -> Sampler | None:
    """Return a sampler; None on a machine that does not show its use, as some containers."""
    with suppress(Exception):  # whatever psutil finds in the files of a strange system
        return Sampler()
    return None
