"""MLflow's UI as a browser shows it: a run unfolded with its learners, their curves, the model."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from browsers import chromium
from small_pipelines import small_settings

from ensemble_pipe.run.pipeline import run

pytestmark = pytest.mark.slow

# MLflow draws its pages when its own answers are there; a busy machine needs its time.
WAIT_MS = 120_000
LEARNERS = ["learner 000 mlp", "learner 001 mlp", "learner 002 mlp"]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """The address that `ui` prints and opens, with a run of three learners, and its process."""
    folder = tmp_path_factory.mktemp("shown")
    settings = small_settings(hidden=16, epochs=4, name="shown", ensemble={"learners": 3})
    settings["tracking"] = {"register_as": "digits"}
    (folder / "p.yaml").write_text(yaml.safe_dump(settings))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "1e-9")  # whenever it is looked at
        run(folder / "p.yaml", output=folder / "runs", inline=True)
    opened = folder / "opened"
    browser = folder / "browser.sh"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)
    code = "from ensemble_pipe.cli import app; app()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "ui", "--port", "5600"],
        cwd=folder,
        env={**os.environ, "DISPLAY": ":0", "BROWSER": f"{browser} %s"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        printed = process.stdout.readline().split(" at ")[1].split()[0]
        while not opened.is_file() or not opened.read_text():
            assert process.poll() is None
            time.sleep(0.2)
        assert opened.read_text().strip() == printed
        yield printed, process.pid
    finally:
        process.terminate()
        process.wait(timeout=60)


@pytest.fixture(scope="module")
def page(shown: tuple[str, int]) -> Iterator[Any]:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1600, "height": 1200})
        page.set_default_timeout(WAIT_MS)
        page.goto(shown[0])
        page.wait_for_selector("text=shown-")
        page.get_by_role("button", name="Close").first.click()  # a panel that MLflow opens
        page.locator("[role=row]", has_text="shown-").locator("button").first.click()
        page.wait_for_selector(f"text={LEARNERS[-1]}")
        yield page


def test_the_server_has_one_process_that_answers_and_none_for_language_models(
    shown: tuple[str, int],
) -> None:
    (server,) = psutil.Process(shown[1]).children()
    (worker,) = server.children(recursive=True)
    assert "uvicorn" in " ".join(worker.cmdline())


def test_a_run_unfolds_to_its_learners_in_order(page: Any, tmp_path: Path) -> None:
    names = page.locator("[role=row] a", has_text="learner").all_inner_texts()
    page.screenshot(path=tmp_path / "tree.png")
    assert [name.strip() for name in names] == LEARNERS
    run = page.locator("[role=row]", has_text="digits/test").inner_text()
    assert "digits/test (" in run  # the data set, with its digest
    assert "ensemble-p" in run


def test_the_first_charts_are_the_learners_curves(page: Any, tmp_path: Path) -> None:
    page.goto(page.url + "&compareRunsMode=CHART")
    page.wait_for_selector("text=stop/loss")
    page.wait_for_selector(".scatterlayer .trace")
    page.wait_for_selector(".barlayer .trace")  # of what the test part has, a bar for each run
    page.screenshot(path=tmp_path / "curves.png")
    first = page.locator(".js-plotly-plot").first
    assert first.locator(".scatterlayer .trace .point").count() >= 4 * len(LEARNERS)
    bars = page.locator(".js-plotly-plot", has=page.locator(".barlayer .trace")).first
    assert bars.locator(".barlayer .point").count() == 1 + len(LEARNERS)


def test_the_machine_has_a_tab_of_its_own(page: Any, tmp_path: Path) -> None:
    page.get_by_role("link", name="shown-").first.click()
    page.get_by_role("tab", name="System metrics").click()
    page.wait_for_selector("text=cpu_utilization_percentage")
    page.wait_for_selector(".scatterlayer .trace")
    page.screenshot(path=tmp_path / "system.png")
