"""Members that are averages of a learner's rows, against the rows of its checkpoints.

With all rows in each batch every step ends an epoch, so a checkpoint shows the row of every step.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import Prepared

EPOCHS = 8
STEPS = np.arange(1, EPOCHS + 1)
TRAINING = {"batch_size": "all", "epochs": EPOCHS, "schedule": {"name": "triangular", "cycles": 4}}

# The averaging, and the weight of the row of each of the eight steps.
CASES: dict[str, tuple[dict[str, Any], Any]] = {
    "ema": ({"name": "ema", "decay": 0.8}, 0.8 ** (EPOCHS - STEPS)),
    "polyak": ({"name": "polyak", "start": 0.25}, STEPS > 2),
    "swa": ({"name": "swa", "start": 0.5}, STEPS > 4),
    "swa, every other": ({"name": "swa", "start": 0.25, "every": 2}, np.isin(STEPS, [4, 6, 8])),
    "swa at cycles": ({"name": "swa", "start": 0.5, "at": "cycle"}, np.isin(STEPS, [6, 8])),
    "last": ({"name": "last", "epochs": 3}, STEPS > 5),
    "last, more than there are": ({"name": "last", "epochs": 20}, STEPS > 0),
}


@pytest.mark.parametrize(("averaging", "weights"), CASES.values(), ids=CASES.keys())
def test_a_member_is_the_weighted_mean_of_its_learners_rows(
    prepare: Callable[..., Prepared], averaging: dict[str, Any], weights: Any
) -> None:
    learners = {"learners": 2}
    plain = prepare(training=TRAINING, ensemble=learners).train()
    prepared = prepare(training={**TRAINING, "averaging": averaging}, ensemble=learners)
    for learner, checkpoints in prepared.train().items():
        rows = np.stack([checkpoint.state.row for checkpoint in checkpoints])
        assert rows.tobytes() == b"".join(c.state.row.tobytes() for c in plain[learner])
        member = checkpoints[-1].state.member_row
        expected = np.average(rows.astype(np.float64), axis=0, weights=weights)
        np.testing.assert_allclose(member, expected, rtol=1e-5, atol=1e-7)
        assert not np.allclose(member, rows[-1], rtol=1e-3)


@pytest.mark.parametrize("averaging", ["ema", "polyak", "swa", "last"])
def test_what_is_measured_on_the_stop_part_is_the_average(
    prepare: Callable[..., Prepared], averaging: str
) -> None:
    prepared = prepare(training={"averaging": {"name": averaging}, "epochs": 4})
    last = prepared.train(1)[1][-1]
    measured = prepared.stop_metrics(1, last.state.member_row)
    assert measured == {name: last.metrics[name] for name in measured}


def test_before_anything_is_collected_the_row_itself_is_measured(
    prepare: Callable[..., Prepared],
) -> None:
    averaging = {"name": "swa", "start": 0.5}
    prepared = prepare(training={"averaging": averaging, "epochs": 4})
    for checkpoint in prepared.train(0)[0]:
        own = prepared.stop_metrics(0, checkpoint.state.row)
        same = own == {name: checkpoint.metrics[name] for name in own}
        # The mean of the one row that the third epoch collects is that row.
        assert same == (checkpoint.epoch <= 3)
