"""One HTML page in one file: every value escaped, pictures inside, no script, no link outwards.

Characters that are not printable, such as control characters and those that change the direction of
text, are shown as escape sequences.
"""

import base64
from collections.abc import Iterable, Sequence
from html import escape
from string import Template
from typing import Any

from ensemble_pipe.core.messages import printable

_KEPT = "\n\N{NO-BREAK SPACE}"


class Html(str):
    """Text that is HTML already; all other text is escaped where it is put into a page."""

    __slots__ = ()


def html_of(value: Any) -> Html:
    """Return a value as HTML: numbers with four decimals or digits, nothing as a dash."""
    if isinstance(value, Html):
        return value
    if value is None:
        return Html("&ndash;")
    if isinstance(value, float):
        return Html(f"{value:.4f}" if value == 0 or 0.01 <= abs(value) < 100 else f"{value:.4g}")
    if isinstance(value, int) and not isinstance(value, bool):
        return Html(f"{value:,}".replace(",", "&#8239;"))
    return Html(escape(printable(str(value), _KEPT)))


def joined(parts: Iterable[Any]) -> Html:
    """Return parts one after another."""
    return Html("".join(html_of(part) for part in parts))


def element(tag: str, *parts: Any, kind: str = "") -> Html:
    """Return one element around parts, of a class where `kind` names one."""
    attribute = f' class="{escape(kind)}"' if kind else ""
    return Html(f"<{tag}{attribute}>{joined(parts)}</{tag}>")


def section(title: str, *parts: Html) -> Html:
    """Return a part of the page under a heading; nothing where it is empty."""
    content = joined(parts)
    return element("section", element("h2", title), content) if content else Html("")


def table(head: Sequence[Any], rows: Iterable[Sequence[Any]], strong: Sequence[int] = ()) -> Html:
    """Return a table that scrolls by itself where it is wider than the page.

    Args:
        head: of the columns.
        rows: cells; columns of numbers are aligned at the right.
        strong: indices of rows to emphasise.
    """
    listed = [list(row) for row in rows]
    numeric = [
        all(isinstance(row[place], int | float | None) for row in listed) and bool(listed)
        for place in range(len(head))
    ]
    kinds = ["n" if right else "" for right in numeric]
    top = [element("th", cell, kind=kind) for cell, kind in zip(head, kinds, strict=True)]
    body = [
        element(
            "tr",
            *(element("td", cell, kind=kind) for cell, kind in zip(row, kinds, strict=True)),
            kind="strong" if place in strong else "",
        )
        for place, row in enumerate(listed)
    ]
    whole = element("table", element("thead", element("tr", *top)), element("tbody", *body))
    return element("div", whole, kind="wide")


def value_table(pairs: Iterable[tuple[str, Any]]) -> Html:
    """Return a table of names and values."""
    rows = [element("tr", element("th", name), element("td", value)) for name, value in pairs]
    return element("table", *rows, kind="facts") if rows else Html("")


def bar(began: float, length: float) -> Html:
    """Return a bar from one share of its cell's width on, as long as another share."""
    place = f"margin-left:{100 * began:.2f}%;width:{100 * length:.2f}%"
    return Html(f'<div class="bar" style="{place}"></div>')


def picture(png: bytes, caption: str, kind: str = "") -> Html:
    """Return a picture that is embedded in the page."""
    data = base64.b64encode(png).decode()
    image = Html(f'<img alt="{html_of(caption)}" src="data:image/png;base64,{data}">')
    return element("figure", image, element("figcaption", caption), kind=kind)


def page(title: str, *parts: Html) -> str:
    """Return the whole page. Its policy forbids a browser to load or run anything."""
    return _PAGE.substitute(title=html_of(title), style=_STYLE, body=joined(parts))


_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>$title</title>
<style>$style</style>
</head>
<body>
$body
</body>
</html>
""")

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 64rem; background: #fff; color: #222;
  font: 16px/1.45 system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.2; margin: .5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 .6rem; padding-bottom: .2rem;
  border-bottom: 1px solid #d5dbe1; }
p { margin: .4rem 0; }
.status { display: inline-block; padding: .1rem .6rem; border-radius: 1rem; color: #fff;
  font-size: .85rem; font-weight: 600; letter-spacing: .03em; background: #57606a; }
.FINISHED { background: #1a7f37; } .FAILED, .KILLED { background: #b42318; }
.RUNNING { background: #0b5cad; }
.warning { color: #b42318; font-weight: 600; }
.note { color: #57606a; font-size: .9rem; }
.wide { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem .25rem 0; text-align: left; vertical-align: top; }
thead th { border-bottom: 1px solid #99a3ad; font-weight: 600; vertical-align: bottom; }
thead th.n { white-space: normal; }
tbody td { border-bottom: 1px solid #e8ecf0; }
.n { text-align: right; white-space: nowrap; }
.strong td { font-weight: 700; }
.bar { height: .8rem; min-width: 2px; background: #0b5cad; border-radius: 2px; }
.bars { width: 60%; min-width: 10rem; }
.facts th { font-weight: 400; color: #57606a; padding-right: 1.2rem; white-space: nowrap; }
.facts td { overflow-wrap: anywhere; border: 0; }
.pictures { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
figure { margin: 0; } .full { grid-column: 1 / -1; }
figcaption { color: #57606a; font-size: .85rem; }
img { max-width: 100%; height: auto; display: block; margin: 0 auto; }
pre { background: #f5f7f9; border-radius: .4rem; padding: .7rem; margin: .6rem 0;
  font: .8rem/1.4 ui-monospace, "DejaVu Sans Mono", Consolas, monospace;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.columns { columns: 20rem; }
@media print {
  body { max-width: none; padding: 0; font-size: 11px; }
  .wide { overflow: visible; } pre { border: 1px solid #d5dbe1; }
  figure, tr, .facts { break-inside: avoid; } h2 { break-after: avoid; }
  .pictures { grid-template-columns: 1fr 1fr; } .full img { max-height: 20cm; width: auto; }
  th, td { padding-right: .4rem; } table { font-size: .8rem; }
  .status { color: #000; background: none; border: 1px solid #000; }
}
"""
