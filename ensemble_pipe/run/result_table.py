"""The test metrics that matter of a run, as a table of text."""

from ensemble_pipe.core.messages import counted, metric_text
from ensemble_pipe.ensemble.prediction import Metrics

# The others stand in --json, the report and MLflow.
SHOWN = ("accuracy", "rmse", "r2", "mae", "nll", "brier", "ece", "crps", "coverage_90")
_ROWS = {"mean member": "member_mean/", "best member": "member_best/", "ensemble": ""}
_NOTES = {
    "low to high": "how often the truth lies between low and high of a prediction file",
    "in set": "how often the true class is in the set of a prediction file",
}


def result_table(metrics: Metrics, members: int) -> str:
    """Return the test metrics of mean member, best member (by validation) and ensemble.

    Where coverage was asked for, it is that of the ensemble's sets or intervals, which a prediction
    file holds, and members have none.
    """
    stated = metrics.get("conformal/test/stated")
    names = [name for name in SHOWN if f"test/{name}" in metrics]
    covered = "" if stated is None else "low to high" if "coverage_90" in names else "in set"
    if covered:
        names = [name for name in names if name != "coverage_90"]
    titles = [*names, *([covered] if covered else [])]
    lines = [f"{'test':12}" + "".join(f"{name:>13}" for name in titles)]
    for title, prefix in _ROWS.items():
        values = "".join(f"{metric_text(metrics[f'{prefix}test/{name}']):>13}" for name in names)
        if covered:
            held = "-" if prefix else f"{metrics['conformal/test/coverage']:.4f}"
            values += f"{held:>13}"
        lines.append(f"{title:12}{values}")
    lines.append(f"({counted(members, 'member')}; best member by validation NLL)")
    if covered:
        lines.append(f"({covered}: {_NOTES[covered]}; {stated:.4g} was asked for)")
    return "\n".join(lines)
