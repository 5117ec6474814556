"""Opening of any data file, folder or address, by its suffix."""

from pathlib import Path

from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.path_kinds import kind_of
from ensemble_pipe.data.sources.arrow_ipc import open_arrow
from ensemble_pipe.data.sources.csv import open_csv
from ensemble_pipe.data.sources.idx import idx_files, is_idx, open_idx
from ensemble_pipe.data.sources.image_folder import (
    has_parts,
    is_image_file,
    open_image_folder,
    open_images,
)
from ensemble_pipe.data.sources.npy import open_npy
from ensemble_pipe.data.sources.npz import open_npz
from ensemble_pipe.data.sources.parquet import ENDING, is_glob, open_parquet
from ensemble_pipe.data.sources.paths import opening, require_file
from ensemble_pipe.data.sources.rows import Rows

READABLE = (
    ".parquet, .arrow, .feather, .csv, .csv.gz, .npy, .npz, IDX files (-idx3-ubyte, .idx), "
    "a folder or glob of Parquet files, .png, .jpg, a folder of images, by class or not"
)


def open_rows(
    location: str, missing_values: tuple[str, ...] = (), *, may_be_empty: bool = False
) -> Rows:
    """Open a file, folder, glob or address of rows; only its metadata is read yet.

    Args:
        location: a path, or of Parquet also a glob or a URI of any pyarrow filesystem, such as
            s3://bucket/folder.
        missing_values: texts, beside the usual ones, that mean a missing value, such as "?", where
            the types of columns are found by their values.
        may_be_empty: whether there may be no rows.

    Raises:
        DataError: it does not exist, cannot be read, or has no rows.
    """
    with opening(location):
        rows = _open(location, missing_values)
    if rows.count == 0 and not may_be_empty:
        raise DataError(f"{location}: has no rows")
    return rows


def _open(location: str, missing_values: tuple[str, ...]) -> Rows:
    path = Path(location)
    if "://" in location or is_glob(location):
        return open_parquet(location)
    if path.is_dir():
        return _open_folder(path)
    require_file(path)
    name = path.name.lower()
    if is_idx(path):
        return open_idx(path)
    if name.endswith(ENDING):
        return open_parquet(location)
    if name.endswith((".arrow", ".feather")):
        return open_arrow(path)
    if name.endswith((".csv", ".csv.gz")):
        return open_csv(path, missing_values)
    if name.endswith(".npy"):
        return open_npy(path)
    if name.endswith(".npz"):
        return open_npz(path)
    if is_image_file(path):
        return open_images(path)
    kind = kind_of(path)
    if kind is not None and kind.hint:
        raise DataError(f"{path}: is {kind.name}; {kind.hint}")
    raise DataError(f"{path}: unknown format {path.suffix!r}; {READABLE} can be read")


def _open_folder(path: Path) -> Rows:
    if any(path.glob(f"*{ENDING}")):
        return open_parquet(str(path))
    require_no_run(path)
    if has_parts(path):
        raise DataError(
            f"{path}: holds a training and a test part; name one: {path / 'train'} or "
            f"{path / 'test'}"
        )
    if any(inside.is_dir() for inside in path.iterdir()):
        return open_image_folder(path)
    if any(is_image_file(inside) for inside in path.iterdir()):
        return open_images(path)
    files = idx_files(path)
    if files:
        raise DataError(
            f"{path}: holds IDX files; name that of the images, such as {_images(files)}"
        )
    raise DataError(f"{path}: is a folder without {ENDING} files or images; name a file")


def require_no_run(path: Path) -> None:
    """Raise DataError where a folder is a run or model of this program, not data."""
    kind = kind_of(path)
    if kind is not None and path.is_dir() and kind.name != "a folder":
        raise DataError(f"{path}: is {kind.name}, not a file or folder of rows; {kind.hint}")


def _images(files: list[Path]) -> Path:
    return next((path for path in reversed(files) if "images" in path.name), files[0])
