"""Predictions read from a file as a member: measured, weighed, kept and grown like any other."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss
from small_pipelines import SPLITS, small_settings

import ensemble_pipe
from ensemble_pipe.config.reading import Pipeline
from ensemble_pipe.core.errors import ConfigError, CorruptFileError, DataError
from ensemble_pipe.run.display import Silent
from ensemble_pipe.run.growth import add_learners
from ensemble_pipe.run.pipeline import RunResult, grow, resume, run
from ensemble_pipe.training.events import Checkpoint, Event

ROWS = 500
KINDS = ["high", "low", "mid"]
NETWORKS = {"strategy": "independent", "learners": 2}


def rows_of(seed: int, rows: int = ROWS) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(random.normal(size=(rows, 3)), columns=list("abc"))
    noisy = frame.a + frame.b + random.normal(scale=0.5, size=rows)
    frame["kind"] = np.select([noisy > 0.7, noisy < -0.7], KINDS[:2], KINDS[2])
    frame["value"] = 100 + 20 * noisy
    return frame


def predicted(frame: pd.DataFrame, kinds: list[str] = KINDS) -> pd.DataFrame:
    """Return probabilities that are right, more or less."""
    random = np.random.default_rng(len(frame))
    logits = random.normal(size=(len(frame), len(kinds)))
    logits += 2.0 * (frame["kind"].to_numpy()[:, None] == np.array(kinds))
    values = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return pd.DataFrame(values, columns=[f"probability_{kind}" for kind in kinds])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with rows, and what another program predicts of them."""
    frame = rows_of(1)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    predicted(frame).to_parquet(tmp_path / "other.parquet")
    return tmp_path


def pipeline(folder: Path, *pool: dict[str, Any], **values: Any) -> Pipeline:
    label, other = ("kind", "value")
    if values.get("task") == "regression":
        label, other = other, label
    data = {"source": "table", "path": str(folder / "rows.csv"), "label": label, "ignore": [other]}
    ensemble = {"pool": list(pool), **values.pop("ensemble", {})}
    data |= values.pop("data", {})
    plain = small_settings(hidden=6, epochs=3, splits=SPLITS, data=data, ensemble=ensemble)
    return Pipeline.model_validate({**plain, **values})


def given(folder: Path, **values: str) -> dict[str, Any]:
    group = {"strategy": "predictions", "name": "other", "path": str(folder / "other.parquet")}
    return {**group, **values}


def run_here(folder: Path, config: Pipeline, **options: Any) -> RunResult:
    return run(config, output=folder / "runs", inline=True, **options)


def entries(result: RunResult, kind: str) -> list[dict[str, Any]]:
    lines = (Path(result.run_dir) / "journal.jsonl").read_text().splitlines()
    return [entry for entry in map(json.loads, lines) if entry["kind"] == kind]


def rows_of_test_part(result: RunResult) -> pd.DataFrame:
    return pd.read_feather(
        Path(result.run_dir) / "predictions" / "test.arrow", columns=["row", "target"]
    )


@pytest.mark.parametrize("case", ["all rows", "some classes", "an official test part"])
def test_its_metrics_are_those_of_the_file(folder: Path, case: str) -> None:
    kinds, frame, group = KINDS, rows_of(1), given(folder)
    values: dict[str, Any] = {}
    file = predicted(frame)
    if case == "some classes":
        kinds = ["high", "mid"]
        values = {"classes": kinds}
        file = predicted(frame, kinds)
        file.to_parquet(folder / "other.parquet")
    if case == "an official test part":
        frame = rows_of(2, 200)
        file = predicted(frame)
        frame.to_csv(folder / "test.csv", index=False)
        file.to_csv(folder / "other_test.csv", index=False)
        values = {"data": {"test_path": str(folder / "test.csv")}}
        group = given(folder, test_path=str(folder / "other_test.csv"))
    result = run_here(folder, pipeline(folder, NETWORKS, group, **values))
    (own,) = [e["metrics"] for e in entries(result, "member_test") if e["learner"] == 2]
    rows = rows_of_test_part(result)
    assert (frame.kind.to_numpy()[rows.row] == rows.target).all()
    probabilities = file.to_numpy()[rows.row]
    assert own["test/nll"] == pytest.approx(log_loss(rows.target, probabilities), rel=1e-6)
    right = np.array(kinds)[probabilities.argmax(axis=1)] == rows.target
    assert own["test/accuracy"] == right.mean()


@pytest.mark.parametrize("has_std", [True, False])
def test_numbers_are_in_the_targets_own_units(folder: Path, has_std: bool) -> None:
    frame, random = rows_of(1), np.random.default_rng(5)
    std = random.uniform(5, 15, ROWS)
    mean = frame.value + std * random.normal(size=ROWS)
    file = pd.DataFrame({"mean": mean, "std": std})
    file[["mean", "std"] if has_std else ["mean"]].to_parquet(folder / "other.parquet")
    result = run_here(folder, pipeline(folder, NETWORKS, given(folder), task="regression"))
    (own,) = [e["metrics"] for e in entries(result, "member_test") if e["learner"] == 2]
    rows = rows_of_test_part(result)
    errors = (mean - frame.value)[rows.row]
    assert own["test/rmse"] == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-6)
    validation = pd.read_feather(Path(result.run_dir) / "predictions" / "validation.arrow")
    noise = np.sqrt((((mean - frame.value)[validation.row]) ** 2).mean())
    own_std = std[rows.row] if has_std else noise
    nll = 0.5 * np.log(2 * np.pi * own_std**2) + 0.5 * (errors / own_std) ** 2
    assert own["test/nll"] == pytest.approx(nll.mean(), rel=1e-5)
    member = ensemble_pipe.load(result.run_dir).members[2]
    assert member.noise == () if has_std else len(member.noise) == 1


def test_several_targets_have_a_mean_and_a_deviation_each(folder: Path) -> None:
    frame, random = rows_of(1), np.random.default_rng(5)
    targets = ["value", "c"]
    file = pd.DataFrame()
    for name in targets:
        file[f"std_{name}"] = random.uniform(0.5, 1.5, ROWS) * frame[name].std()
        file[f"mean_{name}"] = frame[name] + file[f"std_{name}"] * random.normal(size=ROWS)
    file.to_parquet(folder / "other.parquet")
    data = {"label": targets, "ignore": ["kind"]}
    config = pipeline(folder, NETWORKS, given(folder), task="regression", data=data)
    result = run_here(folder, config)
    (own,) = [e["metrics"] for e in entries(result, "member_test") if e["learner"] == 2]
    path = Path(result.run_dir) / "predictions" / "test.arrow"
    rows = pd.read_feather(path, columns=["row"]).row
    for name in targets:
        errors = (file[f"mean_{name}"] - frame[name])[rows]
        std = file[f"std_{name}"][rows]
        nll = 0.5 * np.log(2 * np.pi * std**2) + 0.5 * (errors / std) ** 2
        assert own[f"test/rmse/{name}"] == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-6)
        assert own[f"test/nll/{name}"] == pytest.approx(nll.mean(), rel=1e-5)
    model = ensemble_pipe.load(result.run_dir)
    means = model.predict_members(frame[list("ab")], {"other": file})[2]
    np.testing.assert_allclose(means, file[[f"mean_{n}" for n in targets]], rtol=1e-5, atol=1e-4)


def test_a_perfect_file_gets_all_the_weight_and_a_useless_one_is_dropped(folder: Path) -> None:
    kinds = rows_of(1).kind.to_numpy()
    perfect = pd.DataFrame({f"probability_{k}": (kinds == k).astype(float) for k in KINDS})
    perfect.to_parquet(folder / "other.parquet")
    weighed = {"combine": {"method": "weights"}}
    result = run_here(folder, pipeline(folder, NETWORKS, given(folder), ensemble=weighed))
    (member,) = ensemble_pipe.load(result.run_dir).members
    assert (member.learner, member.kind, result.members) == (2, "predictions other", 1)
    assert result.metrics["test/nll"] < 1e-5
    assert result.given == ("other",)
    report = (Path(result.run_dir) / "report.html").read_text()
    assert "INPUT --with other=FILE --output" in report

    perfect.iloc[:, [1, 2, 0]].set_axis(perfect.columns, axis=1).to_parquet(
        folder / "other.parquet"
    )
    result = run_here(folder, pipeline(folder, NETWORKS, given(folder), ensemble=weighed))
    model = ensemble_pipe.load(result.run_dir)
    assert all(member.kind == "mlp" for member in model.members)
    assert result.given == ()
    assert model.predict_proba(rows_of(3, 5)[list("abc")]).shape == (5, 3)  # nothing is to be given


def changed(row: int, column: str, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(file: pd.DataFrame) -> pd.DataFrame:
        file = file.astype({column: object}) if isinstance(value, str) else file
        file.loc[row, column] = value
        return file

    return change


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize(("change", "message"), [
    (lambda file: file[1:], r"other\.{}: has 499 rows, but .*rows\.csv has 500; one row"),
    (lambda file: file.drop(columns="probability_mid"),
     r"other\.{}: has no column 'probability_mid'"),
    (changed(4, "probability_low", 1.5),
     r"other\.{}: row 4 .*, column 'probability_low': 1\.5 is no probability; these are from 0 to"),
    (changed(4, "probability_low", -0.25), r"row 4 .*, column 'probability_low': -0\.25 is no pro"),
    (changed(7, "probability_mid", None), r"row 7 .*, column 'probability_mid': missing"),
    (changed(7, "probability_mid", np.inf), r"row 7 .*, column 'probability_mid': inf is no prob"),
    (lambda file: file * 0.5, r"row 0 .*: the probabilities of this row sum to 0\.5, not to 1"),
])  # fmt: skip
def test_a_bad_file_is_refused_before_anything_is_written(
    folder: Path, ending: str, change: Any, message: str
) -> None:
    file = change(predicted(rows_of(1)))
    path = folder / f"other.{ending}"
    file.to_parquet(path) if ending == "parquet" else file.to_csv(path, index=False)
    with pytest.raises(DataError, match=message.format(ending)):
        run_here(folder, pipeline(folder, NETWORKS, given(folder, path=str(path))))
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(("file", "message"), [
    ({"mean": np.ones(ROWS), "std": np.zeros(ROWS)},
     "row 0 .from 0., column 'std': 0.0 is no standard deviation; these are above 0"),
    ({"mean": np.full(ROWS, np.nan)}, "row 0 .from 0., column 'mean': missing, or NaN"),
    ({"mean": np.full(ROWS, 1e300)}, "row 0 .from 0., column 'mean': 1e.300 is too large or too s"),
    ({"mean": ["low"] * ROWS}, "row 0 .from 0., column 'mean': is of type .*string; predictions a"),
    ({"prediction": np.ones(ROWS)}, "has no column 'mean'"),
])  # fmt: skip
def test_bad_numbers_are_refused(folder: Path, file: dict[str, Any], message: str) -> None:
    pd.DataFrame(file).to_parquet(folder / "other.parquet")
    with pytest.raises(DataError, match=message):
        run_here(folder, pipeline(folder, NETWORKS, given(folder), task="regression"))


def test_a_text_among_the_numbers_of_a_csv_file_is_named(folder: Path) -> None:
    file = changed(6, "probability_low", "half")(predicted(rows_of(1)))
    file.to_csv(folder / "other.csv", index=False)
    config = pipeline(folder, NETWORKS, given(folder, path=str(folder / "other.csv")))
    with pytest.raises(DataError, match=r"other\.csv: row 6 .*'probability_low'.*'half'"):
        run_here(folder, config)


@pytest.mark.parametrize(("pool", "data", "message"), [
    ([{"test_path": "x.csv"}], {}, "test_path: is set, but the source has no official test part"),
    ([{}], {"test_path": True}, "test_path: is missing; the source has an official test part"),
    ([{}, {}], {}, "each group of predictions needs a name of its own"),
    ([{"name": "a=b"}], {}, "pattern"),
])  # fmt: skip
def test_a_group_that_cannot_be_is_refused(
    folder: Path, pool: list[dict[str, str]], data: dict[str, Any], message: str
) -> None:
    data = {"test_path": str(folder / "rows.csv")} if data else {}
    with pytest.raises((ConfigError, ValueError), match=message):
        run_here(folder, pipeline(folder, *(given(folder, **one) for one in pool), data=data))


def model_bytes(result: RunResult) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (Path(result.run_dir) / "model").iterdir()}


class StopAtOnce(Silent):
    def event(self, event: Event) -> None:
        if isinstance(event, Checkpoint):
            raise KeyboardInterrupt


def test_a_run_goes_on_without_the_file_to_the_same_bits(folder: Path) -> None:
    config = pipeline(
        folder, given(folder), NETWORKS,
        ensemble={"combine": {"method": "greedy", "coverage": 0.8, "temperature": True}},
    )  # fmt: skip
    whole = run_here(folder, config)
    with pytest.raises(KeyboardInterrupt):
        run(config, output=folder / "cut", inline=True, display=StopAtOnce())
    (folder / "other.parquet").unlink()
    (cut,) = (folder / "cut").iterdir()
    alone = resume(cut, inline=True, train=False)  # the file's member is finished from the start
    assert (alone.members, alone.unfinished) == (1, (1, 2))
    result = resume(cut, inline=True)
    assert result.metrics == whole.metrics
    assert model_bytes(result) == model_bytes(whole)


@pytest.mark.parametrize("last", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_run_with_a_file_grows_by_what_is_trained(folder: Path, last: bool) -> None:
    pool = (NETWORKS, given(folder)) if last else (given(folder), NETWORKS)
    config = pipeline(folder, *pool)
    small = run_here(folder, config)
    result = grow(small.run_dir, 1, inline=True)
    again = grow(small.run_dir, 1, inline=True)
    kinds = [member.kind for member in ensemble_pipe.load(again.run_dir).members]
    assert kinds == [
        *(["mlp", "mlp", "predictions other"] if last else ["predictions other", "mlp", "mlp"]),
        "mlp", "mlp",
    ]  # fmt: skip
    whole = run_here(folder, add_learners(config, 1))
    assert result.metrics == whole.metrics
    assert again.metrics == run_here(folder, add_learners(config, 2)).metrics


def test_a_pool_of_files_alone_is_combined_and_cannot_grow(folder: Path) -> None:
    config = pipeline(folder, given(folder), given(folder, name="again"))
    result = run_here(folder, config)
    assert result.members == 2
    with pytest.raises(ConfigError, match="only predictions from files, so nothing can grow"):
        grow(result.run_dir, 1, inline=True)


def test_training_ends_where_networks_add_too_little_to_the_file(folder: Path) -> None:
    config = pipeline(
        folder, {**NETWORKS, "learners": 4}, given(folder),
        ensemble={"stop_below_gain": 10.0}, cluster={"stack": 1},
    )  # fmt: skip
    result = run_here(folder, config)
    kinds = [member.kind for member in ensemble_pipe.load(result.run_dir).members]
    assert kinds == ["mlp", "predictions other"]
    assert {entry["learner"] for entry in entries(result, "spared")} == {1, 2, 3}


def test_an_estimator_takes_no_predictions_from_a_file(folder: Path) -> None:
    from ensemble_pipe import EnsembleClassifier

    model = EnsembleClassifier(overrides={"ensemble.pool": [given(folder)]})
    with pytest.raises(ValueError, match="for pipeline files"):
        model.fit(rows_of(1)[list("abc")], rows_of(1).kind)


def test_a_damaged_copy_is_refused(folder: Path) -> None:
    result = run_here(folder, pipeline(folder, NETWORKS, given(folder)))
    path = Path(result.run_dir) / "base" / "given-0002.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match=r"given-0002.*sha256"):
        resume(result.run_dir, inline=True)
