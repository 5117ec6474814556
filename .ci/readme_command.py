"""Print the command of a labelled code fence in README.md: ```sh quickstart ... ```."""

import re
import sys
from pathlib import Path


def command(label: str) -> str:
    """Return the text of the one fence whose first line is ```sh LABEL.

    Raises:
        SystemExit: there is no such fence, or more than one.
    """
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    found: list[str] = re.findall(rf"^```sh {re.escape(label)}\n(.*?)^```", text, re.M | re.S)
    if len(found) != 1:
        raise SystemExit(f"README.md has {len(found)} code fences labelled {label!r}, not one")
    return found[0]


if __name__ == "__main__":
    print(command(sys.argv[1]))
