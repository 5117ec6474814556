"""Step 7: what to change, as paths in a pipeline, as YAML to paste, and as another pipeline."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import yaml

from ensemble_pipe.config.conversion import resolve, validate
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.config.yaml_documents import Document
from ensemble_pipe.data.sources import SOURCES
from ensemble_pipe.search.checks.findings import DATA, Step, warnings_of

# What several findings add to; of other keys the first counts.
_LISTS = ("data.ignore",)


def changes_of(steps: Sequence[Step], config: Pipeline) -> dict[str, Any]:
    """Return the changes that warnings suggest, by path, where the pipeline has such keys.

    What the pipeline has set already is none.

    Beside the data only the first step that suggests one counts: those after it judge a pipeline
    that had this fault, and are to be taken again.
    """
    changes: dict[str, Any] = {}
    settled = resolve(config)
    for step in steps:
        for finding in warnings_of([step]):
            for path, value in finding.change.items():
                if not _has(config, path) or _at(settled, path) == value:
                    continue
                if path in _LISTS:
                    before = changes.get(path, [*getattr(config.data, "ignore", ())])
                    changes[path] = [*dict.fromkeys([*before, *value])]
                else:
                    changes.setdefault(path, value)
        if changes and step.title != DATA:
            break
    return changes


def changed(config: Pipeline, changes: Mapping[str, Any]) -> Pipeline:
    """Return a settled pipeline with some changes.

    Raises:
        ConfigError: a change does not fit the rest.
    """
    document = Document("the suggested pipeline", resolve(config))
    return validate(document.with_overrides(dict(changes)))


def yaml_of(changes: Mapping[str, Any]) -> str:
    """Return changes as YAML to paste into a pipeline.

    >>> print(yaml_of({"training.epochs": 8, "training.optimizer.l2": 0.1}))
    training:
      epochs: 8
      optimizer: {l2: 0.1}
    """
    nested: dict[str, Any] = {}
    for path, value in changes.items():
        *above, last = path.split(".")
        place = nested
        for key in above:
            place = place.setdefault(key, {})
        place[last] = value
    text = yaml.safe_dump(nested, sort_keys=False, default_flow_style=None, allow_unicode=True)
    return text.rstrip("\n")


def _at(settled: Any, path: str) -> Any:
    """Return the value at a path of a pipeline; None where there is none."""
    for key in path.split("."):
        settled = settled.get(key) if isinstance(settled, Mapping) else None
    return settled


def _has(config: Pipeline, path: str) -> bool:
    """Return whether a pipeline has a key, which its network or data source may lack."""
    section, _, key = path.partition(".")
    if section == "network":
        return key in {field.name for field in fields(config.network)}
    if section == "data":
        return key in {field.name for field in fields(SOURCES[config.data.source])}
    return True
