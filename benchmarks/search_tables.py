"""What the searches of `search.py` found: by budget, and paired by seed, with their tables."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ensemble_pipe.comparison.compare import over_seeds
from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.search.pictures import importances
from ensemble_pipe.search.spaces import Parameters
from ensemble_pipe.search.trials import Trial, short_names

Found = dict[str, Any]
Arms = Mapping[str, Sequence[Found]]  # what was found with each seed, by name

RANDOM, SINGLE = "random", "single"
_UNORDERED = (RANDOM, "grid")  # of whose trials none depends on others
_MEASURES = ("nll", "accuracy")


def scores_of(found: Found) -> Floats:
    """Return the scores (T,) of all trials in their order, infinite for those without one."""
    scores = [trial["score"] for trial in found["trials"]]
    return np.array([np.inf if score is None else score for score in scores], np.float64)


def best_trial(found: Found) -> Found:
    """Return the trial of the best score."""
    best: Found = found["trials"][int(scores_of(found).argmin())]
    return best


def lowest(found: Found) -> float:
    """Return the best score."""
    return float(scores_of(found).min())


def epochs_of(found: Found) -> int:
    """Return the epochs of all trials."""
    return sum(trial["epochs"] for trial in found["trials"])


def best_so_far(arm: str, found: Found) -> Floats:
    """Return the best score (T,) after each trial of a search that prunes none.

    Where no trial depends on others it is the mean over all orders of the trials.
    """
    scores = scores_of(found)
    if arm not in _UNORDERED:
        return np.minimum.accumulate(scores)
    return np.array([expected_lowest(scores, count) for count in range(1, len(scores) + 1)])


def expected_lowest(scores: Floats, count: int) -> float:
    """Return the mean lowest of `count` of some scores (T,), drawn without replacement.

    >>> expected_lowest(np.array([3.0, 1.0, 2.0]), 2)  # 1 of two in three draws, else 2
    1.3333333333333333
    """
    expected, better_left = 0.0, 1.0
    for place, score in enumerate(np.sort(scores)[: len(scores) - count + 1]):
        chance = count / (len(scores) - place)  # that it is drawn, if none of the better ones is
        expected += better_left * chance * float(score)
        better_left *= 1 - chance
    return expected


def difference(ours: Sequence[float], theirs: Sequence[float]) -> Found:
    """Return the mean of ours - theirs, paired by seed, with Student's 95% interval."""
    apart: Floats = np.subtract(ours, theirs)
    return asdict(over_seeds(apart))


def driver_study(arms: Arms, parameters: Parameters) -> Found:
    """Return what each driver found with which budget, and how that differs from random draws.

    Args:
        arms: of the drivers, and of pruning with its numbers of trials.
        parameters: of the space.
    """
    seeds = range(len(arms[RANDOM]))
    least = [min(lowest(own[seed]) for own in arms.values()) for seed in seeds]
    return {
        "importances": _importances(arms[RANDOM], parameters),
        "arms": {arm: _driver(arm, own, arms[RANDOM], least) for arm, own in arms.items()},
    }


def _driver(arm: str, own: Sequence[Found], random: Sequence[Found], least: list[float]) -> Found:
    best, targets = [[lowest(one) for one in side] for side in (own, random)]
    test = [[one["nll"] for one in side] for side in (own, random)]
    found: Found = {
        "trials": len(own[0]["trials"]),
        "epochs": float(np.mean([epochs_of(one) for one in own])),
        "best": float(np.mean(best)),
        "test_nll": float(np.mean(test[0])),
        "cpu_s": float(np.mean([one["cpu_s"] for one in own])),
        "reached_after": [_reached(arm, *pair) for pair in zip(own, targets, strict=True)],
        # Of each seed, how far the best score is above the lowest that any of its searches found.
        "above_lowest": [score - low for score, low in zip(best, least, strict=True)],
    }
    if len(own) > 1:
        found["best_less_random"] = difference(best, targets)
        found["test_nll_less_random"] = difference(*test)
    if " " not in arm:
        curves = [best_so_far(arm, one) - low for one, low in zip(own, least, strict=True)]
        found["curve"] = [
            {"above_lowest": round(values.mean(), 5), "standard_error": round(_error(values), 5)}
            for values in np.transpose(curves)
        ]
    if arm in _UNORDERED:
        found["trials_of_first_seed"] = [
            {"score": trial["score"], "values": trial["values"]} for trial in own[0]["trials"]
        ]
    return found


def _error(values: Floats) -> float:
    """Return the standard error of the mean of some values (S,)."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def _reached(arm: str, found: Found, target: float) -> int | None:
    """Return after how many epochs of all trials a score as good as the target is there.

    Trials count in their order; where they are pruned all of them are trained side by side.
    """
    good = np.flatnonzero(scores_of(found) <= target)
    if not len(good):
        return None
    return epochs_of(found if " " in arm else {"trials": found["trials"][: good[0] + 1]})


def _importances(random: Sequence[Found], parameters: Parameters) -> dict[str, float]:
    """Return the importance of each hyperparameter, the mean over the seeds, by its short name."""
    names, each = short_names(list(parameters)), []
    for found in random:
        trials = [
            Trial(number, trial["values"], "finished", trial["score"])
            for number, trial in enumerate(found["trials"])
            if trial["score"] is not None
        ]
        each.append(importances(trials, "nll", parameters))
    shares = {names[path]: [one.get(path, 0.0) for one in each] for path in parameters}
    return {name: float(np.mean(values)) for name, values in shares.items()}


def ensemble_study(arms: Arms) -> Found:
    """Return the test metrics of each ensemble, and how they differ from the single best trial."""
    found: Found = {}
    for arm, own in arms.items():
        values = {measure: [one[measure] for one in own] for measure in _MEASURES}
        found[arm] = {
            "members": float(np.mean([one["members"] for one in own])),
            "cpu_s": float(np.mean([one["cpu_s"] for one in own])),
            **{measure: float(np.mean(each)) for measure, each in values.items()},
        }
        if len(own) > 1 and arm != SINGLE:
            for measure, each in values.items():
                single = [one[measure] for one in arms[SINGLE]]
                found[arm][f"{measure}_less_single"] = difference(each, single)
    if "deep" in found and "nll_less_single" in found.get("hyper_deep", {}):
        hyper, deep = [[one["nll"] for one in arms[arm]] for arm in ("hyper_deep", "deep")]
        found["hyper_deep"]["nll_less_deep"] = difference(hyper, deep)
    return found


def driver_table(study: Found) -> str:
    """Return a study of drivers as a Markdown table."""
    head = (
        "search", "trials", "epochs", "best validation NLL", "less random", "its test NLL",
        "less random", "reaches random's best", "after epochs",
    )  # fmt: skip
    lines = [_row(head), "|" + "---|" * len(head)]
    for arm, own in study["arms"].items():
        after = [epochs for epochs in own["reached_after"] if epochs is not None]
        cells = (
            arm.split()[0].replace("_", " "), str(own["trials"]), f"{own['epochs']:.0f}",
            f"{own['best']:.4f}", _interval(own, "best_less_random", arm == RANDOM),
            f"{own['test_nll']:.4f}", _interval(own, "test_nll_less_random", arm == RANDOM),
            f"{len(after)} of {len(own['reached_after'])}",
            f"{np.median(after):.0f}" if after else "",
        )  # fmt: skip
        lines.append(_row(cells))
    return "\n".join(lines)


def ensemble_table(study: Found) -> str:
    """Return a study of ensembles as a Markdown table."""
    head = ("ensemble", "members", "test NLL", "less single", "accuracy", "less single", "CPU s")
    lines = [_row(head), "|" + "---|" * len(head)]
    for arm, own in study.items():
        cells = (
            arm.replace("_", "-"), f"{own['members']:.1f}",
            f"{own['nll']:.4f}", _interval(own, "nll_less_single", arm == SINGLE),
            f"{own['accuracy']:.4f}", _interval(own, "accuracy_less_single", arm == SINGLE),
            f"{own['cpu_s']:.1f}",
        )  # fmt: skip
        lines.append(_row(cells))
    return "\n".join(lines)


def tables(result: Found) -> dict[str, str]:
    """Return the Markdown table of each study and data set of a result, by "study, data"."""
    makers = {"drivers": driver_table, "ensembles": ensemble_table}
    return {
        f"{study}, {name}": make(own)
        for study, make in makers.items()
        for name, own in result.get(study, {}).items()
    }


def _interval(own: Found, name: str, is_reference: bool) -> str:
    one = own.get(name)
    if one is None or is_reference:
        return ""
    return f"{one['mean']:+.4f} ({one['low']:+.4f}, {one['high']:+.4f})"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
