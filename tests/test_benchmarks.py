"""The benchmarks run, in a small form."""

import gzip
import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.compute as pc
import pytest
from conftest import shared
from pyarrow import parquet

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.alone
def test_the_benchmark_of_training_prints_one_json_line() -> None:
    script = ROOT / "benchmarks" / "training.py"
    done = subprocess.run(
        [sys.executable, script, "--epochs", "3"], capture_output=True, text=True, check=True
    )
    (line,) = done.stdout.splitlines()
    result = json.loads(line)
    for name in ("inline_samples_per_second", "ray_samples_per_second", "sgemm_peak_gflops"):
        assert result[name] > 0
    assert 0 < result["inline_share_of_peak"] < 1
    assert result["network"] == [64, 512, 256, 10]


@pytest.mark.slow
@pytest.mark.alone
def test_the_benchmark_of_the_engine_prints_a_table_and_one_json_line() -> None:
    script = ROOT / "benchmarks" / "engine.py"
    arguments = ["--rounds", "1", "--seconds", "0.05", "--cases", "mlp", "small_32"]
    done = subprocess.run(
        [sys.executable, script, *arguments], capture_output=True, text=True, check=True
    )
    (line,) = done.stdout.splitlines()
    result = json.loads(line)
    assert set(result) == {"mlp", "small_32", "start"}
    assert 0 < result["mlp"]["share_of_peak"] < 1.5
    assert result["small_32"]["samples_per_second"] > 0
    assert "| small_32 |" in done.stderr


@pytest.mark.slow
def test_the_benchmark_of_measuring_has_a_figure_for_each_part_and_size() -> None:
    script = ROOT / "benchmarks" / "measuring.py"
    arguments = ["--members", "6", "12", "--rows", "60", "--classes", "3"]
    done = subprocess.run(
        [sys.executable, script, *arguments], capture_output=True, text=True, check=True
    )
    result = json.loads(done.stdout)
    assert set(result) == {"6", "12"}
    assert {"add", "grow", "curve", "combine: greedy"} <= result["12"].keys()
    assert "| curve |" in done.stderr


@pytest.mark.slow
@pytest.mark.alone
def test_compiling_the_cnn_and_loading_it_again_stay_within_their_limits() -> None:
    code = "import engine, json; print(json.dumps(engine.start_seconds()))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "benchmarks",
        capture_output=True,
        text=True,
        check=True,
    )
    seconds = json.loads(done.stdout)
    # The aims are 30 s and 2 s on a machine with nothing else to do.
    assert seconds["first_step_compiling_s"] < 60
    assert seconds["first_step_cached_s"] < 6


@pytest.mark.slow
def test_the_table_of_transfer_has_a_cell_for_each_way(fashion_mnist: Path, tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import transfer

    other = fashion_mnist.parent / "notmnist"
    rows = transfer.compare(
        str(fashion_mnist), str(other), seeds=1, sizes={60: 2}, epochs=1, runs=tmp_path
    )
    assert len(rows) == 2 * len(transfer.WAYS)
    assert all(0.05 < row["accuracy"] <= 1 for row in rows)
    assert transfer.table(rows).count("\n") == 3


def pools_benchmark() -> Any:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    return importlib.import_module("pools")


SMALL_POOL = [
    {"strategy": "independent", "learners": 2},
    {"strategy": "histogram_boosting", "rounds": 5},
    {"strategy": "random_forest", "trees": 5},
    {"strategy": "linear"},
]


@pytest.mark.slow
def test_a_pool_is_compared_with_the_best_of_its_parts(adult: Path, tmp_path: Path) -> None:
    pools, folder = pools_benchmark(), tmp_path / "adult"
    folder.mkdir()
    for part, rows in (("train", 2000), ("test", 500)):
        pd.read_csv(adult / f"{part}.csv.gz", nrows=rows).to_csv(folder / f"{part}.csv")
    changed = {"network": {"hidden": [4]}, "training.epochs": 2, "ensemble.pool": SMALL_POOL}
    row = pools.measure(folder, 1, tmp_path / "runs", **changed)
    kinds = ["network", "histogram_boosting", "random_forest", "linear"]
    assert list(row["kind"]) == list(row["kind_combined"]) == kinds
    assert len(row["member"]) == 5
    assert sum(row["weights"].values()) == pytest.approx(1)
    for one in (row["pool"], *row["member"].values(), *row["kind_combined"].values()):
        assert 0 < one["test_nll"] < 1
    assert row["kind"]["linear"] == row["member"]["linear 1"]
    best = min(one["test_nll"] for one in row["kind"].values())
    (one,) = pools.differences([row])["kind, by test"]["differences"]
    assert one == row["pool"]["test_nll"] - best


@pytest.mark.slow
def test_the_benchmark_of_voting_measures_a_fit() -> None:
    found = result_of("voting.py", "--epochs", "2", "--rounds", "1", "--without-peer")
    assert found["samples_per_second"]["ensemble_pipe"] > 0


def test_the_benchmark_of_voting_compares_with_the_faster_peer_of_each_round() -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import voting

    found = voting.summary({"own": [30.0, 20.0, 40.0], "1": [10.0, 9.0, 8.0], "2": [5.0, 10, 20]})
    assert (found["ratios"], found["over_torchensemble"]) == ([3.0, 2.0, 2.0], 2.0)


def test_the_published_figures_of_pools_are_those_that_are_kept() -> None:
    kept = json.loads((ROOT / "benchmarks" / "results" / "pools.json").read_text())
    page = (ROOT / "benchmarks" / "README.md").read_text()
    pools = pools_benchmark()
    for name, one in pools.differences(kept["seeds"]).items():
        assert one["differences"] == kept["differences"][name]["differences"]
    assert pools.tables(kept) in page


def test_the_published_figures_are_those_that_are_kept() -> None:
    kept = json.loads((ROOT / "benchmarks" / "results" / "engine.json").read_text())
    page = (ROOT / "docs" / "engine.md").read_text()
    for name in ("mlp", "cnn", "separable_cnn", "small_32", "small_100"):
        assert f"| {kept[name]['samples_per_second']:,} |" in page
        assert f"| {kept[name]['torch_samples_per_second']:,} |" in page
    rows = json.loads((ROOT / "benchmarks" / "results" / "transfer.json").read_text())
    table = (ROOT / "docs" / "transfer.md").read_text()
    for row in rows:
        assert f"{row['accuracy']:.4f} / {row['nll']:.3f}" in table


def result_of(script: str, *arguments: str) -> dict[str, Any]:
    """Run a benchmark; return what its one line on stdout says."""
    command = [sys.executable, str(ROOT / "benchmarks" / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


only_linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")


@pytest.mark.slow
@only_linux
def test_trainers_map_the_data_once_and_hold_little_beside_their_state() -> None:
    arguments = ["--gigabytes", "0.2", "--trainers", "2", "--hidden", "1024", "--seconds", "8"]
    result = result_of("memory.py", *arguments)
    (line,) = result["lines"]
    assert len(line["added_private_mb"]) == 2
    assert line["data_mapped_mb"] < 1.1 * result["data_mb"] + 20
    assert line["largest_over_state"] < 1.25  # the aim is 1.1, with a larger state


@pytest.mark.slow
@only_linux
def test_rows_are_never_held_in_memory_all_at_once() -> None:
    result = result_of("larger_than_memory.py", "--gigabytes", "1.0")
    highest = result["highest_private_mb"]
    assert highest["Trainer"] < 300
    assert highest["driver"] < 700
    assert result["test_accuracy"] > 0.9


@pytest.mark.slow
@pytest.mark.alone
def test_trainers_hardly_wait_for_shards(fashion_mnist: Path) -> None:
    arguments = ["--folder", str(fashion_mnist), "--rows", "6000", "--epochs", "4"]
    result = result_of("waiting.py", *arguments)
    # In so short a training the start of those who make the shards is a large part of the whole.
    assert 0 <= result["share_waited_after_the_first_epoch"] < 0.15


@pytest.mark.slow
def test_the_benchmark_of_regressions_compares_split_by_split() -> None:
    folder = str(shared("uci_regression"))
    result = result_of("uci_regression.py", "--folder", folder, "--sets", "boston", "--splits", "2")
    assert [(row["set"], row["split"]) for row in result["splits"]] == [
        ("boston", 0),
        ("boston", 1),
    ]
    rmse, nll = result["summary"]
    assert rmse["mc_dropout"] == pytest.approx((2.745676 + 2.640772) / 2)
    assert nll["mc_dropout"] == pytest.approx((2.443889 + 2.448347) / 2)
    for line, measure in ((rmse, "rmse"), (nll, "nll")):
        values = [row[measure] for row in result["splits"]]
        assert line["mean"] == pytest.approx(sum(values) / 2)
        assert line["paired"] == pytest.approx(line["mean"] - line["mc_dropout"])
    assert rmse["mean"] < 4
    assert nll["mean"] < 3


@pytest.mark.slow
def test_the_tuning_of_regressions_never_reads_a_test_row(tmp_path: Path) -> None:
    folder = shared("uci_regression")
    arguments = ["--sets", "boston", "--splits", "1", "--candidates", "beta 1"]
    result = result_of("uci_tuning.py", "--folder", str(folder), *arguments)
    scores = {line["candidate"]: line["score"] for line in result["summary"]}
    assert scores.pop("the pipeline") == 0
    assert set(scores) == {"beta 1"}

    sys.path.insert(0, str(ROOT / "benchmarks"))
    import uci_tuning

    uci_tuning.inner_table(folder, "boston", 3, tmp_path)
    outer, inner = (parquet.read_table(path / "boston.parquet") for path in (folder, tmp_path))
    train = outer.filter(pc.invert(outer["test_3"]))
    features = [name for name in outer.column_names if not name.startswith("test_")]
    assert inner.select(features).equals(train.select(features))
    assert inner.column_names == [*features, "test_3"]
    assert pc.sum(inner["test_3"]).as_py() == round(0.1 * train.num_rows)


def small_images(folder: Path, found: Path, train: int, test: int) -> Path:
    """Write the first images and labels of IDX files to a folder of their own."""
    folder.mkdir()
    for part, rows in (("train", train), ("t10k", test)):
        for name, head, row in (("images-idx3", 16, 784), ("labels-idx1", 8, 1)):
            source = found / f"{part}-{name}-ubyte.gz"
            if source.is_file():
                content = bytearray(gzip.decompress(source.read_bytes())[: head + rows * row])
                content[4:8] = rows.to_bytes(4, "big")
                (folder / source.name).write_bytes(gzip.compress(bytes(content)))
    return folder


@pytest.mark.slow
def test_strategies_are_compared_at_equal_cost(fashion_mnist: Path, tmp_path: Path) -> None:
    folder = small_images(tmp_path / "images", fashion_mnist, 1200, 300)
    result = result_of("strategies.py", "--folder", str(folder), "--seeds", "2", "--epochs", "10")
    lines = {line["strategy"]: line for line in result["strategies"]}
    members = {name: line["members"] for name, line in lines.items()}
    assert members == {
        "single network": 1, "independent": 5, "bagging": 5, "snapshot": 5, "fast geometric": 5,
        "SWA": 1, "MC-dropout": 20,
    }  # fmt: skip
    assert {line["cost"]["learner_epochs"] for line in lines.values()} == {10}
    assert lines["single network"]["less_single"] == {}
    for name, line in lines.items():
        assert line["accuracy"]["runs"] == 2
        assert line["accuracy"]["mean"] > 0.6
        assert name == "single network" or line["less_single"]["nll"]["over"] == "seeds"


@pytest.mark.slow
def test_members_that_share_are_compared_with_other_strategies(
    fashion_mnist: Path, tmp_path: Path
) -> None:
    small_images(tmp_path / "fashion-mnist", fashion_mnist, 600, 300)
    small_images(tmp_path / "notmnist", shared("notmnist"), 0, 300)
    arguments = ["--folder", str(tmp_path), "--work", str(tmp_path / "work"), "--seeds", "2"]
    result = result_of("shared_strategies.py", *arguments, "--problems", "fashion_mnist")
    lines = {line["strategy"]: line for line in result["problems"]["fashion_mnist"]}
    members = {name: line["members"] for name, line in lines.items()}
    assert members == {"shared": 5, "independent": 5, "snapshot": 5, "MC-dropout": 20}
    assert lines["shared"]["less_shared"] == {}
    for name, line in lines.items():
        assert line["metrics"]["accuracy"]["mean"] > 0.5
        assert 0 < line["metrics"]["ood/mutual_information"]["mean"] < 1
        assert name == "shared" or line["less_shared"]["nll"]["over"] == "seeds"
        assert name == "shared" or line["less_shared"]["ood/max_probability"]["runs"] == 2


@pytest.mark.slow
def test_the_permuted_rows_of_a_table_have_its_values_and_not_its_rows(
    adult: Path, tmp_path: Path
) -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import shared_strategies

    output = shared_strategies.permuted(adult / "test.csv.gz", tmp_path / "permuted.csv")
    rows, other = (
        pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        for path in (adult / "test.csv.gz", output)
    )
    for name in rows.columns:
        assert sorted(rows[name]) == sorted(other[name])
    assert (rows == other).all(axis=1).mean() < 0.01


@pytest.mark.slow
def test_the_ablation_of_members_that_share_never_reads_a_test_part(tmp_path: Path) -> None:
    folder = tmp_path / "tables" / "titanic"
    folder.mkdir(parents=True)
    train = shared("tables") / "titanic" / "train.csv.gz"
    (folder / "train.csv.gz").write_bytes(train.read_bytes())
    places = ["--folder", str(tmp_path), "--work", str(tmp_path / "work")]
    cases = ["full, 16 members", "full, 1 member", "independent, 8 networks"]
    result = result_of("shared_members.py", *places, "--tables", "titanic", "--cases", *cases)
    lines = result["tables"]["titanic"]
    assert [lines[name]["members"] for name in cases] == [16, 1, 8]
    assert lines["full, 16 members"]["excess"]["nll"] == [0, 0, 0]
    assert lines["full, 1 member"]["correlation"] is None
    assert 0 < lines["full, 16 members"]["correlation"] < 1
    low, high = lines["full, 1 member"]["excess"]["nll"][1:]
    assert low < high


@pytest.mark.slow
def test_snapshots_are_compared_with_a_single_network_at_equal_cost(
    fashion_mnist: Path, tmp_path: Path
) -> None:
    folder = small_images(tmp_path / "images", fashion_mnist, 1200, 300)
    arguments = ["--folder", str(folder), "--seeds", "2", "--epochs", "10"]
    result = result_of("snapshots.py", *arguments)
    single, snapshots = result["strategies"]
    assert (single["members"], snapshots["members"]) == (1, 5)
    assert single["cost"]["learner_epochs"] == snapshots["cost"]["learner_epochs"] == 10
    assert min(single["accuracy"]["mean"], snapshots["accuracy"]["mean"]) > 0.6
    errors = [1 - line["accuracy"]["mean"] for line in (single, snapshots)]
    assert result["error_cut"] == pytest.approx(1 - errors[1] / errors[0])


@pytest.mark.slow
def test_the_residual_networks_are_measured_against_other_images(
    fashion_mnist: Path, tmp_path: Path
) -> None:
    folder = small_images(tmp_path / "images", fashion_mnist, 2000, 300)
    other = small_images(tmp_path / "other", shared("notmnist"), 0, 300)
    arguments = ["--folder", str(folder), "--other", str(other), "--epochs", "8"]
    result = result_of("fashion_mnist.py", *arguments)
    assert result["members"] == 2
    assert result["learner_epochs"] == 16
    assert result["test"]["accuracy"] > 0.5
    assert 0 < result["share_of_peak"]["mean"] <= result["share_of_peak"]["fastest"] < 3
    assert result["ood"]["mutual_information"]["auroc"] > 0.5


def test_the_published_figures_of_regressions_are_those_that_are_kept() -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import uci_regression
    import uci_tuning

    results, page = ROOT / "benchmarks" / "results", (ROOT / "benchmarks" / "README.md").read_text()
    for script in (uci_regression, uci_tuning):
        kept = json.loads((results / f"{script.__name__}.json").read_text())
        assert script.table(kept["summary"]) in page


def test_the_published_false_alarms_are_those_that_are_kept_and_one_at_most() -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import false_alarms

    results, page = ROOT / "benchmarks" / "results", (ROOT / "benchmarks" / "README.md").read_text()
    kept = json.loads((results / "false_alarms.json").read_text())["pipelines"]
    assert false_alarms.table(kept) in page
    assert len(kept) == len(false_alarms.cases(ROOT, ROOT / "letter.csv")) == 14
    assert sum(len(one["warnings"]) for one in kept.values()) <= 1


def test_the_published_figures_of_fashion_mnist_are_those_that_are_kept() -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import fashion_mnist
    import strategies

    results, page = ROOT / "benchmarks" / "results", (ROOT / "benchmarks" / "README.md").read_text()
    kept = json.loads((results / "fashion_mnist.json").read_text())
    assert fashion_mnist.table(kept) in page
    kept = json.loads((results / "strategies.json").read_text())
    assert strategies.table(kept["strategies"]) in page
    kept = json.loads((results / "snapshots.json").read_text())
    assert strategies.table(kept["strategies"]) in page


def test_the_published_figures_of_members_that_share_are_those_that_are_kept() -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import shared_members
    import shared_strategies

    results, page = ROOT / "benchmarks" / "results", (ROOT / "benchmarks" / "README.md").read_text()
    kept = json.loads((results / "shared_members.json").read_text())
    assert list(kept["tables"]) == ["housing", "telescope"]
    for name, lines in kept["tables"].items():
        assert shared_members.table(name, lines) in page
    kept = json.loads((results / "shared_strategies.json").read_text())
    assert list(kept["problems"]) == list(shared_strategies.PROBLEMS)
    for problem, lines in kept["problems"].items():
        assert shared_strategies.table(problem, lines) in page


def test_the_published_figures_beside_networks_are_those_that_are_kept() -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import tables
    from tables_contestants import OURS, PEERS
    from tables_data import TABLES

    page = (ROOT / "benchmarks" / "README.md").read_text()
    path = ROOT / "benchmarks" / "results" / "tables_networks.json"
    kept = json.loads(path.read_text())["tables"]
    assert list(kept) == list(TABLES)
    assert tables.overview(kept) in page
    assert tables.versus(kept, list(OURS), list(PEERS)) in page


def test_a_table_counts_as_better_or_worse_where_its_interval_leaves_0_out() -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import tables

    intervals = {"a": (-1.0, -2.0, -0.5), "b": (-0.1, -0.2, 0.1), "c": (1.0, 0.5, 2.0)}
    results = {
        name: {"against": {"default": {"peer": {"nll": own, "error": own}}}}
        for name, own in intervals.items()
    }
    found = tables.versus(results, ["default"], ["peer", "another"])
    assert found.splitlines()[2:] == ["| peer | 3 | 1 / 1 / 1 (2) | 1 / 1 / 1 (2) |"]


def test_the_published_figures_of_memory_are_those_that_are_kept() -> None:
    results, page = ROOT / "benchmarks" / "results", (ROOT / "docs" / "memory.md").read_text()
    memory = json.loads((results / "memory.json").read_text())
    for line in memory["lines"]:
        added = line["added_private_mb"]
        data = f"{line['data_mapped_mb']} | {line['data_cached_mb']}"
        row = f"| {line['trainers']} | {data} | {min(added)} to {max(added)} |"
        assert row in page
    large = json.loads((results / "larger_than_memory.json").read_text())
    for name, value in large["highest_private_mb"].items():
        assert f"| {name} | {value} |" in page
    waiting = json.loads((results / "waiting.json").read_text())
    assert f"{100 * waiting['share_waited']:.2f}%" in page


@pytest.mark.slow
@pytest.mark.alone
def test_the_benchmark_of_inference_measures_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    inference = importlib.import_module("inference")
    found = inference.measure(inference.CASES["mlp_small"], 2, 4, 1, 0.01, False)
    assert found["us"]["engine"] > 0
    assert "outputs_differ" not in found


@pytest.mark.slow
def test_the_benchmark_of_time_limits_compares_what_they_leave(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": range(600), "b": [1.5, 2.5] * 300, "y": ["no", "yes", "no"] * 200})
    for part in ("train", "test"):
        frame.to_csv(tmp_path / f"{part}.csv", index=False)
    arguments = ["--data", tmp_path, "--label", "y", "--limits", "30", "--ways", "inline"]
    overrides = ["--set", "tracking.mlflow=false", "--set", "training.epochs=1"]
    script = ROOT / "benchmarks" / "time_limit.py"
    done = subprocess.run(
        [sys.executable, script, *map(str, arguments), *overrides],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    runs = json.loads(done.stdout)["runs"]
    assert set(runs) == {"no limit", "inline, 30 s", "inline, resumed"}
    assert all(runs[name]["members"] > 0 for name in ("no limit", "inline, 30 s"))
    assert runs["inline, resumed"]["same_bytes_as_without_limit"]
    assert "| inline, 30 s |" in done.stderr


@pytest.mark.slow
def test_trials_as_stacks_have_the_bits_of_trials_one_by_one(tmp_path: Path) -> None:
    from sklearn.datasets import load_wine

    inputs, labels = load_wine(return_X_y=True)
    frame = pd.DataFrame(inputs, columns=[f"x{column}" for column in range(inputs.shape[1])])
    frame["letter"] = [f"class {label}" for label in labels]
    frame.to_csv(tmp_path / "small.csv", index=False)
    arguments = ["--file", str(tmp_path / "small.csv"), "--trials", "6", "--epochs", "2"]
    result = result_of("search_stacks.py", *arguments, "--only-inline")
    (turn,) = result["results"]["in this process"]["turns"]
    assert turn["same_bits"] is True


def test_the_page_shows_what_stacks_of_trials_gain() -> None:
    kept = json.loads((ROOT / "benchmarks" / "results" / "search_stacks.json").read_text())
    page = (ROOT / "benchmarks" / "README.md").read_text()
    for name, line in (
        ("two trainers on Ray", "wall time, on Ray with two trainers"),
        ("in this process", "CPU time, in this process"),
    ):
        found = kept["results"][name]
        assert f"| {line} | {found['median_ratio']:.2f} |" in page
        assert all(turn["same_bits"] for turn in found["turns"])
