"""The verdict, its numbers and what comes next are those of the run's metrics."""

from html import unescape
from pathlib import Path

import numpy as np
import pytest
from conftest import plain_schema

from ensemble_pipe.core.metrics import MAXIMIZED
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.combiners.weighted import Weighted
from ensemble_pipe.report.advice import steps
from ensemble_pipe.report.by_group import wilson
from ensemble_pipe.report.combination import combination
from ensemble_pipe.report.diversity import components
from ensemble_pipe.report.gains import gains as gains_table
from ensemble_pipe.report.glossary import METRICS, legend_of, metric_of, term
from ensemble_pipe.report.learners import settings_of, trials
from ensemble_pipe.report.numbers import Numbers
from ensemble_pipe.report.result import result
from ensemble_pipe.report.verdict import verdict_figures, verdict_sentence
from ensemble_pipe.tracking.kinds import CombinedEntry, EpochEntry, TrialEntry
from ensemble_pipe.tracking.run_summary import RunSummary

CLASSES = {
    "test/accuracy": 0.911,
    "test/nll": 0.25,
    "test/ece": 0.012,
    "baseline_constant/test/accuracy": 0.85,
    "baseline_linear/test/accuracy": 0.912,
    "conformal/test/stated": 0.9,
    "conformal/test/coverage": 0.904,
    "conformal/test/mean_size": 1.25,
}
NUMBERS = {
    "test/rmse": 12_345.6,
    "test/r2": 0.8,
    "test/nll": 10.0,
    "test/coverage_90": 0.88,
    "baseline_constant/test/rmse": 24_691.2,
    "baseline_linear/test/rmse": 16_460.8,
}


def numbers_of(metrics: dict[str, float], task: str = "classification") -> Numbers:
    schema: Schema = (
        plain_schema("classification", (2,), ("a", "b"))
        if task == "classification"
        else plain_schema("regression", (2,))
    )
    pipeline = {"training": {"schedule": {"name": "cosine"}}}
    run = RunSummary("one", "FINISHED", 0, 1, pipeline, {"train": 9000, "test": 1000})
    run.metrics = metrics
    return Numbers(RunPaths(Path("runs/one")), run, schema, None)


def test_the_verdict_on_classes_has_the_numbers_of_the_metrics() -> None:
    assert verdict_sentence(numbers_of(CLASSES)) == (
        "Right for 91 of 100 new rows; 6 more than guessing the commonest class; as many as a "
        "linear model; its 90% sets held the truth for 90.4%."
    )
    good, against, sure = verdict_figures(numbers_of(CLASSES))
    assert (good.value, against.value, sure.value) == ("91.1%", "+6.1", "90.4%")
    assert "-0.1 against a linear model" in against.label
    assert "1.25 classes" in sure.label


def test_the_verdict_on_numbers_has_them_too() -> None:
    sentence = verdict_sentence(numbers_of(NUMBERS, "regression"))
    assert "explaining 80.0% of how new rows vary" in sentence
    assert "typical error of 12,346 is 50% of the error of predicting the mean" in sentence
    assert "75% of the error of a linear model" in sentence
    good, against, sure = verdict_figures(numbers_of(NUMBERS, "regression"))
    assert (good.value, against.value, sure.value) == ("12,346", "-50%", "88.0%")


def gained(metric: str, **known: tuple[float, float, float]) -> dict[str, float]:
    """Return the gains over baselines, each with the ends of its interval, as metrics."""
    return {
        f"baseline_{baseline}/test/{kind}/{metric}": value
        for baseline, one in known.items()
        for kind, value in zip(("gain", "gain_low", "gain_high"), one, strict=True)
    }


def test_gains_in_accuracy_have_their_paired_intervals() -> None:
    gains = gained("accuracy", constant=(0.061, 0.052, 0.07), linear=(0.007, 0.003, 0.011))
    sentence = verdict_sentence(numbers_of(CLASSES | gains))
    assert "+6.1 points over guessing the commonest class, 95% interval 5.2 to 7.0" in sentence
    assert "; +0.7 points over a linear model, 95% interval 0.3 to 1.1;" in sentence
    against = verdict_figures(numbers_of(CLASSES | gains))[1]
    assert "commonest class (95% interval 5.2 to 7.0); " in against.label
    worse = CLASSES | gained("accuracy", linear=(-0.007, -0.011, -0.003))
    assert "-0.7 points against a linear model, 95% interval -1.1 to -0.3" in verdict_sentence(
        numbers_of(worse)
    )


def test_a_gain_that_chance_can_explain_is_no_clear_difference() -> None:
    unclear = gained("accuracy", linear=(0.002, -0.003, 0.007))
    sentence = verdict_sentence(numbers_of(CLASSES | unclear))
    assert "no clear difference from a linear model (+0.2 points, 95% interval -0.3 to 0.7)" in (
        sentence
    )
    assert "no clear difference" in verdict_figures(numbers_of(CLASSES | unclear))[1].label
    table = gains_table(numbers_of(CLASSES | unclear).run)
    assert "+0.0020 (-0.0030 to 0.0070), no clear difference" in table


def test_gains_in_error_have_their_paired_intervals() -> None:
    gains = gained("rmse", constant=(12_345.6, 11_000, 14_000), linear=(300, -900, 1_400))
    r2 = gained("r2", linear=(0.05, 0.01, 0.09))
    numbers = numbers_of(NUMBERS | gains | r2, "regression")
    sentence = verdict_sentence(numbers)
    assert "predicting the mean (12,346 lower, 95% interval 11,000 to 14,000)" in sentence
    assert "a linear model (no clear difference: -300, 95% interval -1,400 to 900)" in sentence
    assert "<b>+0.050 (0.010 to 0.090)</b>" in gains_table(numbers.run)
    worse = gained("rmse", linear=(-300, -500, -100))
    sentence = verdict_sentence(numbers_of(NUMBERS | worse, "regression"))
    assert "a linear model (300 higher, 95% interval 100 to 500)" in sentence


@pytest.mark.parametrize(
    ("accuracy", "told"),
    [
        (0.873, "87 of 100"),
        (0.9861, "986 of 1,000"),
        (0.9994, "9,994 of 10,000"),
        (1.0, "100 of 100"),
    ],
)
def test_few_errors_are_told_of_more_rows(accuracy: float, told: str) -> None:
    assert told in verdict_sentence(numbers_of({"test/accuracy": accuracy}))


def test_without_a_result_the_verdict_is_how_far_the_run_is() -> None:
    numbers = numbers_of({})
    assert "none has yielded a member" in verdict_sentence(numbers)
    numbers.run.ensembles = {3: {"nll": 0.5}}
    assert "3 members so far, with an NLL of 0.5000" in verdict_sentence(numbers)
    assert verdict_figures(numbers) == []


def advice(numbers: Numbers) -> str:
    return " ".join(" ".join(step) for step in steps(numbers))


def test_what_comes_next_follows_from_the_numbers() -> None:
    metrics = {"test/nll": 0.7, "baseline_constant/test/nll": 0.69}
    assert "ensemble-pipe check" in advice(numbers_of(metrics))
    metrics = {"test/nll": 0.5, "baseline_constant/test/nll": 0.69, "baseline_linear/test/nll": 0.5}
    assert "A linear model is as good" in advice(numbers_of(metrics))
    assert "ensemble.combine.coverage=0.9" in advice(numbers_of(metrics))
    assert "ensemble.combine.coverage" not in advice(numbers_of(CLASSES))
    low = {**CLASSES, "conformal/test/coverage": 0.85}
    assert "held only 85.0%" in advice(numbers_of(low))
    assert "held only" not in advice(numbers_of({**CLASSES, "conformal/test/coverage": 0.895}))
    killed = numbers_of(CLASSES)
    killed.run.status = "KILLED"
    assert "ensemble-pipe resume" in advice(killed)


def test_curves_say_whether_to_train_longer_or_shorter() -> None:
    def trained(losses: list[float]) -> Numbers:
        numbers = numbers_of(CLASSES)
        numbers.run.plans = {0: {"epochs": len(losses), "network": {"name": "mlp"}}}
        numbers.run.epochs = {
            0: [
                EpochEntry(0, place + 1, 9, {"stop/loss": loss})
                for place, loss in enumerate(losses)
            ]
        }
        return numbers

    assert "training.epochs=20" in advice(trained([1 / (place + 1) for place in range(10)]))
    assert "early_stopping" in advice(
        trained([1.0, 0.5, *(0.6 + place / 10 for place in range(8))])
    )
    settled = advice(trained([1.0, 0.5, *(0.5 for _ in range(8))]))
    assert "epochs" not in settled
    assert "early_stopping" not in settled


def test_intervals_that_are_too_narrow_are_pointed_out() -> None:
    for held, narrow in ((0.74, True), (0.89, False)):
        said = advice(numbers_of({**NUMBERS, "test/coverage_90": held}, "regression"))
        assert "ensemble.combine.coverage=0.9" in said
        assert ("Its 90% intervals held only 74.0% of the true values." in said) == narrow


def test_the_constant_is_not_the_best_calibrated() -> None:
    metrics = {
        "test/nll": 0.5, "test/ece": 0.03,
        "member_mean/test/nll": 0.6, "member_mean/test/ece": 0.04,
        "baseline_constant/test/nll": 0.45, "baseline_constant/test/ece": 0.001,
    }  # fmt: skip
    told = result(numbers_of(metrics))
    assert "<b>0.0300</b>" in told
    assert "<b>0.001" not in told
    assert "0.001" in told
    assert "<b>0.4500</b>" in told
    assert "not compared by its calibration errors" in told
    for name in [key for key in metrics if key.endswith("ece")]:
        del metrics[name]
    assert "calibration errors" not in result(numbers_of(metrics))


def test_every_metric_has_a_name_a_direction_and_a_meaning() -> None:
    for name in METRICS:
        assert METRICS[name].meaning in unescape(term(name))
    assert "RMSE" not in term("nll")
    assert "of price" in term("rmse/price")
    assert metric_of("accuracy_at_90") is not None
    for name in MAXIMIZED | {"top_3_accuracy"}:
        found = metric_of(name)
        assert found is not None
        assert found.direction == "higher is better"
    assert term("<own>") == "&lt;own&gt;"
    assert "negative log-likelihood" in legend_of(["nll", "own"])


def test_an_inactive_hyperparameter_of_a_trial_is_left_open() -> None:
    run = numbers_of(CLASSES).run
    decay = "training.optimizer.weight_decay"
    groups = [{"training.optimizer.name": "adamw", decay: 0.1},
              {"training.optimizer.name": "nesterov", "network.hidden": [64, 32]}]  # fmt: skip
    run.pipeline["ensemble"] = {"pool": [{"set": group} for group in groups]}
    for number in range(2):
        plan = {"network": {"hidden": [8]}, "optimizer": {"weight_decay": 0.1 * (1 - number)}}
        run.plans[number] = plan
        run.trials[number] = TrialEntry(number, [number], "nll", 0.5, 0.01, 10, winner=number == 0)
    assert settings_of(run)[1] == {"optimizer.name": "nesterov", "network.hidden": [64, 32]}
    page = trials(run)
    assert "validation <abbr" in page
    assert "negative log-likelihood" in page
    assert ">&ndash;</td>" in page
    assert ">[64, 32]</td>" in page
    assert "0.0000" not in page


def test_an_ensemble_of_one_member_is_not_called_a_mean() -> None:
    run = numbers_of(CLASSES).run
    run.pipeline["ensemble"] = {"combine": {}}
    run.combined = CombinedEntry(Weighted.equal(1), [(3, 0)], [], [])
    assert "none: a single member" in combination(run, ("a", "b"))
    run.combined = CombinedEntry(Weighted.equal(2), [(3, 0), (4, 0)], [], [])
    assert "mean of the members" in combination(run, ("a", "b"))


def test_the_interval_of_a_share_is_wilsons() -> None:
    low, high = wilson(0.9, 100)
    assert low == pytest.approx(0.8256, abs=1e-3)
    assert high == pytest.approx(0.9448, abs=1e-3)


def test_the_map_of_members_keeps_their_distances() -> None:
    values = np.array([[0.0, 0, 0], [3, 4, 0], [0, 0, 1e-9]])
    positions, shares = components(values)
    apart = np.linalg.norm(positions[0] - positions[1])
    assert apart == pytest.approx(5.0)
    assert shares[0] == pytest.approx(1.0)
