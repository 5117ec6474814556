"""Runs in folds that are repeated, named by a column, or forward in time."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from conftest import StopAt
from small_pipelines import noisy_columns, small_settings, write_rows

import ensemble_pipe
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.data.base import open_base, read_schema
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.run.pipeline import RunResult, grow, resume, run
from ensemble_pipe.run.preparation import prepare, recipe_of
from ensemble_pipe.tracking.journal import read_entries
from ensemble_pipe.tracking.kinds import MemberEntry

ROWS = 150
REPEATED = {"count": 3, "repeats": 2}
NAMED = {"column": "part"}
EXPANDING = {"count": 3, "forward": "expanding", "gap": 4}
SLIDING = {"count": 3, "forward": "sliding"}
KINDS = [REPEATED, NAMED, EXPANDING, SLIDING]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("named")


@pytest.fixture(scope="module")
def path(folder: Path) -> Path:
    random = np.random.default_rng(5)
    values = noisy_columns(random, ROWS)
    return write_rows(folder, {
        **values,
        "day": random.permutation(ROWS),
        "part": np.array(["first", "second", "third"])[random.integers(0, 3, ROWS)],
        "one": np.ones(ROWS),
    })  # fmt: skip


def pipeline(path: Path, folds: dict[str, Any], **sections: Any) -> Pipeline:
    roles = {"label": "y", "ignore": ["z", "one"], **sections.pop("roles", {})}
    if "forward" in folds:
        roles["time"] = "day"
    elif "time" not in roles:
        roles["ignore"] = [*roles["ignore"], "day"]
    if "column" not in folds:
        roles["ignore"] = [*roles["ignore"], "part"]
    training = sections.pop("training", {})
    settings = small_settings(
        hidden=12,
        epochs=6,
        batch_size=16,
        **{
            "data": {"source": "table", "path": str(path), **roles},
            "splits": {"folds": folds, **sections.pop("splits", {})},
            "ensemble": {"learners": 6, "combine": {"temperature": True}},
            **sections,
        },
    )
    settings["training"] |= {"early_stopping": {"patience": 2}, **training}
    return Pipeline.model_validate(settings)


def source_of(path: Path) -> pa.Table:
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def predictions(result: RunResult, part: str = "validation") -> pa.Table:
    path = RunPaths(Path(result.run_dir)).predictions(part)
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def outputs_of(table: pa.Table) -> Array:
    """Return the outputs (G, R, O) of the units of a table of predictions."""
    return np.asarray(table.column("outputs").chunk(0).to_numpy_ndarray()).transpose(1, 0, 2)


def data_of(config: Pipeline, result: RunResult) -> TrainingData:
    paths = RunPaths(Path(result.run_dir))
    settled = Pipeline.model_validate(yaml.safe_load(paths.pipeline.read_text()))
    schema = read_schema(paths)
    return TrainingData(recipe_of(paths, settled, schema), schema)


def bits_of(result: RunResult) -> dict[str, bytes]:
    """Return the bytes of a run's model and predictions, by name."""
    paths = RunPaths(Path(result.run_dir))
    files = [*paths.model.iterdir(), *paths.predictions("test").parent.iterdir()]
    # Files of scikit-learn's estimators hold the time, which the manifest has the sums of.
    same = [path for path in files if path.suffix in (".json", ".safetensors", ".arrow")]
    same = [path for path in same if path.name != "manifest.json"]
    return {path.name: path.read_bytes() for path in same}


@pytest.mark.parametrize("folds", KINDS, ids=str)
def test_each_row_is_predicted_by_the_learners_that_left_it_out_bit_for_bit(
    folder: Path, path: Path, folds: dict[str, Any]
) -> None:
    config = pipeline(path, folds)
    result = run(config, output=folder, inline=True)
    assert result.failed == {}
    data, table = data_of(config, result), predictions(result)
    numbers = open_base(RunPaths(Path(result.run_dir)).part("train")).read_column("row")
    partitions = data.partitions(data.recipe.folds or 0)
    own = ensemble_pipe.load(result.run_dir).outputs(source_of(path).take(table.column("row")))
    units = outputs_of(table)
    assert len(units) == 2
    here = np.searchsorted(numbers, table.column("row").to_numpy())
    for unit in range(2):
        fold = partitions[unit % len(partitions)][here]
        assert (fold >= 0).all()
        for left_out in range(3):
            rows = fold == left_out
            np.testing.assert_array_equal(
                units[unit][rows], own[3 * unit + left_out][rows], err_msg=f"{unit} {left_out}"
            )
    assert len(table) == (90 if "forward" in folds else 120)
    labels = table.column("target").to_pylist()
    right = np.mean([a == b for a, b in zip(labels, table["prediction"].to_pylist(), strict=True)])
    assert result.metrics["validation/accuracy"] == pytest.approx(right)


@pytest.mark.parametrize("folds", KINDS, ids=str)
def test_a_learner_is_watched_on_what_it_left_out(
    folder: Path, path: Path, folds: dict[str, Any]
) -> None:
    config = pipeline(path, folds, roles={"label": "z", "ignore": ["y", "one"]}, task="regression")
    result = run(config, output=folder, inline=True)
    data = data_of(config, result)
    assert data.recipe.folds is not None
    entries = read_entries(RunPaths(Path(result.run_dir)).journal)
    nlls = {e.learner: e.metrics["nll"] for e in entries if isinstance(e, MemberEntry)}
    for learner in range(6):
        seen = data.seen(learner, data.recipe.folds)
        stop = data.stop_of(learner)
        assert not set(stop.targets) & set(data.training_part().targets[seen])
        assert np.isfinite(nlls[learner] or np.inf)


@pytest.mark.parametrize("folds", [REPEATED, EXPANDING], ids=str)
def test_stacks_of_any_width_give_the_same_bits(
    folder: Path, path: Path, folds: dict[str, Any]
) -> None:
    found = []
    for width in (1, 3, 6):
        config = pipeline(path, folds, cluster={"stack": width})
        found.append(bits_of(run(config, output=folder, inline=True)))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("folds", [REPEATED, NAMED, SLIDING], ids=str)
def test_interrupted_equals_uninterrupted(folder: Path, path: Path, folds: dict[str, Any]) -> None:
    pool = [{"strategy": "independent", "learners": 6}, {"strategy": "linear", "learners": 6}]
    combine = {"method": "weights", "temperature": True, "coverage": 0.8}
    ensemble = {"pool": pool, "combine": combine}
    config = pipeline(path, folds, ensemble=ensemble, splits={"refit": True}, cluster={"stack": 3})
    whole = run(config, output=folder, inline=True)
    output = folder / f"cut-{folds}"
    with pytest.raises(KeyboardInterrupt):
        run(config, output=output, inline=True, display=StopAt(14))
    (cut,) = output.iterdir()
    assert bits_of(resume(cut, inline=True)) == bits_of(whole)


@pytest.mark.parametrize("strategy", ["histogram_boosting", "random_forest", "boosting"])
@pytest.mark.parametrize("folds", [REPEATED, EXPANDING], ids=str)
def test_learners_of_every_kind_leave_out_their_fold(
    folder: Path, path: Path, strategy: str, folds: dict[str, Any]
) -> None:
    group: dict[str, Any] = {"strategy": strategy, "learners": 7}
    group |= {"rounds": 3} if strategy != "random_forest" else {"trees": 5}
    training = {"early_stopping": None}
    config = pipeline(path, folds, ensemble={"pool": [group]}, training=training)
    result = run(config, output=folder, inline=True)
    assert result.failed == {}
    # Seven learners leave some fold out more often than others: all are one unit.
    assert len(outputs_of(predictions(result))) == 1
    assert result.metrics["validation/accuracy"] > 0.5


def test_a_run_in_repeated_folds_grows(folder: Path, path: Path) -> None:
    less = run(pipeline(path, REPEATED), output=folder, inline=True)
    grown = grow(less.run_dir, learners=6, inline=True)
    config = pipeline(path, REPEATED, ensemble={"learners": 12, "combine": {"temperature": True}})
    assert bits_of(grown) == bits_of(run(config, output=folder, inline=True))


def test_the_column_of_folds_is_not_learned_from(folder: Path, path: Path) -> None:
    result = run(pipeline(path, NAMED), output=folder, inline=True)
    model = ensemble_pipe.load(result.run_dir)
    rows = source_of(path).select(["a", "b", "c"]).slice(0, 5)
    assert len(model.predict(rows)) == 5
    stored = yaml.safe_load(RunPaths(Path(result.run_dir)).pipeline.read_text())
    assert stored["splits"]["folds"]["count"] == 3
    assert "3, named by column part" in RunPaths(Path(result.run_dir)).report.read_text()


@pytest.mark.parametrize(("folds", "roles", "message"), [
    ({"column": "none"}, {}, "none"),
    ({"column": "y"}, {}, "column 'y' is named as label and for splits.folds"),
    ({"column": "one"}, {"ignore": ["z", "part"]}, "column 'one': has one value"),
    ({"column": "part", "count": 2}, {}, "has 3 values, but splits.folds.count is 2"),
    ({"count": 60, "forward": "expanding", "gap": 2}, {}, "gap: 2 rows leave none of the 1"),
    ({"count": 130, "forward": "expanding"}, {}, "need 131 rows or more.* has 120"),
])  # fmt: skip
def test_folds_that_rows_do_not_have_are_refused(
    path: Path, folds: dict[str, Any], roles: dict[str, Any], message: str
) -> None:
    config = pipeline(path, folds, roles=roles, ensemble={"learners": 130})
    with pytest.raises(DataError, match=message):
        prepare(config)


def test_forward_folds_need_a_time_and_other_folds_none(path: Path) -> None:
    config = pipeline(path, EXPANDING)
    without = config.data.__class__(path=str(path), label="y", ignore=("z", "one", "part"))  # type: ignore[call-arg]
    with pytest.raises(DataError, match=r"splits.folds.forward follows the time.* data.time"):
        prepare(config.model_copy(update={"data": without}))
    named = pipeline(path, NAMED, roles={"time": "day", "ignore": ["z", "one"]})
    with pytest.raises(DataError, match=r"the rows have times.*forward: expanding"):
        prepare(named)


def test_members_that_saw_little_are_warned_of_unless_they_are_trained_again(path: Path) -> None:
    text = "first one of 4 blocks"
    assert text in (prepare(pipeline(path, EXPANDING)).warning or "")
    again = pipeline(path, EXPANDING, splits={"refit": True})
    assert text not in (prepare(again).warning or "")


@pytest.mark.slow
def test_trainers_on_ray_give_the_same_bits(folder: Path, path: Path, ray_cluster: None) -> None:
    config = pipeline(path, EXPANDING, splits={"refit": True}, cluster={"stack": 2, "trainers": 2})
    inline = run(config, output=folder, inline=True)
    assert bits_of(run(config, output=folder, address="local")) == bits_of(inline)
