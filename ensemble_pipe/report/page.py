"""One HTML page in one file: every value escaped, pictures inside, no script, no link outwards.

The templates of Jinja2 stand in `templates/`; they escape all that is not markup already.
Characters that are not printable, such as control characters and those that change the direction of
text, are shown as escape sequences.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from math import isclose
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from ensemble_pipe.core.messages import printable

Html = Markup  # text that is HTML already
NOTHING = Html("")
BREAK = Html("<wbr>")

_KEPT = "\n\N{NO-BREAK SPACE}"
# A table of more columns is a list of cards on a narrow screen, of many more on any.
FEW_COLUMNS, MANY_COLUMNS = 3, 12
# Letters, in the longest words of all columns, that a line of a wide, or of a narrow screen has
# room for.
WIDEST_LETTERS, SLIM_LETTERS = 110, 36


def html_of(value: Any) -> Html:
    """Return a value as HTML: numbers as `number_text` has them, nothing as a dash."""
    if isinstance(value, Markup):
        return value
    if value is None:
        return Html("&ndash;")
    if isinstance(value, float):
        return Html(number_text(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return Html(f"{value:,}")
    return escape(printable(str(value), _KEPT))


def yaml_text(value: Any) -> str:
    """Return a setting as a pipeline has it, on one line; text as it is.

    >>> [yaml_text(value) for value in ([64, 32], ["a", "b"], True, "a text")]
    ['[64, 32]', '[a, b]', 'true', 'a text']
    """
    if isinstance(value, str):
        return value
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def number_text(value: float) -> str:
    """Return a number as text: four decimals, or four digits where it is small or large.

    >>> [number_text(value) for value in (0.87, 0.0012345, 153.26, 53542.7, 1.2e9)]
    ['0.8700', '0.001234', '153.3', '53,543', '1.2e+09']
    """
    if value == 0 or 0.01 <= abs(value) < 100:
        return f"{value:.4f}"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e8 else f"{value:.4g}"


def target_text(value: float) -> str:
    """Return a true number as text: a whole one without decimals, others as `number_text`.

    >>> [target_text(value) for value in (40.0, 39.999998, 0.0, 12.5, 1e-12)]
    ['40', '40', '0', '12.5000', '1e-12']
    """
    is_whole = abs(value) < 1e8 and isclose(value, round(value), rel_tol=1e-6)
    return f"{round(value):,}" if is_whole else number_text(value)


def joined(parts: Iterable[Any]) -> Html:
    """Return parts one after another."""
    return NOTHING.join(html_of(part) for part in parts)


def element(tag: str, *parts: Any, kind: str = "") -> Html:
    """Return one element around parts, of a class where `kind` names one."""
    return _made("element", tag, joined(parts), kind)


def section(title: str, *parts: Html, folded: bool = False) -> Html:
    """Return a part of the page under a heading; nothing where it is empty.

    Args:
        title: of the part.
        parts: of its contents.
        folded: whether it is opened by its reader.
    """
    content = joined(parts)
    return _made("section", title, content, folded) if content else NOTHING


def folded(title: str, *parts: Html) -> Html:
    """Return a part of a section that is opened by its reader."""
    return _made("folded", title, joined(parts))


def table(
    head: Sequence[Any],
    rows: Iterable[Sequence[Any]],
    strong: Sequence[int] = (),
    caption: str = "",
) -> Html:
    """Return a table; one of several columns becomes a list of cards on a narrow screen.

    Args:
        head: of the columns.
        rows: cells; columns of numbers are aligned at the right.
        strong: indices of rows to emphasise.
        caption: above it; "" for none.
    """
    listed = [list(row) for row in rows]
    numeric = [
        all(isinstance(row[place], int | float | None) for row in listed) and bool(listed)
        for place in range(len(head))
    ]
    size = "few" if len(head) <= FEW_COLUMNS else "many" if len(head) > MANY_COLUMNS else "some"
    letters = _letters_of_words([head, *listed])
    kinds = [size, *["whole"] * (letters <= WIDEST_LETTERS), *["slim"] * (letters <= SLIM_LETTERS)]
    kind = " ".join(kinds)
    return _made("table", list(head), listed, numeric, set(strong), kind, caption)


def _letters_of_words(lines: Sequence[Sequence[Any]]) -> int:
    """Return how many letters wide a table is at least where no word of its cells is divided."""
    head, *rows = lines
    texts = [[_breakable(name).replace(BREAK, " ") for name in head], *rows]
    widths = ([_longest_word(html_of(cell)) for cell in line] for line in texts)
    total: int = sum(max(column) for column in zip(*widths, strict=True))
    return total


def _longest_word(html: Html) -> int:
    return max(map(len, re.split(r"[\s-]", html.striptags())))


def _breakable(name: Any) -> Html:
    """Return a name that may be divided after a dot or an underscore; HTML stays as it is."""
    if isinstance(name, Markup):
        return name
    return BREAK.join(map(Html, re.split("(?<=[_.])(?=.)", html_of(name))))


def predictor_table(head: Sequence[Any], rows: Iterable[Sequence[Any]]) -> Html:
    """Return a table of a line for each metric and a column for each predictor, also if narrow."""
    return _made("predictors", list(head), [list(row) for row in rows])


def value_table(pairs: Iterable[tuple[str, Any]]) -> Html:
    """Return a table of names and values."""
    listed = list(pairs)
    return _made("facts", listed) if listed else NOTHING


def bar(began: float, length: float) -> Html:
    """Return a bar from one share of its cell's width on, as long as another share."""
    return _made("bar", 100 * began, 100 * length)


def picture(svg: Html, caption: str, text: str = "", kind: str = "") -> Html:
    """Return a picture within the page.

    Args:
        svg: of it.
        caption: below it.
        text: that says what is to be seen, for those who do not see it; by default the caption.
        kind: of its class, such as "wide"; "" for none.
    """
    return _made("picture", svg, caption, text or caption, kind)


def raster(data: str, text: str, kind: str = "") -> Html:
    """Return a small picture of pixels: `data` is a data: address of a PNG file."""
    return _made("raster", data, text, kind)


def page(title: str, *parts: Html) -> str:
    """Return the whole page. Its policy forbids a browser to load or run anything."""
    style = Html(palette() + _source("style.css"))
    return _template("page.html").render(title=title, style=style, body=joined(parts))


def palette() -> str:
    """Return the style that has the colours of a page by name, as its reader's system has them."""
    return _source("palette.css")


def rendered(name: str, **values: Any) -> Html:
    """Return a template of this package with values filled in."""
    return Html(_template(name).render(**values))


def _made(macro: str, *values: Any) -> Html:
    return Html(str(getattr(_parts(), macro)(*values)).strip())


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("ensemble_pipe.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=html_of,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["breakable"] = _breakable
    return made


def _source(name: str) -> str:
    found: str = _environment().loader.get_source(_environment(), name)[0]  # type: ignore[union-attr]
    return found


def _template(name: str) -> Template:
    return _environment().get_template(name)


@cache
def _parts() -> Any:
    return _template("parts.html").module
