"""Writes the parts of the documentation that follow from the code.

    python docs/generate.py

writes the levels and the file tree of docs/architecture.md, between its markers, and the pages of
docs/reference/ on the settings of a pipeline. Run it after files or components were added, renamed
or removed; a test compares the pages with what this script makes of the code.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # so that the package is the checkout's, not an installed one

from generate_reference import reference_pages  # noqa: E402
from generated_parts import replace_part  # noqa: E402

PACKAGE = ROOT / "ensemble_pipe"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
COMMAND = "python docs/generate.py"
_LEVELS_OF = ROOT / "tests" / "test_architecture.py"


def pages() -> dict[Path, str]:
    """Return the text of every generated page, by its path."""
    found = {ARCHITECTURE: architecture(ARCHITECTURE.read_text(encoding="utf-8"))}
    for name, text in reference_pages().items():
        found[ROOT / "docs" / "reference" / f"{name}.md"] = text
    return found


def architecture(page: str) -> str:
    """Return the architecture page with its generated parts made anew."""
    levels = read_levels()
    rooms = [room for level in levels.values() for room in sorted(level)]
    page = replace_part(ARCHITECTURE, page, "levels", _levels_table(levels), COMMAND)
    return replace_part(
        ARCHITECTURE, page, "files", "\n\n".join(_room(room) for room in rooms), COMMAND
    )


def read_levels() -> dict[str, set[str]]:
    """Return the folders of each level, from the lowest up, as the architecture test has them."""
    tree = ast.parse(_LEVELS_OF.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "LEVELS":
            levels: dict[str, set[str]] = ast.literal_eval(node.value)
            return levels
    raise SystemExit(f"{_LEVELS_OF}: has no LEVELS")


def first_sentence(path: Path) -> str:
    """Return the first sentence of a module's docstring, without its full stop.

    Raises:
        SystemExit: the module has no docstring.
    """
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if not text:
        raise SystemExit(f"{path}: has no docstring, of which the first sentence is wanted")
    paragraph = text.split("\n\n")[0].replace("\n", " ")
    return re.split(r"(?<=[^.])\. (?=[A-Z`])", paragraph)[0].rstrip(".")


def _levels_table(levels: dict[str, set[str]]) -> str:
    rows = [
        f"| {number} | {', '.join(f'`{room}`' for room in sorted(rooms))} | {name} |"
        for number, (name, rooms) in enumerate(levels.items(), 1)
    ]
    return "\n".join(["| level | folders | holds |", "|---|---|---|", *rows])


def _room(room: str) -> str:
    """Return the section of a folder of the package: a line for each file, folders within after."""
    folder = PACKAGE / room
    return "\n".join([f"### {room}", "", *_folder(folder)])


def _folder(folder: Path) -> Iterator[str]:
    yield f"**`{folder.relative_to(PACKAGE)}/`**: {first_sentence(folder / '__init__.py')}."
    yield ""
    for path in sorted(folder.glob("*.py")):
        if path.name != "__init__.py":
            yield f"- `{path.name}`: {first_sentence(path)}"
    for inner in sorted(path.parent for path in folder.glob("*/__init__.py")):
        yield ""
        yield from _folder(inner)


def changed(found: dict[Path, str]) -> Iterable[Path]:
    """Return the paths of pages that hold another text."""
    return [
        path
        for path, text in found.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


if __name__ == "__main__":
    made = pages()
    for path in changed(made):
        path.write_text(made[path], encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
