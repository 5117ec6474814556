"""The refined pipeline of a finished search: a space around its best trials, trained longer.

From coarse to fine, as Stanford CS231n has it: a search of few epochs over wide ranges comes first,
then one of more epochs over what was best. It is a function of the finished search alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, log10
from typing import Any

import yaml

from ensemble_pipe.config.conversion import resolve
from ensemble_pipe.config.search_settings import RANGES, Parameter, Search
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.config.yaml_documents import Document
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.messages import printable
from ensemble_pipe.search.planning import OF_LEARNERS, OF_TRIALS, require_search
from ensemble_pipe.search.spaces import parameters_of, share_of
from ensemble_pipe.search.trials import Trial, best_first

Values = Mapping[str, Any]

EPOCHS = "training.epochs"
LONGER = 2.0  # times as many epochs, by default
# Of the trials, the share that the space is narrowed to; of a range, what is added on each side.
BEST, MARGIN = 0.25, 0.1
_AT_BOUND = 0.02
_DIGITS, _WIDTH = 3, 100
_MOST_EPOCHS = 10_000_000
_OF_COMBINE = ("keep", "most_members", "evidence")


@dataclass(frozen=True)
class Refined:
    """A refined search.

    Attributes:
        document: its pipeline.
        about: what was done to the search, in lines.
    """

    document: Document
    about: tuple[str, ...]

    def with_overrides(self, overrides: dict[str, Any]) -> "Refined":
        """Return it with values set by path."""
        return replace(self, document=self.document.with_overrides(overrides))

    def text(self, *, whole: bool) -> str:
        """Return the text of its pipeline, the search first; or, of not the whole, that alone."""
        values = dict(self.document.data)
        lines = [f"# {line}" for line in self.about]
        lines.append(_dumped({"search": values.pop("search")}))
        if whole:
            lines += ["", "# All else is as it was there.", _dumped(values)]
        return "\n".join(lines) + "\n"


def refined(config: Pipeline, trials: Sequence[Trial], longer: float, source: str) -> Refined:
    """Return the refined search of a finished one.

    Args:
        config: pipeline of the finished search, with its trials.
        trials: of the search.
        longer: how many times as many epochs.
        source: where the finished search is.

    Raises:
        ConfigError: no trial has a score, or `longer` is not 1 or more.
    """
    search = require_search(config)
    if not 1 <= longer <= _MOST_EPOCHS:
        raise ConfigError(f"--longer {longer:g}: must be 1 or more, times as many epochs")
    best = best_first(trials, search.metric)[: max(1, ceil(BEST * len(trials)))]
    if not best:
        raise ConfigError(f"{source}: no trial has a score, so there is nothing to refine")
    values = resolve(config)
    section = values["search"]
    first = [_longer(trial.values, longer) for trial in best]
    about = [
        f"The search of {printable(source)}, refined: around the best {len(best)} of its "
        f"{len(trials)} trials,",
        f"which come first again, and trained for {longer:g} times as many epochs.",
    ]
    if search.nested is not None:
        section["nested"] = None
        about.append("Without nested cross-validation, since its outer folds have been seen here.")
    if isinstance(search.space, tuple):
        section["space"] = first
    else:
        space = _narrowed(search, [trial.values for trial in best], longer)
        section |= {"space": {path: _plain(one) for path, one in space.items()}, "first": first}
        about += _at_bounds(parameters_of(search), best[0].values)
    values["training"]["epochs"] = _times(values["training"]["epochs"], longer)
    values["ensemble"] = without_trials(values["ensemble"], search)
    return Refined(Document(f"{source}, refined", values), tuple(about))


def _narrowed(search: Search, best: Sequence[Values], longer: float) -> dict[str, Parameter]:
    """Return the hyperparameters that the best trials have, with values around theirs."""
    found: dict[str, Parameter] = {}
    for path, one in parameters_of(search).items():
        own = [values[path] for values in best if path in values]
        if not own:
            continue
        narrow = _around(one, own)
        conditions = {
            other: [value for value in allowed if value in (found[other].choices or allowed)]
            for other, allowed in one.conditions.items()
        }
        narrow = replace(narrow, when=conditions or None)
        found[path] = narrow
    return _longer_space(found, longer)


def _around(parameter: Parameter, own: Sequence[Any]) -> Parameter:
    """Return a hyperparameter narrowed to what is around some of its values."""
    if parameter.choices is not None:
        return Parameter(choices=tuple(one for one in parameter.choices if one in own))
    low, high = parameter.bounds or (0.0, 1.0)
    if parameter.log_uniform is not None:
        factor = (high / low) ** MARGIN
        return Parameter(log_uniform=_rounded(min(own) / factor, max(own) * factor, low, high))
    margin = MARGIN * (high - low)
    below, above = min(own) - margin, max(own) + margin
    if parameter.integer is None:
        return Parameter(uniform=_rounded(below, above, low, high))
    first, last = max(int(low), floor(below)), min(int(high), ceil(above))
    return Parameter(integer=(first, last))


def _rounded(below: float, above: float, low: float, high: float) -> tuple[float, float]:
    """Return bounds of few digits that hold a range, within those that it had."""
    down, up = _places(below if below > 0 else above - below), _places(above - below)
    return (
        max(low, round(floor(below * 10**down) / 10**down, max(down, 0))),
        min(high, round(ceil(above * 10**up) / 10**up, max(up, 0))),
    )


def _places(size: float) -> int:
    """Return how many decimal places give a number of this size its few digits."""
    return _DIGITS - 1 - floor(log10(size))


def _longer_space(space: Mapping[str, Parameter], longer: float) -> dict[str, Parameter]:
    """Return a space in which numbers of epochs, and what depends on them, are larger."""
    found = dict(space)
    epochs = found.get(EPOCHS)
    if epochs is None:
        return found
    if epochs.choices is not None:
        choices = tuple(_times(value, longer) for value in epochs.choices)
        found[EPOCHS] = replace(epochs, choices=choices)
    elif epochs.integer is not None:
        low, high = epochs.integer
        found[EPOCHS] = replace(epochs, integer=(_times(low, longer), _times(high, longer)))
    return {
        path: replace(one, when=one.when and _longer(one.when, longer))
        for path, one in found.items()
    }


def _longer(values: Values, longer: float) -> dict[str, Any]:
    """Return values of a trial, or conditions, with so many times as many epochs."""
    return {
        path: _times(value, longer) if path == EPOCHS else value for path, value in values.items()
    }


def _times(epochs: Any, longer: float) -> Any:
    if isinstance(epochs, list):
        return [_times(value, longer) for value in epochs]
    return round(epochs * longer)


def _at_bounds(parameters: Mapping[str, Parameter], best: Values) -> Iterator[str]:
    """Yield a line for each range at whose bounds the best trial is."""
    for path, value in best.items():
        if parameters[path].choices is None:
            share = share_of(parameters[path], value)
            if not _AT_BOUND < share < 1 - _AT_BOUND:
                yield f"{path}: the best, {value:.3g}, is at a bound; better may lie beyond it."


def _plain(parameter: Parameter) -> Any:
    """Return a hyperparameter as a pipeline file has it."""
    if parameter.when is None and parameter.choices is not None:
        return list(parameter.choices)
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name in ("choices", *RANGES, "when")
        if (value := getattr(parameter, name)) is not None
    }


def without_trials(ensemble: dict[str, Any], search: Search) -> dict[str, Any]:
    """Return the section `ensemble` of a search before it had trials."""
    combine = {name: one for name, one in ensemble["combine"].items() if name not in _OF_COMBINE}
    if search.ensemble != "top":
        del combine["method"]
    kept = {name: one for name, one in ensemble.items() if name not in OF_LEARNERS}
    first = ensemble["pool"][0] if ensemble["pool"] else ensemble
    if first["strategy"] == "shared":
        kept |= {name: first[name] for name in OF_TRIALS}
    return kept | {"combine": combine}


def _dumped(values: Any) -> str:
    text: str = yaml.safe_dump(
        values, sort_keys=False, default_flow_style=None, allow_unicode=True, width=_WIDTH
    )
    return text.rstrip("\n")
