"""How verbs are shown and called: in groups in the help, with options that all of them have."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ensemble_pipe.core.terminal import set_volume

Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Say only warnings and errors beside the result.")
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more on the way.")]


def with_volume(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that also takes `--quiet` and `--verbose`."""

    @wraps(command)
    def called(*, quiet: bool, verbose: bool, **own: Any) -> None:
        if quiet and verbose:
            raise typer.BadParameter("take --quiet or --verbose, not both")
        set_volume(quiet=quiet, verbose=verbose)
        command(**own)

    signature = inspect.signature(command)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for name, kind in (("quiet", Quiet), ("verbose", Verbose))
    ]
    parameters = [*signature.parameters.values(), *added]
    called.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return called


LONGEST = 200  # of what a verb does, in characters


class GroupedVerbs(TyperGroup):
    """Verbs whose help lists them under the titles of `rich_help_panel`, in their order."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        width = max(len(name) for name in self.commands)
        for name, command in self.commands.items():
            title = getattr(command, "rich_help_panel", None) or "Commands"
            text = command.get_short_help_str(LONGEST)
            groups.setdefault(title, []).append((name.ljust(width), text))
        for title, rows in groups.items():
            with formatter.section(title):
                formatter.write_dl(rows)
