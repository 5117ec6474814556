"""The choice of where a run trains: in this process or on Ray, which starts in the background."""

import math
import os
from collections.abc import Callable
from functools import partial

from ensemble_pipe.cluster.executor import Executor
from ensemble_pipe.cluster.inline import InlineExecutor
from ensemble_pipe.cluster.lease import Lease
from ensemble_pipe.cluster.standing import find, read_start_seconds
from ensemble_pipe.config.plans import Plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.errors import ClusterError
from ensemble_pipe.core.timeline import Timeline
from ensemble_pipe.training.components import names_in


def make_executor(
    config: Pipeline,
    plans: Plans,
    address: str | None,
    inline: bool,
    say: Callable[[str], None],
    timeline: Timeline,
    training_s: float = math.inf,
) -> Executor:
    """Return an executor that trains in this process, or on the Ray cluster at an address.

    Ray starts in the background; an error of it is raised where the executor is needed.

    Args:
        config, plans: of the pipeline.
        address, inline: as for `pipeline.run`.
        say: tells the user what was chosen.
        timeline: where the start of Ray is recorded.
        training_s: how long training may take at most. Where a Ray of the run's own would train
            less in what its start leaves of that than this process alone, this process trains.
    """
    kind = "inline" if inline else "ray" if address else config.cluster.executor
    if kind == "inline":
        return InlineExecutor()
    from ensemble_pipe.cluster.connection import is_connected

    lease = _find_lease(config, plans, say) if address is None and not is_connected() else None
    start = partial(_on_ray, config, plans, address, lease, say, timeline)
    cluster, start_s = config.cluster, read_start_seconds(lease is not None)
    trainers = cluster.trainers or max(1, (os.cpu_count() or 1) // cluster.cpus_per_trainer)
    is_own = lease is None and address in (None, "local") and not is_connected()
    if is_own and (training_s - start_s) * trainers <= training_s < math.inf:
        say(f"this process trains: Ray takes about {start_s:.0f} s of the time limit to start")
        return InlineExecutor()
    if kind == "ray":
        return start()
    from ensemble_pipe.cluster.auto import AutoExecutor

    return AutoExecutor(start, trainers, start_s, say)


def _on_ray(
    config: Pipeline,
    plans: Plans,
    address: str | None,
    lease: Lease | None,
    say: Callable[[str], None],
    timeline: Timeline,
) -> Executor:
    from ensemble_pipe.cluster.ray import RayExecutor

    cluster = config.cluster
    if lease is None:
        joined = address not in (None, "local")
        say(f"joining the Ray at {address}" if joined else "starting Ray and its trainers")
    return RayExecutor(
        lease.address if lease else address or "local",
        trainers=cluster.trainers,
        cpus_per_trainer=cluster.cpus_per_trainer,
        retries=cluster.retries,
        ahead=len(plans.trained),
        lease=lease,
        say=say,
        timeline=timeline,
    )


def _find_lease(config: Pipeline, plans: Plans, say: Callable[[str], None]) -> Lease | None:
    """Return a connection to the Ray that stays, where there is one that this run can use."""
    standing = find()
    if standing is None:
        return None
    why = standing.differences()
    if names_in((config.augment, *plans.networks)):
        why.append("components of your own are not known there")
    try:
        lease = None if why else Lease(standing.address, standing.port, standing.key)
    except ClusterError as error:
        why.append(str(error))
    if why:
        say(f"the Ray that stays is not used: {'; '.join(why)}")
        return None
    say(f"using the Ray that stays at {standing.address} (`ensemble-pipe down` stops it)")
    return lease
