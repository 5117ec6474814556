"""The commands `search` and `refine`."""

from pathlib import Path
from typing import Annotated

import typer

from ensemble_pipe.cli.outcome import show_search
from ensemble_pipe.cli.overrides import overrides_of, take_time_limit
from ensemble_pipe.cli.run import Address, Inline, TimeLimit
from ensemble_pipe.cli.support import AsJson, RunDir, errors, loading
from ensemble_pipe.core.messages import shell_word
from ensemble_pipe.core.terminal import say


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
    nested: Annotated[
        int | None, typer.Option(help="Outer folds of a nested cross-validation.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Search for hyperparameters, and make an ensemble of the best trials."""
    with errors():
        with loading():
            from ensemble_pipe.core.timeline import Timeline
            from ensemble_pipe.run.display import make_display
            from ensemble_pipe.search import pipeline as searches

        overrides = overrides_of(set_)
        limit = take_time_limit(overrides, time_limit)
        if nested is not None:
            overrides["search.nested"] = nested
        result = searches.search(
            pipeline,
            output=output,
            address=address,
            inline=inline,
            display=make_display(),
            timeline=Timeline.of_process(),
            time_limit=limit,
            **overrides,
        )
        show_search(result, as_json)


def refine(
    run_dir: RunDir,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=VALUE", help="Override one key.")
    ] = None,
    longer: Annotated[float, typer.Option(help="How many times as many epochs.")] = 2.0,
    write: Annotated[
        Path | None,
        typer.Option(
            "--write", metavar="FILE", help="Write the refined pipeline there, and search nothing."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder for the new run directory; that of RUN_DIR by default."),
    ] = None,
    address: Address = None,
    inline: Inline = False,
    time_limit: TimeLimit = None,
    as_json: AsJson = False,
) -> None:
    """Search again around the best trials of a finished search, and train longer."""
    with errors():
        with loading():
            from ensemble_pipe.core.errors import ConfigError
            from ensemble_pipe.core.output_files import require_output
            from ensemble_pipe.core.storage import atomic_write
            from ensemble_pipe.core.timeline import Timeline
            from ensemble_pipe.run.display import make_display
            from ensemble_pipe.search import pipeline as searches

        overrides = overrides_of(set_)
        if write is not None:
            if time_limit is not None:
                overrides["time_limit"] = time_limit
            if write.exists():
                raise ConfigError(f"{write}: exists already; name another file")
            require_output(write, (".yaml", ".yml"), "pipelines")
            found = searches.refined_of(run_dir, longer, overrides)
            atomic_write(write, found.text(whole=True))
            say(f"{write}: the refined search; `ensemble-pipe search {shell_word(write)}` runs it")
            return
        limit = take_time_limit(overrides, time_limit)
        result = searches.refine(
            run_dir,
            longer=longer,
            output=output,
            address=address,
            inline=inline,
            display=make_display(),
            timeline=Timeline.of_process(),
            time_limit=limit,
            **overrides,
        )
        show_search(result, as_json)
