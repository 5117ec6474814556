"""The text of a first pipeline: YAML, with a comment on each choice."""

from collections.abc import Iterator
from pathlib import Path

import yaml

from ensemble_pipe.core.messages import list_names, printable, quote, shell_word
from ensemble_pipe.data.tables.decisions import decision_lines
from ensemble_pipe.search.first_pipeline import LEAST_POOLED, MOST_ROWS_BY_DEFAULT, FirstPipeline

ORDER = ("name", "seed", "task", "data", "splits", "scale", "augment", "network", "training",
         "ensemble")  # fmt: skip
_WIDTH = 100
_MOST_CLASSES = 10


def pipeline_text(first: FirstPipeline, file: Path) -> str:
    """Return the text of a pipeline file.

    Args:
        first: the pipeline.
        file: that it is written to, for the commands in its header.
    """
    given = shell_word(file)
    lines = [
        f"# A first pipeline for {printable(first.report.where)}: {first.report.rows:,} rows",
        f"# Run it     ensemble-pipe run {given}",
        f"# Override   ensemble-pipe run {given} --set training.epochs=10",
    ]
    for key in ORDER:
        if key in first.values:
            lines += ["", *(f"# {comment}" for comment in _comments(first, key))]
            lines.append(_dumped(key, first))
    return "\n".join(lines) + "\n"


def _dumped(key: str, first: FirstPipeline) -> str:
    value = first.values[key]
    style = None if isinstance(value, dict | list) else False  # a flow of what has no parts inside
    text = yaml.safe_dump(
        {key: value}, sort_keys=False, default_flow_style=style, allow_unicode=True, width=_WIDTH
    )
    return text.rstrip("\n")


def _comments(first: FirstPipeline, key: str) -> Iterator[str]:
    """Yield the comments on a key, each a line."""
    match key:
        case "seed":
            yield "another seed: another division of the rows, other initial weights"
        case "task":
            yield from _on_task(first)
        case "data":
            yield from _on_data(first)
        case "splits":
            yield from _on_splits(first)
        case "augment":
            yield "moved by a few pixels; add {name: horizontal_flip} where mirror images are alike"
        case "network" if first.report.image_shape is not None:
            shape = "x".join(map(str, first.report.image_shape))
            yield f"for images of {shape} (height, width, channels)"
        case "training":
            yield from _on_training(first)
        case "ensemble":
            yield from _on_ensemble(first)


def _on_task(first: FirstPipeline) -> Iterator[str]:
    report, task = first.report, first.values["task"]
    if task == "regression":
        yield "the label is a number; the ensemble predicts a mean and a deviation of each row"
        return
    shown = [f"{printable(name)} {count:,}" for name, count in report.classes[:_MOST_CLASSES]]
    more = ", ..." if len(report.classes) > _MOST_CLASSES else ""
    yield f"{len(report.classes)} classes: {', '.join(shown)}{more}"
    label = report.column(report.label) if report.label is not None else None
    if label is not None and label.kind == "number" and (label.distinct or 0) > 2:
        yield "the label has few whole numbers, taken for classes; else: task: regression"


def _on_data(first: FirstPipeline) -> Iterator[str]:
    sides = first.sides
    yield "the path is absolute, so that the file runs from any folder"
    if sides.missing_values:
        marked = list_names([printable(name) for name in sides.marked])
        texts = list_names([quote(text) for text in sides.missing_values])
        some = "is read as a missing value; it is"
        if len(sides.missing_values) > 1:
            some = "are read as missing values; they are"
        yield f"{texts} {some} frequent in {marked}"
    if sides.group is not None:
        yield (
            f"group: {printable(sides.group)} names what has several rows, which must not be on "
            "both sides of a split; it is not learned from"
        )
    if sides.time is not None:
        yield (
            f"time: the rows are in the order of {printable(sides.time)}, so the latest are the "
            "test part, as in use; it is not learned from"
        )
    for line in decision_lines(first.prepared.schema.decisions):
        yield printable(line)
    if first.prepared.schema.decisions:
        yield "another treatment of a column: columns: {NAME: {kind: category}}, or ignore: [NAME]"


def _on_splits(first: FirstPipeline) -> Iterator[str]:
    counts = ", ".join(f"{name} {count:,}" for name, count in first.prepared.rows.items())
    yield f"rows: {counts}"
    if "folds" in first.values["splits"]:
        yield "few rows, so each learner leaves out a fold, by which it stops and is calibrated"


def _on_training(first: FirstPipeline) -> Iterator[str]:
    epochs = first.values["training"]["epochs"]
    if first.report.rows > MOST_ROWS_BY_DEFAULT:
        yield f"{epochs} epochs at most, since an epoch of so many rows has many steps"
    else:
        yield f"{epochs} epochs at most: a learner ends earlier once its loss no longer falls"
    yield "defaults by the number of rows, measured on tables: see docs/defaults.md"


def _on_ensemble(first: FirstPipeline) -> Iterator[str]:
    if "pool" in first.values["ensemble"]:
        yield "networks and boosted trees, which err differently: on tables the best pool measured,"
        yield "and what `ensemble: {preset: best}` stands for where no network is named"
    elif first.report.image_shape is not None:
        yield "networks alone, since trees of pixels are poor"
    else:
        yield f"networks alone: trees learn little from fewer than {LEAST_POOLED} rows"
