"""`compare`: runs in groups that differ in nothing but the seed, and paired differences."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.stats import ttest_rel
from small_pipelines import small_settings
from typer.testing import CliRunner

import ensemble_pipe
from ensemble_pipe.cli import app
from ensemble_pipe.comparison.compare import compare, over_seeds
from ensemble_pipe.comparison.output import (
    comparison_page,
    comparison_text,
    write_comparison,
)
from ensemble_pipe.comparison.picture import comparison_figure
from ensemble_pipe.comparison.runs import FinishedRun, cost_of, read_run
from ensemble_pipe.config.reading import Pipeline
from ensemble_pipe.core.errors import InputError, RunDirectoryError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.run.pipeline import run
from ensemble_pipe.tracking.journal import line_of, read_lines
from ensemble_pipe.tracking.kinds import (
    CheckedEntry,
    EndedEntry,
    EpochEntry,
    GrownEntry,
    LearnerEntry,
    ResumedEntry,
    StartedEntry,
)

COMPARED = small_settings(hidden=8, epochs=1, name="compared", ensemble={"learners": 2})


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, int], Path]:
    """Runs by epochs and seed."""
    folder = tmp_path_factory.mktemp("compared")
    (folder / "p.yaml").write_text(yaml.safe_dump(COMPARED))
    found = {}
    for epochs in (1, 3):
        for seed in (1, 2):
            settings: dict[str, Any] = {"training.epochs": epochs, "seed": seed}
            result = run(folder / "p.yaml", output=folder / "runs", inline=True, **settings)
            found[epochs, seed] = Path(result.run_dir)
    return found


def test_repeated_runs_are_grouped_and_paired_by_seed(runs: dict[tuple[int, int], Path]) -> None:
    order = [(1, 2), (3, 1), (1, 1), (3, 2)]
    read = {place: read_run(runs[place]) for place in order}
    found = compare([read[place] for place in order])
    first, second = found.groups
    assert [[run.root for run in group.runs] for group in found.groups] == [
        [runs[epochs, 1], runs[epochs, 2]] for epochs in (1, 3)
    ]
    assert (first.settings, second.settings) == ({"training.epochs": 1}, {"training.epochs": 3})
    nll = {place: float(one.metrics["test/nll"] or 0) for place, one in read.items()}
    ours, theirs = ([nll[epochs, seed] for seed in (1, 2)] for epochs in (1, 3))
    assert first.metrics["nll"].mean == pytest.approx(np.mean(ours))
    assert first.metrics["nll"].standard_error == pytest.approx(np.std(ours, ddof=1) / np.sqrt(2))
    difference = found.differences["B"]["nll"]
    expected = ttest_rel(theirs, ours).confidence_interval()
    assert difference.mean == pytest.approx(np.subtract(theirs, ours).mean())
    assert (difference.low, difference.high) == pytest.approx((expected.low, expected.high))
    assert (difference.over, difference.runs) == ("seeds", 2)
    assert second.cost["learner_epochs"] == 3 * first.cost["learner_epochs"] == 6
    assert {"member_mean/nll", "diversity/kl"} <= found.differences["B"].keys()


def test_single_runs_on_the_same_rows_are_paired_by_row(
    runs: dict[tuple[int, int], Path],
) -> None:
    ours, theirs = read_run(runs[1, 1]), read_run(runs[3, 1])
    assert ours.same_rows(theirs)
    found = compare([ours, theirs])
    for name in ("accuracy", "nll", "brier"):
        own = found.groups[0].metrics[name]
        assert own.mean == pytest.approx(ours.values[name].over())
        assert own.low is not None
        assert own.high is not None
        assert own.low < own.mean < own.high
    difference = found.differences["B"]["nll"]
    rows = theirs.values["nll"].values - ours.values["nll"].values
    half = 1.96 * rows.std() / np.sqrt(len(rows))
    assert difference.mean == pytest.approx(rows.mean())
    assert (difference.low, difference.high) == pytest.approx(
        (rows.mean() - half, rows.mean() + half), abs=0.3 * half
    )
    assert difference.over == "rows"


def test_runs_with_nothing_in_common_have_no_difference(
    runs: dict[tuple[int, int], Path],
) -> None:
    found = compare([read_run(runs[1, 1]), read_run(runs[3, 2])])
    assert found.differences == {"B": {}}
    text = comparison_text(found)
    assert "no seed and no test rows in common" in text
    first, second = (group.title for group in found.groups)
    note = f"{second} was tested on other rows than {first} (other seed)"
    assert text.startswith(f"note: {note}")
    assert note in comparison_page(found)
    assert found.to_dict()["remarks"] == found.remarks
    assert compare([read_run(runs[1, 1]), read_run(runs[3, 1])]).remarks == ()


def test_other_data_is_said_before_all_else(
    runs: dict[tuple[int, int], Path],
) -> None:
    one, other = read_run(runs[1, 1]), read_run(runs[1, 2])
    settings = {**other.settings, "data.set": "wine"}
    (remark,) = compare([one, replace(other, seed=1, settings=settings)]).remarks
    assert "(other data.set)" in remark
    assert compare([one, other]).remarks == ()  # one group: repetitions of one pipeline


def test_runs_are_named_by_the_ends_of_their_names(runs: dict[tuple[int, int], Path]) -> None:
    one, other = read_run(runs[1, 1]), read_run(runs[3, 1])
    anew = replace(other, combined_from=f"compared-20261201-101010-{'f' * 4}")
    text = comparison_text(compare([one, anew]))
    ends = [run.root.name.rpartition("-")[2] for run in (one, anew)]
    for part in (one.root.name, other.root.name, f"A {ends[0]} (95%)", f"B {ends[1]} (95%)"):
        assert part in text
    assert "(with training of ffff)" in text
    assert "with training" not in comparison_text(compare([one, other]))
    several = comparison_text(compare([read_run(root) for root in runs.values()]))
    assert f"2 runs: {ends[0]}, " in several


def test_a_run_against_itself_differs_by_nothing(runs: dict[tuple[int, int], Path]) -> None:
    one = read_run(runs[1, 1])
    again = replace(one, settings={**one.settings, "view.bootstrap": True})
    found = compare([one, again]).differences["B"]
    assert [(d.mean, d.low, d.high) for d in found.values()] == [(0.0, 0.0, 0.0)] * 3


def regression(folder: Path, hidden: int) -> FinishedRun:
    data = {"source": "bundled", "set": "diabetes"}
    settings: dict[str, Any] = {"task": "regression", "data": data, "network.hidden": [hidden]}
    (folder / "p.yaml").write_text(yaml.safe_dump(COMPARED))
    return read_run(Path(run(folder / "p.yaml", output=folder, inline=True, **settings).run_dir))


def test_numbers_are_compared_by_their_own_metrics(
    tmp_path: Path, runs: dict[tuple[int, int], Path]
) -> None:
    one, other = regression(tmp_path, 8), regression(tmp_path, 16)
    for name, values in one.values.items():
        assert values.over() == pytest.approx(one.metrics[f"test/{name}"])
    found = compare([one, other])
    assert found.differences["B"].keys() == {"rmse", "mae", "nll", "crps"}
    with pytest.raises(InputError, match="no metrics in common"):
        compare([one, read_run(runs[1, 1])])


def test_the_verb_writes_tables_json_csv_and_a_page(
    runs: dict[tuple[int, int], Path], tmp_path: Path
) -> None:
    for ending in ("csv", "html"):
        output = tmp_path / f"found.{ending}"
        arguments = ["compare", *map(str, runs.values()), "--output", str(output), "--json"]
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout.splitlines()[-1])
    assert [group["label"] for group in facts["groups"]] == ["A", "B"]
    assert facts["differences"]["B - A"]["nll"]["runs"] == 2
    for word in ("Settings that differ", "training.epochs", "B - A (95%)", "seed, 2 pairs"):
        assert word in done.stderr
        assert word in output.read_text()
    lines = list(csv.DictReader((tmp_path / "found.csv").open()))
    assert [line["group"] for line in lines] == ["A", "A", "B", "B"]
    assert {"seed", "seconds", "training.epochs", "test/nll"} <= lines[0].keys()


def test_the_page_shows_hostile_settings_as_text(runs: dict[tuple[int, int], Path]) -> None:
    one = read_run(runs[1, 1])
    other = replace(one, settings={**one.settings, "<script>": "<b>\x1b[2J"})
    found = compare([one, other])
    assert "<script>" not in comparison_page(found)
    assert "\x1b" not in comparison_text(found) + comparison_page(found)


def test_mistakes_are_named(runs: dict[tuple[int, int], Path], tmp_path: Path) -> None:
    one = read_run(runs[1, 1])
    with pytest.raises(InputError, match="same settings with the same seed"):
        compare([one, one])
    copied = Path(shutil.copytree(runs[1, 1], tmp_path / "copied"))
    journal = RunPaths(copied).journal
    kept = [line_of(line.values) for line in read_lines(journal) if line.entry.kind != "result"]
    journal.write_bytes(b"".join(kept))
    with pytest.raises(RunDirectoryError, match="no result yet"):
        read_run(copied)
    for arguments in ([str(tmp_path / "none")], [str(one.root), "--output", "x.pdf"]):
        done = CliRunner().invoke(app, ["compare", *arguments])
        assert done.exit_code == 2
        assert "Traceback" not in done.output


def test_the_time_between_a_stop_and_a_resumption_is_no_cost() -> None:
    def epoch(second: int) -> EpochEntry:
        return EpochEntry(0, 2, 7, {}, time_ms=1000 * second)

    cost = cost_of(
        [
            StartedEntry("x", {}, {}, {}, time_ms=0), epoch(4),
            ResumedEntry(time_ms=1_000_000), epoch(1003),
            LearnerEntry(1, {}, time_ms=2_000_000), GrownEntry(2, {}, time_ms=2_000_000),
            epoch(2001), EndedEntry("FINISHED", time_ms=2_002_000),
        ]
    )  # fmt: skip
    assert (cost.seconds, cost.learner_steps, cost.learner_epochs) == (9.0, 7, 2)


def test_what_was_found_before_the_journal_began_takes_no_time_away() -> None:
    early = CheckedEntry("data", "no findings", [], [], time_ms=9_400)
    learners = [LearnerEntry(number, {}, time_ms=10_000) for number in range(2)]
    started = StartedEntry("x", {}, {}, {}, time_ms=10_000)
    assert cost_of([started, *learners, early]).seconds == 0.0


def test_over_seeds_in_figures() -> None:
    found = over_seeds(np.array([1.0, 2.0, 3.0]))
    assert (found.mean, found.standard_error) == pytest.approx((2.0, 0.57735), rel=1e-4)
    assert (found.low, found.high) == pytest.approx((2 - 2.4841, 2 + 2.4841), rel=1e-4)


def test_several_targets_are_covered_and_compared_over_all_of_them(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(500, 3)), columns=list("abc"))
    frame["u"] = frame.a + random.normal(0, 0.1, 500)
    frame["v"] = 100 * frame.b + random.normal(0, 10.0, 500)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    config = {
        "task": "regression",
        "data": {"source": "table", "path": str(tmp_path / "rows.csv"), "label": ["u", "v"]},
        "network": {"hidden": [8]},
        "training": {"epochs": 5},
        "ensemble": {"learners": 2, "combine": {"coverage": 0.8}},
        "tracking": {"mlflow": False},
    }
    result = run(Pipeline.model_validate(config), output=tmp_path, inline=True)
    one = read_run(Path(result.run_dir))
    covered = one.values.pop("conformal/coverage")
    assert covered.over() == pytest.approx(one.metrics["conformal/test/coverage"])
    for name, values in one.values.items():
        assert values.over() == pytest.approx(one.metrics[f"test/{name}"])
    assert one.metrics["rejection/test/rmse_at_100"] == pytest.approx(one.metrics["test/rmse"])
    coverage = [float(one.metrics[f"conformal/test/coverage/{name}"] or 0) for name in "uv"]
    assert one.metrics["conformal/test/coverage"] == pytest.approx(np.mean(coverage))
    model = ensemble_pipe.load(result.run_dir)
    ends = model.predict_intervals(frame)
    assert ends.shape == (500, 2, 2)
    assert ends[:, 1, 1].tolist() == model.table(frame).column("high_v").to_pylist()


@pytest.fixture(scope="module")
def covered(tmp_path_factory: pytest.TempPathFactory) -> list[FinishedRun]:
    """Runs of one seed, whose sets cover what was asked for."""
    folder, found = tmp_path_factory.mktemp("covered"), []
    (folder / "p.yaml").write_text(yaml.safe_dump(COMPARED))
    for epochs in (1, 4):
        settings: dict[str, Any] = {"training.epochs": epochs, "ensemble.combine.coverage": 0.8}
        result = run(folder / "p.yaml", output=folder / "runs", inline=True, **settings)
        found.append(read_run(Path(result.run_dir)))
    return found


def test_the_coverage_found_is_compared_with_its_interval(covered: list[FinishedRun]) -> None:
    found = compare(covered)
    for group, one in zip(found.groups, covered, strict=True):
        share = group.metrics["conformal/coverage"]
        assert share.mean == one.metrics["conformal/test/coverage"]
        assert share.low is not None
        assert share.high is not None
        assert share.low < share.mean < share.high
    assert found.differences["B"]["conformal/coverage"].over == "rows"
    assert "conformal/coverage" in comparison_text(found)


def test_a_run_without_sets_is_compared_by_what_both_have(
    covered: list[FinishedRun], runs: dict[tuple[int, int], Path]
) -> None:
    for pair in ([read_run(runs[3, 1]), covered[0]], [covered[0], read_run(runs[3, 1])]):
        assert compare(pair).differences["B"].keys() == {"accuracy", "nll", "brier"}


@pytest.mark.usefixtures("rendered_pictures")
def test_the_picture_has_a_panel_for_each_metric_and_each_difference(
    covered: list[FinishedRun], tmp_path: Path
) -> None:
    found = compare(covered)
    names = ["accuracy", "nll", "conformal/coverage"]
    figure = comparison_figure(found, names)
    axes: list[Any] = figure.axes
    titles = [axis.get_title(loc="left") for axis in axes]
    assert titles == [title for name in names for title in (name, f"{name}, less A's")]
    lines = [label.get_text() for label in axes[0].get_yticklabels()]
    assert lines == [group.title for group in found.groups]
    for axis, metric in zip(axes[::2], names, strict=True):
        ends = [line.get_segments()[0][:, 0].tolist() for line in axis.collections]
        expected = [(g.metrics[metric].low, g.metrics[metric].high) for g in found.groups]
        assert ends == [pytest.approx(pair) for pair in expected]
    dashed = [line for line in axes[4].lines if line.get_linestyle() == "--"]
    assert [line.get_xdata()[0] for line in dashed] == [0.8]
    assert "<svg" in comparison_page(found)
    for ending in ("svg", "png"):
        write_comparison(found, tmp_path / f"c.{ending}")
        assert (tmp_path / f"c.{ending}").stat().st_size > 1000


def test_the_picture_of_one_group_has_no_differences(covered: list[FinishedRun]) -> None:
    assert len(comparison_figure(compare(covered[:1]), ["nll", "ece"]).axes) == 2
