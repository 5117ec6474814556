"""The command line interface. Commands import their dependencies when called, so that `--help` is
fast."""

import atexit
import gc
from typing import Annotated

import typer

from ensemble_pipe import __version__
from ensemble_pipe.cli import (
    check,
    cluster,
    data,
    init,
    listing,
    results,
    run,
    search,
)
from ensemble_pipe.cli.verbs import GroupedVerbs, with_volume
from ensemble_pipe.core.terminal import prepare_streams, show
from ensemble_pipe.serving.column_texts import columns_text

app = typer.Typer(
    name="ensemble-pipe",
    cls=GroupedVerbs,
    help="Train ensembles of NumPy networks on Ray, tracked in MLflow.",
    epilog="`ensemble-pipe COMMAND --help` has the options of one, with an example.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
# Paragraphs whose lines stay as they are, in a terminal of 80 columns.
COLUMN_HELP = "\n\n".join(f"\b\n{part}" for part in columns_text(76).split("\n\n"))
BEGIN, TRAIN, USE = "Begin with your data", "Train", "Use and compare what is trained"
TRACK, MORE = "MLflow and Ray", "More"
VERBS = {
    BEGIN: (
        (init.init, "init people.csv --label income"),
        (check.check, "check pipelines/digits.yaml --time-limit 1m"),
    ),
    TRAIN: (
        (run.run, "run pipelines/digits.yaml --set seed=2"),
        (search.search, "search pipelines/digits_search.yaml --set search.trials=16"),
        (search.refine, "refine runs/digits-20260101-120000-abcd --longer 3"),
        (run.rates, "rates pipelines/digits.yaml --output rates.png"),
        (run.resume, "resume runs/digits-20260101-120000-abcd"),
        (run.grow, "grow runs/digits-20260101-120000-abcd --learners 4"),
        (run.combine, "combine runs/digits-... --set ensemble.combine.method=choose"),
    ),
    USE: (
        (results.predict, "predict runs/digits-... new.parquet --output out.csv"),
        (results.evaluate, "evaluate runs/digits-... labelled.parquet --json"),
        (results.report, "report runs/digits-20260101-120000-abcd"),
        (results.compare, "compare runs/single-* runs/snapshot-* --output c.html"),
        (listing.ls, "ls runs"),
    ),
    TRACK: (
        (results.ui, "ui --port 5001"),
        (results.promote, "promote runs/digits-20260101-120000-abcd"),
        (run.sync, "sync runs/digits-20260101-120000-abcd"),
        (cluster.up, "up --trainers 4"),
        (cluster.down, "down"),
    ),
    MORE: ((run.schema, "schema > pipeline.schema.json"),),
}
for group, verbs in VERBS.items():
    if group == BEGIN:
        app.add_typer(data.app, name="data", rich_help_panel=group)
    for command, example in verbs:
        epilog = f"Example: ensemble-pipe {example}"
        if command is results.predict:
            epilog += f"\n\n{COLUMN_HELP}"
        app.command(epilog=epilog, rich_help_panel=group)(with_volume(command))


def _version(context: typer.Context, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:  # as it is where a shell completes a command
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
