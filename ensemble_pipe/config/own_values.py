"""Values of a learner's own: which keys learners of a group, or trials of a search, may differ in.

These are the keys of some sections of the pipeline; and of the group itself what its members share.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.config.yaml_documents import Document, KeyPath
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.ensemble.strategies import Learners

SECTIONS = ("network", "training", "view", "scale", "augment", "transfer")
# Of a group with strategy shared.
OF_SHARED = ("ensemble.members", "ensemble.form")


def may_differ(path: str, group: Learners) -> bool:
    """Return whether learners of a group may differ in the key at a path."""
    return path.split(".")[0] in SECTIONS or (path in OF_SHARED and group.strategy == "shared")


def require_own(
    key: str, paths: Mapping[str, Any], group: Learners, origin: KeyPath, document: Document
) -> None:
    """Raise ConfigError where `vary` or `set` names a setting that must not differ.

    Args:
        key: "vary" or "set".
        paths: that it names.
        group: whose key it is.
        origin: of the group, in the pipeline.
        document: the source, for the lines in messages.
    """
    wrong = [path for path in paths if not may_differ(path, group)]
    if wrong:
        raise ConfigError(
            mistakes=(
                (
                    f"{'.'.join(map(str, origin))}.{key}: {path!r} cannot differ between learners; "
                    f"name keys below {named(group)}, such as training.optimizer.learning_rate",
                    document.at((*origin, key, path)),
                )
                for path in wrong
            )
        )


def named(group: Learners) -> str:
    """Return the names of the sections, and of keys, that learners of a group may differ in."""
    names = f"{', '.join(SECTIONS[:-1])} or {SECTIONS[-1]}"
    return f"{names}, or {' or '.join(OF_SHARED)}" if group.strategy == "shared" else names


def shared_values(group: Learners, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the strategy of a group whose members share weights, where values change what."""
    if not any(path in values for path in OF_SHARED):
        return {}
    return {
        "ensemble.strategy": group.strategy,
        "ensemble.members": group.members,
        "ensemble.form": group.form,
    }


def own_group(group: Learners, own: Pipeline) -> Learners:
    """Return a group with what the pipeline of a learner of its own says of shared members."""
    if group.strategy != "shared" or own.ensemble.strategy != "shared":
        return group
    return replace(group, members=own.ensemble.members, form=own.ensemble.form)
