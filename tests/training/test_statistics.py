"""Statistics of averaged weights: those of a pass over the training data."""

from collections.abc import Callable

import numpy as np
from conftest import Prepared

from ensemble_pipe.data.batches import Batches
from ensemble_pipe.training.events import Checkpoint
from ensemble_pipe.training.loop import train
from ensemble_pipe.training.stacks import Stack
from ensemble_pipe.training.statistics import recompute_statistics

NETWORK = {
    "name": "sequential",
    "layers": [{"name": "batch_norm"}, {"name": "flatten"}, {"name": "dense", "units": 8}],
}


def test_the_first_batch_norm_gets_the_mean_of_the_means_of_batches(
    prepare: Callable[..., Prepared],
) -> None:
    prepared = prepare(ensemble={"learners": 1}, network=NETWORK)
    plan, data = prepared.plans[0], prepared.data
    network, steps = plan.build(prepared.schema), plan.steps(prepared.data.rows)
    row = network.initialize(plan.seed, plan.learner)
    found = network.layout.views(
        recompute_statistics(plan, row, data, prepared.schema, steps.total)[None]
    )
    batches = Batches(data, [plan.learner], steps.batch_rows, plan.order)
    means, variances = [], []
    for step in range(steps.total - steps.end_of(0), steps.total):
        batches.read(step)
        pixels = batches.inputs.reshape(-1).astype(np.float64)
        means.append(pixels.mean())
        variances.append(pixels.var(ddof=1))
    statistics = [p.name for p in network.layout.parameters if not p.trainable]
    mean, variance = (found[name][0, 0] for name in sorted(statistics))
    np.testing.assert_allclose(mean, np.mean(means), atol=1e-5)
    np.testing.assert_allclose(variance, np.mean(variances), rtol=1e-4)


def test_an_averaged_member_has_statistics_of_its_own(prepare: Callable[..., Prepared]) -> None:
    prepared = prepare(
        ensemble={"learners": 1},
        network=NETWORK,
        training={"averaging": {"name": "swa", "start": 0.0}},
    )
    plan = prepared.plans[0]
    events = train(Stack((plan,)), prepared.data, prepared.schema)
    last = [event for event in events if isinstance(event, Checkpoint)][-1]
    network = plan.build(prepared.schema)
    trainable = network.layout.trainable
    member, average = last.state.member_row, last.state.slots["swa"]
    np.testing.assert_array_equal(member[:trainable], average[:trainable])
    expected = recompute_statistics(plan, average, prepared.data, prepared.schema, last.step)
    assert member.tobytes() == expected.tobytes()
    assert not np.array_equal(member[trainable:], average[trainable:])


def test_a_network_without_statistics_keeps_its_row(prepare: Callable[..., Prepared]) -> None:
    prepared = prepare(ensemble={"learners": 1})
    plan = prepared.plans[0]
    network = plan.build(prepared.schema)
    row = network.initialize(plan.seed, plan.learner)
    assert recompute_statistics(plan, row, prepared.data, prepared.schema, 10) is row
