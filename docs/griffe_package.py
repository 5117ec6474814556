"""How Griffe, which reads the package for mkdocstrings, is to read this one."""

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^>>> .*?(?=\n\s*\n|\Z)", re.M | re.S)
_CODE = re.compile(r"(^>>> .*?(?=\n\s*\n|\Z)|`[^`]+`)", re.M | re.S)
_GROUP = re.compile(
    r"^(?P<indent> +)(?P<names>\w+(?:, \w+)+):(?P<text> .*(?:\n(?P=indent) +\S.*)*)", re.M
)


class Package(griffe.Extension):  # type: ignore[misc]
    """Makes docstrings Markdown, and finds the function `ensemble_pipe.run`.

    Griffe takes that name for the folder `run`. The function of the same signature in
    `ensemble_pipe.run.pipeline` gets its docstring here.
    """

    def __init__(self) -> None:
        self._docstring: griffe.Docstring | None = None

    def on_function_instance(self, *, func: griffe.Function, **_: Any) -> None:
        """Keep the docstring of the function, before the folder takes its place."""
        if func.path == "ensemble_pipe.run":
            self._docstring = func.docstring

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Make an object's docstring Markdown, after its function's own has been found."""
        if obj.path == "ensemble_pipe.run.pipeline.run":
            if self._docstring is None:
                raise RuntimeError("ensemble_pipe/__init__.py: has no function run")
            obj.docstring = self._docstring
            obj.docstring.parent = obj
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(text: str) -> str:
    """Return a docstring, which is plain text, as Markdown that shows the same.

    Asterisks are signs of multiplication, examples are code, and each of several parameters that
    are described together gets a line.
    """
    parts = _CODE.split(text)
    parts[::2] = [part.replace("*", r"\*") for part in parts[::2]]
    text = _EXAMPLE.sub(r"```pycon\n\g<0>\n```", "".join(parts))
    return _GROUP.sub(_one_each, text)


def _one_each(group: re.Match[str]) -> str:
    names = group["names"].split(", ")
    return "\n".join(f"{group['indent']}{name}:{group['text']}" for name in names)
