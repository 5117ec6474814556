"""The pages of techniques show what their pipelines gave, and these run."""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import rendering

from ensemble_pipe.report.page import palette

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures" / "techniques"
PIPELINES = ROOT / "pipelines" / "techniques"
NAMES = sorted(path.stem for path in (ROOT / "docs" / "techniques").glob("*.md"))
NAMES.remove("index")


@pytest.fixture(scope="module")
def generator() -> Iterator[Any]:
    sys.path.insert(0, str(ROOT / "docs"))
    yield importlib.import_module("generate_techniques")
    sys.path.remove(str(ROOT / "docs"))


def technique_of(generator: Any, name: str) -> Any:
    (found,) = (one for one in generator.TECHNIQUES if one.name == name)
    return found


def test_every_page_has_a_technique_and_every_pipeline_a_page(generator: Any) -> None:
    assert sorted(one.name for one in generator.TECHNIQUES) == NAMES
    used = sorted(name for one in generator.TECHNIQUES for name in one.runs)
    assert used == sorted(path.stem for path in PIPELINES.glob("*.yaml"))


def test_the_pages_are_those_of_the_kept_figures_and_the_pipelines(generator: Any) -> None:
    stale = [path.name for path, text in generator.pages().items() if path.read_text() != text]
    assert stale == [], f"run: {generator.COMMAND} --kept"


@pytest.mark.parametrize("name", NAMES)
def test_the_kept_figures_are_of_the_runs_of_the_page(generator: Any, name: str) -> None:
    technique = technique_of(generator, name)
    labels = [label for runs in technique.runs.values() for label in runs]
    assert list(technique.kept()) == labels


@pytest.mark.parametrize("name", NAMES)
def test_a_page_shows_every_picture_that_is_drawn_of_its_figures(generator: Any, name: str) -> None:
    technique = technique_of(generator, name)
    shown = re.findall(
        r"!\[.{10,}\]\(\.\./pictures/techniques/(\w+)\.svg\)", technique.page.read_text()
    )
    assert sorted(shown) == sorted(technique.draw(technique.kept()))
    assert all((PICTURES / f"{picture}.svg").is_file() for picture in shown)


@pytest.mark.parametrize("name", NAMES)
def test_a_formula_has_no_asterisk_which_markdown_takes_for_emphasis(name: str) -> None:
    page = (ROOT / "docs" / "techniques" / f"{name}.md").read_text()
    text = re.sub(r"```.*?```|`[^`\n]+`|\*\*[^*\n]+\*\*|<!--.*?-->", "", page, flags=re.DOTALL)
    assert re.findall(r".*\*.*", text) == []


def test_every_picture_is_legible_in_the_light_and_the_dark() -> None:
    assert [path.name for path in PICTURES.iterdir() if palette() not in path.read_text()] == []


def test_every_picture_is_of_a_page() -> None:
    pages = "".join((ROOT / "docs" / "techniques" / f"{name}.md").read_text() for name in NAMES)
    assert [path.name for path in PICTURES.iterdir() if path.name not in pages] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_pictures_of_a_page_are_those_of_the_kept_figures(
    generator: Any, name: str, tmp_path: Path
) -> None:
    technique = technique_of(generator, name)
    with rendering():
        generator.draw(technique, technique.kept(), tmp_path)
    stale = [
        path.name
        for path in tmp_path.iterdir()
        if path.read_bytes() != (PICTURES / path.name).read_bytes()
    ]
    assert stale == [], f"run: {generator.COMMAND} --kept {name}"


def test_a_page_that_there_is_not_is_refused_with_those_that_there_are(
    generator: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["generate_techniques.py", "whitenning"])
    with pytest.raises(SystemExit) as ended:
        generator.main()
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert "no page whitenning; valid: " in message
    assert "whitening" in message.split("valid: ")[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_pipelines_of_a_page_run_in_a_small_form(
    generator: Any, name: str, tmp_path: Path
) -> None:
    technique = technique_of(generator, name)
    outcomes = technique.outcomes(tmp_path, technique.small)
    assert all(one.members and one.ensemble for one in outcomes.values())
    generator.draw(technique, outcomes, tmp_path)
    assert list(tmp_path.glob("*.svg"))
    text = generator.measured(technique, outcomes)
    assert "**Seen.**" in text or "**Not seen.**" in text
    assert not re.search(r"\bnan\b", text)
