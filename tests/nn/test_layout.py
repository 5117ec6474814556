"""Layout: names to slices of a row, without gaps and without copies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_pipe.nn.layout import Layout, Parameter


def parameter(name: str, *shape: int, trainable: bool = True) -> Parameter:
    return Parameter(name, shape, "zeros", trainable=trainable)


LAYOUT = Layout((parameter("a/kernel", 3, 5), parameter("a/bias", 5), parameter("b/kernel", 1, 7)))


def test_offsets_follow_each_other() -> None:
    assert LAYOUT.offsets == {"a/kernel": 0, "a/bias": 15, "b/kernel": 20}
    assert LAYOUT.size == 27


def test_size_of_a_parameter_is_the_product_of_its_shape() -> None:
    assert [p.size for p in LAYOUT.parameters] == [15, 5, 7]


@pytest.mark.parametrize("learners", [1, 3])
def test_views_have_a_leading_learner_axis(learners: int) -> None:
    views = LAYOUT.views(np.zeros((learners, 27), np.float32))
    shapes = {name: view.shape for name, view in views.items()}
    assert shapes == {
        "a/kernel": (learners, 3, 5),
        "a/bias": (learners, 5),
        "b/kernel": (learners, 1, 7),
    }


@pytest.mark.parametrize("learners", [1, 3])
def test_views_share_memory_both_ways(learners: int) -> None:
    rows = np.zeros((learners, 27), np.float32)
    for name, view in LAYOUT.views(rows).items():
        assert np.shares_memory(view, rows)
        view[-1] = 4.0
        start = LAYOUT.offsets[name]
        assert (rows[-1, start : start + view[0].size] == 4.0).all()
    rows[:] = 9.0
    assert all((view == 9.0).all() for view in LAYOUT.views(rows).values())


@settings(max_examples=30, deadline=None)
@given(
    shapes=st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=3), min_size=1, max_size=6),
    learners=st.integers(1, 3),
)
def test_views_cover_every_place_exactly_once(shapes: list[list[int]], learners: int) -> None:
    layout = Layout(tuple(parameter(f"p{i}", *shape) for i, shape in enumerate(shapes)))
    rows = np.zeros((learners, layout.size))
    for view in layout.views(rows).values():
        view += 1.0
    np.testing.assert_array_equal(rows, 1.0)


def test_elements_lie_in_row_major_order() -> None:
    rows = np.arange(54.0).reshape(2, 27)
    kernel = LAYOUT.views(rows)["a/kernel"]
    np.testing.assert_array_equal(kernel[1], 27.0 + np.arange(15.0).reshape(3, 5))


def test_statistics_come_after_all_that_is_trainable() -> None:
    layout = Layout(
        (
            parameter("a/gamma", 2),
            parameter("a/mean", 2, trainable=False),
            parameter("b/kernel", 3),
            parameter("b/mean", 1, trainable=False),
        )
    )
    assert layout.offsets == {"a/gamma": 0, "b/kernel": 2, "a/mean": 5, "b/mean": 7}
    assert (layout.trainable, layout.size) == (5, 8)


def test_gradient_views_are_those_of_the_trainable_prefix() -> None:
    layout = Layout((parameter("a/mean", 2, trainable=False), parameter("b/kernel", 3, 2)))
    rows, gradients = np.arange(16.0).reshape(2, 8), np.zeros((2, 6))
    views = layout.gradient_views(gradients)
    assert list(views) == ["b/kernel"]
    views["b/kernel"][...] = layout.views(rows)["b/kernel"]
    np.testing.assert_array_equal(gradients, rows[:, :6])
    with pytest.raises(ValueError, match=r"contiguous \(M, 6\), got \(2, 8\)"):
        layout.gradient_views(rows)


def test_refuses_two_parameters_of_one_name() -> None:
    with pytest.raises(ValueError, match="two parameters are named 'a/bias'"):
        Layout((parameter("a/bias", 2), parameter("a/bias", 3)))


@pytest.mark.parametrize(
    "rows",
    [np.zeros((2, 26)), np.zeros((2, 28)), np.zeros(27), np.zeros((1, 2, 27))],
    ids=["short", "long", "one row", "three axes"],
)
def test_refuses_rows_of_another_shape(rows: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"contiguous \(M, 27\), got"):
        LAYOUT.views(rows)


def test_refuses_rows_that_a_view_would_have_to_copy() -> None:
    with pytest.raises(ValueError, match="contiguous"):
        LAYOUT.views(np.zeros((27, 3)).T)
    with pytest.raises(ValueError, match="contiguous"):
        LAYOUT.views(np.zeros((4, 27))[::2])
