"""The benchmarks that compare what is learned run, in a small form."""

import gzip
from pathlib import Path

import pandas as pd
import pyarrow.compute as pc
import pytest
from benchmark_runs import imported, result_of
from conftest import shared
from pyarrow import parquet


@pytest.mark.slow
def test_the_table_of_transfer_has_a_cell_for_each_way(fashion_mnist: Path, tmp_path: Path) -> None:
    transfer = imported("transfer")
    other = fashion_mnist.parent / "notmnist"
    rows = transfer.compare(
        str(fashion_mnist), str(other), seeds=1, sizes={60: 2}, epochs=1, runs=tmp_path
    )
    assert len(rows) == 2 * len(transfer.WAYS)
    assert all(0.05 < row["accuracy"] <= 1 for row in rows)
    assert transfer.table(rows).count("\n") == 3


SMALL_POOL = [
    {"strategy": "independent", "learners": 2},
    {"strategy": "histogram_boosting", "rounds": 5},
    {"strategy": "random_forest", "trees": 5},
    {"strategy": "linear"},
]


@pytest.mark.slow
def test_a_pool_is_compared_with_the_best_of_its_parts(adult: Path, tmp_path: Path) -> None:
    pools, folder = imported("pools"), tmp_path / "adult"
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
    uci_tuning = imported("uci_tuning")
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
    shared_strategies = imported("shared_strategies")
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
