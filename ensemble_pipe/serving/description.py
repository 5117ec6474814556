"""What a model is, in one line: its task, targets, inputs and members."""

from collections import Counter
from collections.abc import Sequence

from ensemble_pipe.core.messages import printable, quote, truncate
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.members import Member

_SHOWN = 5


def describe(schema: Schema, members: Sequence[Member]) -> str:
    """Return what is predicted, from what, and by which members.

    Such as "classification of 'species' (3 classes: a, b, c) from 4 columns (w, x, y, z) by 5
    members (5 mlp)".
    """
    what = _first([quote(name) for name in schema.target_names])
    if schema.task == "classification":
        what += f" ({len(schema.classes)} classes: {_first(schema.classes)})"
    names = schema.feature_names
    source = f"{len(names)} column{'s' * (len(names) != 1)} ({_first(names)})"
    if schema.is_image:
        source = f"images of {' x '.join(map(str, schema.input_shape))}"
    kinds = Counter(member.kind for member in members)
    by = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    members_ = f"{len(members)} member{'s' * (len(members) != 1)}"
    return f"{schema.task} of {what} from {source} by {members_} ({by})"


def _first(names: Sequence[object]) -> str:
    shown = ", ".join(truncate(printable(str(name))) for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown}, ..."
