"""How pictures are drawn: figures with one look, as SVG that takes its colours from the page.

A picture is readable on white and on black paper and without colour vision: lines differ in dashes
and markers as well as in colour, and the colours are those of Okabe & Ito 2008.
"""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.messages import printable, truncate
from ensemble_pipe.core.storage import atomic_write
from ensemble_pipe.report.page import Html, palette
from ensemble_pipe.report.svg import COLOURS, cleaned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_NAME = 30  # characters of a class or column
BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, SOFT = COLOURS
INK = "#000000"  # becomes that of the page's text
DASHES = ("-", "--", "-.", ":")
MARKERS = "osD^vPX*"
WIDTH, HEIGHT = 5.2, 3.6  # inches of a picture that is legible on a telephone
_LOOK: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ensemble_pipe",
    "path.simplify_threshold": 0.3,
}
_ON_PAPER = "svg { background: var(--page); color: var(--ink); }"

Draw = Callable[[], "Figure"]
Drawings = Mapping[str, Draw]


def load_drawing() -> None:
    """Load all that the first picture of a process loads, which takes a second."""
    figure = new_figure(1.0, 1.0)
    figure.subplots().set_title("0")
    svg_of(figure)


def new_figure(width: float, height: float, *, fits_labels: bool = True) -> "Figure":
    """Return an empty figure of so many inches.

    Args:
        width, height: in inches.
        fits_labels: whether margins follow the labels, which takes as long as drawing again.
    """
    # Not through pyplot, which keeps global state and is not safe beside other threads.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained" if fits_labels else None)
    figure.patch.set_visible(False)
    return figure


def new_axis(
    xlabel: str = "",
    ylabel: str = "",
    *,
    width: float = WIDTH,
    height: float = HEIGHT,
    fits_labels: bool = False,
) -> "tuple[Figure, Any]":
    """Return a figure with one pair of axes, and these.

    Args:
        xlabel, ylabel: what the axes show, with units.
        width, height: in inches.
        fits_labels: see `new_figure`.
    """
    figure = new_figure(width, height, fits_labels=fits_labels)
    if not fits_labels:
        figure.subplots_adjust(0.78 / width, 0.55 / height, 1 - 0.12 / width, 1 - 0.15 / height)
    axis = figure.add_subplot()
    plain(axis)
    axis.set_xlabel(printable(xlabel), parse_math=False)
    axis.set_ylabel(printable(ylabel), parse_math=False)
    return figure, axis


def plain(axis: Any) -> None:
    """Give axes a light grid, and no box."""
    axis.patch.set_visible(False)
    axis.grid(color=SOFT, alpha=0.35, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def whole_numbers(axis: Any) -> None:
    """Let the ticks of a horizontal axis be whole numbers."""
    axis.xaxis.get_major_locator().set_params(integer=True)


def short_ticks(*axes: Any) -> None:
    """Let ticks of large numbers be short, such as 50k."""
    for axis in axes:
        axis.set_major_formatter(_tick)


def _tick(value: float, place: int | None = None) -> str:
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= (unit if unit > 1e3 else 1e4):
            return f"{value / unit:g}{name}"
    return f"{value:g}"


def line(place: int) -> dict[str, Any]:
    """Return colour and dashes of the line at a place, which few others share."""
    colours = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
    return {"color": colours[place % 6], "linestyle": DASHES[place % 4]}


def marker(place: int) -> str:
    """Return the marker of the line at a place."""
    return MARKERS[place % len(MARKERS)]


def short(name: object, most: int = MOST_NAME) -> str:
    """Return a name that fits a picture."""
    return truncate(printable(str(name)), most)


def legend(axis: Any, **settings: Any) -> None:
    """Name what has a label, without a box."""
    box = axis.legend(frameon=False, fontsize=9, **settings)
    for text in box.get_texts():
        text.set_parse_math(False)


def legend_above(figure: "Figure", axis: Any) -> None:
    """Name what has a label above the axes, where data may lie in any corner of them."""
    figure.subplots_adjust(top=0.86)
    legend(axis, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0.2)


def figure_legend(figure: "Figure", axis: Any) -> None:
    """Name what has a label above the axes of a figure whose margins follow the labels."""
    named = axis.get_legend_handles_labels()
    figure.legend(*named, loc="outside upper right", ncols=2, frameon=False, fontsize=9)


def svg_of(figure: "Figure") -> str:
    """Return a figure as the content of an SVG file, which is safe within a page."""
    import matplotlib

    content = io.BytesIO()
    with matplotlib.rc_context(_LOOK):
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    return cleaned(content.getvalue())


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure as an SVG file, light or dark as its reader's system is, with its own paper.

    Where the path ends so it is a PNG file, on white.
    """
    if path.suffix == ".png":
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=120, facecolor="white")
        atomic_write(path, content.getvalue())
    else:
        style = f"<style>{palette()}{_ON_PAPER}</style>"
        atomic_write(path, svg_of(figure).replace(">", f">{style}", 1))


def inline(figure: "Figure") -> Html:
    """Return a figure as a part of a page."""
    return Html(svg_of(figure))


def read_picture(path: Path) -> Html:
    """Return a picture of a run as a part of a page, whoever has written the file.

    Raises:
        ValueError: it is no SVG file.
    """
    return Html(cleaned(path.read_bytes()))


def draw_rates(rates: Floats, losses: Floats, suggestion: float, path: Path) -> None:
    """Draw a learning-rate range test: the smoothed loss over the rate, (S,) each."""
    figure, axis = new_axis("learning rate", "loss, smoothed")
    axis.semilogx(rates, losses, color=BLUE)
    axis.axvline(suggestion, color=VERMILION, linestyle="--", label=f"suggestion {suggestion:g}")
    legend(axis)
    save_figure(figure, path)
