"""Which tensors move, and how fast: learning-rate factors by name pattern.

Patterns are those of the shell (fnmatch), such as "conv2d*" or "dense1/kernel"; the last one that
fits a tensor counts. A factor of 0 freezes it.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.nn.layout import Layout, Parameter
from ensemble_pipe.optim.segments import Segment

RateFactors = tuple[tuple[str, float], ...]


def segments_of(layout: Layout, rate_factors: RateFactors = ()) -> list[Segment]:
    """Return how an update rule is to treat each trainable tensor."""
    trainable = (parameter for parameter in layout.parameters if parameter.trainable)
    return [_segment(parameter, layout, rate_factors) for parameter in trainable]


def _segment(parameter: Parameter, layout: Layout, rate_factors: RateFactors) -> Segment:
    start, factor = layout.offsets[parameter.name], factor_of(parameter.name, rate_factors)
    own = parameter.decay_factor
    return Segment(
        start=start,
        stop=start + parameter.size,
        columns=parameter.shape[-1] if parameter.decays and len(parameter.shape) > 1 else 0,
        decays=parameter.decays,
        rate_factor=factor * parameter.rate_factor,
        decay_factor=None if own is None else factor * own,
    )


def frozen_names(layout: Layout, rate_factors: RateFactors) -> frozenset[str]:
    """Return the names of the trainable tensors that do not move."""
    names = (parameter.name for parameter in layout.parameters if parameter.trainable)
    return frozenset(name for name in names if factor_of(name, rate_factors) == 0)


def factor_of(name: str, rate_factors: RateFactors) -> float:
    """Return the learning-rate factor of one tensor."""
    fitting = [factor for pattern, factor in rate_factors if fnmatchcase(name, pattern)]
    return fitting[-1] if fitting else 1.0


def require_matches(patterns: Sequence[str], layout: Layout, where: str) -> None:
    """Raise ConfigError for the first pattern that fits no tensor."""
    names = [parameter.name for parameter in layout.parameters]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ConfigError(
                f"{where}: {pattern!r} fits no tensor of the network; it has {', '.join(names)}"
            )
