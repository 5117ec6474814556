"""A few cases of each row of the campaign `benchmarks/faults_files.py`, on one small run."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import faults_documents
import faults_files
import faults_hostile
import fuzz

from ensemble_pipe.core.storage import RunPaths

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
CASES = faults_hostile.cases()
# The rows of the table in docs/faults.md, by the names of those that are kept.
ROWS = {
    "flips": "a random bit is flipped",
    "truncations": "a file is cut, at every length",
    "hostile": "hostile files",
    "hypothesis": "pipelines, tables and JSON of any shape",
    "bomb": "bombs",
}


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    return faults_files.make_run(tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("damage", ["flips", "truncations"])
@pytest.mark.parametrize("kind", faults_files.TARGETS)
def test_a_damaged_file_is_read_as_it_was_or_refused_by_name(
    paths: RunPaths, kind: str, damage: str
) -> None:
    count = faults_files.measure(paths, kind, damage, most=24)
    assert count.tried >= 20
    assert count.failed == 0, count.examples
    assert count.refused > 0 or (kind, damage) == ("journal", "truncations")


@pytest.mark.parametrize("kind", faults_files.TARGETS)
def test_what_is_whole_is_read_to_the_same_content_twice(paths: RunPaths, kind: str) -> None:
    first, second = (faults_files.plain(faults_files.TARGETS[kind].load(paths)) for _ in range(2))
    assert first == second


def test_the_campaign_notices_what_is_silent_or_raises(paths: RunPaths) -> None:
    assert faults_files.outcome_of(lambda: [1], [2], {"a"}) == "silent: other content"
    assert faults_files.outcome_of(lambda: 1 / 0, [], {"a"}).startswith("traceback: ZeroDivision")


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file_is_not_executed_and_is_refused_by_name(name: str, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    assert faults_hostile.outcome_of_hostile(CASES[name], inner) == ""


@pytest.mark.parametrize(("kind", "cases"), [("pipelines", 25), ("tables", 25), ("run files", 20)])
def test_what_has_any_shape_works_or_is_refused(paths: RunPaths, kind: str, cases: int) -> None:
    found: dict[str, Any] = faults_documents.measure(kind, cases, paths)
    assert found["failed"] == 0, found["examples"]
    assert found["refused"] > 0
    assert found["worked"] > 0


@pytest.mark.parametrize("name", fuzz.LOADERS)
def test_a_loader_reads_or_refuses_bytes_of_any_kind(name: str) -> None:
    loader = fuzz.LOADERS[name]
    for content in loader.seeds():
        loader.read(content)
    assert fuzz.mutation_fuzz(name, 40)["tried"] == 40


def test_the_fuzzer_shows_the_input_that_a_loader_does_not_survive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(fuzz.LOADERS, "json", fuzz.Loader(lambda content: 1 / 0, lambda: [b"{}"]))
    with pytest.raises(ZeroDivisionError) as raised:
        fuzz.mutation_fuzz("json", 1)
    assert raised.value.__notes__[0].startswith("json: input b'")


def test_the_page_has_what_is_kept() -> None:
    kept = json.loads((RESULTS / "faults_files.json").read_text())["rows"]
    fuzzed = json.loads((RESULTS / "fuzz.json").read_text())["rows"]
    counts = {
        row: [one for name, one in kept.items() if name.startswith(f"{kind}: ")]
        for kind, row in ROWS.items()
    }
    assert sum(map(len, counts.values())) == len(kept)
    counts["bytes of any kind, by loader"] = list(fuzzed.values())
    page = (ROOT / "docs" / "faults.md").read_text()
    for row, found in counts.items():
        tried, held = (sum(one[name] for one in found) for name in ("tried", "held"))
        assert f"| {row} | {tried:,} | {held:,} | " in page
