"""The fault campaign: a small form of it holds, and the page has what is kept."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from fault_cases import BEGIN, END, PAGE, RESULTS, Campaign, Case  # noqa: E402

# The others have tests of their own, beside what they are about.
SMALL = ("random moments", "checkpoint is written", "model is written")


def broken() -> str:
    raise AssertionError("other bits\nand more")


def test_each_case_is_tried_once_and_kept_and_one_that_failed_again_on_request(
    tmp_path: Path,
) -> None:
    kept = tmp_path / "faults.json"
    first = Campaign(kept, again=False)
    first.run("row", [Case("a", lambda: "W="), Case("b", broken)])
    assert not first.all_held
    assert json.loads(kept.read_text())["rows"]["row"]["b"]["how"] == "AssertionError: other bits"
    unchanged = Campaign(kept, again=False)
    unchanged.run("row", [Case("a", broken), Case("b", lambda: "W=")])
    assert not unchanged.all_held
    mended = Campaign(kept, again=True)
    mended.run("row", [Case("a", broken), Case("b", lambda: "W=")])
    assert mended.all_held
    assert "| row | 2 | 2 | 1 | W= (2) |" in mended.table()


def test_the_page_has_what_is_kept_and_all_of_it_held() -> None:
    campaign = Campaign(RESULTS, again=False)
    shown = PAGE.read_text().partition(BEGIN)[2].partition(END)[0].strip()
    assert shown == campaign.table()
    rows = json.loads(RESULTS.read_text())["rows"]
    assert {name: case["how"] for row in rows.values() for name, case in row.items()
            if not case["held"]} == {}  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_a_small_campaign_holds(tmp_path: Path) -> None:
    only = [part for row in SMALL for part in ("--only", row)]
    command = [sys.executable, str(ROOT / "benchmarks" / "faults.py"), "--small", *only]
    done = subprocess.run(
        [*command, "--results", str(tmp_path / "faults.json")], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(json.loads((tmp_path / "faults.json").read_text())["rows"]) == len(SMALL)
