"""The report's sections on what a run was: its settings, its data, its times, what comes next."""

from collections import Counter
from time import gmtime, strftime
from typing import Any

import yaml

from ensemble_pipe.core.messages import counted, shell_word
from ensemble_pipe.core.storage import SPLITS, RunPaths
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.report.page import (
    NOTHING,
    Html,
    bar,
    element,
    html_of,
    joined,
    table,
    value_table,
    yaml_text,
)
from ensemble_pipe.tracking.run_summary import RunSummary, flat, folds_text

CLASSES = 60
_MEMORY = (
    "Memory is the most that the process which drove the run is known to have held during a stage; "
    "trainers on Ray hold theirs beside it."
)


def settings(run: RunSummary) -> Html:
    """Return the settings that say most of a run."""
    pipeline, training = run.pipeline, run.pipeline["training"]
    steps = [step["name"] for step in pipeline["augment"]["policy"]]
    return value_table(
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
    return f"{counted(len(run.plans), 'learner')}: {', '.join(strategies)}"


def _named(section: dict[str, Any], keys: tuple[str, ...] = ("hidden", "filters", "blocks")) -> str:
    own = [f"{key} {yaml_text(section[key])}" for key in keys if section.get(key) is not None]
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


def data(run: RunSummary, schema: Schema) -> Html:
    """Return the parts of the data, its classes or targets, and its features."""
    source = {name: value for name, value in run.pipeline["data"].items() if name != "columns"}
    pairs: list[tuple[str, Any]] = [
        (k, yaml_text(value)) for k, value in flat(source).items() if value
    ]
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


def times(run: RunSummary) -> Html:
    """Return when a run began and ended, and its stages."""
    seconds = (run.last_ms - run.began_ms) // 1000
    ended = "last entry" if run.status in ("RUNNING", "KILLED") else "ended"
    moments = value_table(
        [
            ("began", moment(run.began_ms)),
            *(("resumed", moment(one)) for one in run.resumed_ms if one > run.began_ms),
            (ended, moment(run.last_ms)),
            ("between them", f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"),
        ]
    )
    return Html(moments + _timeline(run))


def _timeline(run: RunSummary) -> Html:
    """Return the stages of the process that drove the run last, up to this report."""
    if not run.stages:
        return NOTHING
    whole = max(stage.began_s + stage.seconds for stage in run.stages) or 1.0
    rows = [
        (
            stage.name,
            f"{stage.began_s:.1f} s",
            f"{stage.seconds:.1f} s",
            None if stage.memory_bytes is None else f"{stage.memory_bytes / 1e6:,.0f} MB",
            bar(stage.began_s / whole, stage.seconds / whole),
        )
        for stage in run.stages
    ]
    head = ("stage", "began", "took", "memory", element("div", "", kind="bars"))
    return joined([table(head, rows), element("p", _MEMORY, kind="note")])


def changes(run: RunSummary) -> Html:
    """Return what a run went on with although it began with something else; nothing for none."""
    rows = [(moment(entry.time_ms), line) for entry in run.accepted for line in entry.changes]
    return table(("accepted", "change"), rows) if rows else NOTHING


def moment(time_ms: int) -> str:
    """Return a moment in milliseconds since 1970 as text."""
    return strftime("%Y-%m-%d %H:%M:%S UTC", gmtime(time_ms / 1000))


def commands(paths: RunPaths, run: RunSummary) -> Html:
    """Return the commands that go on from here."""
    return element("pre", "\n".join(command_lines(paths, run)))


def command_lines(paths: RunPaths, run: RunSummary) -> list[str]:
    """Return the commands that go on from here, one a line."""
    root, above = shell_word(paths.root), shell_word(paths.root.parent)
    lines = [f"ensemble-pipe ui --output {above}"]
    if run.metrics:
        asked = "".join(f" --with {name}=FILE" for name in run.given)
        lines.insert(0, f"ensemble-pipe predict {root} INPUT{asked} --output predictions.csv")
    if run.status in ("FAILED", "KILLED") or run.left_undone:
        lines.insert(0, f"ensemble-pipe resume {root}")
    if run.status == "RUNNING":
        lines.insert(0, f"ensemble-pipe report {root}")
    return lines


def pipeline(run: RunSummary) -> Html:
    """Return the resolved pipeline."""
    text = yaml.safe_dump(run.pipeline, sort_keys=False, allow_unicode=True)
    note = element("p", "pipeline.yaml, with every default filled in", kind="note")
    return Html(note + element("pre", html_of(text), kind="columns"))
