"""The data of a pipeline, looked at in a second: what would spoil the training or its measures."""

from collections.abc import Iterator

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.run.preparation import Prepared
from ensemble_pipe.search.checks import leaks, parts, single_columns
from ensemble_pipe.search.checks.findings import DATA, Finding, Step, warnings_of
from ensemble_pipe.search.checks.source_rows import SourceColumn, SourceRows, read_source

_SEEN_INPUTS = 2_000


def check_data(prepared: Prepared) -> Step:
    """Look at the columns, the targets and the parts of the data.

    Args:
        prepared: the data of a run; of its source the beginning is read again, up to 200,000 rows
            or 32 MB.

    Raises:
        DataError: the source was changed meanwhile.
    """
    found = tuple(_findings(prepared))
    step = Step(DATA, "", found, {"rows": prepared.rows, "columns": len(prepared.schema.columns)})
    count = len(warnings_of([step]))
    verdict = "sound" if not count else f"{count} to look at"
    return Step(step.title, verdict, found, step.measured)


def _findings(prepared: Prepared) -> Iterator[Finding]:
    schema, data = prepared.schema, prepared.data
    classes = schema.task == "classification"
    unlike = [decision.name for decision in schema.decisions if decision.kind == "left out"]
    source, test = read_source(data, schema.target_names, unlike, prepared.official_test)
    label = schema.target_names[0]
    targets = _targets(prepared)
    if not schema.is_image:
        yield from single_columns.column_findings(
            source, schema.decisions, schema.missing_values, data.rows.written
        )
        yield from _of_targets(prepared, source, targets[: source.count])
    if classes:
        yield from parts.class_findings(targets, schema.classes, prepared.parts)
    if schema.task == "classification" or data.targets.values.ndim == 1:
        yield from parts.task_findings(schema.task, data.targets.values, schema.classes, label)
    yield from _shared(prepared, source, test)
    yield from parts.scale_findings(*_inputs(prepared))


def _targets(prepared: Prepared) -> Array:
    """Return class numbers (R,), or numbers: of several targets the first."""
    schema, data = prepared.schema, prepared.data
    if schema.task == "classification":
        return schema.encode_targets(data.targets, schema.target_place(data.rows))
    values = data.targets.values
    first: Array = values if values.ndim == 1 else values[:, 0]
    return first.astype(np.float64)


def _of_targets(prepared: Prepared, source: SourceRows, targets: Array) -> Iterator[Finding]:
    """Yield what columns of a table say of its targets."""
    schema, data = prepared.schema, prepared.data
    classes, label = schema.task == "classification", schema.target_names[0]
    learned = _learned(prepared, source)
    measures = [column for column in learned if not parts.names_groups(column)]
    yield from leaks.label_findings(measures, targets, classes, label)
    times = data.times[: source.count] if data.times is not None else None
    order: Integers = np.arange(source.count) if times is None else np.argsort(times, kind="stable")
    yield from leaks.future_findings(learned, targets, order, label)
    if times is None:
        dates = [column.name for column in schema.columns if column.kind == "date"]
        yield from parts.time_findings(learned, dates, targets, label)
    if data.groups is None:
        yield from parts.group_findings(source.columns, targets, classes, label)


def _learned(prepared: Prepared, source: SourceRows) -> list[SourceColumn]:
    names = set(prepared.schema.feature_names)
    return [column for column in source.columns if column.name in names]


def _shared(prepared: Prepared, source: SourceRows, test: Integers) -> Iterator[Finding]:
    """Yield held-out rows that are in the training part; with groups these decide what may be."""
    rich = prepared.schema.is_image or leaks.is_rich(source.columns)
    train = _within(prepared.parts["train"], source)
    held = {n: _within(prepared.parts[n], source) for n in ("test", "validation")
            if n in prepared.parts}  # fmt: skip
    if prepared.official_test is not None:
        held["test"] = test
    for part, digests in held.items():
        yield from leaks.shared_findings(train, digests, rich, part)


def _within(places: Integers, source: SourceRows) -> Integers:
    """Return the digests of the rows of a part that were read."""
    return source.digests[places[places < source.count]]


def _inputs(prepared: Prepared) -> tuple[Floats, tuple[str, ...]]:
    """Return inputs (R, D) of some training rows as networks see them, without codes; and names."""
    schema, data = prepared.schema, prepared.data
    first, block = next(iter(data.rows.blocks(schema.source_columns, _SEEN_INPUTS)))
    encoded = schema.encode_inputs(block, data.rows.place_from(first))
    scale, shift = schema.input_scale()
    inputs = encoded * scale + shift
    if schema.is_image:
        return inputs.reshape(-1, inputs.shape[-1]), ()
    kept = [place for place in range(inputs.shape[1]) if place not in schema.code_counts]
    names = schema.encoded_names
    return inputs[:, kept], tuple(names[place] for place in kept)
