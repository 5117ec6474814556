"""The pictures of a run: which there are, where they stand on the page, and what is to be seen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from ensemble_pipe.core.replacement import remove_others
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.report.by_group import group_pictures
from ensemble_pipe.report.calibration import calibration_pictures
from ensemble_pipe.report.captions import Caption, caption_of, is_drawn
from ensemble_pipe.report.curves import curve_pictures
from ensemble_pipe.report.diversity import diversity_pictures
from ensemble_pipe.report.drawing import Drawings, inline, read_picture, save_figure
from ensemble_pipe.report.errors import error_pictures
from ensemble_pipe.report.groups import groups_of
from ensemble_pipe.report.importances import column_importance
from ensemble_pipe.report.numbers import Numbers, read_numbers
from ensemble_pipe.report.page import NOTHING, Html, element, joined, picture
from ensemble_pipe.report.unfamiliar import unfamiliar_pictures

_OF_NO_RESULT = ("augmentation", "search")


@dataclass(frozen=True)
class Shown:
    """The pictures of a page.

    Attributes:
        by_name: each as a part of the page.
        numbers: of the run, for their texts.
    """

    by_name: Mapping[str, Html]
    numbers: Numbers

    @cached_property
    def captions(self) -> Mapping[str, Caption]:
        """What stands below each picture, by name."""
        return {name: caption_of(name, self.numbers) for name in self.by_name}

    def of(self, place: str) -> Html:
        """Return the pictures of a part of the page, in order."""
        found = [
            _figure(svg, self.captions[name])
            for name, svg in self.by_name.items()
            if self.captions[name].place == place
        ]
        return element("div", joined(found), kind="pictures") if found else NOTHING


def _figure(svg: Html, caption: Caption) -> Html:
    return picture(svg, caption.text, caption.description, "full" if caption.is_wide else "")


def draw_pictures(paths: RunPaths, is_time: Callable[[], bool] = lambda: True) -> list[Path]:
    """Draw the pictures of a run that has its result, as long as there is time; return the files.

    Those of an earlier result are removed first; the contact sheet, which is of no result, stays.

    Args:
        paths: of the run.
        is_time: asked before each.
    """
    files: list[Path] = []
    numbers = read_numbers(paths)
    remove_others(paths.pictures, [paths.contact_sheet.name], partial(_is_own, numbers))
    for name, draw in drawings(numbers).items():
        if not is_time():
            break
        files.append(paths.picture(f"{name}.svg"))
        save_figure(draw(), files[-1])
    return files


def drawings(numbers: Numbers) -> Drawings:
    """Return what draws each picture of a run, by name, the most telling first."""
    test = numbers.test
    found = {**curve_pictures(numbers.run)}
    if test is not None:
        found |= {**calibration_pictures(test), **error_pictures(test)}
        found |= unfamiliar_pictures(numbers)
        found |= group_pictures(test, groups_of(numbers))
        found |= diversity_pictures(numbers)
    if numbers.run.importance is not None and numbers.run.importance.columns:
        entry = numbers.run.importance
        found["importance"] = lambda: column_importance(entry)
    return found


def pictures_of(numbers: Numbers, is_time: Callable[[], bool]) -> Shown:
    """Return the pictures of a page: those that the run has drawn, and those that it lacks.

    Of what else stands among the run's pictures, those of an earlier result or version are left
    out: all but the contact sheet and those of a search, which nothing draws from these numbers.

    Names from the journal are looked up in the folder of pictures only.
    """
    drawn = {
        Path(name).stem: numbers.paths.picture(Path(name).name) for name in numbers.run.pictures
    }
    kept = {name: path for name, path in drawn.items() if path.suffix == ".svg" and path.is_file()}
    found: dict[str, Html] = {}
    for name, draw in drawings(numbers).items():
        svg = _read(kept.pop(name, None))
        if svg is None and is_time():
            svg = inline(draw())
        if svg is not None:
            found[name] = svg
    others = (
        (name, _read(path))
        for name, path in kept.items()
        if caption_of(name, numbers).place in _OF_NO_RESULT
    )
    found |= {name: svg for name, svg in others if svg is not None}
    return Shown(found, numbers)


def remove_old(shown: Shown) -> None:
    """Remove the files among a run's pictures that its page does not show."""
    names, numbers = [f"{name}.svg" for name in shown.by_name], shown.numbers
    remove_others(numbers.paths.pictures, names, partial(_is_own, numbers))


def _is_own(numbers: Numbers, name: str) -> bool:
    """Return whether a file among a run's pictures is one that a run has drawn, not a user's."""
    return name in numbers.run.pictures or (
        name.endswith(".svg") and is_drawn(name.removesuffix(".svg"))
    )


def _read(path: Path | None) -> Html | None:
    """Return a picture that the run has drawn; None where its file is none, or is damaged."""
    try:
        return None if path is None else read_picture(path)
    except ValueError:
        return None
