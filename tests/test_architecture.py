"""Imports point one way, down the list of rooms; slow libraries are imported where needed."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ensemble_pipe"

# From the bottom up; rooms of one level never import each other.
LEVELS = [
    {"__init__"},
    {"arrays", "errors", "messages", "seeds", "settings", "storage", "documents", "kernels"},
    {"nn", "optim", "data"},
    {"training"},
    {"ensemble", "display"},
    {"cluster", "tracking", "serving"},
    {"evaluation", "comparison"},
    {"sections"},
    {"config", "yaml_documents", "yaml_errors", "provenance"},
    {"transfer", "given"},
    {"preparation"},
    {"learners"},
    {"stages"},
    {"driving"},
    {"growth"},
    {"pipeline", "range_test"},
    {"estimators"},
    {"tables"},
    {"cli_support"},
    {"cli_data", "cli_results"},
    {"cli"},
]
NUMBA = {
    "kernels.py",
    "data/kernels/gather.py",
    "nn/kernels/elementary.py",
    "nn/kernels/gemm.py",
    "nn/kernels/lanes.py",
}
MAY_IMPORT = {
    "ray": {"cluster/ray.py", "data/shard_service.py", "data/local_base.py"},
    "mlflow": {
        "tracking/shipping.py",
        "tracking/store.py",
        "serving/mlflow_model.py",
        "serving/mlflow_logging.py",
        "serving/model.py",
    },
    "numba": NUMBA,
    "sklearn": {
        "data/sources/bundled.py",
        "ensemble/combiners/stacking.py",
        "ensemble/metrics/classification.py",
        "estimators/ensembles.py",
        "evaluation/labelled.py",
        "training/estimators.py",
    },
    "skops": {"training/estimators.py"},
    "pydantic": {
        "config.py",
        "sections.py",
        "ensemble/strategies.py",
        "data/augment/policy.py",
        "data/tables/columns.py",
        "documents.py",
        "tracking/entries.py",
        "yaml_errors.py",
        "serving/artifact.py",
        "serving/member_facts.py",
    },
}
# Those that take a second or more to load may stand at the top only of files that are themselves
# imported late.
LATE = {
    "ray": {"cluster/ray.py", "data/shard_service.py", "data/local_base.py"},
    "mlflow": {"serving/mlflow_model.py"},
    "numba": NUMBA,
    "sklearn": {"estimators/ensembles.py"},
    "skops": set(),
}
FILES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room_of(module: str) -> str:
    return module.split("/")[0].removesuffix(".py")


def imports(path: Path, top_level_only: bool = False) -> Iterator[str]:
    """Yield the absolute names that a file imports, but for those of type checking."""
    tree = ast.parse(path.read_text())
    skipped = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for child in ast.walk(node)
    }
    for node in tree.body if top_level_only else ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield from (
                f"{module}.{alias.name}" if module == "ensemble_pipe" else module
                for alias in node.names
            )


def level_of(room: str) -> int:
    return next(index for index, rooms in enumerate(LEVELS) if room in rooms)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    own = room_of(name_of(path))
    for module in imports(path):
        parts = module.split(".")
        if parts[0] != "ensemble_pipe" or own == "__init__" or parts[1].startswith("__"):
            continue
        other = parts[1]
        assert other == own or level_of(other) <= level_of(own), f"{module} is above {own}"
        same_level = level_of(other) == level_of(own) and other != own
        if same_level:
            assert level_of(own) in (1, level_of("config")), (
                f"{own} and {other} stand beside each other"
            )


@pytest.mark.parametrize("library", MAY_IMPORT)
def test_a_library_is_imported_only_where_it_belongs(library: str) -> None:
    found = {name_of(path) for path in FILES for m in imports(path) if m.split(".")[0] == library}
    assert found == MAY_IMPORT[library]


@pytest.mark.parametrize("library", LATE)
def test_a_slow_library_is_imported_late(library: str) -> None:
    found = {
        name_of(path)
        for path in FILES
        for module in imports(path, top_level_only=True)
        if module.split(".")[0] == library
    }
    assert found == LATE[library]


def test_the_command_line_loads_no_slow_library_for_help() -> None:
    code = (
        "import sys, typer.testing; from ensemble_pipe.cli import app\n"
        "assert typer.testing.CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "print([m for m in ('numpy', 'ray', 'mlflow', 'numba', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_files_stay_around_one_idea() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in FILES}
    assert {name: length for name, length in lengths.items() if length > 320} == {}
