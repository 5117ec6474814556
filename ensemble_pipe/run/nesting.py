"""Nesting of a run in MLflow: under the caller's own active run, or one that the pipeline names."""

from pathlib import Path

from ensemble_pipe.config.sections import Pipeline, Tracking
from ensemble_pipe.core.addresses import mask_secrets
from ensemble_pipe.core.errors import InputError
from ensemble_pipe.core.messages import quote
from ensemble_pipe.tracking.active_run import active_run
from ensemble_pipe.tracking.store import lacks_run
from ensemble_pipe.tracking.tracker import default_uri


def below_active_run(pipeline: Pipeline) -> Pipeline:
    """Return a pipeline whose run belongs below the active run, in its store and experiment.

    It stays as it is where there is no active run, where it names a parent or another store, and
    where that store is none that runs can be sent to.
    """
    own, active = pipeline.tracking, active_run() if pipeline.tracking.mlflow else None
    if active is None or own.parent_run is not None or own.uri not in (None, active.uri):
        return pipeline
    place = {"uri": active.uri, "experiment": active.experiment, "parent_run": active.run_id}
    try:
        tracking = Tracking.model_validate({**own.model_dump(), **place})
    except ValueError:  # of the address, such as that of a folder of files
        return pipeline
    return pipeline.model_copy(update={"tracking": tracking})


def require_parent(pipeline: Pipeline, output: Path) -> None:
    """Raise InputError where a pipeline's `tracking.parent_run` names no run of its store.

    A store that cannot be reached is no obstacle. One that refuses is not waited for; a server that
    takes the question and is silent is, for 40 s.

    Args:
        pipeline: of the run.
        output: the folder that its run directory is made in.
    """
    own = pipeline.tracking
    if not own.mlflow or own.parent_run is None:
        return
    uri = own.uri or default_uri(output)
    if lacks_run(uri, own.parent_run):
        raise InputError(
            f"tracking.parent_run: {mask_secrets(uri)} has no run {quote(own.parent_run)}; give "
            "the id that MLflow's page of a run shows as its run ID, or leave it out"
        )
