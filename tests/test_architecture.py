"""Imports point one way, down the list of rooms; slow libraries are imported where needed."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ensemble_pipe"

# From the bottom up; rooms of one level never import each other.
LEVELS = {
    "what everything stands on": {"core"},
    "arithmetic and data": {"nn", "optim", "data"},
    "one stack of learners": {"training"},
    "members as one predictor": {"ensemble"},
    "where a run computes, is recorded, and is used": {"cluster", "tracking", "serving"},
    "what a person reads of a run": {"report"},
    "finished runs and models": {"evaluation", "comparison"},
    "what a pipeline file says": {"config"},
    "a run": {"run"},
    "choices before a run": {"search"},
    "scikit-learn's interface": {"estimators"},
    "the commands": {"cli"},
}
NUMBA = {
    "core/compilation.py",
    "data/kernels/gather.py",
    "nn/kernels/elementary.py",
    "nn/kernels/gemm.py",
    "nn/kernels/lanes.py",
}
RAY = {
    "cluster/connection.py",
    "cluster/heartbeat.py",
    "cluster/keeper.py",
    "cluster/pool.py",
    "cluster/ray.py",
    "cluster/trainer.py",
    "data/local_base.py",
    "data/shard_service.py",
}
MAY_IMPORT = {
    "ray": RAY,
    "mlflow": {
        "serving/signature.py",
        "tracking/datasets.py",
        "tracking/model_metrics.py",
        "tracking/sending.py",
        "tracking/sendings.py",
        "tracking/single_run_program.py",
        "tracking/measurements.py",
        "tracking/system_metrics.py",
        "tracking/store.py",
        "serving/mlflow_model.py",
        "serving/pyfunc.py",
        "serving/frames.py",
        "serving/mlflow_logging.py",
        "serving/model.py",
        "serving/registered.py",
    },
    "numba": NUMBA,
    "sklearn": {
        "ensemble/baselines.py",
        "ensemble/combiners/stacking.py",
        "estimators/base.py",
        "estimators/ensembles.py",
        "estimators/features.py",
        "search/gaussian_process.py",
        "training/estimator_settings.py",
        "training/histogram_boosting.py",
    },
    "optuna": {"search/optuna_studies.py"},
    "skops": {"ensemble/members/estimator_files.py", "training/estimators.py"},
    "pydantic": {
        "config/conversion.py",
        "config/search_settings.py",
        "config/sections.py",
        "config/values.py",
        "ensemble/strategies.py",
        "data/augment/policy.py",
        "data/tables/columns.py",
        "core/documents.py",
        "core/registry.py",
        "tracking/entry.py",
        "tracking/schemas.py",
        "config/yaml_errors.py",
        "serving/artifact.py",
        "ensemble/members/boosted.py",
        "ensemble/members/estimator.py",
        "ensemble/members/external.py",
        "ensemble/members/trees.py",
        "ensemble/members/kinds.py",
        "ensemble/members/library.py",
        "ensemble/members/member.py",
    },
}
# Those that take a second or more to load may stand at the top only of files that are themselves
# imported late.
LATE = {
    "ray": RAY,
    "mlflow": {"serving/frames.py", "serving/mlflow_model.py", "serving/pyfunc.py"},
    "numba": NUMBA,
    "sklearn": {"estimators/base.py", "estimators/ensembles.py", "estimators/features.py"},
    "optuna": {"search/optuna_studies.py"},
    "skops": set(),
}
FILES = sorted(PACKAGE.rglob("*.py"))
ROOM_FILES = [path for path in FILES if path.parent != PACKAGE]


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room_of(module: str) -> str:
    return module.split("/")[0]


@cache
def imports(path: Path, top_level_only: bool = False) -> tuple[str, ...]:
    """Return the absolute names that a file imports, but for those of type checking."""
    return tuple(_imports(ast.parse(path.read_text()), top_level_only))


def _imports(tree: ast.Module, top_level_only: bool) -> Iterator[str]:
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
    return next(index for index, rooms in enumerate(LEVELS.values()) if room in rooms)


def test_the_top_of_the_package_holds_rooms_only() -> None:
    files = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    assert files == {"__init__.py", "__main__.py", "py.typed"}
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert rooms == set().union(*LEVELS.values())


@pytest.mark.parametrize("path", ROOM_FILES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    own = room_of(name_of(path))
    for module in imports(path):
        package, _, rest = module.partition(".")
        other = rest.split(".")[0]
        if package != "ensemble_pipe" or other in ("", own, "__version__"):
            continue
        assert level_of(other) < level_of(own), f"{module} is not below {own}"


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


def test_the_code_of_logged_models_depends_on_one_name_of_the_package() -> None:
    found = set(imports(PACKAGE / "serving/mlflow_model.py"))
    assert found == {"mlflow.models", "ensemble_pipe.serving.pyfunc"}


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
