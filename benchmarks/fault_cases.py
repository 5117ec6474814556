"""Cases of the fault campaign: each is tried once, and what became of it is kept at once."""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keeping import RESULTS as _FOLDER

from ensemble_pipe.core.storage import write_json
from ensemble_pipe.run import provenance

RESULTS = _FOLDER / "faults.json"
PAGE = Path(__file__).parents[1] / "docs" / "faults.md"
BEGIN, END = "<!-- table: made by python benchmarks/faults.py -->", "<!-- end of table -->"
SAME = "W="


@dataclass(frozen=True)
class Case:
    """One fault.

    Attributes:
        name: unique in its row.
        run: has it happen; returns how the case held, in a few words, which begin with "W=" where
            the bits are those of the undisturbed run.

    What it raises (an `AssertionError`, say) is how the case did not hold.
    """

    name: str
    run: Callable[[], str]


class Campaign:
    """The results of all cases so far, in a file.

    Attributes:
        all_held: whether all did that were asked for here.
    """

    def __init__(self, path: Path, again: bool) -> None:
        """Read what is there; `again` has cases that did not hold tried again."""
        self.all_held = True
        self._path, self._again = path, again
        self._rows: dict[str, dict[str, dict[str, Any]]] = {}
        if path.exists():
            self._rows = json.loads(path.read_text())["rows"]

    def run(self, row: str, cases: Iterable[Case]) -> None:
        """Try the cases of a row that were not tried before."""
        for case in cases:
            known = self._rows.setdefault(row, {}).get(case.name)
            if known is None or (self._again and not known["held"]):
                known = _tried(case, known)
                self._rows[row][case.name] = known
                self._keep()
                print(f"{row}, {case.name}: {known['how']} ({known['s']} s)", file=sys.stderr)
            self.all_held &= known["held"]

    def show(self) -> None:
        """Write the table into its page of the documentation."""
        head, _, rest = PAGE.read_text().partition(BEGIN)
        _, end, tail = rest.partition(END)
        PAGE.write_text(f"{head}{BEGIN}\n{self.table()}\n{end}{tail}")

    def _keep(self) -> None:
        machine = provenance.environment()
        write_json(self._path, {"machine": machine, "rows": self._rows})

    def table(self) -> str:
        """Return the counts of each row as a table in Markdown."""
        lines = ["| fault | tried | held | mended | how |", "|---|---|---|---|---|"]
        for row, cases in sorted(self._rows.items()):
            held = [case for case in cases.values() if case["held"]]
            mended = sum(case["mended"] for case in held)
            how = Counter(case["how"] for case in held)
            told = "; ".join(f"{text} ({count})" for text, count in how.most_common())
            lines.append(f"| {row} | {len(cases)} | {len(held)} | {mended} | {told} |")
        return "\n".join(lines)


def _tried(case: Case, before: dict[str, Any] | None) -> dict[str, Any]:
    began = time.monotonic()
    try:
        how, held = case.run(), True
    except Exception as error:  # whatever it is, the other cases go on
        how, held = f"{type(error).__name__}: {error}".splitlines()[0], False
    seconds = round(time.monotonic() - began, 1)
    return {"held": held, "how": how, "mended": held and before is not None, "s": seconds}
