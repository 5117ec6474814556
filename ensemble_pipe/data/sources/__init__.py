"""Data sources: readers of CSV, Parquet, Arrow, NPY, NPZ, IDX and image files, as rows."""

from ensemble_pipe.core.registry import Registry
from ensemble_pipe.data.sources.files import open_rows
from ensemble_pipe.data.sources.kinds import Bundled, Idx, ImageFolder, Table
from ensemble_pipe.data.sources.rows import Rows

__all__ = ["SOURCES", "Bundled", "Idx", "ImageFolder", "Rows", "Source", "Table", "open_rows"]

Source = Bundled | Idx | ImageFolder | Table

SOURCES: Registry[Source] = Registry(
    "data source", Source, key="source", members={"open": (), "roles": ()}
)
