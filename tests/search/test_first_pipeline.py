"""`init`: a first pipeline that runs as it is, and `run` of a data file, which does both."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner, Result

from ensemble_pipe.cli import app
from ensemble_pipe.cli.init import pipeline_for
from ensemble_pipe.config.conversion import validate
from ensemble_pipe.config.reading import load_pipeline
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.config.yaml_documents import Document
from ensemble_pipe.run.pipeline import run
from ensemble_pipe.run.preparation import prepare
from ensemble_pipe.search.first_pipeline import LEAST_POOLED, first_pipeline
from ensemble_pipe.search.first_pipeline_text import pipeline_text


def people(rows: int = 300) -> pd.DataFrame:
    random = np.random.default_rng(0)
    age = random.integers(18, 80, rows)
    return pd.DataFrame({
        "age": age, "job": random.choice(["smith", "clerk", "?"], rows),
        "rich": np.where(age + random.normal(0, 10, rows) > 50, "yes", "no"),
    })  # fmt: skip


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    people().to_csv("people.csv", index=False)
    return Path("people.csv")


def photos(folder: Path, side: int) -> Path:
    random = np.random.default_rng(0)
    for name, mean in (("day", 180), ("night", 60)):
        (folder / name).mkdir(parents=True)
        for number in range(40):
            pixels = random.normal(mean, 20, (side, side, 3)).clip(0, 255).astype("uint8")
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def call(*arguments: Any) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(*arguments: Any) -> str:
    before = sorted(Path().rglob("*"))
    done = call(*arguments)
    assert done.exit_code == 2, done.output
    assert sorted(Path().rglob("*")) == before
    return done.stderr


def settled(values: dict[str, Any]) -> Pipeline:
    return prepare(Pipeline.model_validate(values)).config


@pytest.mark.parametrize("label", ["rich", "age"])
def test_the_file_says_what_a_run_does_by_default(label: str, table: Path) -> None:
    written = call("init", table, "--label", label)
    assert written.exit_code == 0, written.stderr
    config, _ = load_pipeline(Path("pipeline.yaml"))
    data = {
        "source": "table",
        "path": str(table.resolve()),
        "label": label,
        "missing_values": ["?"],
    }
    default = {
        "name": "people",
        "task": "classification",
        "data": data,
        "ensemble": {"preset": "best"},
    }
    assert prepare(config).config == settled(default)


def test_texts_beside_numbers_are_proposed_as_missing_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cells = [
        "unknown" if n % 7 == 0 else "-" if n % 11 == 0 else f"{n / 3:.3f}" for n in range(300)
    ]
    lines = [f"{cell},{'abc'[n % 3]},{n % 2}" for n, cell in enumerate(cells)]
    Path("sizes.csv").write_text("\n".join(["size,kind,label", *lines]))
    text = call("init", "sizes.csv", "--label", "label").stdout
    assert "'-', 'unknown' are read as missing values; they are frequent in size" in text
    config, _ = load_pipeline(Path("pipeline.yaml"))
    decisions = {d.name: d for d in prepare(config).schema.decisions}
    assert decisions["size"].kind == "number"
    assert not decisions["size"].warning
    shown = call("data", "inspect", "sizes.csv", "--label", "label").stdout
    assert "missing_values: ['-', unknown]" in shown
    assert "where '-', 'unknown' means that one is missing" in " ".join(shown.split())


@pytest.mark.slow
def test_the_file_runs_from_any_folder(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call("init", table, "--label", "rich", "-o", "p.yaml").exit_code == 0
    file, other = Path("p.yaml").resolve(), table.resolve().parent / "elsewhere"
    other.mkdir()
    monkeypatch.chdir(other)
    quick: dict[str, Any] = {"tracking.mlflow": False, "training.epochs": 1}
    result = run(file, output="runs", inline=True, **quick)
    assert result.metrics["test/accuracy"] > 0.5


def test_reasons_stand_beside_the_choices(table: Path) -> None:
    text = call("init", table, "--label", "rich").stdout
    assert text.rstrip("\n") == Path("pipeline.yaml").read_text().rstrip("\n")
    for reason in (
        "# A first pipeline for people.csv: 300 rows",
        "# 2 classes: no ",
        "# '?' is read as a missing value; it is frequent in job",
        "# rows: test 60, train 240",
        "number, scaled: age",
        "few rows, so each learner leaves out a fold",
        "# networks and boosted trees",
    ):
        assert reason in text, reason


@pytest.mark.parametrize("name", ["rich", "target"])
@pytest.mark.parametrize("command", ["init", "run"])
def test_a_label_is_never_guessed(command: str, name: str, table: Path) -> None:
    people().rename(columns={"rich": name}).to_csv(table, index=False)
    if command == "run":
        message = refused("run", table, "--task", "classification")
    else:
        message = refused("init", table)
    assert (
        "people.csv: which column is to be predicted? name it: ensemble-pipe "
        f"{command} people.csv --label COLUMN, where COLUMN is one of 'age', 'job', '{name}'\n"
    ) in message


def test_of_many_columns_the_first_are_listed_and_identifiers_last(table: Path) -> None:
    frame = people().assign(id=range(300), one=1)[["id", "one", "age", "rich"]]
    frame.assign(**{f"x{n}": frame.age for n in range(60)}).to_csv(table, index=False)
    assert refused("init", table).endswith("one of 'age', 'rich', 'x0 ... x59 (60)', 'id'\n")
    frame.assign(**{f"{n} cm": frame.age for n in range(60)}).to_csv(table, index=False)
    assert refused("init", table).endswith("'36 cm', '37 cm', ... (63)\n")


def test_a_file_is_overwritten_only_where_that_is_said(table: Path) -> None:
    Path("pipeline.yaml").write_text("mine: true\n")
    assert "pipeline.yaml: exists already" in refused("init", table, "--label", "rich")
    assert Path("pipeline.yaml").read_text() == "mine: true\n"
    assert call("init", table, "--label", "rich", "--force").exit_code == 0
    assert "mine" not in Path("pipeline.yaml").read_text()


@pytest.mark.parametrize(("arguments", "message"), [
    (["absent.csv", "--label", "y"], "absent.csv: no such file"),
    (["people.csv", "--label", "poor"], "has no column 'poor'; its columns are: age, job, rich"),
    (["people.csv", "--label", "rich", "--task", "guess"], "--task guess: must be classif"),
    (["people.csv", "--label", "rich", "-o", "p.txt"], "p.txt: "),
    (["people.csv", "--label", "rich", "--task", "regression"], "'yes' is not a number; for c"),
])  # fmt: skip
def test_mistakes_are_named(arguments: list[str], message: str, table: Path) -> None:
    assert message in refused("init", *arguments)


def test_dates_in_order_are_the_time_and_repeated_identifiers_the_group(tmp_path: Path) -> None:
    frame = people()
    frame["patient_id"] = np.arange(300) // 3 * 7919 % 1000
    frame["born"] = pd.date_range("1950-01-01", periods=300)[::-1].astype(str)
    path = tmp_path / "f.csv"
    frame.to_csv(path, index=False)
    first = first_pipeline(str(path), "rich")
    assert (first.sides.group, first.sides.time) == ("patient_id", None)
    assert first.values["data"]["group"] == "patient_id"
    frame["day"] = pd.date_range("2020-01-01", periods=300).astype(str)
    frame.drop(columns="patient_id").to_csv(path, index=False)
    first = first_pipeline(str(path), "rich")
    assert (first.sides.group, first.sides.time) == (None, "day")
    assert "folds" not in first.values["splits"]  # which would see what comes after


def test_identifiers_of_few_things_are_no_groups(tmp_path: Path) -> None:
    frame = people()
    frame["shop_id"] = np.arange(300) % 5
    frame["row_id"] = np.arange(300)
    frame.to_csv(tmp_path / "f.csv", index=False)
    assert first_pipeline(str(tmp_path / "f.csv"), "rich").sides.group is None


@pytest.mark.parametrize(("side", "network"), [
    (8, "mlp"), (16, [16, 32]), (28, [16, 32]), (64, [16, 32, 64, 128]),
])  # fmt: skip
def test_images_have_blocks_by_their_size(side: int, network: Any, tmp_path: Path) -> None:
    first = first_pipeline(str(photos(tmp_path / "photos", side)))
    assert first.values["data"]["source"] == "image_folder"
    assert network in first.values["network"].values()
    assert first.prepared.schema.input_shape == (side, side, 3)


def test_trees_come_where_there_are_rows_for_them(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    for rows in (LEAST_POOLED - 1, LEAST_POOLED):
        people(rows).to_csv(path, index=False)
        pooled = "pool" in first_pipeline(str(path), "rich").values["ensemble"]
        assert pooled == (rows == LEAST_POOLED)


def test_of_many_rows_the_file_is_what_the_preset_stands_for(tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    people(7_000).to_csv(path, index=False)
    first = first_pipeline(str(path), "rich")
    kinds = [group["strategy"] for group in first.values["ensemble"]["pool"]]
    assert kinds == ["shared", "histogram_boosting"]
    default = {key: first.values[key] for key in ("name", "seed", "task", "data")}
    preset = settled({**default, "ensemble": {"preset": "best"}})
    assert settled(first.values) == preset
    text = pipeline_text(first, tmp_path / "p.yaml")
    assert validate(Document("p.yaml", yaml.safe_load(text))) == validate(first.document)


@pytest.mark.parametrize("key", ["ensemble.preset", "ensemble"])
def test_a_preset_for_a_data_file_takes_the_place_of_the_pool(table: Path, key: str) -> None:
    def with_preset(preset: str) -> Pipeline:
        value = preset if key == "ensemble.preset" else {"preset": preset}
        return prepare(pipeline_for(str(table), "rich", None, {key: value})).config

    own = prepare(pipeline_for(str(table), "rich", None, {})).config
    assert with_preset("best").ensemble == own.ensemble
    assert with_preset("best").network == own.network
    assert with_preset("fast").ensemble.pool is None


@pytest.mark.slow
def test_a_data_file_runs_as_what_init_writes(table: Path) -> None:
    call("init", table, "--label", "rich")
    settings = [part for text in ("training.epochs=2", "tracking.mlflow=false")
                for part in ("--set", text)]  # fmt: skip
    results = []
    for what in (["pipeline.yaml"], [table, "--label", "rich"]):
        done = call("run", *what, *settings, "--inline", "--json")
        assert done.exit_code == 0, done.stderr
        results.append(json.loads(done.stdout.splitlines()[-1]))
    one, other = (result["metrics"] for result in results)
    assert one == other
    assert Path(results[1]["run_dir"]).name.startswith("people-")


def test_a_folder_of_images_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    photos(Path("photos"), 8)
    settings = ["--set", "training.epochs=1", "--set", "tracking.mlflow=false"]
    done = call("run", "photos", *settings, "--inline", "--json")
    assert done.exit_code == 0, done.stderr


def test_data_inspect_and_init_suggest_the_same_data_section(table: Path) -> None:
    shown = json.loads(call("data", "inspect", table, "--label", "rich", "--json").stdout)
    data = first_pipeline(str(table), "rich").values["data"]
    assert shown["pipeline"]["data"] == {**data, "path": "people.csv"}
