"""The commands `up` and `down`, of a Ray that stays."""

from typing import Annotated

import typer

from ensemble_pipe.cli.support import errors
from ensemble_pipe.core.terminal import show


def up(
    trainers: Annotated[
        int | None, typer.Option(min=1, help="How many are kept warm; by default one for each CPU.")
    ] = None,
) -> None:
    """Start a Ray that stays, with warm trainers, so that runs begin at once."""
    with errors():
        from ensemble_pipe.cluster import standing

        found, started = standing.up(trainers)
        what = "stays now" if started else "stays already"
        show(
            f"a Ray {what} at {found.address}, with {found.trainers} warm trainers (process "
            f"{found.pid}); `run`, `resume` and `grow` find it, `ensemble-pipe down` stops it"
        )


def down() -> None:
    """Stop the Ray that stays, and all of its processes."""
    with errors():
        from ensemble_pipe.cluster import standing

        stopped, borrowers = standing.down()
        if stopped is None:
            show("there is no Ray that stays; `ensemble-pipe up` starts one")
            return
        ended = ", ".join(str(pid) for pid in borrowers)
        show(
            f"stopped the Ray at {stopped.address}"
            + (f"; process {ended} was using it, and `resume` continues its run" if ended else "")
        )
