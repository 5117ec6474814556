"""Augmentation at prediction: the draws of a row depend on its place in the input alone."""

import numpy as np
import pyarrow as pa
import pytest
from conftest import plain_schema

from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.data.augment import ShiftCrop
from ensemble_pipe.data.augment.policy import Augment
from ensemble_pipe.data.augment.prediction import PredictionDraws
from ensemble_pipe.data.base import shard_table
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shard_view import ShardView
from ensemble_pipe.data.sources.rows import block_rows, image_type

ROWS, DRAWS, CHUNK = 700, 3, 256
IMAGES = plain_schema("classification", (6, 5, 2), ("x", "y"), mean=100.0, deviation=50.0)
TABLE = plain_schema("classification", (7,), ("x", "y"))
POLICIES: dict[str, list[dict[str, object]]] = {
    "images": [{"name": "horizontal_flip"}, {"name": "shift_crop"}],
    "table": [{"name": "feature_noise"}, {"name": "feature_dropout"}],
    "series": [{"name": "signal_shift"}, {"name": "time_mask", "probability": 0.5}],
}
CASES = {"images": IMAGES, "table": TABLE, "series": TABLE}


def rows_of(schema: Schema) -> Array:
    random = np.random.default_rng(5)
    if schema.is_image:
        return random.integers(1, 256, (ROWS, *schema.input_shape)).astype(np.uint8)
    return random.standard_normal((ROWS, *schema.input_shape), np.float32)


def draws_of(case: str, draws: int = DRAWS, seed: int = 1) -> PredictionDraws:
    augment = Pipeline.model_validate({"augment": {"policy": POLICIES[case]}}).augment
    return PredictionDraws(Augment(policy=augment.policy, test_draws=draws), seed)


def drawn(rows: Array, schema: Schema, draws: PredictionDraws, first: int = 0) -> Floats:
    """Return what each draw reads of rows (R, *shape), in chunks as inference does."""
    none = np.zeros(len(rows), np.int32)
    view = ShardView([shard_table(rows, none, none)], *schema.input_scale())
    out = [np.empty(rows.shape, np.float32) for _ in range(max(draws.augment.test_draws, 1))]
    for read, inputs in zip(draws.reads(view, schema.spans, first), out, strict=True):
        for start in range(0, len(rows), CHUNK):
            stop = min(start + CHUNK, len(rows))
            read(start, stop, inputs[start:stop])
    return np.stack(out)


each_case = pytest.mark.parametrize("case", CASES)


@each_case
@pytest.mark.parametrize("count", [1, 255, 256, 257, 512])
def test_the_rows_that_follow_do_not_matter(case: str, count: int) -> None:
    schema, draws = CASES[case], draws_of(case)
    rows = rows_of(schema)
    whole = drawn(rows, schema, draws)
    assert drawn(rows[:count], schema, draws).tobytes() == whole[:, :count].tobytes()


@each_case
@pytest.mark.parametrize("length", [1, 21, 255, 256, 300, 512])
def test_neither_does_where_the_input_is_cut(case: str, length: int) -> None:
    schema, draws = CASES[case], draws_of(case)
    rows = rows_of(schema)[: 40 if length == 1 else ROWS]
    starts = range(0, len(rows), length)
    parts = [drawn(rows[start : start + length], schema, draws, start) for start in starts]
    together = np.concatenate(parts, axis=1)
    assert together.tobytes() == drawn(rows, schema, draws).tobytes()


@each_case
def test_what_stands_in_other_rows_does_not_matter(case: str) -> None:
    schema, draws = CASES[case], draws_of(case)
    rows = rows_of(schema)
    others = rows[::-1].copy()
    others[17] = rows[17]
    assert np.array_equal(drawn(others, schema, draws)[:, 17], drawn(rows, schema, draws)[:, 17])


@each_case
def test_draws_differ_and_the_first_of_three_are_those_of_two(case: str) -> None:
    schema = CASES[case]
    rows = rows_of(schema)
    three = drawn(rows, schema, draws_of(case))
    assert len({one.tobytes() for one in three}) == 3
    assert drawn(rows, schema, draws_of(case, draws=2)).tobytes() == three[:2].tobytes()
    assert drawn(rows, schema, draws_of(case, seed=2)).tobytes() != three.tobytes()


def test_draws_are_versions_of_their_row() -> None:
    rows = rows_of(IMAGES)
    flip = Pipeline.model_validate({"augment": [POLICIES["images"][0]]}).augment.policy
    found = drawn(rows, IMAGES, PredictionDraws(Augment(policy=flip, test_draws=DRAWS), 1))
    plain = (rows.astype(np.float64) - 100.0) / 50.0
    near = [np.isclose(found, image, atol=1e-5).all(axis=(2, 3, 4)) for image in
            (plain, plain[:, :, ::-1])]  # fmt: skip
    assert (near[0] | near[1]).all()
    assert 0.4 < near[1].mean() < 0.6


@each_case
def test_no_draws_read_the_rows_as_they_are_bit_for_bit(case: str) -> None:
    schema = CASES[case]
    rows = rows_of(schema)
    none = np.zeros(len(rows), np.int32)
    view = ShardView([shard_table(rows, none, none)], *schema.input_scale())
    expected = np.empty(rows.shape, np.float32)
    view.read(0, len(rows), expected)
    assert drawn(rows, schema, draws_of(case, draws=0))[0].tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("pixels", "length"),
    [(10, 4096), (20_000, 3328), (100_000, 512), (262_144, 256), (262_145, 255), (10**9, 1)],
)
def test_blocks_of_a_file_are_whole_groups_where_a_group_fits(pixels: int, length: int) -> None:
    schema = pa.schema([("image", image_type((1, pixels, 1)))])
    assert block_rows(schema, ["image"]) == length


@each_case
def test_a_policy_of_its_own_makes_the_draws_as_if_it_were_that_of_training(case: str) -> None:
    rows, policy = rows_of(CASES[case]), POLICIES[case]
    section = {"policy": policy[:1], "test_draws": DRAWS, "test_policy": policy}
    augment = Pipeline.model_validate({"augment": section}).augment
    found = drawn(rows, CASES[case], PredictionDraws(augment, 1))
    assert found.tobytes() == drawn(rows, CASES[case], draws_of(case)).tobytes()
    assert [step.name for step in augment.shard_policy] == [policy[0]["name"]]


SWAP, FLIP, MIX = ([{"name": name}] for name in ("swap_noise", "horizontal_flip", "mixup"))


@pytest.mark.parametrize(("section", "message"), [
    ({"policy": SWAP, "test_draws": 2}, r"test_draws: swap_noise .* the rows beside it"),
    ({"test_policy": SWAP, "test_draws": 2}, r"test_draws: swap_noise .* the rows beside it"),
    ({"policy": MIX, "test_draws": 2}, r"test_draws: needs augmentations .* in augment\.policy"),
    ({"policy": FLIP, "test_policy": [], "test_draws": 2}, r"needs .* in augment\.test_policy"),
    ({"policy": FLIP, "test_policy": MIX, "test_draws": 2}, r"test_policy: mixup is for training"),
    ({"policy": FLIP, "test_policy": FLIP}, r"test_policy: is what draws are made by; set augment"),
])  # fmt: skip
def test_draws_that_cannot_be_are_refused(section: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_plans(Pipeline.model_validate({"augment": section}))


@pytest.mark.parametrize("section", [
    {"policy": SWAP, "test_policy": [{"name": "feature_noise"}], "test_draws": 2},
    {"policy": [], "test_policy": FLIP, "test_draws": 2},
])  # fmt: skip
def test_what_rows_are_trained_with_need_not_suit_draws(section: dict[str, object]) -> None:
    make_plans(Pipeline.model_validate({"augment": section}))


def test_the_policy_of_draws_must_suit_the_data() -> None:
    augment = Augment(test_draws=1, test_policy=(ShiftCrop(pixels=5),))
    assert [step.name for step in augment.misfits(images=False)] == ["shift_crop"]
    with pytest.raises(ConfigError, match="may leave nothing of images of 6x5"):
        augment.require_fit((6, 5, 2), (), ())
