"""The pages of the documentation say what the code says, and lead to each other."""

import re
import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
# Those that no test of its own reads.
WITH_PIPELINES = [path for path in PAGES if "```yaml" in path.read_text()]


def name_of(path: Path) -> str:
    return path.relative_to(DOCS).as_posix()


@pytest.fixture(scope="module")
def generator() -> dict[str, Any]:
    sys.path.insert(0, str(DOCS))
    found = runpy.run_path(str(DOCS / "generate.py"))
    sys.path.remove(str(DOCS))
    return found


def test_the_generated_pages_are_those_of_the_code(generator: dict[str, Any]) -> None:
    stale = [name_of(path) for path in generator["changed"](generator["pages"]())]
    assert stale == [], f"run: {generator['COMMAND']}"


def test_the_architecture_has_a_line_for_each_file() -> None:
    page = (DOCS / "architecture.md").read_text()
    package = ROOT / "ensemble_pipe"
    found, folder = set(), ""
    for inner, file in re.findall(r"^\*\*`(.+)/`\*\*: .|^- `(.+\.py)`: .", page, re.M):
        folder = inner or folder
        if file:
            found.add(f"{folder}/{file}")
    files = {
        path.relative_to(package).as_posix()
        for path in package.glob("*/**/*.py")
        if path.name != "__init__.py"
    }
    assert found == files


def test_the_architecture_names_files_that_there_are() -> None:
    page = (DOCS / "architecture.md").read_text()
    table = page.split("## Where to look")[1].split("## Levels")[0]
    named = re.findall(r"`(\w+/[\w/]*(?:\.py)?)`", table)
    assert len(named) > 10
    assert [name for name in named if not (ROOT / "ensemble_pipe" / name).exists()] == []


def reference() -> set[str]:
    """Return what the pages of the reference show."""
    return {
        name
        for path in (DOCS / "reference").glob("*.md")
        for name in re.findall(r"^::: (\S+)$", path.read_text(), re.M)
    }


def test_every_public_name_is_in_the_reference() -> None:
    import ensemble_pipe
    from ensemble_pipe.run import pipeline

    public = {f"ensemble_pipe.{name}" for name in ensemble_pipe.__all__}
    functions = {f"ensemble_pipe.run.pipeline.{name}" for name in pipeline.__all__}
    # The first is shown by the page as the second; a class has one place.
    hidden = {
        "ensemble_pipe.run", "ensemble_pipe.run.pipeline.RunResult",
        "ensemble_pipe.search",
    }  # fmt: skip
    assert (public | functions) - hidden <= reference()
    assert {"ensemble_pipe.core.errors", "ensemble_pipe.ensemble.combiners"} <= reference()


def test_every_component_is_in_the_reference() -> None:
    from ensemble_pipe.data.augment import AUGMENTATIONS
    from ensemble_pipe.data.sources import SOURCES
    from ensemble_pipe.data.tables.scaling import SCALES
    from ensemble_pipe.nn.layers import LAYERS
    from ensemble_pipe.nn.losses import LOSSES
    from ensemble_pipe.nn.networks import NETWORKS
    from ensemble_pipe.optim import AVERAGES, RULES, SCHEDULES

    registries: list[Mapping[str, Any]] = [
        AUGMENTATIONS, SOURCES, SCALES, LAYERS, LOSSES, NETWORKS, AVERAGES, RULES, SCHEDULES,
    ]  # fmt: skip
    kinds = [kind for registry in registries for kind in registry.values()]
    missing = {f"{kind.__module__}.{kind.__qualname__}" for kind in kinds} - reference()
    assert missing == set()


@pytest.mark.parametrize("path", WITH_PIPELINES, ids=name_of)
def test_the_pipelines_of_a_page_are_valid(path: Path) -> None:
    from ensemble_pipe.config.sections import Pipeline

    for text in re.findall(r"^```yaml\n(.*?)^```", path.read_text(), re.M | re.S):
        Pipeline.model_validate(yaml.safe_load(text))


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_and_pictures_of_a_page_are_there(path: Path) -> None:
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S)
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (path.parent / target).is_file(), target


def test_the_site_leads_to_every_page() -> None:
    text = (ROOT / "mkdocs.yml").read_text()
    pages = re.findall(r"^ +- .+: (\S+\.md)$", text, re.M)
    assert sorted(pages) == sorted(name_of(path) for path in PAGES)


def test_the_site_loads_nothing_from_elsewhere() -> None:
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert site["theme"]["font"] is False
    assert not {"extra_css", "extra_javascript"} & set(site)
