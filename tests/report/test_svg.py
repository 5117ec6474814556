"""Pictures within a page: whatever a file holds, nothing of it is executed or loaded."""

from io import BytesIO
from pathlib import Path

import pytest
from browsers import chromium
from PIL import Image

from ensemble_pipe.report.drawing import BLUE, legend, legend_above, new_axis, save_figure, svg_of
from ensemble_pipe.report.page import palette
from ensemble_pipe.report.svg import NAMED, cleaned

HOSTILE = """<?xml version="1.0"?>
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"
 viewBox="0 0 10 10" onload="alert(1)">
<script>alert(2)</script><style>body { display: none }</style>
<foreignObject><iframe src="data:text/html,x"/></foreignObject>
<a xlink:href="javascript:alert(3)"><text>link</text></a>
<image href="https://example.org/x.png"/><image href="data:image/svg+xml;base64,AAAA"/>
<use xlink:href="https://example.org/x.svg#a"/><use xlink:href="#own"/>
<path id="own" d="M 0 0" onclick="alert(4)" style="fill: url(https://example.org/a)"/>
<path d="M 1 1" style="background: u\\72l(x)"/><path clip-path="url(#own)" d="M 2 2"/>
<text>&lt;b&gt;</text></svg>"""


def test_what_is_not_known_is_left_out() -> None:
    found = cleaned(HOSTILE)
    for harm in (
        "alert",
        "script",
        "<style",
        "foreign",
        "iframe",
        "example",
        "onload",
        "<a",
        "svg+",
    ):
        assert harm not in found, harm
    assert "\\72" not in found
    assert "&lt;b&gt;" in found


def test_addresses_stay_within_the_picture_that_they_stand_in() -> None:
    first, second = cleaned(HOSTILE), cleaned(HOSTILE.replace("M 0 0", "M 9 9"))
    assert 'id="own"' not in first
    own = first.partition('<path id="')[2].partition('"')[0]
    assert f'href="#{own}"' in first
    assert f'clip-path="url(#{own})"' in first
    assert own not in second


def test_cleaning_twice_changes_nothing_that_is_seen() -> None:
    figure, axis = new_axis("a < b", "$x$")
    axis.plot([0, 1], color=BLUE, label="<one>")
    legend(axis)
    once = svg_of(figure)
    twice = cleaned(once)
    assert once.count("var(") == twice.count("var(") > 0
    assert len(once.split("<path")) == len(twice.split("<path"))
    for text in ("a &lt; b", "$x$", "&lt;one&gt;"):
        assert text in once
        assert text in twice


def test_colours_are_those_of_the_page() -> None:
    figure, axis = new_axis("x", "y")
    for place, colour in enumerate(NAMED):
        axis.plot([0, place], color=colour)
    found = svg_of(figure)
    for colour, name in NAMED.items():
        assert f"stroke: var(--{name},{colour})" in found
    assert "stroke: currentColor" in found
    assert "#000000" not in found


@pytest.mark.parametrize("content", ["", "<svg", "<html></html>", "<svg viewBox='0 0 x 1'/>"])
def test_what_is_no_picture_is_refused(content: str) -> None:
    with pytest.raises(ValueError, match="no SVG picture"):
        cleaned(content)


def test_a_legend_above_lies_over_no_data() -> None:
    figure, axis = new_axis("epoch", "loss")
    for name in (
        "before calibration",
        "after calibration",
        "perfectly calibrated",
        "share of rows",
    ):
        axis.plot([0, 1], [1, 0], label=name)
    legend_above(figure, axis)
    figure.draw_without_rendering()
    box, inside = axis.get_legend().get_window_extent(), axis.get_window_extent()
    assert box.y0 >= inside.y1
    assert box.y1 <= figure.bbox.y1
    assert box.x0 >= figure.bbox.x0


def test_a_file_has_paper_and_colours_for_the_light_and_the_dark(tmp_path: Path) -> None:
    figure, axis = new_axis("a", "b")
    axis.plot([0, 1], color=BLUE)
    save_figure(figure, tmp_path / "one.svg")
    content = (tmp_path / "one.svg").read_text()
    assert palette() in content
    assert "@media (prefers-color-scheme: dark)" in palette()
    assert all(f"--{name}:" in palette() for name in NAMED.values())
    assert "<style" not in cleaned(content)  # within a page it has the page's


@pytest.mark.slow
def test_a_browser_shows_a_file_in_the_light_and_the_dark(tmp_path: Path) -> None:
    save_figure(new_axis("a", "b")[0], tmp_path / "one.svg")
    (tmp_path / "page.html").write_text('<img src="one.svg">')
    shown = {}
    with chromium() as browser:
        for scheme in ("light", "dark"):
            page = browser.new_page(color_scheme=scheme)
            page.goto((tmp_path / "page.html").as_uri())
            corner = {"x": 12, "y": 12, "width": 1, "height": 1}  # of the paper, beside the axes
            shot = Image.open(BytesIO(page.screenshot(clip=corner))).convert("RGB")
            shown[scheme] = "#" + shot.tobytes().hex()
    assert shown == {"light": "#ffffff", "dark": "#14181d"}
