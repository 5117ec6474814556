"""How Griffe, which reads the package for mkdocstrings, is to read this one."""

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^>>> .*?(?=\n\s*\n|\Z)", re.M | re.S)


class PublicRun(griffe.Extension):  # type: ignore[misc]
    """Lets the reference show `ensemble_pipe.run`, the function.

    Griffe takes that name for the folder `run`. The function of the same signature in
    `ensemble_pipe.run.pipeline` gets its docstring here.
    """

    def __init__(self) -> None:
        self._docstring: griffe.Docstring | None = None

    def on_function_instance(self, *, func: griffe.Function, **_: Any) -> None:
        """Keep the docstring of the function, before the folder takes its place."""
        if func.path == "ensemble_pipe.run":
            self._docstring = func.docstring

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Give the docstring to the function that can be shown."""
        if pkg.path == "ensemble_pipe":
            shown = pkg["run.pipeline.run"]
            if self._docstring is None:
                raise RuntimeError("ensemble_pipe/__init__.py: has no function run")
            shown.docstring = self._docstring
            shown.docstring.parent = shown


class Examples(griffe.Extension):  # type: ignore[misc]
    """Shows the examples of docstrings, which have no section of their own, as code."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Put a fence around each example of an object's docstring."""
        if obj.docstring is not None:
            obj.docstring.value = _EXAMPLE.sub(r"```pycon\n\g<0>\n```", obj.docstring.value)
