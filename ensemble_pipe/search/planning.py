"""Plans of a search: each trial as learners of the run, and what is wrong with a search."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ensemble_pipe.config.own_values import OF_SHARED, may_differ, named
from ensemble_pipe.config.plans import Plans, make_plans
from ensemble_pipe.config.search_settings import BATCH, MEANS_OVER_ROWS, METRICS, Search
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.config.yaml_documents import Document, KeyPath
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.messages import quote
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.combining import Combine
from ensemble_pipe.ensemble.strategies import OF_A_GROUP, Group, Learners
from ensemble_pipe.run.requirements import require_fit
from ensemble_pipe.run.transfer import first_rows
from ensemble_pipe.search.spaces import (
    NO_ORDER,
    Parameters,
    can_have,
    ends,
    grid_size,
    is_counted,
    misplaced,
    mistake_in,
    needed_for,
    parameters_of,
    tried,
)
from ensemble_pipe.search.trials import TrialLearners
from ensemble_pipe.training.estimator_settings import MOST_LEARNERS

Mistake = tuple[str, str]
Values = Mapping[str, Any]

TRIALS = 32  # where a pipeline does not say how many
OF_LEARNERS = (*OF_A_GROUP, "vary", "set", "pool", "preset", "stop_below_gain")
# Those of them that say what the learners of a trial are, where their members share weights.
OF_TRIALS = ("strategy", "members", "form")


def require_search(config: Pipeline) -> Search:
    """Return the search of a pipeline; raise ConfigError where it has none."""
    if config.search is None:
        raise ConfigError(
            "search: is missing; name a space, such as {space: table}, on the command line "
            "--set search.space=table, or use `ensemble-pipe run`"
        )
    return config.search


def with_trials(config: Pipeline, trials: Sequence[Values]) -> Pipeline:
    """Return a pipeline in which each trial is a group of learners."""
    learners = TrialLearners.of(config.splits.folds).count
    like = trial_kind(config)
    return config.with_pool(
        tuple(group_of(values, learners, like) for values in trials), _combine(config)
    )


def trial_kind(config: Pipeline) -> Learners:
    """Return what the learners of every trial are: networks, or members that share weights."""
    first = config.ensemble.groups[0]
    if not isinstance(first, Learners) or first.strategy != "shared":
        return Learners()
    return Learners(strategy="shared", members=first.members, form=first.form)


def group_of(values: Values, learners: int, like: Learners) -> Group:
    """Return a group of learners of some kind with the values of a trial."""
    return replace(like, learners=learners, set=dict(values))


def _combine(config: Pipeline) -> Combine:
    """Return how the trials that are chosen are combined."""
    search, combine = require_search(config), config.ensemble.combine
    if search.ensemble == "top":
        return combine
    return replace(combine, method="greedy", most_members=search.top)


def plan_trials(
    config: Pipeline, trials: Sequence[Values], document: Document
) -> tuple[Pipeline, Plans]:
    """Return a pipeline with its trials, and their plans.

    Args:
        config: with a search.
        trials: values of each.
        document: the source of the pipeline, for the lines in messages.

    Raises:
        ConfigError: the values of a trial do not go together.
    """
    whole = with_trials(config, trials)
    return whole, make_plans(whole, _with_lines(document, trials, config))


def require_valid(config: Pipeline, document: Document) -> None:
    """Check a search: its settings, and every choice and bound of its space.

    Raises:
        ConfigError: lists every mistake, with its line.
    """
    search = require_search(config)
    mistakes = [
        (f"{'.'.join(map(str, path))}: {text}", document.at(path))
        for path, text in _conflicts(config, search)
    ]
    if mistakes:
        raise ConfigError(mistakes=mistakes)
    make_plans(with_trials(config, [{}]), document)
    found: dict[str, str] = {}  # the place of each mistake; many trials may have the same
    for place, path, values in _tried(search):
        for text, where in _mistakes_of(config, values, path, place, document):
            found.setdefault(text, where)
    if found:
        raise ConfigError(mistakes=list(found.items()))


def require_space_fits(config: Pipeline, schema: Schema, rows: int) -> None:
    """Check every choice and bound of a search against the data, as its first trials are.

    Args:
        config: with a search.
        schema: of the data.
        rows: of the training part.

    Raises:
        ConfigError: one does not fit them.
    """
    trials = [values for _, _, values in _tried(require_search(config))]
    plans = make_plans(with_trials(config, trials))
    for plan in plans.networks:
        require_fit(config, [plan], schema, rows)
    first_rows(plans, schema)


def _tried(search: Search) -> Iterator[tuple[KeyPath, str, Values]]:
    """Yield the values of trials that try a space, their place in the pipeline, and what they try.

    All choices and bounds are tried, of a list of trials every one, which tries nothing by itself.
    """
    if isinstance(search.space, tuple):
        for number, values in enumerate(search.space):
            yield ("search", "space", number), "", values
    else:
        for path, values in tried(parameters_of(search)):
            yield ("search", "space"), path, values


def _conflicts(config: Pipeline, search: Search) -> Iterator[tuple[KeyPath, str]]:
    """Yield the path of each setting that a search cannot go with, and why."""
    shared = config.ensemble.strategy == "shared"
    for name in OF_LEARNERS:
        if f"ensemble.{name}" in config.given and not (shared and name in OF_TRIALS):
            text = "the trials of a search are its learners; leave it out"
            yield ("ensemble", name), f"{text}, or the whole section, by ensemble={{}}"
    for name in ("keep", "most_members", "evidence"):
        if f"ensemble.combine.{name}" in config.given:
            yield ("ensemble", "combine", name), "search.top says how many; leave it out"
    if search.ensemble != "top" and "ensemble.combine.method" in config.given:
        text = f"search.ensemble: {search.ensemble} selects greedily; leave one of them out"
        yield ("ensemble", "combine", "method"), text
    if shared and search.ensemble != "top":
        text = (
            f"{search.ensemble} selects single members, and a trial with strategy shared has "
            "several; take top"
        )
        yield ("search", "ensemble"), text
    if search.batch != BATCH and search.driver not in ("tpe", "gp"):
        text = f"{search.driver} knows all of its trials at once; leave it out, or take tpe or gp"
        yield ("search", "batch"), text
    if search.metric not in METRICS[config.task]:
        valid = ", ".join(METRICS[config.task])
        yield ("search", "metric"), f"{search.metric} is not for {config.task}; valid: {valid}"
    if search.nested is not None and config.splits.outer is not None:
        yield ("splits", "outer"), "search.nested takes each outer fold in turn; leave it out"
    if search.nested is not None and config.time_limit is not None:
        text = "search.nested takes as long as so many searches more; leave one of them out"
        yield ("time_limit",), text
    has_error = config.splits.folds is not None or search.metric in MEANS_OVER_ROWS
    if search.choose == "one_standard_error" and not has_error:
        text = (
            f"one_standard_error needs a standard error, and {search.metric} has none without "
            f"splits.folds; take folds, or another metric, such as nll"
        )
        yield ("search", "choose"), text
    if isinstance(search.space, tuple):
        yield from _size_conflicts(config, search, len(search.space))
        return
    wrong = misplaced(search)
    yield from ((("search", "space", path, "when"), NO_ORDER) for path in wrong)
    if not wrong:
        yield from _space_conflicts(config, search, parameters_of(search))
        yield from _first_conflicts(search, parameters_of(search))


def _space_conflicts(
    config: Pipeline, search: Search, parameters: Parameters
) -> Iterator[tuple[KeyPath, str]]:
    if search.driver == "grid":
        for path, one in parameters.items():
            if not is_counted(one):
                text = f"a grid takes no range of numbers; list them, such as {list(ends(one))}"
                yield ("search", "space", path), text
        yield from _size_conflicts(config, search, grid_size(parameters))
    else:
        yield from _size_conflicts(config, search, search.trials or TRIALS)
    for path in parameters:
        unmet = _never_met(parameters, path)
        if unmet is not None:
            yield ("search", "space", path, "when"), unmet


def _never_met(parameters: Parameters, path: str) -> str | None:
    """Return why no trial meets what a hyperparameter depends on; None where some do."""
    for other, allowed in parameters[path].conditions.items():
        unknown = [value for value in allowed if not can_have(parameters[other], value)]
        if unknown:
            return f"{quote(unknown[0])} is no choice of {other}" + (
                "" if is_counted(parameters[other]) else ", which is a range of numbers; list them"
            )
    excluded = [other for other, left in needed_for(parameters, path).items() if not left]
    if excluded:
        return f"no trial meets it, since what it names needs another value of {excluded[0]}"
    return None


def _first_conflicts(search: Search, parameters: Parameters) -> Iterator[tuple[KeyPath, str]]:
    """Yield what is wrong with the trials that come first, which are to be of the space."""
    trials, count = search.trials or TRIALS, len(search.first)
    if search.driver != "grid" and count > trials:
        yield ("search", "first"), f"has {count:,} trials, but search.trials is {trials:,}"
    for number, values in enumerate(search.first):
        for path in sorted(parameters.keys() | values.keys()):
            text = mistake_in(parameters, path, values)
            if text is not None:
                yield ("search", "first", number), f"{path}: {text}"


def _size_conflicts(config: Pipeline, search: Search, trials: int) -> Iterator[tuple[KeyPath, str]]:
    again = search.top * (search.top - 1) if search.ensemble == "hyper_deep" else 0
    folds = TrialLearners.of(config.splits.folds).count
    if (trials + again) * folds > MOST_LEARNERS:
        text = f"{trials:,} trials" + (f" and {again:,} further initialisations" if again else "")
        each = f", each of {folds:,} folds," if folds > 1 else ""
        yield ("search",), f"{text}{each} are more than a run can have, {MOST_LEARNERS:,}"


def _mistakes_of(
    config: Pipeline, values: Values, tried_path: str, place: KeyPath, document: Document
) -> Iterator[Mistake]:
    """Yield what is wrong with the values of a trial, with their lines in the space."""
    kind = trial_kind(config)
    alike = [path for path in values if not may_differ(path, kind)]
    for path in alike:
        text = (
            f"search.space: {quote(path)} cannot differ between trials, which share the rows as "
            f"they are encoded; name keys below {named(kind)}"
        )
        if path in OF_SHARED:
            text = f"search.space: {quote(path)} is for ensemble.strategy: shared; set that"
        yield text, document.at((*place, path))
    if alike:
        return
    try:
        make_plans(with_trials(config, [values]))
    except ConfigError as error:
        for text, _ in error.mistakes:
            if not text.startswith("ensemble.") or text.startswith(OF_SHARED):
                path = _named(text, values) or tried_path
                yield text, document.at((*place, path) if path else place)


def _named(text: str, values: Values) -> str:
    """Return which of the values of a trial a message begins with, or ""."""
    key = text.partition(": ")[0]
    return max((path for path in values if f"{key}.".startswith(f"{path}.")), key=len, default="")


def _with_lines(document: Document, trials: Sequence[Values], config: Pipeline) -> Document:
    """Return a document in which the values of trials have the lines of the space."""
    space = require_search(config).space
    lines = dict(document.lines)
    for number, values in enumerate(trials):
        for path in values:
            place: KeyPath = ("search", "space", path)
            if isinstance(space, tuple):
                place = ("search", "space", number, path)
            above = [place[:length] for length in range(len(place), 0, -1)]
            known = next((step for step in above if step in lines), None)
            if known is not None:
                lines["ensemble", "pool", number, "set", path] = lines[known]
    return replace(document, lines=lines)
