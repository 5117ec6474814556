"""Test rows to look at: uncertain ones, confidently wrong ones, those of confused classes."""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.messages import printable, truncate
from ensemble_pipe.report.errors import confusion_counts
from ensemble_pipe.report.numbers import Numbers, TestPart
from ensemble_pipe.report.page import (
    NOTHING,
    Html,
    element,
    html_of,
    joined,
    number_text,
    raster,
    table,
    target_text,
)
from ensemble_pipe.report.rows import column_values, image_data, shown_columns

MOST_ROWS, MOST_IMAGES, MOST_COLUMNS, MOST_PAIRS = 8, 16, 8, 4


def confused_pairs(test: TestPart) -> list[tuple[int, int, int]]:
    """Return (true, predicted, count) of the classes that are confused most, the worst first."""
    counts = confusion_counts(test)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:MOST_PAIRS]
    places = (np.unravel_index(int(place), counts.shape) for place in order)
    pairs = [(int(true), int(found), int(counts[true, found])) for true, found in places]
    return [pair for pair in pairs if pair[2]]


def confusions(numbers: Numbers) -> Html:
    """Return the classes that are confused most, with images of them where there are images."""
    test = numbers.test
    if test is None or not numbers.is_classification:
        return NOTHING
    counts, classes = confusion_counts(test), numbers.schema.classes
    found = []
    for true, predicted, count in confused_pairs(test):
        share = count / int(counts[true].sum())
        rows = f"{count:,} {'row' if count == 1 else 'rows'}, {share:.1%} of them"
        title = f"{_short(classes[true])} taken for {_short(classes[predicted])}: {rows}"
        if numbers.schema.is_image:
            found += [element("h3", title), _tiles(test, _surest(test, true, predicted))]
        else:
            found.append(element("li", title))
    if numbers.schema.is_image or not found:
        return joined(found)
    return element("ul", joined(found))


def _surest(test: TestPart, true: int, predicted: int) -> Integers:
    """Return places of the rows of a class that are taken for another, the surest first."""
    places = np.flatnonzero((test.targets == true) & (test.prediction.decided == predicted))
    return places[np.argsort(test.unsure[places], kind="stable")][:MOST_ROWS]


def worst_rows(numbers: Numbers) -> Html:
    """Return the rows that the ensemble was most sure of and wrong: or farthest off, of numbers."""
    test = numbers.test
    if test is None:
        return NOTHING
    if numbers.is_classification:
        wrong = np.flatnonzero(test.wrong)
        places = wrong[np.argsort(test.unsure[wrong], kind="stable")]
    else:
        places = np.argsort(-surprise(test), kind="stable")
    return _shown(numbers, test, places)


def surprise(test: TestPart) -> Floats:
    """Return how many predicted deviations the truth is off, (R,); of targets the largest."""
    mean, std = test.prediction.mean, test.prediction.std
    found: Floats = (np.abs(test.truth - mean) / np.maximum(std, 1e-12)).max(axis=1)
    return found


def uncertain_rows(numbers: Numbers) -> Html:
    """Return the rows that the ensemble is least sure of."""
    test = numbers.test
    if test is None:
        return NOTHING
    return _shown(numbers, test, np.argsort(-test.unsure, kind="stable"))


def _shown(numbers: Numbers, test: TestPart, places: Integers) -> Html:
    if not len(places):
        return element("p", "There is none.", kind="note")
    if numbers.schema.is_image:
        return _tiles(test, places[:MOST_IMAGES])
    return _table(numbers, test, places[:MOST_ROWS])


def _tiles(test: TestPart, places: Integers) -> Html:
    """Return images with what they are, and what they are taken for."""
    tiles = []
    for place, image in zip(places.tolist(), test.stored(places), strict=True):
        said = _said(test, place)
        image_text = f"test image {test.rows[place]}: {said}"
        tiles.append(
            element(
                "figure",
                raster(image_data(image), image_text, "pixels"),
                element("figcaption", said),
            )
        )
    return element("div", joined(tiles), kind="tiles")


def _said(test: TestPart, place: int) -> str:
    """Return the truth of a row, and what is predicted, in a few words."""
    if test.schema.task == "regression":
        pairs = zip(test.truth[place], test.prediction.mean[place], strict=True)
        return "; ".join(
            f"{target_text(true)}, predicted {number_text(mean)}" for true, mean in pairs
        )
    classes, decided = test.schema.classes, int(test.prediction.decided[place])
    probability = float(test.prediction.probabilities[place, decided])
    true = _short(classes[test.targets[place]])
    if decided == test.targets[place]:
        return f"{true}, rightly, at {probability:.0%}"
    return f"{true}, taken for {_short(classes[decided])} at {probability:.0%}"


def _short(name: object) -> str:
    return truncate(printable(str(name)), 24)


def _table(numbers: Numbers, test: TestPart, places: Integers) -> Html:
    """Return rows with the values of the columns that matter most."""
    stored = test.stored(places)
    names = _columns(numbers)
    values = [column_values(numbers.schema, name, stored) for name in names]
    head: list[object] = ["row", *_heads(test), *names]
    body = [
        [f"{test.rows[place]}", *_cells(test, place), *(column[line] for column in values)]
        for line, place in enumerate(places.tolist())
    ]
    note = "Rows are numbered from 0, as in files of predictions."
    return joined([table(head, body), element("p", note, kind="note")])


def _heads(test: TestPart) -> Sequence[str]:
    if test.schema.task == "classification":
        return ("true", "predicted", "probability")
    names = test.schema.target_names
    return [
        f"{what} {name}" if len(names) > 1 else what
        for name in names
        for what in ("true", "predicted", "deviation")
    ]


def _cells(test: TestPart, place: int) -> Iterator[Html]:
    if test.schema.task == "classification":
        decided = int(test.prediction.decided[place])
        yield html_of(_short(test.schema.classes[test.targets[place]]))
        yield html_of(_short(test.schema.classes[decided]))
        yield html_of(f"{test.prediction.probabilities[place, decided]:.1%}")
        return
    columns = test.truth[place], test.prediction.mean[place], test.prediction.std[place]
    for true, *predicted in zip(*columns, strict=True):
        yield html_of(target_text(float(true)))
        yield from (html_of(number_text(float(value))) for value in predicted)


def _columns(numbers: Numbers) -> list[str]:
    """Return the columns to show, the most important first."""
    known, found = shown_columns(numbers.schema), numbers.run.importance
    order = [one.name for one in found.columns] if found is not None else list(known)
    return list(islice((name for name in order if name in known), MOST_COLUMNS))
