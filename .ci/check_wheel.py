"""Build the wheel and check what is in it: all of the package, and nothing else."""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def build(folder: Path) -> Path:
    """Build the wheel of the checkout into a folder."""
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return next(folder.glob("*.whl"))


def check(wheel: Path) -> None:
    """Compare the wheel's files with the checkout's.

    Raises:
        SystemExit: a file is missing from the wheel, or should not be there.
    """
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entry_points = next(name for name in names if name.endswith("entry_points.txt"))
        commands = archive.read(entry_points).decode()
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "ensemble_pipe").rglob("*")
        if path.suffix == ".py" or path.name == "py.typed" or path.parent.name == "templates"
    }
    packaged = {name for name in names if ".dist-info/" not in name}
    if packaged != expected:
        raise SystemExit(
            f"wheel lacks {sorted(expected - packaged)}, and should not hold "
            f"{sorted(packaged - expected)}"
        )
    if not any(name.endswith("licenses/LICENSE") for name in names):
        raise SystemExit("wheel lacks the licence")
    if "ensemble-pipe = ensemble_pipe.cli:app" not in commands:
        raise SystemExit("wheel has no command ensemble-pipe")
    print(f"{wheel.name}: {len(packaged)} files, licence and command are in place")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        check(build(Path(folder)))
