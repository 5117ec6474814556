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
    (code,) = fences("python")
    (tmp_path / "pipelines").symlink_to(ROOT / "pipelines")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.match(r"\[\d \d \d \d \d\]\n\[0\.\d+ ", done.stdout)


def test_the_yaml_of_the_readme_is_valid() -> None:
    from ensemble_pipe.config.plans import make_plans
    from ensemble_pipe.config.sections import Pipeline

    for text in fences("yaml"):
        pipeline = Pipeline.model_validate(yaml.safe_load(text))
        plans = make_plans(pipeline).networks
        plans[0].network.build((8, 8, 1), 10)
        varied = pipeline.ensemble.vary is not None
        assert len({plan.rule.learning_rate for plan in plans}) == (6 if varied else 1)


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


@pytest.mark.slow
def test_the_yaml_of_the_readme_runs_with_mlflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    from ensemble_pipe.run.pipeline import run, sync

    monkeypatch.chdir(tmp_path)
    people(tmp_path / "people.csv")
    for text in fences("yaml"):
        Path("p.yaml").write_text(text)
        fewer: dict[str, Any] = {"training.epochs": 1, "ensemble.learners": 2}
        result = run("p.yaml", inline=True, **fewer)
        assert result.model_uri is not None
        tracker = sync(result.run_dir, timeout_s=60)
        assert (tracker.problem, tracker.left_out) == (None, "")
        client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
        assert client.get_run(str(result.mlflow_run_id)).info.status == "FINISHED"


def test_the_file_tree_has_a_line_for_each_file() -> None:
    tree = README.split("## The files")[1].split("## Goals")[0]
    folders: dict[int, str] = {}
    named = set()
    for indent, name in re.findall(r"^( {4,})(\S+) *", tree, re.M):
        depth = len(indent)
        above = folders.get(depth - 2, "")
        folders[depth] = above + name
        named.add(above + name)
    files = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "ensemble_pipe").rglob("*.py")
        if path.name != "__init__.py"
    }
    assert {name for name in named if name.endswith(".py")} == files
    assert all((ROOT / name).exists() for name in named)


def test_links_and_pictures_are_there() -> None:
    local = re.findall(r"\]\((?!http)([^)#]+)\)|`(docs/\S+?)`", README)
    for path in (one or other for one, other in local):
        assert (ROOT / path).is_file(), path


@pytest.mark.parametrize("path", sorted((ROOT / "pipelines").glob("*.yaml")), ids=lambda p: p.name)
def test_each_pipeline_says_what_it_is_for(path: Path) -> None:
    header = path.read_text().split("\nname:")[0]
    for word in ("Purpose", "Needs", "Command", "Override", "Expect"):
        assert f"# {word}" in header
    assert f"ensemble-pipe run pipelines/{path.name}" in header


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
    from ensemble_pipe.config.reading import Pipeline

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


def test_docstring_examples_hold() -> None:
    import doctest
    import importlib

    names = [
        "__init__", "cluster.failure", "optim.schedules", "optim.cycles", "optim.plateau",
        "optim.warm_up", "optim.averaging", "optim.segments",
    ]  # fmt: skip
    for name in names:
        module = importlib.import_module(f"ensemble_pipe.{name}".removesuffix(".__init__"))
        failed, tried = doctest.testmod(module)
        assert tried > 0
        assert failed == 0
