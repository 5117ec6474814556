"""The time that a run has left, by what its learners have taken so far."""

import pytest

from ensemble_pipe.run.forecast import Forecast


class Watch:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def forecast_of(kinds: dict[int, str]) -> tuple[Forecast, Watch]:
    watch = Watch()
    forecast = Forecast(watch)
    forecast.begin(kinds)
    return forecast, watch


def test_nothing_is_known_before_a_learner_has_taken_a_step() -> None:
    forecast, _ = forecast_of({0: "network"})
    assert forecast.left_s is None
    assert forecast.share == 0.0


@pytest.mark.parametrize("at_once", [1, 2, 4])
def test_learners_of_one_kind_take_as_long_as_each_other(at_once: int) -> None:
    forecast, watch = forecast_of(dict.fromkeys(range(4), "network"))
    total = 4 // at_once * 10.0
    for first in range(0, 4, at_once):
        for second in range(11):
            watch.now = first // at_once * 10.0 + second
            for learner in range(first, first + at_once):
                forecast.advance(learner, second, 10, ended=second == 10)
            if watch.now:
                assert forecast.left_s == pytest.approx(total - watch.now)
                assert forecast.share == pytest.approx(watch.now / total)


def test_what_comes_after_training_is_counted() -> None:
    forecast, watch = forecast_of({0: "network"})
    forecast.expect(5.0, float("inf"))
    forecast.advance(0, 0, 10)
    watch.now = 5.0
    forecast.advance(0, 5, 10)
    assert forecast.left_s == pytest.approx(10.0)
    watch.now = 10.0
    forecast.advance(0, 10, 10, ended=True)
    forecast.end_training()
    assert forecast.left_s == pytest.approx(5.0)
    watch.now = 12.0
    forecast.end_training()  # measuring, after combining
    assert forecast.left_s == pytest.approx(3.0)
    watch.now = 30.0
    assert forecast.left_s == 0.0
    assert forecast.share == 1.0


def test_it_is_never_longer_than_the_time_limit_allows() -> None:
    forecast, watch = forecast_of({0: "network"})
    forecast.expect(5.0, 20.0)
    forecast.advance(0, 0, 100)
    watch.now = 1.0
    forecast.advance(0, 1, 100)
    assert forecast.left_s == pytest.approx(19.0)


def test_learners_that_stop_early_say_where_others_will() -> None:
    forecast, watch = forecast_of(dict.fromkeys(range(3), "network"))
    forecast.advance(0, 0, 100)
    watch.now = 20.0
    forecast.advance(0, 20, 100, ended=True)
    assert forecast.left_s == pytest.approx(40.0)


def test_learners_of_several_kinds_have_seconds_of_their_own() -> None:
    forecast, watch = forecast_of({0: "network", 1: "trees", 2: "trees"})
    forecast.advance(0, 0, 10)
    watch.now = 100.0
    forecast.advance(0, 10, 10, ended=True)
    assert forecast.left_s == pytest.approx(200.0)  # of a kind without any, as of the others
    forecast.advance(1, 0, 10)
    watch.now = 104.0
    forecast.advance(1, 10, 10, ended=True)
    assert forecast.left_s == pytest.approx(4.0)


def test_learners_that_are_trained_again_count_anew() -> None:
    forecast, watch = forecast_of({0: "network"})
    forecast.advance(0, 0, 10)
    watch.now = 10.0
    forecast.advance(0, 10, 10, ended=True)
    forecast.begin({0: "network"})
    assert forecast.left_s == pytest.approx(10.0)


def test_the_share_never_falls() -> None:
    forecast, watch = forecast_of({0: "network", 1: "network"})
    forecast.advance(0, 0, 10)
    watch.now = 1.0
    forecast.advance(0, 9, 10)
    before = forecast.share
    watch.now = 60.0
    forecast.advance(0, 10, 10, ended=True)
    forecast.advance(1, 0, 10)
    assert forecast.share >= before > 0.4
