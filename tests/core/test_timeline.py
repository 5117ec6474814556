"""The timeline of a run records stages, which may overlap and come from several threads."""

import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest

from ensemble_pipe.core.timeline import Timeline, _highest_mark


def test_stages_stand_in_the_order_of_their_beginnings() -> None:
    timeline = Timeline()
    with timeline.stage("outer"):
        time.sleep(0.002)
        with timeline.stage("inner"):
            time.sleep(0.01)
    outer, inner = timeline.stages
    assert (outer.name, inner.name) == ("outer", "inner")
    assert outer.began_s <= inner.began_s
    assert inner.seconds >= 0.009
    assert outer.seconds >= inner.seconds


def test_a_stage_has_the_most_memory_that_was_held_in_it() -> None:
    # Less than the process has held before could not be told from that.
    spare = max(0, _highest_mark() - psutil.Process().memory_info().rss)
    timeline = Timeline()
    with timeline.stage("before"):
        pass
    with timeline.stage("large"):
        held = np.ones(spare + 200_000_000, np.uint8)
        del held
    with timeline.stage("after"):
        pass
    before, large, after = (stage.memory_bytes or 0 for stage in timeline.stages)
    assert before > 10e6
    if sys.platform == "linux":
        assert large >= before + 150e6
    assert after < large


def test_a_stage_that_fails_is_recorded_and_its_error_goes_on() -> None:
    timeline = Timeline()
    with pytest.raises(ValueError, match="no data"), timeline.stage("data"):
        raise ValueError("no data")
    assert [stage.name for stage in timeline.stages] == ["data"]


def test_stages_of_several_threads_are_all_kept() -> None:
    timeline = Timeline()

    def record(number: int) -> None:
        with timeline.stage(f"thread {number}"):
            pass

    threads = [threading.Thread(target=record, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {stage.name for stage in timeline.stages} == {f"thread {n}" for n in range(20)}


def test_the_timeline_of_a_process_begins_with_it() -> None:
    timeline = Timeline.of_process()
    (imports,) = timeline.stages
    assert (imports.name, imports.began_s) == ("imports", 0.0)
    assert 0.1 < imports.seconds <= timeline.now_s + 0.001  # it is rounded to milliseconds


def test_the_age_of_a_process_is_known_to_a_fraction_of_a_second() -> None:
    began = time.monotonic()
    command = "from ensemble_pipe.core.timeline import Timeline; print(Timeline.of_process().now_s)"
    found = subprocess.run([sys.executable, "-c", command], capture_output=True, check=True)
    assert 0.02 < float(found.stdout) < time.monotonic() - began + 0.05
