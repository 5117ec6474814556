"""What the journal says of a run, gathered: its plans, curves, members, failures and status."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from filelock import FileLock, Timeout

from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.tracking.completeness import lost_epochs, require_start
from ensemble_pipe.tracking.entries import Numbers
from ensemble_pipe.tracking.journal import Entry, read_entries

# What says the kind of a learner, see `kind_of`.
_KINDS = ("network.name", "estimator.strategy", "predictions.strategy", "predictions.name")


@dataclass
class MemberStory:
    """One member.

    Attributes:
        validation, test: its own metrics; `test` is empty until the run has measured it.
    """

    learner: int
    number: int
    step: int
    validation: Numbers
    test: Numbers = field(default_factory=dict)


@dataclass
class Story:
    """One run, as far as it has come.

    Attributes:
        status: FINISHED, FAILED or KILLED; RUNNING where a process drives it now.
        began_ms, last_ms: of the first and the last entry, in milliseconds since 1970.
        pipeline: resolved.
        rows: of each part.
        lost: what the journal has lost of the run's epochs; None for nothing.
        plans: by learner, as plain values.
        epochs: entries of each learner's epochs.
        members: in order of learner and number.
        ensembles: validation metrics by the number of members.
        metrics: flat ones of the result; empty until there is one.
        combined: the entry on the combination of the members; empty until there is one.
        failed: reasons by learner.
        unfinished: learners whose training the result did not wait for.
        spared: why learners were not trained, by learner.
        pictures: file names.
    """

    run_id: str
    status: str
    began_ms: int
    last_ms: int
    pipeline: dict[str, Any]
    rows: dict[str, int]
    lost: str | None = None
    resumed_ms: list[int] = field(default_factory=list)
    plans: dict[int, dict[str, Any]] = field(default_factory=dict)
    epochs: dict[int, list[Entry]] = field(default_factory=dict)
    finished: list[int] = field(default_factory=list)
    members: list[MemberStory] = field(default_factory=list)
    ensembles: dict[int, Numbers] = field(default_factory=dict)
    metrics: Numbers = field(default_factory=dict)
    combined: Entry = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    unfinished: list[int] = field(default_factory=list)
    spared: dict[int, str] = field(default_factory=dict)
    pictures: list[str] = field(default_factory=list)

    @property
    def given(self) -> list[str]:
        """Return the names of the ensemble's members whose predictions were read from a file."""
        plans = [self.plans[learner] for learner, _ in self.combined.get("members", ())]
        return [plan["predictions"]["name"] for plan in plans if "predictions" in plan]

    @property
    def differing(self) -> list[str]:
        """Return the hyperparameters that learners differ in, such as "network.hidden".

        Learners that have no such hyperparameter, being of another kind, do not count.
        """
        flats = [flat(plan) for plan in self.plans.values()]
        names = dict.fromkeys(name for one in flats for name in one if name not in _KINDS)
        return [n for n in names if len({repr(one[n]) for one in flats if n in one}) > 1]


def read_story(paths: RunPaths, status: str | None = None) -> Story:
    """Gather what the journal of a run says.

    Args:
        paths: of the run.
        status: of a run that is about to end; None asks the journal and the driver's lock.

    Raises:
        CorruptFileError: the journal is damaged, or has lost its start.
    """
    entries = [entry for entry, _ in read_entries(paths.journal)]
    require_start(paths, entries)
    status = status or _status(paths, entries)
    # Another process that drives the run may have saved a checkpoint since.
    lost = None if status == "RUNNING" else lost_epochs(paths, entries)
    started = entries[0]
    story = Story(
        run_id=started["run_id"],
        status=status,
        began_ms=started["time_ms"],
        last_ms=entries[-1]["time_ms"],
        pipeline=started["pipeline"],
        rows=started["rows"],
        lost=lost,
    )
    for entry in entries:
        _take(story, entry)
    story.members.sort(key=lambda member: (member.learner, member.number))
    return story


def _take(story: Story, entry: Entry) -> None:
    match entry["kind"]:
        case "learner":
            story.plans[entry["learner"]] = entry["plan"]
        case "grown":
            story.pipeline["ensemble"] = entry["ensemble"]
        case "spared":
            story.spared[entry["learner"]] = entry["reason"]
        case "resumed":
            story.resumed_ms.append(entry["time_ms"])
        case "epoch":
            story.epochs.setdefault(entry["learner"], []).append(entry)
        case "finished":
            story.finished.append(entry["learner"])
        case "failed":
            story.failed[entry["learner"]] = entry["reason"]
        case "member":
            place = entry["learner"], entry["number"]
            others = [m for m in story.members if (m.learner, m.number) != place]
            story.members = [*others, MemberStory(*place, entry["step"], entry["metrics"])]
        case "member_test":
            for member in story.members:
                if (member.learner, member.number) == (entry["learner"], entry["number"]):
                    own = entry["metrics"].items()
                    member.test = {name.removeprefix("test/"): value for name, value in own}
        case "ensemble":
            story.ensembles[entry["members"]] = entry["metrics"]
        case "combined":
            story.combined = entry
        case "result":
            story.metrics, story.unfinished = entry["metrics"], entry.get("unfinished", [])
        case "pictures":
            story.pictures += [name for name in entry["names"] if name not in story.pictures]


def kind_of(plan: dict[str, Any]) -> str:
    """Return what kind of learner a plan makes, such as "mlp" or "random_forest"."""
    if "predictions" in plan:
        return f"predictions {plan['predictions']['name']}"
    if "estimator" in plan:
        return str(plan["estimator"]["strategy"])
    return str(plan["network"]["name"])


def _status(paths: RunPaths, entries: Sequence[Entry]) -> str:
    """Return how a run ended; one without an end is running only while its lock is held."""
    if entries[-1]["kind"] == "ended":
        return str(entries[-1]["status"])
    if not paths.lock.is_file():
        return "KILLED"
    try:
        with FileLock(paths.lock, timeout=0):
            return "KILLED"
    except Timeout:
        return "RUNNING"


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested values by path, such as {"network.hidden": [16]}."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict) and value:
            found.update(flat(value, f"{prefix}{name}."))
        else:
            found[f"{prefix}{name}"] = value
    return found
