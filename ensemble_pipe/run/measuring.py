"""What the ensemble of a run is compared with."""

from collections.abc import Collection

from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.ensemble.baselines import measure_baselines
from ensemble_pipe.ensemble.prediction import Metrics

COMPARED = ("validation", "test")


def baseline_metrics(
    data: TrainingData, schema: Schema, measured: Collection[str], seed: int
) -> Metrics:
    """Return the metrics of baselines on the parts on which an ensemble is compared.

    Args:
        data: of the run.
        schema: of the data.
        measured: names of the parts on which the ensemble was measured.
        seed: of the run.
    """
    views = {part: data.part(part) for part in COMPARED if part in measured}
    return measure_baselines(schema, data.part("train"), views, seed) if views else {}
