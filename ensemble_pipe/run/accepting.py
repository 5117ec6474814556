"""Going on with a run although something differs from when it began.

A run goes on with other settings where what it keeps can bear them: its base (the rows as they were
read, divided, encoded and shuffled), its learners with their checkpoints, and its MLflow run. The
rest is made anew from these.
"""

from collections.abc import Iterator
from dataclasses import asdict, replace

import yaml

from ensemble_pipe.config.conversion import resolve
from ensemble_pipe.config.plans import Plans, make_plans
from ensemble_pipe.config.sections import Transfer
from ensemble_pipe.core.errors import RunDirectoryError
from ensemble_pipe.core.messages import shell_word
from ensemble_pipe.core.run_manifest import Accepted, RunManifest
from ensemble_pipe.core.storage import RunPaths, atomic_write, sums_of, write_summed_json
from ensemble_pipe.data.base import open_base, read_schema
from ensemble_pipe.run import provenance
from ensemble_pipe.run.requirements import require_fit
from ensemble_pipe.run.transfer import fresh_of
from ensemble_pipe.run.unchanged import (
    ACCEPT,
    ACCEPT_ENVIRONMENT,
    Differences,
    Edited,
    find_differences,
    listed,
)
from ensemble_pipe.tracking.cursor import Cursor
from ensemble_pipe.tracking.journal import Journal, read_entries
from ensemble_pipe.tracking.kinds import AcceptedEntry
from ensemble_pipe.training.checkpoints import list_checkpoints
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.replanning import obstacle

_OF_BASE = (
    "seed", "task", "data", "classes", "splits", "shard_rows", "window_rows", "scale", "target",
)  # fmt: skip
_OF_MLFLOW = ("tracking.uri", "tracking.experiment", "tracking.tags", "tracking.parent_run")
# What is about no trial of a search.
_OF_NO_TRIAL = ("name", "ensemble.combine", "ensemble.decide", "cluster", "tracking", "time_limit")


def require_accepted(paths: RunPaths, accept: bool) -> Differences:
    """Return what differs from when a run began, where that is accepted and can be borne.

    Args:
        paths: of a run that no other process drives.
        accept: whether to go on although something differs.

    Raises:
        RunDirectoryError: something differs, and is not accepted, or what the run keeps cannot bear
            it; the message lists all that differs.
        CorruptFileError: as `find_differences` does.
        ConfigError: the changed pipeline does not fit the data.
    """
    found = find_differences(paths)
    require_bearable(paths, found)
    if found.lines and not accept:
        raise RunDirectoryError(f"{listed(paths, found)}\n{_advice(paths, found)}")
    return found


def require_bearable(paths: RunPaths, found: Differences) -> None:
    """Raise RunDirectoryError where what a run keeps cannot bear what differs."""
    if found.edited is None:
        return
    refused: dict[str, str] = {}
    for setting, why in _obstacles(paths, found.edited, found.manifest):
        refused.setdefault(setting, why)
    if refused:
        reasons = "\n  ".join(f"{setting}: {why}" for setting, why in refused.items())
        raise RunDirectoryError(
            f"{listed(paths, found)}\nwhat it keeps cannot go on with this:\n  {reasons}\n"
            "change these back in pipeline.yaml, or begin another run: "
            f"`ensemble-pipe run {shell_word(paths.pipeline)}`"
        )


def _advice(paths: RunPaths, found: Differences) -> str:
    lines = [ACCEPT_ENVIRONMENT if found.environment else ACCEPT]
    if found.data:
        lines.append("it goes on with the rows that it has read, which are kept in base/")
    if found.edited is not None:
        lines.append(
            "to go on as it began, change pipeline.yaml back; with these settings from the start: "
            f"`ensemble-pipe run {shell_word(paths.pipeline)}`"
        )
    return "\n".join(lines)


def _obstacles(paths: RunPaths, edited: Edited, manifest: RunManifest) -> Iterator[tuple[str, str]]:
    """Yield each setting that cannot change, and why."""
    changed = [setting.path for setting in edited.settings]
    is_search = edited.then.search is not None or edited.now.search is not None
    is_in_mlflow = Cursor.load(paths.cursor).parent is not None
    is_whole = True
    for path in changed:
        if any(_overlap(path, one) for one in _OF_BASE):
            yield path, "the rows in base/, or their order, follow from it"
        elif is_search and not any(_overlap(path, one) for one in _OF_NO_TRIAL):
            yield path, "the trials of a search are compared under the same settings"
        elif is_in_mlflow and any(_overlap(path, one) for one in _OF_MLFLOW):
            yield path, "the run has begun in MLflow with it"
        else:
            continue
        is_whole = False
    if is_whole:
        yield from _of_learners(paths, edited, manifest.run_id)


def _of_learners(paths: RunPaths, edited: Edited, run_id: str) -> Iterator[tuple[str, str]]:
    """Yield why learners do not go on, by setting; raise ConfigError where settings do not fit."""
    then, now = make_plans(edited.then), make_plans(edited.now)
    if _sorts(then) != _sorts(now) or then.fold_groups != now.fold_groups:
        more = f"`ensemble-pipe grow {shell_word(paths.root)} --learners N` adds some"
        yield "ensemble", f"it has other learners, of other sorts or numbers, by this; {more}"
        return
    if [plan.settings for plan in then.external] != [plan.settings for plan in now.external]:
        yield "ensemble.pool", "the predictions that are read from files are kept in base/"
    rows, schema = open_base(paths.part("train")).table.num_rows, read_schema(paths)
    require_fit(edited.now, now.networks, schema, rows)
    for before, after in zip(then.networks, now.networks, strict=True):
        old, transfer = (plans.transfers.get(after.learner) for plans in (then, now))
        if _weights(old) != _weights(transfer):
            yield "transfer", f"the weights that learner {after.learner} begins with are in base/"
            continue
        if transfer is not None:
            fresh_of(transfer, after.build(schema), after)
        if repr(before) != repr(after):
            found = _of_network(paths, before, after, run_id, rows, transfer is not None)
            if found is not None:
                yield found
    for first, new in zip(then.estimators, now.estimators, strict=True):
        learner = new.learner
        if first != new and paths.estimator(learner, ".json").exists():
            yield "ensemble", f"learner {learner} is fitted already, by the old settings"


def _of_network(
    paths: RunPaths,
    before: LearnerPlan,
    now: LearnerPlan,
    run_id: str,
    rows: int,
    is_transferred: bool,
) -> tuple[str, str] | None:
    """Return why a network does not go on by another plan, with the setting; None where it does."""
    if before.scale != now.scale:
        return "scale", "the rows in base/ are encoded by it"
    if list_checkpoints(paths.refitted, now.learner):
        return "splits.refit", f"learner {now.learner} is trained again by the old settings already"
    saved = list_checkpoints(paths, now.learner, run_id)
    if not (saved or is_transferred):
        return None
    return obstacle(before, now, saved, rows)


def _weights(transfer: Transfer | None) -> tuple[object, ...]:
    """Return what decides the weights that a learner begins with."""
    return () if transfer is None else (transfer.weights, transfer.fresh)


def _sorts(plans: Plans) -> tuple[list[int], list[int], list[int]]:
    """Return the learners of each sort: networks, estimators, predictions from files."""
    kinds = (plans.networks, plans.estimators, plans.external)
    networks, estimators, external = ([plan.learner for plan in kind] for kind in kinds)
    return networks, estimators, external


def _overlap(path: str, other: str) -> bool:
    """Whether one path is the other, or lies within it."""
    return f"{path}.".startswith(f"{other}.") or f"{other}.".startswith(f"{path}.")


def record(paths: RunPaths, found: Differences) -> None:
    """Record what is accepted: in the journal, then in the manifest, which completes it.

    After a kill in between, what the manifest lacks differs still, and is accepted once more; the
    manifest has then both from the journal.
    """
    sums = found.manifest.sums
    if found.edited is not None:
        text = yaml.safe_dump(resolve(found.edited.now), sort_keys=False)
        atomic_write(paths.pipeline, text)
        sums = sums | sums_of(paths.root, [paths.pipeline.name])
    journal = Journal(paths.journal)
    journal.append(_entry(found))
    journal.close()
    accepted = (one for one in read_entries(paths.journal) if isinstance(one, AcceptedEntry))
    manifest = replace(
        found.manifest,
        sums=sums,
        environment=provenance.environment(),
        accepted=[Accepted(one.time_ms, one.changes) for one in accepted],
        data=found.manifest.data | {setting: state for setting, (_, state) in found.data.items()},
    )
    write_summed_json(paths.manifest, asdict(manifest))


def _entry(found: Differences) -> AcceptedEntry:
    """Return the journal entry of what is accepted."""
    if found.edited is None:
        return AcceptedEntry(found.lines)
    then, now = (make_plans(one) for one in (found.edited.then, found.edited.now))
    before, after = (_by_learner(plans) for plans in (then, now))
    plans = now.to_dict()
    own = {str(n): plans[n] for n, plan in after.items() if plan != before[n]}
    return AcceptedEntry(found.lines, resolve(found.edited.now), own)


def _by_learner(plans: Plans) -> dict[int, str]:
    """Return all that decides the training of each learner, by learner."""
    networks = {plan.learner: repr(plan) for plan in plans.networks}
    return networks | {plan.learner: repr(plan) for plan in plans.estimators}
