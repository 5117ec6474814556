"""Growth of a run: adding learners after it has started.

The change is first written to growth.json and then applied, so that after a kill in between the
next command can complete it.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import yaml

from ensemble_pipe.config.conversion import resolve
from ensemble_pipe.config.plans import Plans, make_plans
from ensemble_pipe.config.reading import read_pipeline
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.config.yaml_documents import Document
from ensemble_pipe.core.documents import read_json
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.storage import (
    RunPaths,
    atomic_write,
    read_manifest,
    sums_of,
    write_summed_json,
)
from ensemble_pipe.data.base import open_base, read_schema
from ensemble_pipe.ensemble.strategies import ExternalPredictions, Group
from ensemble_pipe.run.requirements import require_fit, require_space
from ensemble_pipe.run.transfer import first_rows, kept_rows, save_rows
from ensemble_pipe.tracking.journal import Journal, read_entries
from ensemble_pipe.tracking.kinds import GrownEntry, LearnerEntry, SparedEntry
from ensemble_pipe.training.estimator_settings import MOST_LEARNERS


@dataclass(frozen=True)
class _Growth:
    """The contents of growth.json: the new pipeline of a run."""

    pipeline: dict[str, Any]


def add_learners(config: Pipeline, learners: int) -> Pipeline:
    """Return a pipeline with more learners in its last group, which keeps all other ids.

    Where predictions from a file come last, there is a further group behind them, like the last one
    that is trained.

    Raises:
        ConfigError: there are fewer than one more, or the last group cannot have more.
    """
    if learners < 1:
        raise ConfigError(f"--learners {learners}: at least 1 is to be added")
    ensemble = config.ensemble
    trained = [group for group in ensemble.groups if not isinstance(group, ExternalPredictions)]
    if not trained:
        raise ConfigError(
            "ensemble.pool: holds only predictions from files, so nothing can grow; begin a run "
            "with a group that is trained"
        )
    last = trained[-1]
    if last.leaves_folds_out:
        raise ConfigError(
            "ensemble: with more learners cross-validation would have other folds, so all would "
            "have to be trained anew; start another run"
        )
    more = last.learners + learners
    if ensemble.size + learners > MOST_LEARNERS:
        raise ConfigError(
            f"--learners {learners}: the run has {ensemble.size:,}, and no run has more than "
            f"{MOST_LEARNERS:,}; {MOST_LEARNERS - ensemble.size:,} can be added"
        )
    if ensemble.pool is None:
        return config.model_copy(update={"ensemble": replace(ensemble, learners=more)})
    pool: tuple[Group, ...] = (*ensemble.pool[:-1], replace(last, learners=more))
    if last is not ensemble.pool[-1]:
        pool = (*ensemble.pool, replace(last, learners=learners))
    return config.model_copy(update={"ensemble": replace(ensemble, pool=pool)})


def write_growth(paths: RunPaths, config: Pipeline) -> None:
    """Change a run's pipeline to one that differs in the number of learners.

    Raises:
        ConfigError: the run did not train all of the learners that it has.
    """
    if any(isinstance(entry, SparedEntry) for entry in read_entries(paths.journal)):
        raise ConfigError(
            "ensemble.stop_below_gain: ended this run, since a further learner gained too little; "
            "more would not be trained either; start a run without it"
        )
    plans, schema = make_plans(config), read_schema(paths)
    # What cannot be trained, and a source that is gone, are noticed before anything is changed.
    require_fit(config, plans.networks, schema, open_base(paths.part("train")).table.num_rows)
    require_space(plans.networks, schema, paths.root, refit=config.splits.refit)
    first_rows(plans, schema, known=kept_rows(paths))
    write_summed_json(paths.growth, {"pipeline": resolve(config)})
    finish_growth(paths)


def finish_growth(paths: RunPaths) -> None:
    """Apply growth.json, where there is one; applying it twice changes nothing."""
    if not paths.growth.exists():
        return
    growth = read_json(paths.growth, _Growth)
    config, plans = read_pipeline(Document(str(paths.growth), growth.pipeline))
    atomic_write(paths.pipeline, yaml.safe_dump(resolve(config), sort_keys=False))
    names = [paths.pipeline.name]
    kept = kept_rows(paths)
    rows = first_rows(plans, read_schema(paths), known=kept)
    if rows:
        save_rows(paths, kept | rows)
        names.append(paths.first_rows.relative_to(paths.root).as_posix())
    manifest = read_manifest(paths)
    sums = manifest.sums | sums_of(paths.root, names)
    write_summed_json(paths.manifest, asdict(replace(manifest, sums=sums)))
    _journal_growth(paths, config, plans)
    paths.growth.unlink()


def _journal_growth(paths: RunPaths, config: Pipeline, plans: Plans) -> None:
    """Journal the new learners."""
    entries = read_entries(paths.journal)
    known = {entry.learner for entry in entries if isinstance(entry, LearnerEntry)}
    learners = plans.to_dict()
    journal = Journal(paths.journal)
    grown = GrownEntry(len(learners), resolve(config)["ensemble"])
    for learner in sorted(learners.keys() - known):  # see `preparation`
        journal.append(LearnerEntry(learner, learners[learner], time_ms=grown.time_ms))
    journal.append(grown)
    journal.close()
