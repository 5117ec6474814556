"""SVG that is safe within a page: known elements and attributes alone, colours by the page's names.

A file of a run may have been changed by anyone. What is not on the lists here is left out, so that
nothing in it can be executed, load anything, or look like another part of the page.
"""

import re
from collections.abc import Iterator
from hashlib import sha256
from xml.etree import ElementTree as Tree

# Those of matplotlib's figures, by the names that the page has for them.
NAMED = {
    "#0072b2": "blue",
    "#d55e00": "vermilion",
    "#009e73": "green",
    "#e69f00": "orange",
    "#cc79a7": "purple",
    "#56b4e9": "sky",
    "#7f8893": "soft",
}
COLOURS = tuple(NAMED)
_ELEMENTS = {
    "svg", "g", "defs", "path", "use", "clipPath", "rect", "circle", "polygon", "text", "tspan",
    "image", "title", "desc",
}  # fmt: skip
_ATTRIBUTES = {
    "id", "d", "x", "y", "width", "height", "viewBox", "transform", "style", "fill", "stroke",
    "clip-path", "points", "r", "cx", "cy", "stroke-width", "text-anchor", "preserveAspectRatio",
    "opacity",
}  # fmt: skip
_WITHIN = re.compile(r"url\(\s*#([\w.-]+)\s*\)")
_FONT = "system-ui,'Segoe UI',Roboto,'Noto Sans','DejaVu Sans',sans-serif"
_BOX = re.compile(r"0 0 \d+(\.\d+)? \d+(\.\d+)?")
_LARGEST = 1.45  # pixels of a point
_SPACE = "http://www.w3.org/2000/svg"
_PRINTABLE = str.maketrans({"<": "&lt;", ">": "&gt;", "&": "&amp;", '"': "&quot;"})


def cleaned(content: bytes | str) -> str:
    """Return an SVG picture that is safe within a page, and fills the width that it is given.

    Args:
        content: of a file.

    Raises:
        ValueError: it is no SVG picture.
    """
    try:
        root = Tree.fromstring(content)
    except Tree.ParseError as error:
        raise ValueError(f"no SVG picture ({error})") from None
    if _name(root.tag) != "svg":
        raise ValueError("no SVG picture")
    raw = content if isinstance(content, bytes) else content.encode()
    prefix = f"p{sha256(raw).hexdigest()[:8]}"  # ids are of the whole page
    return "".join(_written(root, prefix, is_root=True))


def _written(node: Tree.Element, prefix: str, *, is_root: bool = False) -> Iterator[str]:
    name = _name(node.tag)
    if name not in _ELEMENTS:
        return
    pairs = {} if is_root else dict(_attributes(node, prefix))
    if is_root:
        box = node.get("viewBox", "")
        if not _BOX.fullmatch(box):
            raise ValueError(f"no SVG picture (its viewBox is {box!r})")
        # So that text has about the size of the page's, however large a picture is.
        most = f"max-width:{_LARGEST * float(box.split()[2]):.0f}px"
        pairs = {"xmlns": _SPACE, "viewBox": box, "fill": "currentColor", "style": most}
    text = "".join(f' {key}="{_escaped(value)}"' for key, value in pairs.items())
    yield f"<{name}{text}>{_escaped(node.text or '').strip()}"
    for child in node:
        yield from _written(child, prefix)
    yield f"</{name}>"


def _attributes(node: Tree.Element, prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in node.items():
        name = _name(key)
        if name == "href":
            if value.startswith("#") and _name(node.tag) == "use":
                yield "href", f"#{prefix}{value[1:]}"
            elif value.startswith("data:image/png;base64,") and _name(node.tag) == "image":
                yield "href", "".join(value.split())
        elif name == "id":
            yield name, f"{prefix}{value}"
        elif name in _ATTRIBUTES and (safe := _style(value, prefix)):
            yield name, safe


def _style(value: str, prefix: str) -> str:
    """Return a value whose addresses lie within the picture and whose colours are the page's."""
    value = _WITHIN.sub(rf"URL(#{prefix}\1)", value)
    if "url(" in value or "image(" in value or "@" in value or "\\" in value:
        return ""
    value = value.replace("URL(", "url(")
    for colour, name in NAMED.items():
        value = re.sub(f"(?<!,){colour}", f"var(--{name},{colour})", value)
    value = value.replace("#000000", "currentColor")
    return re.sub(r"font-family: [^;]*", f"font-family: {_FONT}", value)


def _name(tag: str) -> str:
    return tag.rpartition("}")[2]


def _escaped(text: str) -> str:
    return text.translate(_PRINTABLE)
