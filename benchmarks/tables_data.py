"""The eight tables of `tables.py`: their files, labels and what the peers are given of them."""

import csv
import gzip
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LETTER_TRAIN_ROWS = 16_000  # the usual division of the letters


@dataclass(frozen=True)
class Table:
    """A table with a fixed test part.

    Attributes:
        label: the column to predict.
        task: classification or regression.
        left_out: columns that no peer can use: row numbers, names of persons and tickets.
        missing: texts that mean a missing value, beside those that pandas knows.
    """

    label: str
    task: str
    left_out: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


TABLES = {
    "housing": Table("median_house_value", "regression"),
    "telescope": Table("Class", "classification"),
    "satellite": Table("Class", "classification"),
    "traffic": Table("traffic_volume", "regression"),
    "house": Table("SalePrice", "regression", ("Id",)),
    "titanic": Table("Survived", "classification", ("PassengerId", "Name", "Ticket")),
    "adult": Table("income", "classification", missing=("?",)),
    "letter": Table("letter", "classification"),
}


def files_of(
    folder: Path, name: str, work: Path, most_rows: int | None = None
) -> tuple[Path, Path]:
    """Return the files of the training and test rows.

    Args:
        folder: with `tables`, `adult` and `letter` below it.
        name: of the table.
        work: where the letters are divided, and files of fewer rows are written.
        most_rows: of the training file; where it has more, so many are drawn. None takes all.
    """
    if name == "letter":
        train, test = _divide_letters(folder / "letter" / "letter.csv", work)
    else:
        own = folder / "adult" if name == "adult" else folder / "tables" / name
        train, test = own / "train.csv.gz", own / "test.csv.gz"
    return train if most_rows is None else _fewer_rows(train, most_rows, name, work), test


def read_frames(train: Path, test: Path, table: Table) -> tuple[Any, Any, Any, Any]:
    """Return features and labels of the training rows, then of the test rows, as pandas has them.

    Labels of classes are numbers, in the order of the classes' sorted names.
    """
    import pandas as pd

    parts = [pd.read_csv(path, na_values=table.missing, encoding="utf-8-sig")
             for path in (train, test)]  # fmt: skip
    classes = sorted(parts[0][table.label].unique().tolist())
    found: list[Any] = []
    for part in parts:
        labels = part[table.label]
        if table.task == "classification":
            labels = labels.map({name: number for number, name in enumerate(classes)})
        found += [part.drop(columns=[table.label, *table.left_out]), labels.to_numpy()]
    return found[0], found[1], found[2], found[3]


def _fewer_rows(path: Path, most: int, name: str, work: Path) -> Path:
    """Return a file of at most so many rows of a CSV file, drawn at random, in their order."""
    with gzip.open(path, "rt", newline="", encoding="utf-8-sig") as file:
        head, *rows = csv.reader(file)
    if len(rows) <= most:
        return path
    drawn = work / f"{name}-train-{most}.csv.gz"
    if not drawn.exists():
        kept = sorted(random.Random(0).sample(range(len(rows)), most))
        with gzip.open(drawn, "wt", newline="") as file:
            csv.writer(file).writerows([head, *(rows[place] for place in kept)])
    return drawn


def as_categories(train: Any, test: Any) -> tuple[Any, Any]:
    """Return frames whose texts are categories, those of the training rows."""
    import pandas as pd

    train, test = train.copy(), test.copy()
    for name in train.columns:
        if train[name].dtype.kind not in "ifb":
            known = sorted(train[name].dropna().unique().tolist())
            for part in (train, test):
                part[name] = pd.Categorical(part[name].where(part[name].isin(known)), known)
    return train, test


def _divide_letters(path: Path, work: Path) -> tuple[Path, Path]:
    parts = work / "letter-train.csv.gz", work / "letter-test.csv.gz"
    if not all(part.exists() for part in parts):
        with path.open(newline="") as file:
            head, *rows = csv.reader(file)
        divided = rows[:LETTER_TRAIN_ROWS], rows[LETTER_TRAIN_ROWS:]
        for part, own in zip(parts, divided, strict=True):
            with gzip.open(part, "wt", newline="") as file:
                csv.writer(file).writerows([head, *own])
    return parts
