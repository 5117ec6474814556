"""The page on tables, series and mixing names every kind, with the defaults that it has."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from ensemble_pipe.data.augment.mixing import MIXINGS
from ensemble_pipe.data.augment.signals import (
    FrequencyMask,
    SignalNoise,
    SignalScale,
    SignalShift,
    TimeMask,
)
from ensemble_pipe.data.augment.tables import FeatureDropout, FeatureNoise, SwapNoise

PAGE = (Path(__file__).parents[2] / "docs" / "augmentation_rows.md").read_text()

TABLES = (FeatureNoise, FeatureDropout, SwapNoise)
SIGNALS = (SignalShift, SignalScale, TimeMask, FrequencyMask, SignalNoise)
KINDS: dict[str, Any] = {kind().name: kind for kind in (*TABLES, *SIGNALS, *MIXINGS.values())}


def read(value: Any) -> Any:
    return TypeAdapter(KINDS[value["name"]]).validate_python(value)


def test_the_tables_give_every_kind_with_its_defaults() -> None:
    given = [yaml.safe_load(text) for text in re.findall(r"`(\{name: .*?\})` \|", PAGE)]
    assert [value["name"] for value in given] == list(KINDS)
    assert [asdict(read(value)) for value in given] == [asdict(kind()) for kind in KINDS.values()]
    assert all(asdict(read(value)) == value for value in given)


def test_the_examples_can_be_read() -> None:
    for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL):
        example = yaml.safe_load(text)
        for value in example["augment"]:
            read(value)


@pytest.mark.parametrize(
    "value",
    [
        {"name": "feature_noise", "deviation": -0.1},
        {"name": "swap_noise", "probability": 1.5},
        {"name": "signal_shift", "steps": 0.5},
        {"name": "signal_scale", "factor": 0.5},
        {"name": "time_mask", "share": 2},
        {"name": "mixup", "alpha": 0},
        {"name": "cutmix", "alpha": float("nan")},
        {"name": "cutmix", "beta": 1},
    ],
    ids=str,
)
def test_settings_out_of_bounds_are_refused(value: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read(value)
