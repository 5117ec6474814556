"""The commands `data list`, `data fetch` and `data inspect`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ensemble_pipe.cli.support import errors, give
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.terminal import prints_all, say, show

if TYPE_CHECKING:
    from ensemble_pipe.data.public.fetch import SetProgress

app = typer.Typer(
    name="data",
    help="Public data sets, and what a file holds.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Folder = Annotated[Path, typer.Option(help="Folder of the fetched sets.")]


@app.command("list", epilog="Example: ensemble-pipe data list")
def list_(folder: Folder = Path("data")) -> None:
    """List the public data sets that can be fetched, and those that are bundled."""
    with errors():
        from ensemble_pipe.data.inspection.listing import sets_table

        show(sets_table(folder))
        say("\nfetch one:  ensemble-pipe data fetch NAME")


@app.command(epilog="Example: ensemble-pipe data fetch fashion_mnist")
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A set that `data list` names.")],
    folder: Folder = Path("data"),
) -> None:
    """Fetch a public data set from its own host, verify its checksum, and prepare it for use."""
    with errors():
        from ensemble_pipe.core.output_files import require_writable
        from ensemble_pipe.data.public import catalogue
        from ensemble_pipe.data.public import fetch as public

        if name in catalogue.BUNDLED:
            say(f"{name} comes with scikit-learn; there is nothing to fetch")
            show("\n" + _shown({"data": {"source": "bundled", "set": name}}))
            return
        entry = catalogue.find_set(name)
        require_writable(folder / entry.name)
        with _progress() as progress:
            fresh = public.fetch(entry, folder, progress, say)
        there = "is now" if fresh else "was already"
        say(f"{entry.name} {there} in {folder / entry.name} (licence: {entry.licence})")
        show("\n" + _shown(public.data_section(entry, folder)))


@app.command(epilog="Example: ensemble-pipe data inspect my.csv --label outcome")
def inspect(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A table, images, or a folder.")],
    label: Annotated[
        str | None,
        typer.Option(help="The column to predict; without it one named as labels are."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object; the tables go to stderr.")
    ] = False,
) -> None:
    """Show the contents of a file, and a pipeline to begin with."""
    with errors():
        from dataclasses import asdict

        from ensemble_pipe.data.inspection.advice import decisions_of, pipeline_of
        from ensemble_pipe.data.inspection.inspect import inspect as look
        from ensemble_pipe.data.inspection.listing import report_table
        from ensemble_pipe.data.inspection.side_roles import side_roles
        from ensemble_pipe.data.sources.kinds import open_parts
        from ensemble_pipe.data.tables.decisions import ColumnDecision, decision_lines

        rows, test = open_parts(file)
        report = look(rows, label, test_rows=None if test is None else test.count)
        pipeline = pipeline_of(report, file, side_roles(rows, report))
        size = _size(Path(file))
        decisions: tuple[ColumnDecision, ...] = ()
        refusal = ""
        try:
            decisions = decisions_of(rows, report)
        except DataError as error:  # a file is shown whatever is wrong with it
            refusal = f"a run would be refused: {error}"
        parts = [report_table(report, size), refusal or "\n".join(decision_lines(decisions))]
        if pipeline is not None:
            parts.append(_shown(pipeline))
        elif not report.candidates:
            parts.append("nothing to train on: no column holds labels; `predict` can read it")
        found = {**asdict(report), "bytes": size, "pipeline": pipeline}
        found["decisions"] = [asdict(decision) for decision in decisions]
        give("\n\n".join(filter(None, parts)), found, as_json)


def _shown(pipeline: dict[str, Any]) -> str:
    """Return a pipeline as YAML to paste, with the command that runs it."""
    import yaml

    text = yaml.safe_dump(
        pipeline, sort_keys=False, default_flow_style=None, allow_unicode=prints_all(), width=100
    )
    return f"in a pipeline:\n\n{text}\nsaved as my.yaml it runs:  ensemble-pipe run my.yaml"


def _size(path: Path) -> int | None:
    """Return the size in bytes of a file or folder; None of a remote location."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size if path.is_file() else None


@contextmanager
def _progress() -> Iterator["SetProgress"]:
    """Yield a function that shows the progress of each file on standard error."""
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, progress.TaskID] = {}

        def show(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=done)

        yield show
