"""Wrong searches, metrics, folds and time limits, by file and in Python: one message, status 2."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import refused

import ensemble_pipe
from ensemble_pipe.core.errors import InputError

pytestmark = pytest.mark.usefixtures("empty_folder")

RATE = "training.optimizer.learning_rate"
# What is asked for, the override, and the beginning of the message.
SPACES: dict[str, tuple[str, Any, str]] = {
    "no space": ("search.space", {}, "search: space: is empty; name hyperparameters and their"),
    "no choice": ("search.space", {RATE: []}, f"search.space.{RATE}: expected a list of values"),
    "a range upside down": (
        "search.space",
        {RATE: {"log_uniform": [0.1, 0.01]}},
        f"search.space.{RATE}: log_uniform: low (0.1) must be less than high (0.01)",
    ),
    "no parameter": (
        "search.space",
        {"network.hiden": [[8], [16]]},
        "network.hiden: unknown key 'hiden'; did you mean 'hidden'?",
    ),
    "members of what has none": (
        "search.space",
        {"ensemble.members": [2, 4]},
        "search.space: 'ensemble.members' is for ensemble.strategy: shared; set that",
    ),
    "no metric": ("search.metric", "f3", "search.metric: unknown 'f3'; valid: accuracy, auroc, "),
    "a metric of numbers": ("search.metric", "rmse", "search.metric: rmse is not for classificat"),
    "no duration": ("time_limit", "never", "time_limit: 'never' is not a duration, such as"),
    "a limit shorter than the start": ("time_limit", 0.1, "time_limit: 0.1s is too short: the st"),
    "more folds than rows of a class": (
        "splits.folds",
        150,
        "scikit-learn's digits: splits.folds: 150 folds are to be left out in turn, but the "
        "training part has 139 rows of class '8'; take at most 139 folds",
    ),
}
RUNS: dict[str, tuple[str, Any, str]] = {
    "no metric": (
        "ensemble.combine",
        {"method": "greedy", "metric": "f3"},
        "ensemble.combine.metric: unknown 'f3'; valid: accuracy, auroc, ",
    ),
    "a metric of numbers": (
        "ensemble.combine",
        {"method": "greedy", "metric": "rmse"},
        "ensemble.combine.metric: rmse is not for classification; take one of nll, brier, ",
    ),
    "stopping by a metric of numbers": (
        "training.early_stopping",
        {"metric": "stop/rmse"},
        "training.early_stopping.metric: stop/rmse is for regression, but task is classification",
    ),
    "no duration": ("time_limit", "never", "time_limit: 'never' is not a duration, such as"),
    "a limit shorter than the start": ("time_limit", 0.1, "time_limit: 0.1s is too short: the st"),
    "more folds than learners": (
        "splits.folds",
        5000,
        "ensemble.learners: is 5, but splits.folds is 5000, and each fold is left out by one",
    ),
}
CASES = [
    pytest.param(verb, *case, id=f"{verb}: {name}")
    for verb, cases in (("search", SPACES), ("run", RUNS))
    for name, case in cases.items()
]


@pytest.mark.parametrize(("verb", "key", "value", "message"), CASES)
def test_by_every_door_the_mistake_is_named_and_nothing_is_left(
    verb: str, key: str, value: Any, message: str
) -> None:
    sections: dict[str, Any] = {"tracking": {"mlflow": False}, "ensemble": {}}
    if verb == "search":
        sections["search"] = {"space": {RATE: [0.01, 0.1]}}
    else:
        sections["ensemble"] = {"learners": 5}
    Path("p.yaml").write_text(yaml.safe_dump(sections), encoding="utf-8")
    text = f"{key}={yaml.safe_dump(value, default_flow_style=True, width=1000)}"
    text = text.removesuffix("\n").removesuffix("\n...")
    assert refused(verb, "p.yaml", "--inline", "--set", text).startswith(message)
    before = sorted(Path().rglob("*"))
    with pytest.raises(InputError) as error:
        getattr(ensemble_pipe, verb)("p.yaml", inline=True, **{key: value})
    assert str(error.value).startswith(message)
    assert sorted(Path().rglob("*")) == before


# The folds, further keys of the data, the task, and the end of the message.
OF_ROWS: dict[str, tuple[Any, dict[str, Any], str, str]] = {
    "rows of a class": (5, {}, "classification", "has 4 rows of class 'no'; take at most 4 folds"),
    "repeats": ({"count": 5, "repeats": 2}, {}, "classification", "has 4 rows of class 'no'; take"),
    "groups": (7, {"group": "g"}, "classification", "has 6 groups; take at most 6 folds"),
    "rows": (33, {"label": "n"}, "regression", "has 32 rows; take at most 32 folds"),
    "forward": (
        {"count": 32, "forward": "expanding"},
        {"label": "n", "time": "n2"},
        "regression",
        "32 folds forward in time need 33 rows or more, but the training part has 32; take fewer",
    ),
}


@pytest.mark.parametrize("verb", ["run", "search"])
@pytest.mark.parametrize(("folds", "data", "task", "message"), OF_ROWS.values(), ids=OF_ROWS)
def test_more_folds_than_there_are_to_divide_are_refused(
    verb: str, folds: Any, data: dict[str, Any], task: str, message: str
) -> None:
    rows = [f"{n},{n},{n},{n % 8},{'no' if n % 8 == 0 else 'yes'}" for n in range(40)]
    Path("rows.csv").write_text("\n".join(["n,n2,x,g,label", *rows]) + "\n", encoding="utf-8")
    sections: dict[str, Any] = {
        "task": task,
        "data": {"source": "table", "path": "rows.csv", "label": "label", **data},
        "splits": {"test": 0.2, "folds": folds},
        "ensemble": {"learners": 66},
        "tracking": {"mlflow": False},
    }
    if verb == "search":
        del sections["ensemble"]
        sections["search"] = {"space": {RATE: [0.01, 0.1]}}
    Path("p.yaml").write_text(yaml.safe_dump(sections), encoding="utf-8")
    assert message in refused(verb, "p.yaml", "--inline")
    assert sorted(map(str, Path().iterdir())) == ["p.yaml", "rows.csv"]
    with pytest.raises(InputError, match=re.escape(message)):
        getattr(ensemble_pipe, verb)("p.yaml", inline=True)
