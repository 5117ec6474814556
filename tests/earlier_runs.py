"""Run directories that earlier versions wrote, kept as they were but for reports and pictures.

Each version has a folder of its name, with the table `rows.csv` and two runs of one pipeline on it,
two networks and a linear model: `finished`, and `unfinished`, which was stopped while one network
was in its fourth of six epochs. A change of a format adds a version; none is ever written anew.
"""

import shutil
from pathlib import Path

from ensemble_pipe.core.storage import RunPaths

FOLDER = Path(__file__).parent / "earlier_versions"
VERSIONS = sorted(path.name for path in FOLDER.iterdir() if (path / "finished").is_dir())


def copy_of(version: str, name: str, folder: Path) -> RunPaths:
    """Return a copy of a run, in a folder of its own below `folder`."""
    return RunPaths(Path(shutil.copytree(FOLDER / version / name, folder / name)))
