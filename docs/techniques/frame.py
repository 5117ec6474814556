"""What a technique's page is made of: the runs, their figures, the picture, and what was seen."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.run.pipeline import RunResult, run
from ensemble_pipe.tracking.run_summary import RunSummary, read_run_summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = Path(__file__).parents[2]
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What is kept of a run, each number to five digits.

    Attributes:
        members: metrics of each of the K members on the test part, by name.
        ensemble: metrics of the ensemble on the test part.
        curves: metrics of each learner by epoch, (M, epochs), by name such as "train/loss".
        seconds: wall time of the run.
        more: what a page measures beside.
    """

    members: dict[str, list[float]]
    ensemble: dict[str, float]
    curves: dict[str, list[list[float]]]
    seconds: float
    more: dict[str, Any] = field(default_factory=dict)

    def mean(self, metric: str) -> float:
        """Return a metric's mean over the members."""
        return float(np.mean(self.members[metric]))

    def curve(self, metric: str) -> list[float]:
        """Return a metric by epoch, its mean over the learners that were in training then."""
        longest = max(len(one) for one in self.curves[metric])
        padded = [[*one, *[np.nan] * (longest - len(one))] for one in self.curves[metric]]
        return [float(value) for value in np.nanmean(np.array(padded), axis=0)]


Outcomes = Mapping[str, Outcome]


@dataclass(frozen=True)
class Seen:
    """A line of the table at the end of a page.

    Attributes:
        claim: of the literature, with its source.
        seen: what was measured here, with figures.
        holds: whether that agrees with the claim; worked out from the figures.
    """

    claim: str
    seen: str
    holds: bool


@dataclass(frozen=True)
class Technique:
    """A page of docs/techniques.

    Attributes:
        name: of the page.
        runs: what each run sets beside its pipeline, by the name of the pipeline in
            pipelines/techniques and the label of the run, which is the page's only one.
        small: what makes a run take a second, for the tests.
        draw: returns each picture by its file name; the page shows them all.
        table: returns the measured figures as Markdown.
        seen: returns what the literature claims beside what was seen.
        measure: returns what is to be kept of a run beside its metrics.
        start: runs one pipeline.
    """

    name: str
    runs: Mapping[str, Mapping[str, Settings]]
    small: Settings
    draw: "Callable[[Outcomes], Mapping[str, Figure]]"
    table: Callable[[Outcomes], str]
    seen: Callable[[Outcomes], Sequence[Seen]]
    measure: Callable[[RunPaths], dict[str, Any]] = lambda paths: {}
    start: Callable[..., RunResult] = run

    @property
    def page(self) -> Path:
        return ROOT / "docs" / "techniques" / f"{self.name}.md"

    @property
    def figures(self) -> Path:
        return ROOT / "docs" / "techniques" / "figures" / f"{self.name}.json"

    def outcomes(self, folder: Path, settings: Settings | None = None) -> dict[str, Outcome]:
        """Make every run, in a folder, with further settings; return what came out, by label.

        Runs that the further settings make equal are made once.
        """
        found, made = {}, dict[str, Outcome]()
        quiet = {"tracking.mlflow": False}
        for name, runs in self.runs.items():
            for label, own in runs.items():
                changed = {**own, **(settings or {}), **quiet}
                key = json.dumps([name, changed], sort_keys=True)
                if key not in made:
                    result = self.start(pipeline(name), output=folder, inline=True, **changed)
                    made[key] = self._outcome(result)
                found[label] = made[key]
        return found

    def _outcome(self, result: RunResult) -> Outcome:
        paths = RunPaths.open(Path(result.run_dir))
        summary = read_run_summary(paths)
        ensemble = {
            name.removeprefix("test/"): value
            for name, value in result.metrics.items()
            if name.startswith("test/")
        }
        whole = Outcome(
            _by_name([dict(member.test) for member in summary.members if member.test]),
            ensemble,
            _curves(summary),
            result.seconds,
            self.measure(paths),
        )
        return Outcome(**_rounded(asdict(whole)))

    def kept(self) -> dict[str, Outcome]:
        """Return the outcomes that are kept."""
        values = json.loads(self.figures.read_text(encoding="utf-8"))
        return {label: Outcome(**one) for label, one in values.items()}

    def keep(self, outcomes: Outcomes) -> None:
        """Keep outcomes, a line for each."""
        lines = [
            f"{json.dumps(label)}: {json.dumps(asdict(one))}" for label, one in outcomes.items()
        ]
        self.figures.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def pipeline(name: str) -> Path:
    """Return the file of a technique's pipeline."""
    return ROOT / "pipelines" / "techniques" / f"{name}.yaml"


def markdown(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def _curves(summary: RunSummary) -> dict[str, list[list[float]]]:
    learners = [
        _by_name([dict(epoch.metrics) for epoch in epochs])
        for _, epochs in sorted(summary.epochs.items())
    ]
    return {name: [one[name] for one in learners] for name in (learners[0] if learners else ())}


def _by_name(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Return the values of what all rows have."""
    names = [name for name in rows[0] if all(name in row for row in rows)]
    return {name: [row[name] for row in rows] for name in names}


def _rounded(value: Any) -> Any:
    """Return a value whose numbers have five digits."""
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value
