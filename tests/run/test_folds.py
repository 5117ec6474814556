"""Runs in folds: nobody is held out but the test part, and no row is judged by who saw it."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import StopAt
from small_pipelines import small_settings

import ensemble_pipe
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.storage import RunPaths, read_manifest
from ensemble_pipe.data.base import open_base, read_schema
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.data.sources import Table
from ensemble_pipe.run.pipeline import RunResult, grow, resume, run
from ensemble_pipe.run.preparation import recipe_of
from ensemble_pipe.serving.model import Ensemble
from ensemble_pipe.tracking.journal import read_entries
from ensemble_pipe.tracking.kinds import EpochEntry, MemberEntry

FOLDS = 3


def table_file(folder: Path, rows: int = 120, **columns: Array) -> Path:
    """Write numbers whose labels nobody can know: what is right about them was learnt by heart."""
    random = np.random.default_rng(5)
    values = {name: random.normal(size=rows) for name in "abcdefghij"}
    labels = np.array(["no", "yes"])[random.permutation(rows) % 2]
    table = pa.table({**values, **columns, "y": labels})
    path = folder / "noise.arrow"
    with pa.OSFile(str(path), "wb") as stream, pa.ipc.new_file(stream, table.schema) as writer:
        writer.write_table(table)
    return path


def pipeline(path: Path, *, epochs: int = 8, **sections: Any) -> Pipeline:
    roles = sections.pop("roles", {})
    settings = small_settings(
        hidden=12,
        epochs=epochs,
        batch_size=16,
        **{
            "data": {"source": "table", "path": str(path), "label": "y", **roles},
            "splits": {"folds": FOLDS},
            "ensemble": {"learners": 2 * FOLDS},
            **sections,
        },
    )
    settings["training"] |= sections.get("training", {})
    return Pipeline.model_validate(settings)


def predictions(result: RunResult, part: str = "validation") -> pa.Table:
    path = RunPaths(Path(result.run_dir)).predictions(part)
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def source_of(config: Pipeline) -> pa.Table:
    assert isinstance(config.data, Table)
    return pa.ipc.open_file(pa.memory_map(config.data.path)).read_all()


def outputs_of(table: pa.Table) -> Array:
    """Return the outputs (G, R, O) of the units of a table of predictions."""
    return np.asarray(table.column("outputs").chunk(0).to_numpy_ndarray()).transpose(1, 0, 2)


def data_of(config: Pipeline, result: RunResult) -> TrainingData:
    paths = RunPaths(Path(result.run_dir))
    schema = read_schema(paths)
    return TrainingData(recipe_of(paths, config, schema), schema)


def bits_of(result: RunResult) -> dict[str, bytes]:
    """Return the bytes of a run's model and predictions, by name."""
    paths = RunPaths(Path(result.run_dir))
    files = [paths.model / "model.json", paths.model / "members.safetensors"]
    files += [paths.predictions(part) for part in ("validation", "test")]
    return {path.name: path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("folds")


@pytest.fixture(scope="module")
def by_heart(folder: Path) -> tuple[Pipeline, RunResult]:
    """Networks that learn every row by heart, though nothing follows from its inputs."""
    network = {"name": "mlp", "hidden": [100]}
    training = {"epochs": 40, "optimizer": {"name": "adam", "learning_rate": 0.01}}
    config = pipeline(table_file(folder), network=network, training=training)
    return config, run(config, output=folder, inline=True)


def test_only_the_test_part_is_held_out(by_heart: tuple[Pipeline, RunResult]) -> None:
    paths = RunPaths(Path(by_heart[1].run_dir))
    parts = {path.stem for path in paths.base.glob("*.arrow")} - {"example"}
    assert parts == {"train", "test"}
    assert open_base(paths.part("train")).table.num_rows == 96
    assert open_base(paths.part("test")).table.num_rows == 24
    assert {path.stem for path in paths.predictions("test").parent.iterdir()} == {
        "validation", "test",
    }  # fmt: skip
    assert "base/stop.json" not in read_manifest(paths).sums


def test_an_out_of_fold_prediction_never_saw_its_row(by_heart: tuple[Pipeline, RunResult]) -> None:
    """Who saw a row of noise knows its label; who did not can only guess."""
    config, result = by_heart
    table, model = predictions(result), ensemble_pipe.load(result.run_dir)
    labels = table.column("target").to_numpy(zero_copy_only=False)
    source = source_of(config)
    seen = model.predict(source.take(table.column("row")))
    assert (seen == labels).mean() > 0.95
    left_out = table.column("prediction").to_numpy(zero_copy_only=False)
    assert (left_out == labels).mean() < 0.7
    assert result.metrics["validation/accuracy"] == pytest.approx((left_out == labels).mean())


def test_each_row_is_predicted_by_the_learners_that_left_it_out_bit_for_bit(
    by_heart: tuple[Pipeline, RunResult],
) -> None:
    config, result = by_heart
    table, fold = predictions(result), data_of(config, result).fold_of(FOLDS)
    source = source_of(config)
    own = ensemble_pipe.load(result.run_dir).outputs(source.take(table.column("row")))
    units = outputs_of(table)
    assert len(units) == 2
    assert len(own) == 2 * FOLDS
    for unit in range(2):
        for left_out in range(FOLDS):
            here = fold == left_out
            expected = own[unit * FOLDS + left_out][here]
            np.testing.assert_array_equal(units[unit][here], expected)


def test_learners_are_watched_on_the_fold_that_they_left_out(folder: Path) -> None:
    config = pipeline(table_file(folder), training={"early_stopping": {"patience": 2}})
    result = run(config, output=folder, inline=True)
    paths, data = RunPaths(Path(result.run_dir)), data_of(config, result)
    entries = list(read_entries(paths.journal))
    members = {e.learner: e.metrics for e in entries if isinstance(e, MemberEntry)}
    assert members.keys() == set(range(2 * FOLDS))
    for learner, metrics in members.items():
        # The member is the row of the best epoch on its own fold, and measured on the same.
        epochs = [e.metrics for e in entries if isinstance(e, EpochEntry) and e.learner == learner]
        losses = [loss for own in epochs if (loss := own["stop/loss"]) is not None]
        assert metrics["nll"] == pytest.approx(min(losses), rel=1e-5)
        assert data.stop_of(learner).rows == 32


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_ensemble_has_the_metrics_of_its_out_of_fold_predictions(
    folder: Path, task: str
) -> None:
    roles = {} if task == "classification" else {"label": "a", "ignore": ["y"]}
    config = pipeline(table_file(folder), task=task, roles=roles)
    result = run(config, output=folder, inline=True)
    table = predictions(result)
    assert table.num_rows == 96
    own = _member_nlls(result)
    assert result.metrics["member_best/validation/nll"] == pytest.approx(min(own))
    assert result.metrics["member_mean/validation/nll"] == pytest.approx(np.mean(own))
    assert 0 < result.metrics["validation/nll"] < max(own)


def _member_nlls(result: RunResult) -> list[float]:
    entries = read_entries(RunPaths(Path(result.run_dir)).journal)
    found = [entry.metrics["nll"] for entry in entries if isinstance(entry, MemberEntry)]
    return [nll for nll in found if nll is not None]


POOL: list[dict[str, Any]] = [
    {"strategy": "independent", "learners": 3},
    {"strategy": "bagging", "learners": 4},
    {"strategy": "mc_dropout", "learners": 3, "passes": 2, "set": {"network.dropout": 0.2}},
    {"strategy": "boosting", "learners": 3, "rounds": 2},
    {"strategy": "shared", "learners": 3, "members": 2},
    {"strategy": "linear", "learners": 3},
    {"strategy": "nearest_neighbors", "learners": 3, "cross_validate": True},
]


@pytest.mark.parametrize(("pool", "units"), [
    ([POOL[0], POOL[5]], 2),
    # Three networks, a group of four as its mixture, two passes, chains, two that share weights,
    # linear, neighbours.
    pytest.param(POOL, 9, marks=pytest.mark.slow),
], ids=["two kinds", "all kinds"])  # fmt: skip
def test_every_kind_of_learner_leaves_out_its_fold(
    folder: Path, pool: list[dict[str, Any]], units: int
) -> None:
    config = pipeline(table_file(folder), epochs=4, ensemble={"pool": pool})
    result = run(config, output=folder, inline=True)
    assert result.failed == {}
    assert len(outputs_of(predictions(result))) == units
    assert bits_of(run(config, output=folder, inline=True)) == bits_of(result)


def test_a_combination_is_chosen_and_calibrated_out_of_fold(folder: Path) -> None:
    pool = [POOL[0], POOL[5]]
    combine = {"method": "choose", "coverage": 0.8}
    config = pipeline(table_file(folder), epochs=4, ensemble={"pool": pool, "combine": combine})
    result = run(config, output=folder, inline=True)
    sets = predictions(result).column("set").to_pylist()
    labels = predictions(result).column("target").to_pylist()
    pairs = zip(labels, sets, strict=True)
    assert np.mean([label in own.split(" | ") for label, own in pairs]) >= 0.8


@pytest.mark.parametrize(
    ("kind", "each"),
    [
        ({"strategy": "snapshot"}, 2),
        ({"strategy": "shared", "members": 2, "yields": "cycles"}, 4),
    ],
    ids=["snapshot", "shared"],
)
def test_snapshots_of_a_learner_share_its_fold(
    folder: Path, kind: dict[str, Any], each: int
) -> None:
    training = {"epochs": 6, "schedule": {"name": "snapshot", "cycles": 2}}
    ensemble = {**kind, "learners": FOLDS}
    config = pipeline(table_file(folder), training=training, ensemble=ensemble)
    result = run(config, output=folder, inline=True)
    assert result.members == each * FOLDS
    assert len(outputs_of(predictions(result))) == each


def test_stacks_of_any_width_give_the_same_bits(folder: Path) -> None:
    path, found = table_file(folder), []
    for width in (1, 4, 6):
        training = {"early_stopping": {"patience": 2}}
        config = pipeline(path, training=training, cluster={"stack": width})
        found.append(bits_of(run(config, output=folder, inline=True)))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("checkpoints", [pytest.param(2, marks=pytest.mark.slow), 11])
def test_interrupted_equals_uninterrupted(folder: Path, checkpoints: int) -> None:
    combine = {"method": "weights", "temperature": True}
    ensemble = {"learners": 5, "combine": combine}
    training = {"early_stopping": {"patience": 3}}
    stack = {"stack": 2}
    config = pipeline(table_file(folder), training=training, ensemble=ensemble, cluster=stack)
    whole = run(config, output=folder, inline=True)
    with pytest.raises(KeyboardInterrupt):
        run(config, output=folder / f"cut-{checkpoints}", inline=True, display=StopAt(checkpoints))
    (cut,) = (folder / f"cut-{checkpoints}").iterdir()
    assert bits_of(resume(cut, inline=True)) == bits_of(whole)


def test_an_ensemble_of_some_folds_is_measured_on_their_rows(folder: Path) -> None:
    """A run that ends early is combined by the rows of the folds that some member left out."""
    output = folder / "early"
    config = pipeline(table_file(folder), cluster={"stack": 1})
    with pytest.raises(KeyboardInterrupt):
        run(config, output=output, inline=True, display=StopAt(17))  # two learners are done
    (cut,) = output.iterdir()
    result = resume(cut, inline=True, train=False)
    assert result.members == 2
    table, fold = predictions(result), data_of(config, result).fold_of(FOLDS)
    rows = open_base(RunPaths(cut).part("train")).read_column("row")
    np.testing.assert_array_equal(table.column("row").to_numpy(), rows[fold < 2])


def test_a_learner_that_fails_leaves_the_others_of_its_group(folder: Path) -> None:
    rates = {"training.optimizer.learning_rate": [1e-3, 1e30, 1e-3, 1e-3, 1e-3, 1e-3]}
    config = pipeline(table_file(folder), ensemble={"learners": 6, "vary": rates})
    result = run(config, output=folder, inline=True)
    assert list(result.failed) == [1]
    assert result.members == 5
    table = predictions(result)
    assert table.num_rows == 96
    assert len(outputs_of(table)) == 1


def test_a_run_in_folds_grows(folder: Path) -> None:
    config = pipeline(table_file(folder), ensemble={"learners": FOLDS})
    grown = grow(run(config, output=folder, inline=True).run_dir, learners=FOLDS, inline=True)
    whole = run(pipeline(table_file(folder)), output=folder, inline=True)
    assert bits_of(grown) == bits_of(whole)


def test_images_augmented_in_training_and_prediction_are_left_out_like_rows(folder: Path) -> None:
    augment = {"policy": [{"name": "horizontal_flip"}], "test_draws": 2, "share": "per_learner"}
    config = small_settings(
        hidden=32, epochs=20, splits={"train": 200, "test": 100, "folds": FOLDS}, augment=augment,
        ensemble={"learners": FOLDS, "combine": {"temperature": True}},
    )  # fmt: skip
    result = run(Pipeline.model_validate(config), output=folder, inline=True)
    assert result.metrics["validation/accuracy"] > 0.3
    assert predictions(result).num_rows == 200


def test_weights_count_in_what_learners_stop_by(folder: Path) -> None:
    weights = np.where(np.arange(120) % 2, 1.0, 1e-3)
    config = pipeline(table_file(folder, w=weights), roles={"weight": "w"})
    result = run(config, output=folder, inline=True)
    data = data_of(config, result)
    for learner in range(FOLDS):
        stop = data.stop_of(learner)
        here = data.fold_of(FOLDS) == learner
        np.testing.assert_array_equal(stop.weights, data.part("train").weights[here])
        np.testing.assert_array_equal(stop.targets, data.part("train").targets[here])
    assert np.ptp(data.stop_of(0).weights) > 1


def test_rows_of_a_group_are_left_out_together(folder: Path) -> None:
    groups = np.repeat(np.arange(30), 4)
    roles = {"group": "group"}
    config = pipeline(table_file(folder, group=groups), roles=roles)
    result = run(config, output=folder, inline=True)
    data = data_of(config, result)
    own, fold = data.row_groups("train"), data.fold_of(FOLDS)
    assert own is not None
    for group in np.unique(own):
        assert len(np.unique(fold[own == group])) == 1


def test_rows_in_order_of_time_are_refused_with_what_follows_it(folder: Path) -> None:
    config = pipeline(table_file(folder, time=np.arange(120)), roles={"time": "time"})
    with pytest.raises(DataError, match=r"rows have times.* take folds that follow the time"):
        run(config, output=folder, inline=True)


def test_more_folds_than_rows_of_a_class_are_refused(folder: Path) -> None:
    splits, ensemble = {"folds": 50}, {"learners": 50}
    config = pipeline(table_file(folder, rows=30), splits=splits, ensemble=ensemble)
    with pytest.raises(
        DataError, match=r"50 folds are to be left out in turn, .* 12 rows of class"
    ):
        run(config, output=folder, inline=True)


def test_predictions_of_other_programs_are_of_the_training_rows(folder: Path) -> None:
    path = table_file(folder)
    shares = np.linspace(0.1, 0.9, 120)
    other = folder / "other.parquet"
    table = pa.table({"probability_no": 1 - shares, "probability_yes": shares})
    pq.write_table(table, other)
    external = {"strategy": "predictions", "name": "other", "path": str(other)}
    pool = [{"strategy": "independent", "learners": 3}, external]
    result = run(pipeline(path, ensemble={"pool": pool}), output=folder, inline=True)
    found = predictions(result)
    rows = found.column("row").to_numpy()
    yes = 1 / (1 + np.exp(-np.subtract(*outputs_of(found)[1].T[::-1])))
    np.testing.assert_allclose(yes, shares[rows], atol=1e-5)


def test_the_report_has_two_parts(by_heart: tuple[Pipeline, RunResult]) -> None:
    text = (Path(by_heart[1].run_dir) / "report.html").read_text()
    assert 'data-label="part">train</td>' in text
    assert 'data-label="part">stop</td>' not in text


def test_the_stored_pipeline_is_read_again(by_heart: tuple[Pipeline, RunResult]) -> None:
    stored = yaml.safe_load(RunPaths(Path(by_heart[1].run_dir)).pipeline.read_text())
    assert stored["splits"]["folds"] == FOLDS
    assert Pipeline.model_validate(stored).splits == by_heart[0].splits


def test_learners_may_stop_by_the_validation_part(folder: Path) -> None:
    splits = {"validation": 0.2, "stop": "validation"}
    config = pipeline(table_file(folder), splits=splits)
    paths = RunPaths(Path(run(config, output=folder, inline=True).run_dir))
    stop, validation = (open_base(paths.part(name)).table for name in ("stop", "validation"))
    assert stop.column("row").equals(validation.column("row"))
    assert len(stop) == 24
    assert open_base(paths.part("train")).table.num_rows == 72
    assert isinstance(ensemble_pipe.load(paths.root), Ensemble)
    assert re.search("train</td><td[^>]*>72</td><td[^>]*>60.0%<", paths.report.read_text())
