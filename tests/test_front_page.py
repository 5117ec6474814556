"""The first page of the site as a browser shows it: what the project is, in one screen."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import chromium

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
# How much of the page must be seen without scrolling, by width.
HEIGHTS = {390: 844, 1280: 900}
COMMAND = "ensemble-pipe run pipelines/digits.yaml"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the first page of a site of that page alone, which is built in seconds."""
    pytest.importorskip("mkdocs", reason="the site needs its builder: pip install .[docs]")
    folder = tmp_path_factory.mktemp("site")
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    before, after = settings.split("nav:\n")
    extensions = after[after.index("markdown_extensions:") : after.index("plugins:")]
    (folder / "mkdocs.yml").write_text(f"{before}nav:\n  - index.md\n\n{extensions}")
    docs = folder / "docs"
    docs.mkdir()
    shutil.copy(ROOT / "docs" / "index.md", docs)
    shutil.copytree(ROOT / "docs" / "pictures", docs / "pictures")
    build = [sys.executable, "-m", "mkdocs", "build", "--quiet"]
    subprocess.run([*build, "-d", str(folder / "site")], cwd=folder, check=True)
    return folder / "site" / "index.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", HEIGHTS)
def test_the_first_screen_says_what_it_is_how_to_run_it_and_shows_a_report(
    page_file: Path, browser: Any, tmp_path: Path, width: int, scheme: str
) -> None:
    height = HEIGHTS[width]
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    page.goto(page_file.as_uri())
    page.screenshot(path=tmp_path / f"front_{width}_{scheme}.png")
    picture = page.locator("picture img")
    shown = (
        page.get_by_role("heading", level=1),
        page.locator("pre", has_text=COMMAND).first,
        page.get_by_role("link", name="The first run"),
        picture,
    )
    boxes = [one.bounding_box() for one in shown]
    assert all(box["x"] >= 0 and box["y"] + box["height"] <= height for box in boxes)
    assert picture.evaluate("one => one.currentSrc").endswith(f"first_report_{scheme}.png")
    assert picture.evaluate("one => one.naturalWidth") > 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
