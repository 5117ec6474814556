"""How a benchmark ends: one JSON line on standard output, and the same kept where it is wanted."""

import json
import time
from pathlib import Path
from typing import Any

from ensemble_pipe.run import provenance

RESULTS = Path(__file__).parent / "results"


def circumstances(command: str) -> dict[str, Any]:
    """Return the command that makes a result, the date, and what the machine is."""
    return {
        "command": command,
        "date": time.strftime("%Y-%m-%d"),
        "machine": provenance.environment(),
    }


def publish(name: str, result: Any, write: bool) -> None:
    """Print a result as one JSON line; with `write` keep it under benchmarks/results."""
    print(json.dumps(result))
    if write:
        (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
