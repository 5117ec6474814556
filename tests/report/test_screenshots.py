"""Reports as a browser shows them: nothing is cut, and all can be read, in the light and dark."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from browsers import chromium

from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.run.pipeline import run
from ensemble_pipe.search.pipeline import search

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("rendered_pictures")]

WIDTHS, SCHEMES = (390, 1280, 1600), ("light", "dark")
# Elements whose content is wider than they are, folded parts included.
CUT = """() => {
  document.querySelectorAll('details').forEach(one => one.open = true);
  return [...document.querySelectorAll('html, table, pre, section, div, figure')]
    .filter(one => one.clientWidth && one.scrollWidth > one.clientWidth + 1)
    .map(one => `${one.tagName}.${one.className} ${one.scrollWidth} > ${one.clientWidth}`); }"""
# The least contrast of text with the page (WCAG 2.2, 1.4.3), by the colours that are computed.
CONTRAST = """() => {
  const channel = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = text => { const [r, g, b] = text.match(/[\\d.]+/g).map(Number);
    return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b); };
  const ground = one => { for (; one; one = one.parentElement) {
    const colour = getComputedStyle(one).backgroundColor;
    if (!/, 0\\)$/.test(colour)) return colour; } return 'rgb(255, 255, 255)'; };
  return Math.min(...[...document.querySelectorAll(
    'p, h1, h2, h3, td, th, li, figcaption, span, summary, code, pre, b')]
    .filter(one => one.textContent.trim() && one.clientHeight)
    .map(one => { const a = light(getComputedStyle(one).color), b = light(ground(one));
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); })); }"""
# The least contrast of text in pictures, with the page or with what is filled beneath it.
WRITTEN = """() => {
  const numbers = text => text.match(/[\\d.]+/g).map(Number);
  const channel = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const page = numbers(getComputedStyle(document.body).backgroundColor);
  const mixed = (over, under, share) => under.map((u, i) => share * over[i] + (1 - share) * u);
  const beneath = text => { const at = text.getBoundingClientRect();
    const x = at.x + at.width / 2, y = at.y + at.height / 2; let colour = page;
    for (const one of text.closest('svg').querySelectorAll('path')) {
      const box = one.getBoundingClientRect(), style = getComputedStyle(one);
      if (style.fill === 'none' || !(box.left < x && x < box.right && box.top < y && y < box.bottom)
        || one.compareDocumentPosition(text) !== Node.DOCUMENT_POSITION_FOLLOWING) continue;
      colour = mixed(numbers(style.fill), colour, style.fillOpacity * style.opacity); }
    return light(colour); };
  return Math.min(...[...document.querySelectorAll('svg text')].filter(one => one.textContent)
    .map(one => { const a = light(numbers(getComputedStyle(one).fill)), b = beneath(one);
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); })); }"""

NETWORK: dict[str, Any] = {"hidden": [16]}
SMALL: dict[str, Any] = {"training": {"epochs": 4}, "tracking": {"mlflow": False}}
COVERED = {"learners": 3, "combine": {"coverage": 0.9, "temperature": True}}


def table(folder: Path, task: str) -> dict[str, Any]:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(50_000, 9_000, (900, 8)))
    frame.columns = [f"a_rather_long_name_of_a_column_{place}" for place in range(8)]
    frame["category"] = random.choice(["first of them", "second of them", "third"], 900)
    value = frame.iloc[:, 0] + 0.5 * frame.iloc[:, 1] + random.normal(0, 3_000, 900)
    frame["target"] = np.where(value > 75_000, "above", "below") if task == "classes" else value
    frame.to_csv(folder / f"{task}.csv", index=False)
    return {"source": "table", "path": str(folder / f"{task}.csv"), "label": "target"}


def pipelines(folder: Path) -> dict[str, dict[str, Any]]:
    convolution = {"name": "conv2d", "filters": 8, "kernel_size": 3}
    layers = [convolution, {"name": "relu"}, {"name": "flatten"}]
    space = {"network.hidden": [[8], [16]], "training.optimizer.learning_rate": [0.001, 0.01, 0.03]}
    return {
        "classification": {"data": table(folder, "classes"), "ensemble": COVERED},
        "regression": {"data": table(folder, "numbers"), "task": "regression", "ensemble": COVERED},
        "images": {
            "network": {"name": "sequential", "layers": layers},
            "augment": [{"name": "shift_crop"}],
            "ensemble": {"learners": 3},
        },
        "search": {"search": {"space": space, "driver": "grid"}},
    }


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, found = tmp_path_factory.mktemp("reports"), {}
    for name, settings in pipelines(folder).items():
        path = folder / f"{name}.yaml"
        path.write_text(json.dumps({"network": NETWORK, **SMALL, **settings}))
        if name == "search":
            finished = search(path, output=folder, inline=True).run
        else:
            finished = run(path, output=folder, inline=True)
        found[name] = RunPaths(Path(finished.run_dir)).report
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["classification", "regression", "images", "search"])
def test_nothing_is_cut_and_all_can_be_read(
    reports: dict[str, Path], browser: Any, tmp_path: Path, name: str, width: int, scheme: str
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(reports[name].as_uri())
    page.screenshot(path=tmp_path / f"{name}_{width}_{scheme}.png", full_page=True)
    assert page.evaluate(CUT) == []
    assert page.evaluate(CONTRAST) >= 4.5
    assert page.evaluate(WRITTEN) >= 4.5
    assert all(url.startswith(("file:", "data:")) for url in asked)
    page.close()


def test_every_picture_has_a_text(reports: dict[str, Path], browser: Any) -> None:
    for report in reports.values():
        page = browser.new_page()
        page.goto(report.as_uri())
        texts = page.eval_on_selector_all("[role=img]", "all => all.map(x => x.ariaLabel)")
        assert len(texts) >= 6
        assert all(len(text) > 20 for text in texts)
        assert page.eval_on_selector_all("img", "all => all.filter(x => !x.alt).length") == 0
        assert page.locator("svg").count() == len(texts)
        page.close()
