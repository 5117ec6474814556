"""Out-of-fold predictions: kept, honest, and what combiners can be fitted to."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.datasets import load_digits
from small_pipelines import SPLITS, small_settings

import ensemble_pipe
from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.ensemble.combiners import Weighted
from ensemble_pipe.ensemble.out_of_fold import left_out_messages
from ensemble_pipe.run.pipeline import RunResult, resume, run

POOL = [
    {"strategy": "cross_validation", "learners": 3},
    {"strategy": "linear", "learners": 3, "cross_validate": True},
]


def pipeline(**ensemble: Any) -> Pipeline:
    return Pipeline.model_validate(
        small_settings(hidden=8, epochs=6, splits=SPLITS, ensemble=ensemble)
    )


def table_of(result: RunResult) -> pa.Table:
    path = RunPaths(Path(result.run_dir)).predictions("out_of_fold")
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def outputs_of(result: RunResult) -> Array:
    outputs = table_of(result).column("outputs").chunk(0).to_numpy_ndarray()
    return np.asarray(outputs.transpose(1, 0, 2))


@pytest.fixture(scope="module")
def pooled(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    combine = {"evidence": "out_of_fold", "method": "mean_probability", "temperature": True}
    folder = tmp_path_factory.mktemp("folds")
    return run(pipeline(pool=POOL, combine=combine), output=folder, inline=True)


def test_groups_of_learners_that_leave_folds_out_are_known_by_their_ids() -> None:
    groups = make_plans(pipeline(pool=[{"strategy": "linear"}, *POOL])).fold_groups
    assert groups == ((1, 2, 3), (4, 5, 6))
    assert make_plans(pipeline(learners=4)).fold_groups == ()


def test_each_training_row_is_predicted_by_the_learner_that_left_it_out(pooled: RunResult) -> None:
    table, outputs = table_of(pooled), outputs_of(pooled)
    images = load_digits().images.astype(np.uint8)[table.column("row").to_numpy()]
    model = ensemble_pipe.load(pooled.run_dir)
    own = model.outputs(images)  # (6, R, 10)
    for group in range(2):
        members = own[3 * group : 3 * group + 3]
        same = (members == outputs[group]).all(axis=2)
        np.testing.assert_array_equal(same.sum(axis=0), 1)  # by one of the three each
        # Folds are of one size, and hold every class.
        assert np.ptp(same.sum(axis=1)) <= 1


def test_out_of_fold_accuracy_is_no_better_than_that_on_seen_rows(pooled: RunResult) -> None:
    table = table_of(pooled)
    images = load_digits().images.astype(np.uint8)[table.column("row").to_numpy()]
    seen = ensemble_pipe.load(pooled.run_dir).predict(images) == table.column("target").to_numpy()
    left_out = table.column("prediction").to_numpy() == table.column("target").to_numpy()
    assert left_out.mean() < seen.mean()
    assert left_out.mean() == pytest.approx(pooled.metrics["out_of_fold/accuracy"])
    assert left_out.mean() > 0.85


def test_members_of_a_group_share_its_weight(pooled: RunResult) -> None:
    combiner = ensemble_pipe.load(pooled.run_dir).combiner
    assert isinstance(combiner, Weighted)
    weights = np.array(combiner.weights).reshape(-1, 3)
    np.testing.assert_allclose(weights, weights[:, :1].repeat(3, axis=1))
    np.testing.assert_allclose(weights.sum(), 1.0)
    assert combiner.temperature != 1.0


@pytest.mark.parametrize(
    "method",
    [
        pytest.param("stacking", marks=pytest.mark.slow),
        pytest.param("greedy", marks=pytest.mark.slow),
        "choose",
    ],
)
def test_every_way_of_combining_takes_out_of_fold_predictions(tmp_path: Path, method: str) -> None:
    combine = {"evidence": "out_of_fold", "method": method}
    result = run(pipeline(pool=POOL, combine=combine), output=tmp_path, inline=True)
    assert result.members in (3, 6)
    assert result.metrics["test/accuracy"] > 0.85
    assert resume(result.run_dir, inline=True).metrics == result.metrics


def test_evidence_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="groups that are all cross-validated"):
        pipeline(pool=[*POOL, {"strategy": "linear"}], combine={"evidence": "out_of_fold"})


def test_a_group_that_lacks_a_fold_is_named(pooled: RunResult) -> None:
    members, groups = ensemble_pipe.load(pooled.run_dir).members, [(0, 1, 2), (3, 4, 5)]
    assert left_out_messages(groups, members) == []
    assert left_out_messages(groups, [*members[:1], *members[2:]]) == [
        "learners 0 to 2 are left out of the ensemble: without the folds of learner 1 nobody "
        "predicts some rows"
    ]
    (message,) = left_out_messages(groups, members[1:-1])
    assert message.startswith("no group has all of its folds")


@pytest.mark.parametrize("group", [
    {"strategy": "cross_validation"}, {"pool": [{"strategy": "linear", "cross_validate": True}]},
])  # fmt: skip
def test_more_folds_than_rows_are_refused_by_the_name_of_what_was_written(
    group: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "few.csv"
    path.write_text("x,y\n" + "".join(f"{row},{'ab'[row % 2]}\n" for row in range(20)))
    first = group["pool"][0] if "pool" in group else group
    first["learners"] = 30
    values = {
        **pipeline(**group).model_dump(exclude={"data"}),
        "data": {"source": "table", "path": str(path), "label": "y"},
        "splits": {"validation": 2, "stop": 2, "test": 2},
    }
    config = Pipeline.model_validate(values)
    with pytest.raises(DataError, match=r"30 folds .* has \d+ rows; take at most"):
        run(config, output=tmp_path, inline=True)


def test_a_fold_that_failed_leaves_an_ensemble_by_the_validation_part(tmp_path: Path) -> None:
    rates = {"training.optimizer.learning_rate": [1e-3, 1e30, 1e-3]}
    ensemble = {"strategy": "cross_validation", "learners": 3, "vary": rates}
    combine = {"evidence": "out_of_fold", "method": "weights"}
    result = run(pipeline(**ensemble, combine=combine), output=tmp_path, inline=True)
    assert list(result.failed) == [1]
    assert result.members == 2
