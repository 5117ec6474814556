"""What the README and the shipped files say is so."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def fences(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.M | re.S)


@pytest.mark.parametrize(("label", "ending"), [
    ("quickstart", ".venv/bin/ensemble-pipe run pipelines/digits.yaml"),
    ("tests", ".venv/bin/python -m pytest"),
])  # fmt: skip
def test_ci_runs_the_readmes_own_commands(label: str, ending: str) -> None:
    script = ROOT / ".ci" / "readme_command.py"
    found = subprocess.run(
        [sys.executable, script, label], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert found.startswith("python3 -m venv .venv && .venv/bin/pip install -c constraints.txt ")
    assert found.endswith(ending)
    assert f"command_of {label}" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.slow
def test_the_python_of_the_readme_runs(tmp_path: Path) -> None:
    code = "\n".join(fences("python"))
    (tmp_path / "pipelines").symlink_to(ROOT / "pipelines")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.match(r"\[\d \d \d \d \d\]\n\[0\.\d+ ", done.stdout)
    described = "<Model: classification of 'y' (2 classes: no, yes) from 2 columns (age, job)"
    assert described in done.stdout


def test_the_readme_stays_a_front_page() -> None:
    assert len(README.encode()) <= 12_000


def test_the_yaml_of_the_readme_is_valid() -> None:
    from ensemble_pipe.config.plans import make_plans
    from ensemble_pipe.config.sections import Pipeline

    table, images, numbers, pool = (
        make_plans(Pipeline.model_validate(yaml.safe_load(text))).networks
        for text in fences("yaml")
    )
    assert len({plan.rule.learning_rate for plan in table}) == 6
    assert len({plan.rule.learning_rate for plan in pool}) == 2
    assert (len(images), len(numbers)) == (2, 5)
    for plans in (table, images, numbers, pool):
        plans[0].network.build((8, 8, 1), 10)


def people(path: Path) -> None:
    """Write the table that the README's pipeline for tables is for."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(0)
    frame = pd.DataFrame({
        "id": range(300), "age": random.integers(18, 80, 300).astype(float),
        "born": pd.date_range("1950-01-01", periods=300), "job": random.choice(["a", "?"], 300),
        "region_1": random.choice(["n", "s"], 300), "region_2": random.choice(["e", "w"], 300),
        "household": random.integers(0, 150, 300), "survey_weight": random.uniform(1, 2, 300),
        "income": random.choice(["high", "low"], 300),
    })  # fmt: skip
    frame.loc[::9, "age"] = None
    frame.to_csv(path, index=False)


def photos(folder: Path) -> None:
    """Write the images that the README's pipeline for images is for."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    for name, mean in (("day", 180), ("night", 60)):
        (folder / name).mkdir(parents=True)
        for number in range(40):
            pixels = random.normal(mean, 20, (12, 12, 3)).clip(0, 255).astype("uint8")
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


def sales(path: Path) -> None:
    """Write the table that the README's regression is for, by its own command."""
    command = re.search(r"python (docs/\S+/sales.py) sales.parquet", README)
    assert command is not None
    subprocess.run([sys.executable, ROOT / command[1], path], check=True)


@pytest.mark.slow
def test_the_regression_of_the_readme_is_clearly_better_than_a_linear_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ensemble_pipe.run.pipeline import run

    monkeypatch.chdir(tmp_path)
    sales(tmp_path / "sales.parquet")
    Path("p.yaml").write_text(fences("yaml")[2])
    untracked: dict[str, Any] = {"tracking.mlflow": False}
    found = run("p.yaml", inline=True, **untracked).metrics
    told = re.search(r"about (0\.\d+) \(a linear model's (0\.\d+), and 0.5 is noise\)", README)
    assert told is not None
    assert found["test/rmse"] == pytest.approx(float(told[1]), abs=0.02)
    assert found["baseline_linear/test/rmse"] == pytest.approx(float(told[2]), abs=0.02)
    assert (found["baseline_linear/test/gain_low/rmse"] or 0.0) > 0.1
    assert found["conformal/test/coverage"] == pytest.approx(0.9, abs=0.04)


@pytest.mark.slow
def test_the_yaml_of_the_readme_runs_with_mlflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    from ensemble_pipe.run.pipeline import run, sync

    monkeypatch.chdir(tmp_path)
    people(tmp_path / "people.csv")
    photos(tmp_path / "photos")
    sales(tmp_path / "sales.parquet")
    for text, members in zip(fences("yaml"), (6, 10, 5, 8), strict=True):
        Path("p.yaml").write_text(text)
        shorter: dict[str, Any] = {"training.epochs": 5}
        result = run("p.yaml", inline=True, **shorter)
        assert (result.failed, result.model_uri is None) == ({}, False)
        assert 1 <= result.members <= members
        tracker = sync(result.run_dir, timeout_s=60)
        assert (tracker.problem, tracker.left_out) == (None, "")
        client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
        assert client.get_run(str(result.mlflow_run_id)).info.status == "FINISHED"


def kept(name: str) -> Any:
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())


def row_of(start: str) -> str:
    (row,) = re.findall(rf"^\| {re.escape(start)}.*$", README, re.M)
    found: str = row
    return found


def test_the_figures_of_speed_are_those_that_are_kept() -> None:
    engine = kept("engine")
    assert f"**{engine['mlp']['over_torch']:.2f} times**" in row_of("training steps")
    row = row_of("CNN with batch norm")
    for name in ("cnn", "separable_cnn"):
        assert f"**{engine[name]['over_torch']:.2f}" in row
    row, small = row_of("ten networks"), engine["small_32"]
    assert f"**{small['over_torch']:.1f} times**, **{small['over_torch_bmm']:.1f} times**" in row
    ratios = [
        one["over_peer"]
        for sizes in kept("augmentations").values()
        for one in sizes["augmentations"].values()
    ]
    assert f"**{min(ratios)} to {max(ratios):.0f} times**" in row_of("thirteen augmentations")


def test_the_figures_of_quality_are_those_that_are_kept() -> None:
    fashion = kept("fashion_mnist")
    test, other = fashion["test"], fashion["ood"]["mutual_information"]
    figures = f"**{test['accuracy']}, {test['nll']:.3f}, {test['ece']:.3f}**"
    assert figures in row_of(f"Fashion-MNIST, two networks, {fashion['seconds'] / 60:.0f} minutes")
    row = row_of("images of another kind")
    assert f"**{other['auroc']:.3f}**" in row
    assert f"{other['members_alone']:.3f}" in row
    for row, measure in ((row_of("UCI"), "rmse"), (row_of("the same: NLL"), "nll")):
        found = [one for one in kept("uci_regression")["summary"] if one["measure"] == measure]
        for peer in ("mean", "mc_dropout", "deep_ensembles"):
            shown = [str(float(f"{one[peer]:.3g}")) for one in found]
            numbers = {str(float(number)) for number in re.findall(r"-?\d+\.\d+", row)}
            assert set(shown) <= numbers, (peer, shown)
    single, snapshots = kept("snapshots")["strategies"]
    row = row_of("five snapshots")
    for one in (single, snapshots):
        error, nll = 1 - one["accuracy"]["mean"], one["nll"]["mean"]
        assert f"{error:.4f}, {nll:.3f}" in row


def test_the_figures_of_pools_and_memory_are_those_that_are_kept() -> None:
    import numpy as np

    seeds, row = kept("pools")["seeds"], row_of("adult census")
    for found in (
        [seed["pool"] for seed in seeds],
        *([seed["kind"][kind] for seed in seeds] for kind in ("network", "histogram_boosting")),
    ):
        nll, accuracy = (
            np.mean([one[f"test_{name}"] for one in found]) for name in ("nll", "accuracy")
        )
        assert f"{nll:.4f}, {accuracy:.4f}" in row
    memory = kept("memory")
    assert f"{memory['data_mb'] / 1000:.1f} GB" in row_of("eight trainers")
    for line in (memory["lines"][0], memory["lines"][-1]):
        assert f"{max(line['added_private_mb'])} MB" in row_of("eight trainers")
    private = kept("larger_than_memory")["highest_private_mb"]["all together"]
    assert f"**{private / 1000:.1f} GB**" in row_of("20 GB")


def test_links_and_pictures_are_there() -> None:
    local = re.findall(r"\]\((?!http)([^)#]+)\)|`(docs/\S+?)`", README)
    for path in (one or other for one, other in local):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("path", sorted((ROOT / "pipelines").glob("*.yaml")), ids=lambda p: p.name)
def test_each_pipeline_says_what_it_is_for(path: Path) -> None:
    header = path.read_text().split("\nname:")[0]
    for word in ("Purpose", "Needs", "Command", "Override", "Expect"):
        assert f"# {word}" in header
    verb = "search" if path.stem.endswith("_search") else "run"
    assert f"ensemble-pipe {verb} pipelines/{path.name}" in header


def test_the_template_runs_on_a_table_of_ones_own(tmp_path: Path) -> None:
    import numpy as np
    import pandas as pd

    from ensemble_pipe.run.pipeline import run

    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(400, 3)), columns=list("abc"))
    frame["outcome"] = np.where(frame.a * frame.b > 0, "yes", "no")
    frame.to_csv(tmp_path / "my.csv", index=False)
    settings: dict[str, Any] = {"data.path": str(tmp_path / "my.csv"), "data.label": "outcome"}
    quiet: dict[str, Any] = {"tracking.mlflow": False, "training.epochs": 20}
    template = ROOT / "pipelines" / "your_table.yaml"
    result = run(template, output=tmp_path, inline=True, **settings, **quiet)
    assert result.metrics["test/accuracy"] > 0.8


def test_what_the_template_comments_out_is_valid() -> None:
    from ensemble_pipe.config.sections import Pipeline

    template = (ROOT / "pipelines" / "your_table.yaml").read_text()
    own = template[template.index("\nname:") :]
    commented = re.sub(r"^(\s*)# (?=\s*[\w.]+: )", r"\1", own, flags=re.M)
    values = yaml.safe_load(commented)
    assert {"columns", "weight", "group", "time", "missing_values"} <= values["data"].keys()
    assert Pipeline.model_validate(values).ensemble.vary is not None


def test_cluster_yaml_is_valid_for_rays_launcher() -> None:
    import ray

    schema = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    cluster = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    jsonschema.validate(cluster, json.loads(schema.read_text()))


def test_constraints_are_exact_and_carry_no_address() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.\-]+==[A-Za-z0-9_.+!\-]+", pin) for pin in pins)


def modules_with_examples() -> list[str]:
    files = sorted((ROOT / "ensemble_pipe").rglob("*.py"))
    names = [path.relative_to(ROOT).with_suffix("") for path in files if ">>> " in path.read_text()]
    return [".".join(name.parts).removesuffix(".__init__") for name in names]


@pytest.mark.parametrize("name", modules_with_examples())
def test_docstring_examples_hold(name: str) -> None:
    import doctest
    import importlib

    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried > 0
    assert failed == 0
