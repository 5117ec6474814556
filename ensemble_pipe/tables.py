"""Tables for a person to read."""

from ensemble_pipe.ensemble.aggregator import Metrics

_ROWS = {"mean member": "member_mean/", "best member": "member_best/", "ensemble": ""}


def result_table(metrics: Metrics, members: int) -> str:
    """Return the test metrics of mean member, best member (by validation) and ensemble."""
    names = [n.removeprefix("test/") for n in metrics if n.startswith("test/")]
    lines = [f"{'test':12}" + "".join(f"{name:>10}" for name in names)]
    for title, prefix in _ROWS.items():
        values = "".join(f"{metrics[f'{prefix}test/{name}']:10.4f}" for name in names)
        lines.append(f"{title:12}{values}")
    lines.append(f"({members} members; best member by validation NLL)")
    return "\n".join(lines)
