"""The network: its first weights, activations, gradients and steps, layer by layer.

A trial takes its first steps by the functions that train learners, and what lies in their arrays is
looked at: CS231n, "Neural networks part 3", ratio of updates to weights (about 1e-3), distribution
of activations and gradients in each layer; Glorot & Bengio 2010, figs. 6 and 7.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.nn.blas import one_thread
from ensemble_pipe.search.checks.bench import Bench
from ensemble_pipe.search.checks.findings import Finding, Step
from ensemble_pipe.search.checks.first_loss import bad_start
from ensemble_pipe.search.checks.normalization import compare_starts, has_starts
from ensemble_pipe.training.loop import StackTraining

STEPS = 40
# Rows of the training part that activations are looked at on, and numbers of a layer and batch.
SEEN_ROWS, SEEN_VALUES = 256, 1 << 20
# Shares of units that are 0 on every row, and of values at the end of their range.
# Many dead units do no harm while the loss falls: below a share of that of outputs of 0.
DEAD, ALL_DEAD, SATURATED = 0.5, 0.9, 0.5
LEARNS, _LAST = 0.8, 10
_AT_END = {"tanh": (-0.98, 0.98), "sigmoid": (0.02, 0.98)}
_ENDS_AT_ZERO = ("relu",)
# Deviations of a layer's outputs before the first step.
EXPLODES, VANISHES = 30.0, 1e-3
USUAL_UPDATE, FAR_UPDATE = 1e-3, 0.1


@dataclass(frozen=True)
class LayerState:
    """What a layer gives for a batch.

    Attributes:
        deviation: of its outputs.
        dead: the share of its units that are 0 on every row; 0 of other activations than ReLU.
        saturated: the share of its outputs at an end of their range; 0 of unbounded activations.
    """

    deviation: float
    dead: float
    saturated: float


def check_network(bench: Bench, seconds: float) -> Step:
    """Look at the network before its first step and after some.

    Args:
        bench: to train on.
        seconds: that the comparison of scaled first weights may take, about.
    """
    with one_thread(), np.errstate(all="ignore"):
        training = bench.start(bench.plan)
        before = layer_states(training)
        equal = sorted(_equal_kernels(training))
        gradients, updates, losses = _steps(training)
        after = layer_states(training)
        comparable = has_starts(bench)
        starts = compare_starts(bench, seconds) if comparable else None
    learns = float(np.mean(losses[-_LAST:])) < LEARNS * bench.uniform
    found = [*_of_start(bench, before, equal), *_of_steps(before, after, learns)]
    measured: dict[str, Any] = {
        "before": {name: vars(state) for name, state in before.items()},
        "after": {name: vars(state) for name, state in after.items()},
        "gradient_norms": gradients, "updates_over_weights": updates,
    }  # fmt: skip
    verdict = _verdict(after, updates)
    if starts is not None:
        verdict += f"; {starts.text()}"
        measured["losses_from_scaled_weights"] = starts.to_dict()
    elif comparable:
        verdict += "; first weights of other scales are not tried: too little time"
    return Step("network", verdict, tuple(found), measured)


def layer_states(training: StackTraining) -> dict[str, LayerState]:
    """Return what each layer gives for some batches of a trial, by its name, in order."""
    found: dict[str, list[Floats]] = {}
    batches = -(-SEEN_ROWS // training.steps.batch_rows)
    for step in range(min(batches, training.steps.total)):
        training.batches.read(step)
        inputs = training.batches.inputs
        inputs = inputs[None] if inputs.ndim == training.bound.row_axes + 1 else inputs
        for name, values in training.bound.chain.walk(inputs, step):
            flat = values[0].reshape(-1, values.shape[-1])
            found.setdefault(name, []).append(flat[: SEEN_VALUES // flat.shape[1]].copy())
    return {name: _state_of(name, np.concatenate(values)) for name, values in found.items()}


def _state_of(name: str, flat: Floats) -> LayerState:
    kind = name.rstrip("0123456789")
    dead = float((flat == 0).all(axis=0).mean()) if kind in _ENDS_AT_ZERO else 0.0
    low, high = _AT_END.get(kind, (-np.inf, np.inf))
    ends = float(((flat < low) | (flat > high)).mean()) if kind in _AT_END else 0.0
    return LayerState(float(flat.std()), dead, ends)


def _equal_kernels(training: StackTraining) -> Iterator[str]:
    """Yield the kernels whose units all begin alike and ought not to.

    The last layer may begin so, and layers that say they do by design.
    """
    layout = training.network.layout
    kernels = [parameter for parameter in layout.parameters if parameter.decays]
    views = layout.views(training.state.rows)
    for parameter in kernels[:-1]:
        if parameter.begins_alike:
            continue
        values = views[parameter.name][0].reshape(-1, parameter.shape[-1])
        if values.shape[1] > 1 and (values == values[:, :1]).all():
            yield parameter.name


def _steps(
    training: StackTraining,
) -> tuple[dict[str, float], dict[str, float], list[float]]:
    """Take some steps; return their losses, after norms of the first gradients and updates.

    Those are by tensor; an update is over the weights, the median of the steps.
    """
    layout = training.network.layout
    names = [parameter.name for parameter in layout.parameters if parameter.decays]
    gradients: dict[str, float] = {}
    ratios: dict[str, list[float]] = {name: [] for name in names}
    losses: list[float] = []
    for step in range(min(STEPS, training.steps.total)):
        rows = training.state.rows.copy()
        losses.append(float(training.take_step()[0]))
        old, new = layout.views(rows), layout.views(training.state.rows)
        for name in names:
            norm = np.linalg.norm
            ratio = norm(new[name] - old[name]) / max(float(norm(old[name])), 1e-12)
            ratios[name].append(float(ratio))
        if step == 0:
            views = layout.gradient_views(training.gradients)
            gradients = {name: float(np.linalg.norm(views[name])) for name in names}
    return gradients, {name: float(np.median(own)) for name, own in ratios.items()}, losses


def _of_start(bench: Bench, before: dict[str, LayerState], equal: list[str]) -> Iterator[Finding]:
    if bench.first_row is not None:
        return
    if equal:
        yield Finding(
            "equal-start",
            f"all units of {', '.join(equal)} begin alike (all zeros, or one value), so they learn "
            "the same; take random initial values",
            change={"network.initializer": "he_normal"},
        )
        return
    deviations = {name: state.deviation for name, state in before.items()}
    worst = max(deviations, key=lambda name: deviations[name])
    if deviations[worst] > EXPLODES or not np.isfinite(deviations[worst]):
        finding = bad_start(deviations[worst], 1.0)
        yield Finding(
            finding.name,
            f"before the first step the outputs of {worst} have a deviation of "
            f"{deviations[worst]:.3g}: the first weights, or the inputs, are too large",
            change=finding.change,
        )
    hidden = list(deviations)[:-1]
    low = min(hidden, key=lambda name: deviations[name], default=None)
    if low is not None and deviations[low] < VANISHES:
        yield Finding(
            "vanishing-start",
            f"before the first step the outputs of {low} have a deviation of "
            f"{deviations[low]:.3g}: the first weights are too small for a gradient to pass",
            change={"network.initializer": "he_normal"},
        )


def _of_steps(
    before: dict[str, LayerState], after: dict[str, LayerState], learns: bool
) -> Iterator[Finding]:
    most = ALL_DEAD if learns else DEAD
    dead = {name: state.dead for name, state in after.items() if state.dead > most}
    if dead:
        worst = max(dead, key=lambda name: dead[name])
        start = before[worst].dead > DEAD
        yield Finding(
            "dead-units",
            f"{dead[worst]:.0%} of the units of {worst} are 0 on every row "
            + ("from the start" if start else f"after {STEPS} steps")
            + ", and learn no more: the steps are too large, or the first weights",
            change={"network.initializer": "he_normal"} if start else {},
        )
    ends = {name: state.saturated for name, state in after.items() if state.saturated > SATURATED}
    if ends:
        worst = max(ends, key=lambda name: ends[name])
        yield Finding(
            "saturated-units",
            f"{ends[worst]:.0%} of the outputs of {worst} are at the end of their range, where "
            "gradients vanish: the first weights, the inputs or the steps are too large",
            change={"network.initializer": "glorot_uniform"},
        )


def _verdict(after: dict[str, LayerState], updates: dict[str, float]) -> str:
    dead = max((state.dead for state in after.values()), default=0.0)
    ends = max((state.saturated for state in after.values()), default=0.0)
    ratio = float(np.median(list(updates.values()))) if updates else 0.0
    size = "large" if ratio > FAR_UPDATE else "small" if ratio < USUAL_UPDATE / 100 else "usual"
    return (
        f"updates are {ratio:.1e} of the weights ({size}; about {USUAL_UPDATE:g} is common); "
        f"dead units {dead:.0%}, saturated {ends:.0%}"
    )
