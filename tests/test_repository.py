"""The files around the package: hooks, the hosted workflow, the changelog, the guide."""

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

import ensemble_pipe

ROOT = Path(__file__).parents[1]


def read_yaml(*parts: str) -> Any:
    return yaml.safe_load(ROOT.joinpath(*parts).read_text())


def test_the_hooks_run_the_tools_of_the_environment() -> None:
    (repository,) = read_yaml(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    assert {hook["language"] for hook in repository["hooks"]} == {"system"}
    commands = [hook["entry"] for hook in repository["hooks"]]
    assert commands == ["ruff check --fix", "ruff format", "mypy"]
    script = (ROOT / ".ci" / "run").read_text()
    for command in ("ruff check", "ruff format", "mypy"):
        assert f".venv/bin/{command}" in script


def test_the_hosted_workflow_only_calls_ci_run() -> None:
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    (job,) = yaml.safe_load(text)["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    actions = [step["uses"] for step in job["steps"] if "uses" in step]
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", action) for action in actions)
    assert "secrets." not in text
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}


def test_the_documentation_is_built_by_ci_from_pinned_packages() -> None:
    assert "mkdocs build --strict" in (ROOT / ".ci" / "run").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = (ROOT / "constraints.txt").read_text()
    for package in ("mkdocs-material", "mkdocstrings", "mkdocstrings-python"):
        assert re.search(rf"^{package}==", pins, re.M), package
    assert len(project["optional-dependencies"]["docs"]) == 2


def test_the_changelog_begins_with_what_is_unreleased_and_has_the_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    heads = re.findall(r"^## (.+)$", text, re.M)
    assert heads[0] == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", head) for head in heads[1:])
    assert heads[1].split(" - ")[0] == ensemble_pipe.__version__
    kinds = set(re.findall(r"^### (.+)$", text, re.M))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_contributors_guide_names_files_that_there_are() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`([\w./-]+\.(?:py|md|txt|ya?ml))`|`(\.ci/run)`|\]\(([^):]+)\)", text)
    found = {next(filter(None, names)) for names in named}
    assert len(found) > 5
    folders = (ROOT, ROOT / "ensemble_pipe")  # the table of components is of files of the package
    assert [name for name in found if not any((one / name).exists() for one in folders)] == []
