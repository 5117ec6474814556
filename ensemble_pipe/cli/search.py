"""The command `search`."""

from pathlib import Path
from typing import Annotated

import typer

from ensemble_pipe.cli.outcome import show_search
from ensemble_pipe.cli.overrides import overrides_of
from ensemble_pipe.cli.run import Address, Inline, TimeLimit
from ensemble_pipe.cli.support import AsJson, errors, loading


def search(
    pipeline: Annotated[Path, typer.Argument(metavar="PIPELINE.yaml", help="What to search.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=VALUE", help="Override one key.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder that run directories are made in.")] = Path(
        "runs"
    ),
    address: Address = None,
    inline: Inline = False,
    time_limit: TimeLimit = None,
    as_json: AsJson = False,
) -> None:
    """Search for hyperparameters, and make an ensemble of the best trials."""
    with errors():
        with loading():
            from ensemble_pipe.core.timeline import Timeline
            from ensemble_pipe.run.display import make_display
            from ensemble_pipe.search import pipeline as searches

        result = searches.search(
            pipeline,
            output=output,
            address=address,
            inline=inline,
            display=make_display(),
            timeline=Timeline.of_process(),
            time_limit=time_limit,
            **overrides_of(set_),
        )
        show_search(result, as_json)
