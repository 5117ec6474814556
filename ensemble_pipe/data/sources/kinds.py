"""The kinds of data source of a pipeline: table, IDX, image folder, bundled set."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import MinLen

from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import list_names, quote, truncate
from ensemble_pipe.core.settings import settings
from ensemble_pipe.data.sources.bundled import Name, open_bundled
from ensemble_pipe.data.sources.files import open_rows, require_no_run
from ensemble_pipe.data.sources.idx import open_idx
from ensemble_pipe.data.sources.image_folder import has_parts, open_image_folder
from ensemble_pipe.data.sources.paths import (
    opening,
    require_columns,
    require_folder,
    require_inside,
)
from ensemble_pipe.data.sources.rows import IMAGE, LABEL, Rows
from ensemble_pipe.data.tables.columns import ColumnRule, Roles


@settings
class Table:
    """Rows with named columns, of which one is the label; all not named otherwise are features.

    A regression may have several labels.

    Attributes:
        path: a file, folder or glob of rows, or a URI of Parquet: see open_rows.
        label: the column to predict; a list of columns for a regression of several numbers.
        ignore: columns to leave out, such as an identifier, by name or by pattern such as "old_*";
            a pattern leaves columns that have another purpose.
        test_path: the official test part, where it is a file of its own.
        test_where: the column that is true (or 1) in the rows of the official test part, where
            they stand among the others; a prediction needs no such column.
        weight: the column with each row's weight in the loss.
        group: the column whose equal values never stand on both sides of a split.
        time: the column that the splits follow in order.
        columns: how features are read, by name or by pattern such as "x*".
        missing_values: texts that mean a missing value, such as "?", beside the usual ones.
    """

    source: Literal["table"] = "table"
    path: str
    label: str | Annotated[tuple[str, ...], MinLen(1)]
    ignore: tuple[str, ...] = ()
    test_path: str | None = None
    test_where: str | None = None
    weight: str | None = None
    group: str | None = None
    time: str | None = None
    columns: dict[str, ColumnRule] = field(default_factory=dict)
    missing_values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.test_path is not None and self.test_where is not None:
            raise ValueError("test_path and test_where both define the test part; name one of them")

    def open(self) -> tuple[Rows, Rows | None]:
        """Return the rows, and those of `test_path`.

        Raises:
            DataError: a file cannot be read.
        """
        rows = open_rows(self.path, self.missing_values)
        if self.test_path is None:
            return rows, None
        return rows, open_rows(self.test_path, self.missing_values)

    def roles(self, rows: Rows) -> Roles:
        """Return what each column is for.

        Raises:
            DataError: a named column does not exist or is named for two purposes, there are no
                features, or a rule is for no feature.
        """
        labels = (self.label,) if isinstance(self.label, str) else self.label
        named = [(name, "label") for name in labels]
        others = {"weight": self.weight, "group": self.group, "time": self.time}
        others["test_where"] = self.test_where
        named += [(name, purpose) for purpose, name in others.items() if name is not None]
        names = rows.schema.names
        named += _ignored(self.ignore, names, dict(named))
        require_columns(rows.where, [name for name, _ in named], names)
        _require_one_purpose(named)
        taken = {name for name, _ in named}
        features = (IMAGE,) if rows.is_image else tuple(n for n in names if n not in taken)
        if not features or taken & {IMAGE} & set(features):
            beside = list_names([quote(name) for name, _ in named])
            raise DataError(f"{rows.where}: has no feature columns beside {beside}")
        require_rules_fit(rows.where, list(self.columns), features, dict(named))
        return Roles(
            features,
            self.label,
            self.weight,
            self.group,
            self.time,
            self.test_where,
            self.columns,
            self.missing_values,
        )


@settings
class Idx:
    """A folder with train-images-idx3-ubyte and its siblings, with .gz or without.

    Attributes:
        folder: where the files lie. The t10k files, where present, are the official test part.
    """

    source: Literal["idx"] = "idx"
    folder: str

    def open(self) -> tuple[Rows, Rows | None]:
        """Return the training part and, where the folder has one, the test part.

        Raises:
            DataError: a file is missing or damaged.
        """
        folder = Path(self.folder)
        require_folder(
            folder,
            "set data.folder to where the IDX files lie, for example "
            "--set data.folder=/data/fashion-mnist",
        )
        with opening(folder):
            train = _idx_part(folder, "train")
            has_test = _idx_file(folder, "t10k-images-idx3-ubyte") is not None
            return train, _idx_part(folder, "t10k") if has_test else None

    def roles(self, rows: Rows) -> Roles:
        """Return what each column is for."""
        return image_roles(rows)


@settings
class ImageFolder:
    """A folder that has a folder of PNG or JPEG images for each class.

    Attributes:
        folder: where the folders lie; where it has both train/ and test/, the folders of classes
            are in these, and test/ is the official test part.
    """

    source: Literal["image_folder"] = "image_folder"
    folder: str

    def open(self) -> tuple[Rows, Rows | None]:
        """Return the training part and, where the folder has one, the test part.

        Raises:
            DataError: a folder or file is not as it must be.
        """
        folder = Path(self.folder)
        require_no_run(folder)
        with opening(folder):
            if has_parts(folder):
                train, test = folder / "train", folder / "test"
                require_inside(folder, (train, test))
                return open_image_folder(train), open_image_folder(test)
            return open_image_folder(folder), None

    def roles(self, rows: Rows) -> Roles:
        """Return what each column is for."""
        return image_roles(rows)


@settings
class Bundled:
    """A small real data set that scikit-learn brings along.

    Attributes:
        set: which; digits are images, diabetes is a regression.
    """

    source: Literal["bundled"] = "bundled"
    set: Name = "digits"

    def open(self) -> tuple[Rows, Rows | None]:
        """Return all rows; these sets have no official test part."""
        return open_bundled(self.set), None

    def roles(self, rows: Rows) -> Roles:
        """Return what each column is for."""
        if rows.is_image:
            return image_roles(rows)
        return Roles(tuple(name for name in rows.schema.names if name != LABEL), LABEL)


def open_parts(location: str) -> tuple[Rows, Rows | None]:
    """Open a location: return all rows, or those of its training and official test parts.

    Raises:
        DataError: it cannot be read.
    """
    folder = Path(location)
    with opening(folder):
        if has_parts(folder):
            return ImageFolder(folder=location).open()
        if _idx_file(folder, "train-images-idx3-ubyte") is not None:
            return Idx(folder=location).open()
    return open_rows(location), None


def image_roles(rows: Rows) -> Roles:
    """Return the roles of labelled images.

    Raises:
        DataError: there are no labels.
    """
    require_columns(rows.where, (IMAGE, LABEL), rows.schema.names)
    return Roles((IMAGE,), LABEL)


def _idx_part(folder: Path, part: str) -> Rows:
    images = _idx_file(folder, f"{part}-images-idx3-ubyte")
    labels = _idx_file(folder, f"{part}-labels-idx1-ubyte")
    for path, name in ((images, "images-idx3"), (labels, "labels-idx1")):
        if path is None:
            raise DataError(f"{folder}: has no {part}-{name}-ubyte, with .gz or without")
    assert images is not None
    return open_idx(images, labels)


def _idx_file(folder: Path, name: str) -> Path | None:
    paths = [path for path in (folder / name, folder / f"{name}.gz") if path.is_file()]
    require_inside(folder, paths)
    return next(iter(paths), None)


def _ignored(
    ignore: Sequence[str], names: Sequence[str], purposes: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Return the ignored columns: by name, or by a pattern where they have no other purpose.

    An entry that matches no column is returned as a name, to be refused.
    """
    found = [name for name in ignore if name in names]
    for pattern in (pattern for pattern in ignore if pattern not in names):
        fitting = [name for name in names if fnmatchcase(name, pattern)]
        free = [name for name in fitting if name not in (*purposes, *found)]
        found += free if fitting else [pattern]
    return [(name, "ignore") for name in found]


def _require_one_purpose(named: Sequence[tuple[str, str]]) -> None:
    purposes: dict[str, str] = {}
    for name, purpose in named:
        if name in purposes:
            raise DataError(
                f"data: column {quote(name)} is named as {purposes[name]} and as {purpose}; "
                "a column has one purpose"
            )
        purposes[name] = purpose


def require_rules_fit(
    where: str, rules: Sequence[str], features: Sequence[str], purposes: dict[str, str]
) -> None:
    """Raise DataError where a rule, by name or pattern, is for none of the features."""
    for rule in rules:
        if any(fnmatchcase(name, rule) for name in features):
            continue
        if rule in purposes:
            raise DataError(
                f"data.columns.{truncate(rule)}: the column is named as {purposes[rule]}; "
                "rules are for features"
            )
        require_columns(f"data.columns: {where}", [rule], features)
