"""The test metrics that matter of a run, as a table of text."""

from ensemble_pipe.core.messages import counted
from ensemble_pipe.ensemble.prediction import Metrics

# The others stand in --json, the report and MLflow.
SHOWN = ("accuracy", "rmse", "r2", "mae", "nll", "brier", "ece", "crps", "coverage_90")
_ROWS = {"mean member": "member_mean/", "best member": "member_best/", "ensemble": ""}


def result_table(metrics: Metrics, members: int) -> str:
    """Return the test metrics of mean member, best member (by validation) and ensemble."""
    names = [name for name in SHOWN if f"test/{name}" in metrics]
    lines = [f"{'test':12}" + "".join(f"{name:>13}" for name in names)]
    for title, prefix in _ROWS.items():
        values = "".join(f"{metrics[f'{prefix}test/{name}']:13.4f}" for name in names)
        lines.append(f"{title:12}{values}")
    lines.append(f"({counted(members, 'member')}; best member by validation NLL)")
    return "\n".join(lines)
