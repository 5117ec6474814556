"""The report of a run: one page that holds all, escapes all, and tells how far the run has come."""

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from typer.testing import CliRunner

from ensemble_pipe.cli import app
from ensemble_pipe.core.storage import RunPaths, read_manifest, sums_of
from ensemble_pipe.data.base import read_schema
from ensemble_pipe.report.pictures import draw_pictures
from ensemble_pipe.report.writing import write_report
from ensemble_pipe.run.pipeline import run
from ensemble_pipe.tracking.journal import read_entries, read_lines
from ensemble_pipe.tracking.kinds import (
    CombinedEntry,
    Entry,
    ImportanceEntry,
    ResultEntry,
    StartedEntry,
    TimelineEntry,
)

SCRIPT = "<script>alert('&')</script>"
PIPELINE = {
    "name": "reported",
    "data": {
        "source": "table", "path": "rows.csv", "label": "kind",
        "columns": {"<*": {"kind": "category", "missing": "category"}, "a": {"missing": "mean"}},
    },
    "augment": [{"name": "feature_noise"}],
    "view": {"bootstrap": True, "folds": 3, "features": 0.7},
    "training": {"epochs": 3},
    "ensemble": {"learners": 2, "vary": {"network.hidden": [[8], [4, 4]]}},
    "tracking": {"mlflow": False},
}  # fmt: skip


pytestmark = pytest.mark.usefixtures("rendered_pictures")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    """A run on a table whose column and class names would like to be executed."""
    folder = tmp_path_factory.mktemp("reported")
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(300, 2)), columns=["a", "b"])
    frame[SCRIPT] = np.where(frame.b > 0, SCRIPT, "")
    frame["kind"] = np.where(frame.a > 0, f"</td>{SCRIPT}", "no")
    frame.loc[::9, "a"] = np.nan
    with pytest.MonkeyPatch.context() as here:
        here.chdir(folder)
        frame.to_csv("rows.csv", index=False)
        Path("p.yaml").write_text(json.dumps(PIPELINE))
        return RunPaths(Path(run("p.yaml", inline=True).run_dir))


@pytest.fixture
def copied(finished: RunPaths, tmp_path: Path) -> RunPaths:
    return RunPaths(Path(shutil.copytree(finished.root, tmp_path / "copied")))


class Page(HTMLParser):
    """The tags, links and text of a page; fails where a tag is left open."""

    EMPTY = ("meta", "img", "wbr")

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(content)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [str(value) for name, value in attrs if name in ("src", "href")]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in self.EMPTY:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"


def page_of(paths: RunPaths) -> Page:
    done = CliRunner().invoke(app, ["report", str(paths.root)])
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(paths.report)
    return Page(paths.report.read_text())


def keep(paths: RunPaths, wanted: Callable[[Entry], bool]) -> None:
    """Cut the journal down to the entries that are wanted, and a torn line."""
    kept = (line for line in read_lines(paths.journal) if wanted(line.entry))
    lines = [json.dumps(line.values) for line in kept]
    paths.journal.write_text("\n".join([*lines, '{"kind": "torn']))


def test_a_run_leaves_its_report_and_the_verb_writes_the_same(finished: RunPaths) -> None:
    first = finished.report.read_text()
    assert page_of(finished).text
    # But for the entry that ends the journal, whose moment the run did not know.
    moment = re.compile(r"\d\d:\d\d:\d\d UTC|0:\d\d:\d\d")
    assert moment.sub("", finished.report.read_text()) == moment.sub("", first)


def test_it_stands_alone_and_executes_nothing(finished: RunPaths) -> None:
    page = page_of(finished)
    assert not {"script", "iframe", "object", "link", "form"} & set(page.tags)
    outside = [link for link in page.links if not link.startswith("#")]
    assert outside  # the contact sheet
    assert all(link.startswith("data:image/png;base64,iVBOR") for link in outside)
    content = finished.report.read_text().replace("http-equiv", "")
    assert "http" not in content.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert SCRIPT not in content
    assert page.text.count(SCRIPT) > 3  # the class and the column, as text


def test_it_tells_what_the_run_was_and_came_to(finished: RunPaths) -> None:
    text = page_of(finished).text
    result = next(e for e in read_entries(finished.journal) if isinstance(e, ResultEntry))
    for prefix in ("", "member_mean/", "member_best/", "baseline_linear/", "baseline_constant/"):
        assert f"{result.metrics[f'{prefix}test/nll']:.4f}" in text
    started = next(e for e in read_entries(finished.journal) if isinstance(e, StartedEntry))
    rate = started.pipeline["training"]["optimizer"]["learning_rate"]
    for told in (
        "FINISHED", "feature_noise", "network.hidden", "[4, 4]", "rows.csv", "one-hot",
        "a category of its own", "missing values (", "No learner failed", "numpy",
        f"ensemble-pipe predict {finished.root} INPUT", f"learning_rate: {rate}",
        "bootstrap, all but one of 3 folds, 70% of the columns",
    ):  # fmt: skip
        assert told in text, told
    assert "ensemble-pipe resume" not in text


def section_of(paths: RunPaths, title: str) -> str:
    """Return the text of a section of the report."""
    parts = paths.report.read_text().split("<section>")
    (content,) = (part for part in parts if f"<h2>{title}</h2>" in part)
    return Page(content.partition("</section>")[0]).text


def change_schema(paths: RunPaths, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the schema of a run as if it had been written so."""
    schema = json.loads((paths.base / "schema.json").read_text())
    change(schema)
    (paths.base / "schema.json").write_text(json.dumps(schema))
    manifest = json.loads(paths.manifest.read_text())
    manifest["sums"] |= sums_of(paths.root, ["base/schema.json"])
    del manifest["crc"]
    paths.manifest.write_text(json.dumps(manifest))


def test_it_shows_what_is_done_to_every_column(copied: RunPaths) -> None:
    left_out = {"name": "id", "kind": "left out", "treatment": "another value in every row"}
    change_schema(copied, lambda schema: schema["decisions"].append(left_out))
    write_report(copied, "FINISHED")
    decisions = read_schema(copied).decisions
    assert [one.name for one in decisions] == ["a", "b", SCRIPT, "id"]
    for decision in decisions:
        for text in (decision.name, decision.kind, decision.treatment):
            assert text in section_of(copied, "Columns")


def test_columns_of_earlier_versions_are_shown_by_their_rules(copied: RunPaths) -> None:
    change_schema(copied, lambda schema: schema.pop("decisions"))
    write_report(copied, "FINISHED")
    assert "a category of its own" in section_of(copied, "Columns")
    assert "becomes" in section_of(copied, "Columns")


def test_it_shows_the_importance_of_columns_with_intervals(finished: RunPaths) -> None:
    (entry,) = (e for e in read_entries(finished.journal) if isinstance(e, ImportanceEntry))
    told = section_of(finished, "Importance")
    assert {one.name for one in entry.columns} == {"a", "b", SCRIPT}
    assert "95% interval" in told
    assert f"over {entry.rows:,} rows, {entry.repeats} times" in told
    assert "Of columns that say the same, each may look unimportant alone." in told
    for one in entry.columns:
        for value in one.nll:
            assert f"{value:.4f}" in told or f"{value:.4g}" in told


def test_it_shows_the_timeline_of_its_driver(finished: RunPaths) -> None:
    entries = [e for e in read_entries(finished.journal) if isinstance(e, TimelineEntry)]
    names = [stage.name for stage in entries[-1].stages]
    assert names == [
        "pipeline", "data", "base files", "kernels", "first step", "training",
        "combining", "measuring", "baselines", "importance", "model", "pictures",
    ]  # fmt: skip
    content = finished.report.read_text()
    times = content[content.index("<h2>Times</h2>") :]
    places = [times.index(f">{name}</td>") for name in names]
    assert places == sorted(places)
    assert times.count('class="bar"') == len(names)


def test_a_killed_run_shows_what_there_is(copied: RunPaths) -> None:
    keep(copied, lambda entry: entry.kind in ("started", "learner", "epoch", "ensemble"))
    shutil.rmtree(copied.pictures)
    page = page_of(copied)
    assert "KILLED" in page.text
    assert f"ensemble-pipe resume {copied.root}" in page.text
    assert "3 of 3" in page.text
    assert page.tags.count("figure") == 4  # of the training, from the journal


def test_a_run_that_has_only_begun_is_under_way_while_it_is_driven(copied: RunPaths) -> None:
    keep(copied, lambda entry: entry.kind in ("started", "learner"))
    with FileLock(copied.lock):
        page = page_of(copied)
    assert "RUNNING" in page.text
    assert "0 of 3" in page.text
    assert "No learner has yielded a member yet" in page.text
    assert page.links == []
    assert "has lost epochs" not in page.text  # another process may write both at this moment
    write_report(copied, "FAILED")
    text = Page(copied.report.read_text()).text
    assert "FAILED" in text
    assert "has lost epochs that its learners have trained: 3 of 3 of 0, 3 of 3 of 1" in text


def test_failures_and_numbers_that_are_not_finite_are_shown(copied: RunPaths) -> None:
    keep(copied, lambda entry: entry.kind != "ended")
    lines = copied.journal.read_text().splitlines()[:-1]
    lines.append(json.dumps({"kind": "failed", "time_ms": 0, "learner": 1, "reason": SCRIPT}))
    lines = [re.sub(r'"stop/loss": [\d.]+', '"stop/loss": null', line) for line in lines]
    copied.journal.write_text("\n".join([*lines, ""]))
    text = page_of(copied).text
    assert "why it yields no member" in text
    assert "\N{EN DASH}" in text


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda paths: shutil.rmtree(paths.root), "no run directory"),
        (lambda paths: paths.manifest.unlink(), "no manifest.json"),
        (lambda paths: paths.journal.unlink(), "lost its journal"),
        (lambda paths: paths.journal.write_text("{}\n"), "damaged"),
        (lambda paths: paths.journal.write_text(""), "does not say how the run began"),
        (lambda paths: (paths.base / "schema.json").write_text("{}"), "schema.json: its contents"),
    ],
)
def test_a_bad_run_directory_ends_with_status_2(
    copied: RunPaths, harm: Callable[[RunPaths], object], message: str
) -> None:
    harm(copied)
    done = CliRunner().invoke(app, ["report", str(copied.root)])
    assert done.exit_code == 2
    assert message in done.output
    assert "Traceback" not in done.output


def without_sums(journal: str) -> str:
    """Return the lines of a journal as earlier versions wrote them, which may be changed."""
    return re.sub(r', "crc": \d+}$', "}", journal, flags=re.M)


def test_nothing_that_a_terminal_obeys_reaches_the_page(copied: RunPaths) -> None:
    odd = "\x1b[31m\x07\x9b\N{RIGHT-TO-LEFT OVERRIDE}"
    text = without_sums(copied.journal.read_text())
    failed = json.dumps({"kind": "failed", "time_ms": 0, "learner": 1, "reason": odd})
    copied.journal.write_text(f"{text.replace('rows.csv', json.dumps(odd)[1:-1])}{failed}\n")
    change_schema(copied, lambda schema: schema["classes"].__setitem__(0, odd))
    write_report(copied, "FINISHED")
    page = copied.report.read_text()
    assert not [c for c in page if not (c.isprintable() or c in "\n\N{NO-BREAK SPACE}")]
    assert page.count(r"\x1b[31m\x07\x9b\u202e") >= 3


def test_pictures_are_looked_for_in_their_folder_alone(copied: RunPaths) -> None:
    outside = copied.root.parent / "secret.png"
    outside.write_bytes(b"secret")
    name = json.dumps(["../../secret.png", str(outside)])
    with copied.journal.open("a") as journal:
        journal.write(f'{{"kind": "pictures", "time_ms": 1, "names": {name}}}\n')
    assert "secret" not in page_of(copied).text
    assert read_manifest(copied).run_id in copied.report.read_text()


def test_pictures_of_an_earlier_result_are_gone(copied: RunPaths) -> None:
    old = copied.picture("residuals.svg")  # of numbers, where the run is of classes
    shutil.copy(copied.picture("diversity.svg"), old)
    sheet = copied.contact_sheet.read_bytes()
    with copied.journal.open("a") as journal:
        journal.write('{"kind": "pictures", "time_ms": 1, "names": ["residuals.svg"]}\n')
    (copied.pictures / "notes.svg").write_text("a user's own")
    before = len(list(copied.pictures.iterdir()))
    page_of(copied)
    assert len(list(copied.pictures.iterdir())) == before - 1
    assert not old.exists()
    assert "residuals" not in copied.report.read_text()
    copied.picture("rejection.svg").write_text("of fewer members")
    draw_pictures(copied, lambda: False)
    assert {path.name for path in copied.pictures.iterdir()} == {"augmentation.svg", "notes.svg"}
    assert copied.contact_sheet.read_bytes() == sheet


POOL = {
    "name": "pooled",
    "network": {"hidden": [8]},
    "training": {"epochs": 2},
    "ensemble": {
        "combine": {"method": "choose", "coverage": 0.9},
        "pool": [
            {"strategy": "independent", "learners": 2},
            {"strategy": "random_forest", "trees": 5},
            {"strategy": "nearest_neighbors", "neighbors": 5},
        ],
    },
    "tracking": {"mlflow": False},
}


@pytest.fixture(scope="module")
def pooled(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    folder = tmp_path_factory.mktemp("pooled")
    (folder / "p.yaml").write_text(json.dumps(POOL))
    return RunPaths(Path(run(folder / "p.yaml", output=folder, inline=True).run_dir))


def test_a_pool_of_several_kinds_shows_kinds_weights_and_candidates(pooled: RunPaths) -> None:
    text = page_of(pooled).text
    combined = next(e for e in read_entries(pooled.journal) if isinstance(e, CombinedEntry))
    assert len(combined.candidates) > 5
    for one in combined.candidates:
        assert f"{one.nll:.4f}" in text
    for told in (
        "4 learners: 2 independent, 1 random_forest, 1 nearest_neighbors", "members' ", "weight",
        "cross-fitted NLL", "temperature", "90%, aps", "disagreement", "accuracy at 90% kept",
        "If only the rows that it is most certain of are answered",
    ):  # fmt: skip
        assert told in text, told
    assert "estimator." not in text  # learners of other kinds do not "differ" in these


def test_a_pool_under_way_shows_learners_without_epochs(pooled: RunPaths, tmp_path: Path) -> None:
    copied = RunPaths(Path(shutil.copytree(pooled.root, tmp_path / "copied")))
    keep(copied, lambda entry: entry.kind in ("started", "learner", "epoch"))
    text = page_of(copied).text
    assert "2 of 2" in text
    assert "nearest_neighbors" in text


def test_learners_that_were_not_waited_for_are_named(pooled: RunPaths, tmp_path: Path) -> None:
    copied = RunPaths(Path(shutil.copytree(pooled.root, tmp_path / "copied")))
    keep(copied, lambda entry: True)  # without the sums of its lines
    text = copied.journal.read_text()
    assert '"unfinished": []' in text
    copied.journal.write_text(text.replace('"unfinished": []', '"unfinished": [1, 3]'))
    assert "The training of these learners had not ended: 1, 3." in page_of(copied).text


def test_a_pool_without_networks_has_no_learning_curves(tmp_path: Path) -> None:
    pool = [{"strategy": "linear"}, {"strategy": "random_forest", "trees": 5}]
    (tmp_path / "p.yaml").write_text(json.dumps({**POOL, "ensemble": {"pool": pool}}))
    paths = RunPaths(Path(run(tmp_path / "p.yaml", output=tmp_path, inline=True).run_dir))
    assert not list(paths.pictures.glob("*_curves.svg"))
    assert "by epoch" not in page_of(paths).text
