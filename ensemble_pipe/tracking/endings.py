"""How a run and each of its learners ended, in MLflow's words."""

from collections.abc import Iterable

from ensemble_pipe.tracking.journal import Entry

# What an entry says of its learner. One that is trained whole stays so, whatever is said later.
OF_LEARNER = {"finished": "FINISHED", "failed": "FAILED", "spared": "KILLED"}


def open_status(run_status: str) -> str:
    """Return the status of a learner whose training was not ended when its run was."""
    return "KILLED" if run_status == "FINISHED" else run_status


def endings(entries: Iterable[Entry]) -> tuple[str, dict[int, str]]:
    """Return the status of a run whose driver is gone, and of its learners that came to an end."""
    status, learners = "KILLED", dict[int, str]()
    for entry in entries:
        kind = entry["kind"]
        status = entry["status"] if kind == "ended" else "KILLED"
        if kind in OF_LEARNER and learners.get(entry["learner"]) != "FINISHED":
            learners[entry["learner"]] = OF_LEARNER[kind]
    return status, learners
