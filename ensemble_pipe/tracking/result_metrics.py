"""Which of a run's figures MLflow shows as metrics, and by which names.

MLflow's UI has a section of charts for all metrics of one folder, in order of their names. So what
the ensemble reaches on the test part comes first, `test/nll`; what it is compared with follows as
`test_member_best/nll`, and times as `time/training`. The others are in a file, `metrics.json`.
"""

from ensemble_pipe.tracking.kinds import Numbers

# At which the UI draws a bar for each run; at any other step it draws a point of a curve.
NO_STEP = 0

# The metrics that others than the ensemble are compared by.
_COMPARED = ("nll", "accuracy", "rmse")
_Figures = dict[str, float | None]
_OTHERS = ("member_", "baseline_")


def result_metrics(metrics: Numbers, equal: bool, members: int) -> dict[int, _Figures]:
    """Return the figures of a result that MLflow shows, by their step and their names there.

    Those of the validation part are the last of their curve by the number of members.

    Args:
        metrics: flat, such as "test/nll" and "member_best/test/nll".
        equal: whether the members have equal weights: then the metrics of the validation part are
            those of the curve by the number of members, which is sent as it grows.
        members: of the ensemble.

    >>> result_metrics({"stop/nll": 0.3, "test/nll": 0.2, "diversity/test/kl": 0.1}, True, 4)
    {0: {'test/nll': 0.2, 'test_diversity/kl': 0.1}}
    >>> result_metrics({"validation/nll": 0.3, "test/nll": 0.2}, False, 4)
    {4: {'validation/nll': 0.3}, 0: {'test/nll': 0.2}}
    """
    found: dict[int, _Figures] = {}
    for whole, value in metrics.items():
        if (name := _shown(whole, equal)) is not None:
            step = members if name.startswith("validation/") else NO_STEP
            found.setdefault(step, {})[name] = value
    return found


def time_metrics(seconds: dict[str, float]) -> dict[str, float]:
    """Return the seconds of each stage, by their names in MLflow."""
    return {f"time/{stage}": value for stage, value in seconds.items()}


def _shown(name: str, equal: bool) -> str | None:
    """Return the name of a figure in MLflow; None where it is in the file alone."""
    if name.startswith("test/") or (name.startswith("validation/") and not equal):
        return name
    who, part, metric = (*name.split("/", 2), "", "")[:3]
    if part != "test" or (who.startswith(_OTHERS) and metric not in _COMPARED):
        return None
    return f"test_{who}/{metric}"
