"""Nesting of a run under the caller's own active run of MLflow."""

from ensemble_pipe.config.sections import Pipeline, Tracking
from ensemble_pipe.tracking.active_run import active_run


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
