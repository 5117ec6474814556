"""`promote`: the champion of a registered model changes only where the new one is better."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient
from small_pipelines import small_settings
from typer.testing import CliRunner

from ensemble_pipe.cli import app
from ensemble_pipe.comparison.promotion import promote, promotion_text
from ensemble_pipe.comparison.runs import read_run
from ensemble_pipe.core.addresses import sqlite_address
from ensemble_pipe.core.errors import EnsemblePipeError, InputError, RunDirectoryError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.run.pipeline import run
from ensemble_pipe.serving.registered import PROMOTION_TAG, champion
from ensemble_pipe.tracking.cursor import Cursor

KINDS: dict[str, dict[str, Any]] = {
    "weak": {"training.epochs": 1},
    "strong": {"training.epochs": 8},
    "other": {"seed": 2},
}


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return sqlite_address(tmp_path_factory.mktemp("registry") / "mlflow.db")


@pytest.fixture(scope="module")
def client(uri: str) -> MlflowClient:
    return MlflowClient(tracking_uri=uri)


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory, client: MlflowClient, uri: str
) -> dict[str, Path]:
    """Runs by their quality, with a model each in MLflow, as the companion leaves them."""
    folder = tmp_path_factory.mktemp("promoted")
    settings = small_settings(hidden=16, epochs=1, name="promoted", ensemble={"learners": 2})
    (folder / "p.yaml").write_text(yaml.safe_dump(settings))
    experiment, found = client.create_experiment("promotion"), {}
    for kind, own in KINDS.items():
        made = run(folder / "p.yaml", output=folder / "runs", inline=True, **own)
        found[kind] = paths = RunPaths(Path(made.run_dir))
        tags = {"ensemble_pipe.key": made.run_id, "ensemble_pipe.run_dir": made.run_dir}
        parent = client.create_run(experiment, tags=tags).info.run_id
        model = client.create_logged_model(experiment, "model", source_run_id=parent)
        Cursor(uri=uri, parent=parent, model_uri=model.model_uri).save(paths.cursor)
    return {kind: paths.root for kind, paths in found.items()}


def present(client: MlflowClient, name: str) -> str:
    found = champion(client, name)
    assert found is not None
    return found.number


def test_the_alias_moves_to_what_is_better_on_the_same_rows_and_to_nothing_else(
    runs: dict[str, Path], client: MlflowClient
) -> None:
    first = promote(runs["weak"], "digits")
    assert (first.version, first.before, first.champion) == ("1", None, "1")
    assert first.differences == {}
    assert first.to_dict()["promoted"] is True
    assert promote(runs["weak"], "digits").to_dict()["promoted"] is False
    better = promote(runs["strong"], "digits")
    assert (better.before, better.version, better.champion) == ("1", "2", "2")
    difference = better.differences["nll"]
    ours, theirs = (read_run(runs[kind]).values["nll"].values for kind in ("strong", "weak"))
    assert difference.mean == pytest.approx((ours - theirs).mean())
    assert difference.high is not None
    assert difference.high < 0
    assert present(client, "digits") == "2"
    assert f"{difference.mean:+.4f}" in promotion_text(better)
    assert "version 2 is the champion now" in promotion_text(better)
    version = client.get_model_version("digits", "2")
    assert version.tags[PROMOTION_TAG].startswith(f"nll {difference.mean:+.4f} (")
    worse = promote(runs["weak"], "digits")
    assert (worse.before, worse.version, worse.champion) == ("2", "1", "2")
    assert "version 2 stays the champion: version 1 is worse" in promotion_text(worse)
    assert present(client, "digits") == "2"
    assert promote(runs["strong"], "digits").champion == "2"


def test_a_difference_that_may_be_chance_moves_nothing(
    runs: dict[str, Path], client: MlflowClient, tmp_path: Path
) -> None:
    """Of the same members a copy of the run differs by nothing."""
    promote(runs["strong"], "even")
    copied = Path(shutil.copytree(runs["strong"], tmp_path / runs["strong"].name))
    manifest = json.loads((copied / "model" / "manifest.json").read_text())
    manifest["sums"] = dict.fromkeys(manifest["sums"], "0" * 64)  # another model
    (copied / "model" / "manifest.json").write_text(json.dumps(manifest))
    found = promote(copied, "even")
    assert (found.version, found.champion) == ("2", "1")
    assert "version 2 is not surely better" in promotion_text(found)


def test_models_of_other_rows_are_not_compared(runs: dict[str, Path], client: MlflowClient) -> None:
    promote(runs["weak"], "apart")
    with pytest.raises(InputError, match=r"on other rows .*digest.* same data, splits") as caught:
        promote(runs["other"], "apart")
    assert str(runs["weak"]) in str(caught.value)
    assert len(client.search_model_versions("name='apart'")) == 1


def test_the_champions_run_may_lie_elsewhere(runs: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="nope: no run directory"):
        promote(runs["weak"], "moved", tmp_path / "nope")  # though nothing is compared
    promote(runs["weak"], "moved")
    elsewhere = tmp_path / "elsewhere"
    runs["weak"].rename(elsewhere)
    try:
        with pytest.raises(RunDirectoryError, match="name its folder with --against"):
            promote(runs["strong"], "moved")
        with pytest.raises(InputError, match=f"the champion, is of run {runs['weak'].name}"):
            promote(runs["strong"], "moved", runs["other"])
        assert promote(elsewhere, "moved").champion == "1"  # it is the champion itself
        assert promote(runs["strong"], "moved", elsewhere).champion == "2"
    finally:
        elsewhere.rename(runs["weak"])


def test_a_champion_that_cannot_be_compared_stays(
    runs: dict[str, Path], client: MlflowClient
) -> None:
    client.create_registered_model("foreign")
    client.create_model_version("foreign", "file:///elsewhere")
    client.set_registered_model_alias("foreign", "champion", "1")
    with pytest.raises(InputError, match="of no run that MLflow knows"):
        promote(runs["strong"], "foreign")
    promote(runs["weak"], "grown")
    manifest = RunPaths(runs["weak"]).model / "manifest.json"
    before = manifest.read_text()
    values = json.loads(before)
    manifest.write_text(json.dumps({**values, "sums": dict.fromkeys(values["sums"], "0" * 64)}))
    try:
        with pytest.raises(InputError, match="has another model by now"):
            promote(runs["strong"], "grown")
    finally:
        manifest.write_text(before)


def test_mistakes_are_named(runs: dict[str, Path], tmp_path: Path) -> None:
    def said(*arguments: object) -> str:
        done = CliRunner().invoke(app, ["promote", *map(str, arguments)])
        assert done.exit_code == 2
        assert "Traceback" not in done.output
        return str(done.output)

    assert "no run directory" in said(tmp_path)
    assert "name one with --as NAME" in said(runs["weak"])
    copied = Path(shutil.copytree(runs["weak"], tmp_path / runs["weak"].name))
    RunPaths(copied).cursor.unlink()
    assert "ensemble-pipe sync" in said(copied, "--as", "x")


def test_a_server_that_cannot_be_reached_is_named(runs: dict[str, Path], tmp_path: Path) -> None:
    copied = Path(shutil.copytree(runs["weak"], tmp_path / runs["weak"].name))
    cursor = Cursor.load(RunPaths(copied).cursor)
    cursor.uri = "http://127.0.0.1:9"
    cursor.save(RunPaths(copied).cursor)
    with pytest.raises(EnsemblePipeError, match=r"MLflow: .*start the tracking server"):
        promote(copied, "digits")


def test_the_command_prints_the_interval_and_its_decision(runs: dict[str, Path]) -> None:
    promote(runs["weak"], "said")
    done = CliRunner().invoke(app, ["promote", str(runs["strong"]), "--as", "said", "--json"])
    assert "predict models:/said@champion INPUT --output predictions.csv" in done.stderr
    assert done.exit_code == 0, done.output
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert facts["promoted"] is True
    assert facts["differences"]["nll"]["high"] < 0
    assert "difference (95%)" in done.stderr
