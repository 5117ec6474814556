"""What a run of networks imports: slow libraries only when it needs them, or not at all."""

import json
import subprocess
import sys

import pytest
import yaml
from small_pipelines import small_settings

# Libraries that a run in this process without MLflow imports after its first epoch at the earliest.
# pyarrow's own conversions import pandas; tables with missing values still take them.
NOT_BEFORE_THE_FIRST_EPOCH = (
    "matplotlib", "mlflow", "optuna", "pandas", "ray", "scipy.optimize", "scipy.special",
    "scipy.stats", "sklearn", "skops",
)  # fmt: skip
# And those that it never needs.
NEVER = ("mlflow", "optuna", "ray", "scipy.optimize", "scipy.stats", "sklearn", "skops")

RUN = """
import json, sys
import ensemble_pipe
from ensemble_pipe.run import session

seen = {}
take = session.Session._take_checkpoint

def first(self, event):
    seen.setdefault("first epoch", sorted(sys.modules))
    take(self, event)

session.Session._take_checkpoint = first
ensemble_pipe.run(sys.argv[1], output=sys.argv[2], inline=True)
seen["end"] = sorted(sys.modules)
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return the modules that a run has imported, by moment."""
    folder = tmp_path_factory.mktemp("imports")
    path = folder / "small.yaml"
    tracking = {"mlflow": False}
    path.write_text(yaml.safe_dump(small_settings(hidden=8, epochs=2) | {"tracking": tracking}))
    command = [sys.executable, "-c", RUN, str(path), str(folder / "runs")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("library", NOT_BEFORE_THE_FIRST_EPOCH)
def test_a_slow_library_is_not_loaded_before_the_first_epoch(
    imported: dict[str, list[str]], library: str
) -> None:
    assert library not in imported["first epoch"]


@pytest.mark.parametrize("library", NEVER)
def test_a_library_that_networks_do_not_need_is_never_loaded(
    imported: dict[str, list[str]], library: str
) -> None:
    assert library not in imported["end"]
