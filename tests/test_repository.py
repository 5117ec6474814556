"""The files around the package: hooks, the hosted workflow, the changelog, the guide."""

import importlib
import re
import sys
import tomllib
from datetime import date
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


def test_processes_that_tests_find_are_killed_through_psutil() -> None:
    """`os.kill` takes 0, which means everything that runs the tests, and numbers used again."""
    killed = set[str]()
    for folder in ("tests", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            killed |= set(re.findall(r"os\.kill\(([^,]+),", path.read_text()))
    assert killed == {"os.getpid()"}


def audit() -> Any:
    sys.path.insert(0, str(ROOT / ".ci"))
    return importlib.import_module("audit")


def test_versions_are_compared_with_the_ranges_of_advisories(tmp_path: Path) -> None:
    module = audit()
    folder = tmp_path / "vulns" / "pyarrow"
    folder.mkdir(parents=True)
    events = [{"introduced": "0.14.0"}, {"fixed": "14.0.1"}, {"introduced": "15.0"}]
    record = {"id": "X-1", "affected": [{"ranges": [{"type": "ECOSYSTEM", "events": events}]}]}
    (folder / "X-1.yaml").write_text(yaml.safe_dump(record))
    (folder / "X-2.yaml").write_text(yaml.safe_dump({**record, "id": "X-2", "withdrawn": "2024"}))
    kept = module.update(tmp_path, {"pyarrow": "14.0.0", "numpy": "2.0"})
    assert kept["packages"] == ["numpy", "pyarrow"]
    for version, found in (("14.0.0", 1), ("14.0.1", 0), ("0.13", 0), ("15.0.0", 1)):
        assert module.findings(kept, {"pyarrow": version, "numpy": "2.0"}) == (
            [f"pyarrow {version}: X-1"] * found
        )


def test_the_audit_says_what_it_could_not_know() -> None:
    module, kept = audit(), {"as_of": "2026-01-01", "packages": ["numpy"], "advisories": []}
    assert module.unaudited(kept, {"numpy": "2.0"}, date(2026, 3, 1)) == []
    late = module.unaudited(kept, {"numpy": "2.0", "x": "1"}, date(2026, 6, 1))
    assert [text.partition(":")[0] for text in late] == ["NOT AUDITED"] * 2
    assert "since 2026-01-01, 151 days ago" in late[0]
    assert "1 packages that the kept file does not know" in late[1]


def test_every_pinned_package_has_an_allowed_licence_on_the_page() -> None:
    module = audit()
    page = (ROOT / "docs" / "licences.md").read_text()
    licences = dict(re.findall(r"^\| ([\w-]+) \| (.+) \|$", page, re.M))
    licences.pop("package")
    assert set(licences) == module.pinned((ROOT / "constraints.txt").read_text())
    others = {name for name, text in licences.items() if not module.is_allowed(text)}
    assert others == module.EXEMPT
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    shipped = " ".join([*project["dependencies"], *project["optional-dependencies"]["boosting"]])
    assert not any(name in shipped for name in others)
    for wrong in ("", "GPL-3.0-only", "MIT AND AGPL-3.0", "LGPLv3", "Proprietary"):
        assert not module.is_allowed(wrong), wrong
    assert ".venv/bin/python .ci/audit.py" in (ROOT / ".ci" / "run").read_text()


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
