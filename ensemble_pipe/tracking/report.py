"""The report of a run, finished or not: one HTML page."""

import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from time import gmtime, strftime
from typing import TYPE_CHECKING, Any

import yaml

from ensemble_pipe.core.storage import SPLITS, RunPaths, atomic_write, read_manifest
from ensemble_pipe.data.base import read_schema
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.tracking.checked import checked
from ensemble_pipe.tracking.columns import columns, importance
from ensemble_pipe.tracking.combination import combination, count_of
from ensemble_pipe.tracking.learners import failures, learners, members, trials
from ensemble_pipe.tracking.page import (
    Html,
    bar,
    element,
    html_of,
    page,
    picture,
    section,
    table,
    value_table,
)
from ensemble_pipe.tracking.pictures import ensemble_size, learning_curves, png_of
from ensemble_pipe.tracking.run_summary import RunSummary, flat, folds_text, read_run_summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLASSES = 60
_FULL_WIDTH = ("augmentation", "search_trials", "learning_curves", "ensemble_size")
_CAPTIONS = {
    "augmentation": "Training rows and augmented versions of them",
    "search_history": "Trials of the search by their score, and the best so far",
    "search_importance": "How much of the trials' scores each hyperparameter explains (fANOVA)",
    "search_trials": "Values of the trials; the better a trial, the darker its line",
    "learning_curves": "Loss by epoch; a line for each learner",
    "ensemble_size": "Validation metrics of the first 1, 2, ... members together",
    "rejection": "The most certain test rows, by how many are kept; a thin line for each member",
    "reliability": "Accuracy against confidence; on the dashed line they agree",
    "confusion_matrix": "True and predicted classes",
    "predicted": "Predicted against true values, with one standard deviation",
    "importance": "Importance of the columns, with 95% intervals",
}
_STATES = {
    "FINISHED": "The run is finished.",
    "RUNNING": "The run is in progress; this page shows its state at the time of writing.",
    "KILLED": "The run was stopped before its end; this page shows the results so far.",
    "FAILED": "The run ended with an error; this page shows the results so far.",
}
_PREDICTORS = {
    "ensemble": "",
    "mean\N{NO-BREAK SPACE}member": "member_mean/",
    "best\N{NO-BREAK SPACE}member": "member_best/",
    "linear\N{NO-BREAK SPACE}model": "baseline_linear/",
    "constant": "baseline_constant/",
}
_NOTE = (
    "the best member is that of the lowest validation NLL; the constant is the shares of the "
    "classes, or the mean and the deviation, of the training part"
)


def write_report(paths: RunPaths, status: str | None = None) -> Path:
    """Write the report of a run; return the file.

    Args:
        paths: of the run.
        status: of a run that is about to end; None reads it from the journal.

    Raises:
        CorruptFileError: the journal, the manifest, a checkpoint or the schema is damaged.
    """
    run = read_run_summary(paths, status)
    schema = read_schema(paths)
    environment = read_manifest(paths).environment
    text = page(
        run.run_id,
        _head(run),
        section("Result", _result(run)),
        section("Combination", combination(run, schema.classes)),
        section("Data", _data(run, schema)),
        section("Check", checked(run.checked)),
        section("Columns", columns(schema)),
        section("Importance", importance(run)),
        section("Pictures", _pictures(paths, run, schema)),
        section("Learners", learners(run)),
        section("Trials", trials(run)),
        section("Members", members(run)),
        section("Failures", failures(run)),
        section("Times", _times(run)),
        section("Going on", _commands(paths, run)),
        section("Pipeline", _pipeline(run)),
        section("Versions", value_table(environment.items())),
    )
    atomic_write(paths.report, text)
    return paths.report


def _head(run: RunSummary) -> Html:
    status = element("p", element("span", run.status, kind=f"status {run.status}"))
    state = element("p", _STATES.get(run.status, ""))
    if run.lost is not None:
        state = Html(state + element("p", run.lost, kind="warning"))
    pipeline, training = run.pipeline, run.pipeline["training"]
    steps = [step["name"] for step in pipeline["augment"]["policy"]]
    settings = value_table(
        [
            ("task", pipeline["task"]),
            ("network", _named(pipeline["network"])),
            ("ensemble", _groups(run)),
            ("combination", _combination(run)),
            ("training", f"{training['epochs']} epochs, batches of {training['batch_size']}"),
            ("optimizer", _named(training["optimizer"], ("learning_rate",))),
            ("schedule", training["schedule"]["name"]),
            ("augmentation", ", ".join(steps) or "none"),
            ("view", _view(pipeline["view"])),
            ("folds", folds_text(pipeline.get("splits", {}).get("folds")) or "none"),
            ("seed", str(pipeline["seed"])),
            *([("learners differ in", ", ".join(run.differing))] if run.differing else []),
        ]
    )
    return Html(element("h1", run.run_id) + status + state + settings)


def _combination(run: RunSummary) -> str:
    """Return how members are combined, and whose they are where another run has trained them."""
    method = str(run.pipeline["ensemble"]["combine"]["method"])
    anew = "" if run.combined_from is None else f", of the members of {run.combined_from}"
    return method + anew


def _groups(run: RunSummary) -> str:
    """Return the number of learners and their strategies."""
    ensemble, counts = run.pipeline["ensemble"], Counter[str]()
    for group in ensemble["pool"] or [ensemble]:
        counts[group["strategy"]] += group.get("learners", 1)
    strategies = [f"{count} {name}" if len(counts) > 1 else name for name, count in counts.items()]
    return f"{len(run.plans)} learners: {', '.join(strategies)}"


def _named(section: dict[str, Any], keys: tuple[str, ...] = ("hidden", "filters", "blocks")) -> str:
    own = [f"{key} {section[key]}" for key in keys if section.get(key) is not None]
    return ", ".join([section["name"], *own])


def _view(view: dict[str, Any]) -> str:
    """Return the view of the training part that each learner has."""
    limits = {
        "bootstrap": view["bootstrap"],
        f"all but one of {view['folds']} folds": view["folds"],
        "balanced classes": view["balance_classes"],
        f"{view['features']:.0%} of the columns": view["features"] < 1,
    }
    return ", ".join(text for text, holds in limits.items() if holds) or "all rows and columns"


def _result(run: RunSummary) -> Html:
    if run.metrics:
        names = [k.removeprefix("test/") for k in run.metrics if k.startswith("test/")]
        head = ("part", "predictor", *names)
        rows = [
            (part, who, *(run.metrics.get(f"{prefix}{part}/{name}") for name in names))
            for part in ("test", "validation")
            for who, prefix in _PREDICTORS.items()
            if f"{prefix}{part}/nll" in run.metrics
        ]
        strong = [place for place, row in enumerate(rows) if row[1] == "ensemble"]
        note = element("p", f"{count_of(run)} members; {_NOTE}", kind="note")
        return Html(_unfinished(run) + table(head, rows, strong=strong) + note + _refitted(run))
    if run.ensembles:
        count, metrics = max(run.ensembles.items())
        text = f"on the validation part, the {count} members so far together"
        return Html(table(tuple(metrics), [tuple(metrics.values())]) + element("p", text))
    return element("p", "No learner has yielded a member yet.")


def _refitted(run: RunSummary) -> Html:
    """Return a note on members that were trained again after they were combined."""
    done = [one for one in run.refitted.values() if one.failed is None]
    if not done:
        return Html("")
    text = (
        f"After they had been measured and combined, {len(done)} learners were trained again on "
        f"all {done[0].rows} rows that are not of the test part: validation figures are of the "
        "members before, test figures of those after."
    )
    kept = [str(one.learner) for one in run.refitted.values() if one.failed is not None]
    text += f" Learners {', '.join(kept)} failed in this, and stay as they were." if kept else ""
    return element("p", text, kind="note")


def _unfinished(run: RunSummary) -> Html:
    """Return notes on learners that the result does not include."""
    notes = []
    if run.unfinished:
        names = ", ".join(str(learner) for learner in run.unfinished)
        notes.append(f"The training of these learners had not ended: {names}.")
    if run.left_undone:
        notes.append(f"With more time the run would have gone on: {run.left_undone}.")
    if run.spared:
        names = ", ".join(str(learner) for learner in run.spared)
        notes.append(f"Learners {names} were spared: {next(iter(run.spared.values()))}.")
    return Html("".join(element("p", text, kind="warning") for text in notes))


def _data(run: RunSummary, schema: Schema) -> Html:
    source = {name: value for name, value in run.pipeline["data"].items() if name != "columns"}
    pairs: list[tuple[str, Any]] = [(k, str(value)) for k, value in flat(source).items() if value]
    if schema.classes:
        shown = ", ".join(str(name) for name in schema.classes[:CLASSES])
        more = len(schema.classes) - CLASSES
        pairs.append(("classes", shown + (f" and {more} more" if more > 0 else "")))
    else:
        for target in schema.fitted_targets:
            moments = (
                f"{target.treatment}; mean {target.mean:.4g}, deviation {target.deviation:.4g}"
            )
            pairs.append(("target", f"{target.name}: {moments} on the training part"))
    if schema.is_image:
        pairs.append(("images", " x ".join(map(str, schema.input_shape))))
    else:
        pairs.append(("features", f"{len(schema.encoded_names)}, of {len(schema.columns)} columns"))
    pairs.append(("scale", schema.scaling.name))
    parts = [part for part in SPLITS if part in run.rows]
    shared = run.pipeline.get("splits", {}).get("stop") == "validation"
    total = sum(run.rows[part] for part in parts if not (shared and part == "stop"))
    rows = [(part, run.rows[part], f"{run.rows[part] / total:.1%}") for part in parts]
    return Html(table(("part", "rows", "share"), rows) + value_table(pairs))


def _pictures(paths: RunPaths, run: RunSummary, schema: Schema) -> Html:
    found = [
        picture(png, _CAPTIONS.get(name, name), "full" if name in _FULL_WIDTH else "")
        for name, png in _pngs(paths, run, schema)
    ]
    return element("div", *found, kind="pictures") if found else Html("")


def _pngs(paths: RunPaths, run: RunSummary, schema: Schema) -> Iterator[tuple[str, bytes]]:
    """Yield the run's pictures by name; those that it has not drawn yet are drawn from the journal.

    Names from the journal are looked up in the folder of pictures only.
    """
    files = {Path(name).stem: paths.picture(Path(name).name) for name in run.pictures}
    curve = [metrics for _, metrics in sorted(run.ensembles.items())]
    draws: dict[str, Callable[[], Figure]] = {}
    if run.epochs:
        draws["learning_curves"] = lambda: learning_curves(paths.journal)
    if curve:
        draws["ensemble_size"] = lambda: ensemble_size(curve, schema)  # type: ignore[arg-type]
    order = [*_CAPTIONS, *(name for name in files if name not in _CAPTIONS)]
    for name in order:
        if name in files and files[name].is_file():
            yield name, files[name].read_bytes()
        elif name in draws:
            yield name, png_of(draws[name]())


def _times(run: RunSummary) -> Html:
    seconds = (run.last_ms - run.began_ms) // 1000
    ended = "last entry" if run.status in ("RUNNING", "KILLED") else "ended"
    moments = value_table(
        [
            ("began", _moment(run.began_ms)),
            *(("resumed", _moment(one)) for one in run.resumed_ms if one > run.began_ms),
            (ended, _moment(run.last_ms)),
            ("between them", f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"),
        ]
    )
    return Html(moments + _timeline(run))


def _timeline(run: RunSummary) -> Html:
    """Return the stages of the process that drove the run last, up to this report."""
    if not run.stages:
        return Html("")
    whole = max(stage.began_s + stage.seconds for stage in run.stages) or 1.0
    rows = [
        (
            stage.name,
            f"{stage.began_s:.1f} s",
            f"{stage.seconds:.1f} s",
            bar(stage.began_s / whole, stage.seconds / whole),
        )
        for stage in run.stages
    ]
    return table(("stage", "began", "took", element("div", "", kind="bars")), rows)


def _moment(time_ms: int) -> str:
    return strftime("%Y-%m-%d %H:%M:%S UTC", gmtime(time_ms / 1000))


def _commands(paths: RunPaths, run: RunSummary) -> Html:
    root, above = shlex.quote(str(paths.root)), shlex.quote(str(paths.root.parent))
    lines = [f"ensemble-pipe ui --output {above}"]
    if run.metrics:
        asked = "".join(f" --with {name}=FILE" for name in run.given)
        lines.insert(0, f"ensemble-pipe predict {root} INPUT{asked} --output predictions.csv")
    if run.status in ("FAILED", "KILLED") or run.left_undone:
        lines.insert(0, f"ensemble-pipe resume {root}")
    if run.status == "RUNNING":
        lines.insert(0, f"ensemble-pipe report {root}")
    return element("pre", "\n".join(lines))


def _pipeline(run: RunSummary) -> Html:
    text = yaml.safe_dump(run.pipeline, sort_keys=False, allow_unicode=True)
    note = element("p", "pipeline.yaml, with every default filled in", kind="note")
    return Html(note + element("pre", html_of(text), kind="columns"))
