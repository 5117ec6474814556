"""Members that are models of LightGBM or CatBoost, and what becomes of altered files of them."""

import json
import os
import signal
import sys
from dataclasses import replace
from typing import Any

import numpy as np
from conftest import plain_schema

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.tables.features import CategoryColumn
from ensemble_pipe.ensemble.members import FittedMember, fitted_member, member_outputs
from ensemble_pipe.training.boosting_libraries import fit_library
from ensemble_pipe.training.estimator_settings import CatBoost, LightGbm
from ensemble_pipe.training.estimators import EstimatorPlan
from ensemble_pipe.training.learner_rows import LearnerRows
from ensemble_pipe.training.library_models import load_library
from ensemble_pipe.training.tree_inputs import fit_inputs

ROWS = 300
BOTH: list[LightGbm | CatBoost] = [
    LightGbm(rounds=20, learning_rate=0.3),
    CatBoost(rounds=20, learning_rate=0.3),
]
TIME_LIMIT_S = 60


def table_of_codes(classes: int) -> tuple[Schema, Floats, Any]:
    """Return a schema of a category (as a code) and a number, encoded rows, and their classes."""
    random = np.random.default_rng(0)
    schema = plain_schema("classification", (1,), tuple("abc"[:classes]))
    names = tuple(f"k{code}" for code in range(12))
    category = CategoryColumn("c", "category", names, None, "ignore", "code")
    schema = replace(schema, input_shape=(2,), columns=(category, *schema.columns))
    codes = random.integers(0, 12, ROWS)
    encoded = np.column_stack([codes + 1, random.normal(size=ROWS)]).astype(np.float32)
    return schema, encoded, (codes % classes).astype(np.int32)


def member_of(
    settings: LightGbm | CatBoost, schema: Schema, encoded: Floats, targets: Any
) -> FittedMember:
    targets = np.asarray(targets)
    rows = LearnerRows(encoded, targets, np.ones(ROWS, np.float32), np.zeros(ROWS, np.int64))
    plan = EstimatorPlan(3, 1, settings)
    inputs = fit_inputs(schema.source_view, encoded, 254)
    seed, told = plan.drawn_seed, list[tuple[int, int, float | None]]()

    def tell(*one: Any) -> bool:
        told.append(one)
        return False

    content = fit_library(
        settings, plan.facts, schema.task, seed, inputs, rows, rows, tell
    ).to_bytes()
    assert told[-1][0] <= told[-1][1]
    member = fitted_member(plan, settings.suffix, content)
    member.require_fit(schema)
    assert member.is_of_plan(plan, schema.task)
    assert not member.is_of_plan(replace(plan, learner=4), schema.task)
    return member


def outputs_of(member: FittedMember, schema: Schema, encoded: Floats) -> Floats:
    def read(start: int, stop: int, out: Any) -> None:
        out[:] = encoded[start:stop]

    if schema.task == "regression":
        member = replace(member, noise=(1.0,) * schema.target_count)
    (found,) = member_outputs([member], schema, [read], len(encoded))
    return np.asarray(found)


def mixed_table(classes: int) -> tuple[Schema, Floats, Any]:
    """Return a schema of two categories and two numbers, encoded rows, and their classes.

    CatBoost sees one category as a value, the other and both together by their statistics.
    """
    random = np.random.default_rng(2)
    schema = plain_schema("classification", (2,), tuple("abc"[:classes]))
    both = (("few", 2), ("many", 12))
    columns = [
        CategoryColumn(name, "category", tuple(f"k{code}" for code in range(count)), None,
                       "ignore", "code")
        for name, count in both
    ]  # fmt: skip
    schema = replace(schema, input_shape=(4,), columns=(*columns, *schema.columns))
    few, many = (random.integers(0, count, ROWS) for _, count in both)
    numbers = random.normal(size=(ROWS, 2))
    targets = (many + few * (numbers[:, 0] > 0) + random.integers(0, 2, ROWS)) % classes
    encoded = np.column_stack([few + 1, many + 1, numbers]).astype(np.float32)
    return schema, encoded, targets.astype(np.int32)


def fate_of(settings: LightGbm | CatBoost, schema: Schema, encoded: Floats, content: bytes) -> str:
    """Return what becomes of a file: refused, predicted, or what should not be."""
    member = fitted_member(EstimatorPlan(3, 1, settings), settings.suffix, content)
    try:
        member.require_fit(schema)
        found = outputs_of(member, schema, encoded)
    except CorruptFileError as error:
        return f"refused: {error}"
    except BaseException as error:
        return f"raised {type(error).__name__}: {error}"
    fits = found.shape == (len(encoded), len(schema.classes)) and np.isfinite(found).all()
    return "predicted" if fits else f"predicted {found.shape}: {found[:2]}"


def main() -> None:
    """Print what becomes of each file that the first argument has, as lines of JSON.

    Each batch of files has a process of its own, of limited time, which says how it ended.
    """
    place, classes = int(sys.argv[2]), int(sys.argv[3])
    schema, encoded, _ = mixed_table(classes)
    load_library(BOTH[place].strategy)
    with open(sys.argv[1]) as stream:
        batches = json.load(stream)
    for batch in batches:
        child = os.fork()
        if child == 0:
            signal.alarm(TIME_LIMIT_S)
            for content in batch:
                fate = fate_of(BOTH[place], schema, encoded[:20], content.encode())
                print(json.dumps(fate), flush=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            print(json.dumps(f"ended with {os.waitstatus_to_exitcode(status)}"), flush=True)


if __name__ == "__main__":
    main()
