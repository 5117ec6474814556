"""Tables and lines of results on the terminal."""

import pytest

from ensemble_pipe.cli.tables import baseline_line
from ensemble_pipe.run.result_table import result_table


@pytest.mark.parametrize(
    ("baselines", "line"),
    [
        (
            {"constant": 0.6, "linear": 0.5},
            "test NLL 0.4000: better than guessing (0.6000) and than a linear model (0.5000)",
        ),
        (
            {"constant": 0.6, "linear": 0.3},
            "test NLL 0.4000: better than guessing (0.6000), not better than a linear model "
            "(0.3000)",
        ),
        (
            {"constant": 0.4, "linear": 0.3},
            "test NLL 0.4000: not better than guessing (0.4000) and than a linear model (0.3000)",
        ),
        ({"constant": 2.3}, "test NLL 0.4000: better than guessing (2.3000)"),
    ],
)
def test_one_line_compares_the_ensemble_with_the_baselines(
    baselines: dict[str, float], line: str
) -> None:
    metrics = {f"baseline_{name}/test/nll": value for name, value in baselines.items()}
    assert baseline_line({"test/nll": 0.4, **metrics}) == line


def test_the_table_has_a_row_for_mean_best_and_ensemble() -> None:
    metrics = {
        f"{prefix}test/{name}": 0.5
        for prefix in ("", "member_mean/", "member_best/")
        for name in ("rmse", "nll", "r2")
    }
    lines = result_table(metrics, 3).splitlines()
    assert lines[0].split() == ["test", "rmse", "r2", "nll"]
    assert [line[:11].strip() for line in lines[1:4]] == ["mean member", "best member", "ensemble"]


@pytest.mark.parametrize(("name", "title"), [("coverage_90", "low to high"), ("ece", "in set")])
def test_where_coverage_was_asked_for_that_of_a_prediction_file_is_shown(
    name: str, title: str
) -> None:
    metrics = {
        f"{prefix}test/{metric}": 0.7171
        for prefix in ("", "member_mean/", "member_best/")
        for metric in ("nll", name)
    }
    assert title not in result_table(metrics, 3)
    asked = {"conformal/test/stated": 0.95, "conformal/test/coverage": 0.9412}
    lines = result_table(metrics | asked, 3).splitlines()
    assert lines[0].endswith(title)
    assert "coverage_90" not in lines[0]
    assert [line.split()[-1] for line in lines[1:4]] == ["-", "-", "0.9412"]
    assert lines[-1].startswith(f"({title}: how often the tru")
    assert lines[-1].endswith("0.95 was asked for)")


def test_errors_of_targets_of_any_size_can_be_read() -> None:
    for size in (1e-6, 1e30):
        metrics = {f"{row}test/rmse": size * 1.25 for row in ("member_mean/", "member_best/", "")}
        *_, ensemble, _ = result_table(metrics, 3).splitlines()
        assert ensemble.split() == ["ensemble", f"{size * 1.25:.4g}"]
