"""Preparation of a run: reading and splitting the data, fitting the schema, writing base files."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml

from ensemble_pipe.config.conversion import resolve
from ensemble_pipe.config.defaults import settle
from ensemble_pipe.config.own_scales import further_scales, stored_scale
from ensemble_pipe.config.plans import Plans, make_plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.arrow import arrow_of
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import quote
from ensemble_pipe.core.run_manifest import RunManifest, SourceFiles
from ensemble_pipe.core.storage import (
    SPLITS,
    RunPaths,
    atomic_write,
    part_file,
    read_manifest,
    sums_of,
    write_json,
    write_summed_json,
)
from ensemble_pipe.data.base import BaseWriter, base_writer
from ensemble_pipe.data.fingerprint import fingerprint
from ensemble_pipe.data.group_names import save_group_names
from ensemble_pipe.data.labelled import (
    LabelledRows,
    read_labelled,
    shared_group,
    split_by_marks,
    time_order_warning,
)
from ensemble_pipe.data.learner_view import require_folds
from ensemble_pipe.data.named_folds import forward_warning, with_fold_keys, without_fold_column
from ensemble_pipe.data.row_numbers import unnamed_warning
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import Recipe
from ensemble_pipe.data.sources.checked import open_source
from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.data.tables.strays import Strays
from ensemble_pipe.data.tables.target_scaling import TargetScale
from ensemble_pipe.data.tables.targets import classes_of
from ensemble_pipe.nn.blas import one_thread
from ensemble_pipe.run import provenance
from ensemble_pipe.run.dividing import divide, facts_of, require_folds_asked_for
from ensemble_pipe.run.external_predictions import (
    SourceRows,
    append_external,
    read_external,
    save_external,
)
from ensemble_pipe.run.refit import PART as REFIT_PART
from ensemble_pipe.run.refit import refit_part
from ensemble_pipe.run.requirements import require_fit, shard_rows
from ensemble_pipe.run.transfer import first_rows, resolve_weights, save_rows
from ensemble_pipe.serving.predictions import save_arrow
from ensemble_pipe.tracking.journal import Journal
from ensemble_pipe.tracking.kinds import LearnerEntry, StartedEntry

EXAMPLE_ROWS = 3


@dataclass(frozen=True)
class Prepared:
    """Validated and split data, ready to be written.

    Attributes:
        config, plans: with every default settled for these rows.
        schema: fitted to the training part.
        data: the rows that are split.
        parts: by name, ascending places in `data`.
        official_test: the rows of an official test part; None where the test part is in `parts`.
        first_rows: (P,) for each learner that begins with weights of an earlier run.
        external: outputs (R, O) of each external member on each part, by learner.
        warning: to show to the user; None for none.
        note: on how targets are trained on; "" for as they are.
    """

    config: Pipeline
    plans: Plans
    schema: Schema
    data: LabelledRows
    parts: dict[str, Integers]
    official_test: LabelledRows | None
    first_rows: dict[int, Floats]
    external: dict[int, dict[str, Floats]]
    warning: str | None = None
    note: str = ""

    @property
    def rows(self) -> dict[str, int]:
        """The number of rows of each part."""
        tested = {} if self.official_test is None else {"test": self.official_test.count}
        return {name: len(places) for name, places in self.parts.items()} | tested


def prepare(config: Pipeline) -> Prepared:
    """Read and split the data, and fit its schema; nothing is written.

    Args:
        config: the pipeline.

    Raises:
        DataError: a file or a value is invalid, or the parts are too small.
        InputError: a component of the caller's own is not as it must be.
        ConfigError: plans or augmentations do not fit the data.
    """
    config = resolve_weights(config)
    source, test, roles = open_source(config.data)
    roles = without_fold_column(roles, config.splits.folds, source)
    roles.require_labels_for(config.task, chosen=config.classes is not None)
    data = read_labelled(source, roles, config.classes, config.task)
    classes: tuple[int | str, ...] = ()
    if config.task == "classification":
        # What has no classes is refused before it is divided.
        classes = classes_of(data.rows, data.targets, data.rows.cells(roles.labels[0]))
    data, marked = split_by_marks(data)
    official = (
        marked if test is None else read_labelled(test, roles, config.classes, config.task, classes)
    )
    official = official if config.splits.outer is None else None
    data, folds = with_fold_keys(data, roles, config.splits.folds)
    config = config.model_copy(update={"splits": config.splits.model_copy(update={"folds": folds})})
    config = settle(config, facts_of(config, data, has_test=official is not None))
    plans = make_plans(config)
    parts = divide(config, data, has_test=official is not None)
    if official is not None and (shared := shared_group(data, official)) is not None:
        raise DataError(
            f"{official.rows.where}: group {quote(shared)} stands in the training data too; leave "
            "the group column out, or name no test_path or test_where"
        )
    places = parts["train"]
    groups, keys = (
        None if values is None else values[places] for values in (data.groups, data.folds)
    )
    if folds is not None:
        require_folds_asked_for(folds, data, places, classes)
    for count in plans.fold_counts:
        require_folds(count, len(places), groups, data.rows.where)
    train = np.zeros(data.count, bool)
    train[places] = True
    with one_thread():  # more would change the last bits of whitened numbers
        schema = Schema.fit(
            data.rows, roles, config.task, train, stored_scale(config), data.targets,
            _target_scale(config, official), further_scales(config),
        )  # fmt: skip
    require_fit(config, plans.networks, schema, len(places), groups, keys)
    if official is not None:
        schema.require_rows(official.rows)
        schema.encode_targets(official.targets, schema.target_place(official.rows))
    rows = first_rows(plans, schema)
    divided, tested = SourceRows.of(source, data, parts, marked), None
    if test is not None and official is not None:
        tested = SourceRows.of(test, official, {"test": np.arange(official.count)})
    external = {p.learner: read_external(p, schema, divided, tested) for p in plans.external}
    warnings = [
        unnamed_warning(source.where, schema.feature_names),
        None if official is None else time_order_warning(data, official),
        forward_warning(folds, config.splits.refit),
    ]
    warning = "\n".join(filter(None, warnings)) or None
    note = "\n".join(
        f"{quote(target.name)} is trained on as {target.treatment}"
        for target in schema.fitted_targets
        if not target.transform.is_identity
    )
    return Prepared(config, plans, schema, data, parts, official, rows, external, warning, note)


def write_run(
    paths: RunPaths, prepared: Prepared, sources: Mapping[str, SourceFiles] | None = None
) -> None:
    """Write the files of a new run, the manifest last, which completes the run directory.

    `sources` are the files that the rows were read from, see `data.source_files`.

    Raises:
        DataError: a value is invalid.
    """
    config, plans, schema = prepared.config, prepared.plans, prepared.schema
    with one_thread():
        _write_parts(paths.base, prepared, shard_rows(config, schema))
    write_json(paths.schema, schema.to_json())
    _save_group_names(paths, prepared)
    save_external(paths.base, prepared.external)
    example = _example(plans, prepared)
    atomic_write(paths.example, lambda path: save_arrow(example, path))
    if prepared.first_rows:
        save_rows(paths, prepared.first_rows)
    atomic_write(paths.pipeline, yaml.safe_dump(resolve(config), sort_keys=False))
    # The sums of a base file stand for it: they are checked shard by shard when it is read.
    files = set(paths.base.iterdir()) - {paths.part(name) for name in (*SPLITS, REFIT_PART)}
    names = [path.relative_to(paths.root).as_posix() for path in (paths.pipeline, *files)]
    sums = sums_of(paths.root, names)
    journal = Journal(paths.journal)
    data_sums = {name: fingerprint(paths.part(name)) for name in prepared.rows}
    started = StartedEntry(paths.root.name, resolve(config), prepared.rows, data_sums)
    journal.append(started)
    for learner, plan in plans.to_dict().items():  # at one time, from which MLflow has their order
        journal.append(LearnerEntry(learner, plan, time_ms=started.time_ms))
    journal.close()
    read = dict(sources or {})
    manifest = RunManifest(provenance.environment(), paths.root.name, sums, data=read)
    write_summed_json(paths.manifest, asdict(manifest))


def recipe_of(paths: RunPaths, config: Pipeline, schema: Schema) -> Recipe:
    """Return the recipe of a run's training data."""
    sums = read_manifest(paths).sums
    folds = config.splits.folds
    parts = ("train", "stop") if folds is None else ("train",)
    base_sums = {f"{part}.json": sums[f"base/{part}.json"] for part in parts}
    return Recipe(
        paths.base, base_sums, config.seed, config.augment, schema.spans, config.window_rows, folds
    )


def _save_group_names(paths: RunPaths, prepared: Prepared) -> None:
    """Write the names of the groups of the test part, where the data names a column of them."""
    column, test = getattr(prepared.config.data, "group", None), prepared.official_test
    if column is not None and test is not None:
        save_group_names(paths, column, test, np.arange(test.count))
    elif column is not None:
        save_group_names(paths, column, prepared.data, prepared.parts["test"])


def _target_scale(config: Pipeline, official: LabelledRows | None) -> TargetScale:
    """Return the scale of the targets: without a choice where test targets have no logarithm."""
    scale = config.target.scale
    if config.task == "classification" or official is None or scale != "auto":
        return scale
    return scale if (official.targets.values > 0).all() else "standardize"


def _write_parts(folder: Path, prepared: Prepared, shard_rows: int) -> None:
    data = prepared.data
    mean = 1.0
    if data.weights is not None:
        with np.errstate(over="ignore"):
            mean = float(data.weights[prepared.parts["train"]].mean())
        if mean == 0 or not np.isfinite(mean):
            raise DataError(
                f"{data.rows.where}: the weights of the training part have a mean of {mean}; at "
                "least one must be above 0, and none near the largest number that there is"
            )
    splits, parts = prepared.config.splits, prepared.parts
    further = refit_part(parts, splits.folds) if splits.refit else {}
    with ExitStack() as stack:
        writers = [
            (stack.enter_context(base_writer(part_file(folder, name), shard_rows)), places)
            for name, places in {**parts, **further}.items()
        ]
        write_rows(data, prepared.schema, writers, mean)
    if prepared.official_test is not None:
        test = prepared.official_test
        strays = Strays()
        with base_writer(part_file(folder, "test"), shard_rows) as writer:
            write_rows(test, prepared.schema, [(writer, np.arange(test.count))], mean, strays)
        strays.warn()


def write_rows(
    data: LabelledRows,
    schema: Schema,
    writers: Sequence[tuple[BaseWriter, Integers]],
    mean_weight: float,
    strays: Strays | None = None,
) -> None:
    """Encode all rows, block by block, and give each writer those at its ascending places.

    `strays` counts what counts as missing; in the training file recognition has seen it.
    """
    label = schema.target_place(data.rows)
    for first, block in data.rows.blocks(schema.source_columns):
        here = slice(first, first + block.num_rows)
        columns: dict[str, Array] = {
            "input": schema.encode_inputs(block, data.rows.place_from(first), strays),
            "target": schema.encode_targets(data.targets[here], lambda row: label(first + row)),  # noqa: B023
            "row": data.numbers(here.start, here.stop),
        }
        if data.weights is not None:
            columns["weight"] = (data.weights[here] / mean_weight).astype(np.float32)
        if data.groups is not None:
            columns["group"] = data.groups[here]
        if data.folds is not None:
            columns["fold"] = data.folds[here]
        for writer, places in writers:
            start, stop = np.searchsorted(places, [here.start, here.stop])
            chosen = places[start:stop] - first
            if len(chosen):
                writer.append({name: values[chosen] for name, values in columns.items()})


def _example(plans: Plans, prepared: Prepared) -> pa.Table:
    """Return a few raw rows, of which external predictions are known, for MLflow."""
    part = "validation" if "validation" in prepared.parts else "train"
    wanted = prepared.parts[part][:EXAMPLE_ROWS]
    rows: Rows = prepared.data.rows
    found = []
    for first, block in rows.blocks(prepared.schema.source_columns):
        own = wanted[(wanted >= first) & (wanted < first + block.num_rows)] - first
        if len(own):
            found.append(pa.Table.from_batches([block]).take(arrow_of(own)))
        if first + block.num_rows > wanted[-1]:
            break
    outputs = {n: parts[part][:EXAMPLE_ROWS] for n, parts in prepared.external.items()}
    return append_external(pa.concat_tables(found), plans.external, outputs, prepared.schema)
