"""What to try next: what the checks of a run warned of, and what its numbers say."""

from collections.abc import Iterator

import numpy as np

from ensemble_pipe.core.messages import counted, printable, shell_word, truncate
from ensemble_pipe.report.by_group import wilson
from ensemble_pipe.report.calibration import uncalibrated
from ensemble_pipe.report.curves import best_epoch
from ensemble_pipe.report.errors import confusion_counts
from ensemble_pipe.report.member_gains import LEAST_GAIN, left_out, still_gains
from ensemble_pipe.report.numbers import Numbers
from ensemble_pipe.report.page import NOTHING, Html, element, joined

MOST = 6
_LATE, _EARLY, _RISE = 0.9, 0.6, 0.02
_FEW_TEST_ROWS = 500
_SHARED_ERRORS = 0.9
_LARGE_ECE = 0.03

Step = tuple[str, str]  # a sentence, and a command or settings; "" for none


def next_steps(numbers: Numbers) -> Html:
    """Return the box of what to try next; nothing where nothing suggests itself."""
    found = list(steps(numbers))[:MOST]
    lines = [
        element("li", text, *([" ", element("code", command)] if command else []))
        for text, command in found
    ]
    if not lines:
        return NOTHING
    return element("section", element("h2", "What to try next"), element("ul", joined(lines)),
                   kind="next")  # fmt: skip


def steps(numbers: Numbers) -> Iterator[Step]:
    """Yield what to try next, the most urgent first."""
    root = shell_word(numbers.paths.root)
    run = numbers.run
    if run.status in ("FAILED", "KILLED") or run.left_undone:
        yield "Let the run go on to its end:", f"ensemble-pipe resume {root}"
    for entry in run.checked:
        for _, text in entry.warnings:
            yield f"{text[0].upper()}{text[1:]}" if text else text, ""
    yield from _baselines(numbers)
    yield from _coverage(numbers)
    yield from _training(numbers)
    size = list(_size(numbers, root))
    yield from size
    yield from ((f"{text}.", "") for text in left_out(numbers.run))
    yield from _calibration(numbers)
    if not size:
        yield from _diversity(numbers)
    yield from _confusion(numbers)
    yield from _test_rows(numbers)


def _baselines(numbers: Numbers) -> Iterator[Step]:
    metrics = numbers.run.metrics
    own = metrics.get("test/nll")
    if own is None:
        return
    constant, linear = (metrics.get(f"baseline_{one}/test/nll") for one in ("constant", "linear"))
    if constant is not None and own >= constant:
        yield (
            "It knows no more than the shares of the classes, or the mean, say: look at the label, "
            "the columns and the learning rate, step by step:",
            "ensemble-pipe check pipeline.yaml",
        )
    elif linear is not None and own >= linear - LEAST_GAIN:
        yield (
            "A linear model is as good: take it, or see whether trees or wider networks find more:",
            "ensemble: {preset: best}" if not numbers.schema.is_image else "",
        )


def _coverage(numbers: Numbers) -> Iterator[Step]:
    metrics, rows = numbers.run.metrics, numbers.run.rows["test"]
    if not metrics:
        return
    stated, found = metrics.get("conformal/test/stated"), metrics.get("conformal/test/coverage")
    what = "sets" if numbers.is_classification else "intervals"
    if stated is None or found is None:
        held, off = metrics.get("test/coverage_90"), ""
        if held is not None and wilson(min(held, 1.0), rows)[1] < 0.9:
            off = f"Its 90% intervals held only {held:.1%} of the true values. "
        yield (
            f"{off}Ask for {what} that hold the truth as often as they say:",
            "--set ensemble.combine.coverage=0.9",
        )
    elif wilson(min(found, 1.0), rows)[1] < stated:
        yield (
            f"Its {stated:.0%} {what} held only {found:.1%}: test rows differ from those of the "
            "validation part; look at how the parts are divided (time, groups), or take more rows "
            "for validation",
            "",
        )


def _training(numbers: Numbers) -> Iterator[Step]:
    run = numbers.run
    late, early, count = 0, 0, 0
    for learner, entries in run.epochs.items():
        planned, best = run.plans[learner].get("epochs"), best_epoch(entries)
        losses = np.array([one.metrics.get("stop/loss") for one in entries], float)
        if not planned or best is None or len(entries) < 3 or np.isnan(losses[-1]):
            continue
        count += 1
        earlier = losses[: max(1, int(0.8 * len(losses)))]
        falls = np.nanmin(earlier) - np.nanmin(losses) > 0.01 * abs(np.nanmin(losses))
        late += best >= _LATE * planned and bool(falls)
        rise = losses[-1] - np.nanmin(losses)
        early += best <= _EARLY * planned and rise > _RISE * abs(np.nanmin(losses))
    if count and late * 2 > count:
        epochs = max(run.plans[one].get("epochs") or 0 for one in run.plans)
        yield (
            f"The loss was still falling at the end for {late} of {count} learners: train longer,",
            f"--set training.epochs={2 * epochs}",
        )
    elif count and early * 2 > count:
        yield (
            f"The loss on unseen rows rose again for {early} of {count} learners: stop earlier, or "
            "add dropout, weight decay or augmentation,",
            "--set training.early_stopping.patience=5",
        )


def _size(numbers: Numbers, root: str) -> Iterator[Step]:
    gains = still_gains(numbers)
    if gains:
        yield (
            f"{gains}: more learners are likely to lower it further,",
            f"ensemble-pipe grow {root} --learners {len(numbers.run.plans)}",
        )


def _calibration(numbers: Numbers) -> Iterator[Step]:
    error, test = numbers.run.metrics.get("test/ece"), numbers.test
    if error is None or test is None or error < _LARGE_ECE:
        return
    if uncalibrated(test.prediction) is None:
        yield (
            f"Confidence is {100 * error:.1f} points off on average: fit a temperature,",
            "--set ensemble.combine.temperature=true",
        )


def _diversity(numbers: Numbers) -> Iterator[Step]:
    metrics = numbers.run.metrics
    name = "error_correlation" if numbers.is_classification else "residual_correlation"
    value = metrics.get(f"diversity/test/{name}")
    kinds = {tuple(plan.get(k) is not None for k in ("network", "estimator", "predictions"))
             for plan in numbers.run.plans.values()}  # fmt: skip
    if value is not None and value > _SHARED_ERRORS and len(kinds) == 1:
        yield (
            f"Members make the same errors (correlation {value:.2f}), so that more of the kind "
            "help little: mix kinds in a pool, such as networks with trees,",
            "" if numbers.schema.is_image else "ensemble: {preset: best}",
        )


def _confusion(numbers: Numbers) -> Iterator[Step]:
    test = numbers.test
    if test is None or not numbers.is_classification or len(numbers.schema.classes) < 3:
        return
    counts = confusion_counts(test)
    np.fill_diagonal(counts, 0)
    wrong, most = int(counts.sum()), int(counts.max(initial=0))
    if wrong >= 20 and most > 0.15 * wrong:
        true, predicted = (
            truncate(printable(str(numbers.schema.classes[place])), 30)
            for place in np.unravel_index(int(counts.argmax()), counts.shape)
        )
        yield (
            f"{most} of {wrong} errors take {true} for {predicted}: look at these rows below; are "
            "their labels right, and is there a feature that tells them apart?",
            "",
        )


def _test_rows(numbers: Numbers) -> Iterator[Step]:
    rows = numbers.run.rows["test"]
    if numbers.run.metrics and rows < _FEW_TEST_ROWS:
        yield (
            f"The test part is of {counted(rows, 'row')}, so that small differences are chance: "
            "compare pipelines over folds or seeds:",
            "ensemble-pipe compare RUN_DIR RUN_DIR",
        )
