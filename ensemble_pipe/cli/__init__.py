"""The command line interface. Commands import their dependencies when called, so that `--help` is
fast."""

import atexit
import gc
from typing import Annotated

import typer

from ensemble_pipe import __version__
from ensemble_pipe.cli import check, cluster, data, init, listing, results, run, search
from ensemble_pipe.core.terminal import prepare_streams, show

app = typer.Typer(
    name="ensemble-pipe",
    help="Train ensembles of NumPy networks on Ray, tracked in MLflow.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(data.app, name="data")
for command, example in (
    (run.run, "run pipelines/digits.yaml --set seed=2"),
    (init.init, "init people.csv --label income"),
    (check.check, "check pipelines/digits.yaml --time-limit 1m"),
    (search.search, "search pipelines/digits_search.yaml --set search.trials=16"),
    (search.refine, "refine runs/digits-20260101-120000-abcd --longer 3"),
    (run.rates, "rates pipelines/digits.yaml --output rates.png"),
    (run.resume, "resume runs/digits-20260101-120000-abcd"),
    (run.grow, "grow runs/digits-20260101-120000-abcd --learners 4"),
    (run.combine, "combine runs/digits-... --set ensemble.combine.method=choose"),
    (listing.ls, "ls runs"),
    (results.predict, "predict runs/digits-... new.parquet --output out.csv"),
    (results.evaluate, "evaluate runs/digits-... labelled.parquet --json"),
    (results.report, "report runs/digits-20260101-120000-abcd"),
    (results.compare, "compare runs/single-* runs/snapshot-* --output c.html"),
    (run.sync, "sync runs/digits-20260101-120000-abcd"),
    (results.ui, "ui --port 5001"),
    (cluster.up, "up --trainers 4"),
    (cluster.down, "down"),
    (run.schema, "schema > pipeline.schema.json"),
):
    app.command(epilog=f"Example: ensemble-pipe {example}")(command)


def _version(wanted: bool) -> None:
    if wanted:
        show(__version__)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train ensembles of NumPy networks on Ray, tracked in MLflow."""
    prepare_streams()
    atexit.register(gc.freeze)  # else all objects of a run are looked at once more, for seconds
