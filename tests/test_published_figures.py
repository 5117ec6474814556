"""Figures that pages publish are those that the benchmarks have kept."""

import json
from typing import Any

from benchmark_runs import ROOT, imported


def kept_result(name: str) -> Any:
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())


def text_of(page: str) -> str:
    return (ROOT / page).read_text()


def test_the_benchmark_of_voting_compares_with_the_faster_peer_of_each_round() -> None:
    voting = imported("voting")
    found = voting.summary({"own": [30.0, 20.0, 40.0], "1": [10.0, 9.0, 8.0], "2": [5.0, 10, 20]})
    assert (found["ratios"], found["over_torchensemble"]) == ([3.0, 2.0, 2.0], 2.0)


def test_the_published_figures_of_pools_are_those_that_are_kept() -> None:
    kept = kept_result("pools")
    page = text_of("benchmarks/README.md")
    pools = imported("pools")
    for name, one in pools.differences(kept["seeds"]).items():
        assert one["differences"] == kept["differences"][name]["differences"]
    assert pools.tables(kept) in page


def test_the_published_figures_are_those_that_are_kept() -> None:
    kept = kept_result("engine")
    page = text_of("docs/engine.md")
    for name in ("mlp", "cnn", "separable_cnn", "small_32", "small_100"):
        assert f"| {kept[name]['samples_per_second']:,} |" in page
        assert f"| {kept[name]['torch_samples_per_second']:,} |" in page
    rows = kept_result("transfer")
    table = text_of("docs/transfer.md")
    for row in rows:
        assert f"{row['accuracy']:.4f} / {row['nll']:.3f}" in table


def test_the_published_figures_of_regressions_are_those_that_are_kept() -> None:
    uci_regression = imported("uci_regression")
    uci_tuning = imported("uci_tuning")
    page = text_of("benchmarks/README.md")
    for script in (uci_regression, uci_tuning):
        kept = kept_result(script.__name__)
        assert script.table(kept["summary"]) in page


def test_the_published_false_alarms_are_those_that_are_kept_and_one_at_most() -> None:
    false_alarms = imported("false_alarms")
    page = text_of("benchmarks/README.md")
    kept = kept_result("false_alarms")["pipelines"]
    assert false_alarms.table(kept) in page
    assert len(kept) == len(false_alarms.cases(ROOT, ROOT / "letter.csv")) == 14
    assert sum(len(one["warnings"]) for one in kept.values()) <= 1


def test_the_published_figures_of_fashion_mnist_are_those_that_are_kept() -> None:
    fashion_mnist = imported("fashion_mnist")
    strategies = imported("strategies")
    page = text_of("benchmarks/README.md")
    kept = kept_result("fashion_mnist")
    assert fashion_mnist.table(kept) in page
    kept = kept_result("strategies")
    assert strategies.table(kept["strategies"]) in page
    kept = kept_result("snapshots")
    assert strategies.table(kept["strategies"]) in page


def test_the_published_figures_of_members_that_share_are_those_that_are_kept() -> None:
    shared_members = imported("shared_members")
    shared_strategies = imported("shared_strategies")
    page = text_of("benchmarks/README.md")
    kept = kept_result("shared_members")
    assert list(kept["tables"]) == ["housing", "telescope"]
    for name, lines in kept["tables"].items():
        assert shared_members.table(name, lines) in page
    kept = kept_result("shared_strategies")
    assert list(kept["problems"]) == list(shared_strategies.PROBLEMS)
    for problem, lines in kept["problems"].items():
        assert shared_strategies.table(problem, lines) in page


def test_the_published_figures_beside_networks_are_those_that_are_kept() -> None:
    tables = imported("tables")
    contestants = imported("tables_contestants")
    page = text_of("benchmarks/README.md")
    kept = kept_result("tables_networks")["tables"]
    assert list(kept) == list(imported("tables_data").TABLES)
    assert tables.overview(kept) in page
    assert tables.versus(kept, list(contestants.OURS), list(contestants.PEERS)) in page


def test_a_table_counts_as_better_or_worse_where_its_interval_leaves_0_out() -> None:
    tables = imported("tables")
    intervals = {"a": (-1.0, -2.0, -0.5), "b": (-0.1, -0.2, 0.1), "c": (1.0, 0.5, 2.0)}
    results = {
        name: {"against": {"default": {"peer": {"nll": own, "error": own}}}}
        for name, own in intervals.items()
    }
    found = tables.versus(results, ["default"], ["peer", "another"])
    assert found.splitlines()[2:] == ["| peer | 3 | 1 / 1 / 1 (2) | 1 / 1 / 1 (2) |"]


def test_the_published_figures_of_memory_are_those_that_are_kept() -> None:
    page = text_of("docs/memory.md")
    memory = kept_result("memory")
    for line in memory["lines"]:
        added = line["added_private_mb"]
        data = f"{line['data_mapped_mb']} | {line['data_cached_mb']}"
        row = f"| {line['trainers']} | {data} | {min(added)} to {max(added)} |"
        assert row in page
    large = kept_result("larger_than_memory")
    for name, value in large["highest_private_mb"].items():
        assert f"| {name} | {value} |" in page
    waiting = kept_result("waiting")
    assert f"{100 * waiting['share_waited']:.2f}%" in page


def test_the_page_shows_what_stacks_of_trials_gain() -> None:
    kept = kept_result("search_stacks")
    page = text_of("benchmarks/README.md")
    for name, line in (
        ("two trainers on Ray", "wall time, on Ray with two trainers"),
        ("in this process", "CPU time, in this process"),
    ):
        found = kept["results"][name]
        assert f"| {line} | {found['median_ratio']:.2f} |" in page
        assert all(turn["same_bits"] for turn in found["turns"])
