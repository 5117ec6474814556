"""Runs the digits and takes pictures of the head of their report, for the first page of the docs.

python docs/generate_first_report.py        # needs Chromium
"""

import re
import shutil
import tempfile
from pathlib import Path

from ensemble_pipe.run.pipeline import run

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
WIDTH = 860


def main() -> None:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    assert chromium is not None, "no chromium is here: apt-get install chromium"
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        done = run(
            ROOT / "pipelines" / "digits.yaml",
            tracking={"mlflow": False},
            output=Path(folder) / "runs",
            inline=True,
        )
        report = (Path(done.run_dir) / "report.html").read_text(encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            page = browser.new_page(viewport={"width": WIDTH, "height": 900}, color_scheme=scheme)
            page.set_content(re.sub(re.escape(f"{folder}/"), "", report))
            box = page.locator("main > section.next").bounding_box()
            assert box is not None
            page.screenshot(
                path=PICTURES / f"first_report_{scheme}.png",
                clip={"x": 0, "y": 0, "width": WIDTH, "height": box["y"] + box["height"] + 16},
            )
        browser.close()


if __name__ == "__main__":
    main()
