"""The choice of where a run trains: in this process or on Ray, which starts in the background."""

from collections.abc import Callable

from ensemble_pipe.cluster.executor import Executor
from ensemble_pipe.cluster.inline import InlineExecutor
from ensemble_pipe.config.plans import Plans
from ensemble_pipe.config.sections import Cluster
from ensemble_pipe.core.timeline import Timeline


def make_executor(
    cluster: Cluster,
    plans: Plans,
    address: str,
    inline: bool,
    say: Callable[[str], None],
    timeline: Timeline,
) -> Executor:
    """Return an executor that trains in this process, or on the Ray cluster at an address.

    Ray starts in the background; an error of it is raised where the executor is needed.

    Args:
        cluster, plans: of the pipeline.
        address, inline: as for `pipeline.run`.
        say: tells the user what was chosen.
        timeline: where the start of Ray is recorded.
    """
    if inline:
        return InlineExecutor()
    from ensemble_pipe.cluster.ray import RayExecutor

    say("starting Ray and its trainers")
    return RayExecutor(
        address,
        trainers=cluster.trainers,
        cpus_per_trainer=cluster.cpus_per_trainer,
        retries=cluster.retries,
        # Estimators are fitted first, on the CPUs that trainers would hold.
        ahead=0 if plans.estimators else len(plans.networks),
        timeline=timeline,
    )
