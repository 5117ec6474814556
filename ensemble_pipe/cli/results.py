"""The commands on finished runs and models: `predict`, `evaluate`, `report`, `compare`,
`promote` and `ui`."""

from pathlib import Path
from typing import Annotated

import typer

from ensemble_pipe.cli.outcome import using_champion
from ensemble_pipe.cli.support import (
    AsJson,
    Input,
    Model,
    RunDir,
    With,
    errors,
    give,
    loading,
    require_given,
)
from ensemble_pipe.core.messages import counted
from ensemble_pipe.core.terminal import say, show
from ensemble_pipe.serving.column_texts import Uncertainty


def predict(
    model: Model,
    input_: Input,
    output: Annotated[
        Path | None, typer.Option(help="Parquet, Arrow or CSV, by its ending; required.")
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--keep", metavar="COLUMN", help="Carry a column of the input along, such as an id."
        ),
    ] = None,
    uncertainty: Annotated[
        Uncertainty, typer.Option(help="How many measures of it each row gets.")
    ] = "one",
    with_: With = None,
    as_json: AsJson = False,
) -> None:
    """Predict every row of a file, in its order, with how sure each prediction is."""
    with errors():
        with loading():
            from ensemble_pipe.core.compilation import report_compilation
            from ensemble_pipe.serving import files
            from ensemble_pipe.serving.model import load

        output = require_given(output, "--output", "predictions.csv")
        ensemble = load(model)
        rows = files.open_for(ensemble, input_, with_)
        files.require_output(output, input_)
        with report_compilation(say):
            count = files.predict_file(
                ensemble, rows, output, keep=keep or (), uncertainty=uncertainty
            )
        members = counted(len(ensemble.members), "member")
        done = f"{counted(count, 'prediction')} of {members} in {output}"
        give(done, {"rows": count, "output": str(output)}, as_json)
        say("`ensemble-pipe predict --help` says what its columns mean")


def evaluate(
    model: Model,
    input_: Input,
    ood: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Rows of another kind, which should look unusual."),
    ] = None,
    with_: With = None,
    ood_with: Annotated[
        list[str] | None,
        typer.Option("--ood-with", metavar="NAME=FILE", help="The same as --with, of --ood's."),
    ] = None,
    importance: Annotated[
        bool,
        typer.Option("--importance", help="Also how important each column is to the model."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure a model on labelled data, and its uncertainties against data of another kind."""
    with errors():
        from dataclasses import replace

        from ensemble_pipe.cli.progress import progress
        from ensemble_pipe.core.compilation import report_compilation
        from ensemble_pipe.evaluation import labelled
        from ensemble_pipe.evaluation.importance import importance_on, require_table
        from ensemble_pipe.evaluation.text import evaluation_text
        from ensemble_pipe.serving.files import open_for
        from ensemble_pipe.serving.model import load

        ensemble = load(model)
        rows = open_for(ensemble, input_, with_)
        other = None if ood is None else open_for(ensemble, ood, ood_with)
        if importance:
            require_table(ensemble)
        with report_compilation(say):
            found = labelled.evaluate(ensemble, rows, other)
        if importance:
            with progress("importance") as advance:
                columns = importance_on(ensemble, rows, progress=advance)
            found = replace(found, importance=columns)
        give(evaluation_text(found), found.to_dict(), as_json)


def report(run_dir: RunDir) -> None:
    """Write report.html in a run directory: one page about the run, finished or not."""
    with errors():
        from ensemble_pipe.core.storage import RunPaths
        from ensemble_pipe.report.writing import write_report

        show(str(write_report(RunPaths.open(run_dir))))
        say("open it in a browser")


def compare(
    run_dirs: Annotated[
        list[Path], typer.Argument(metavar="RUN_DIR...", help="Finished runs, the baseline first.")
    ],
    output: Annotated[
        Path | None, typer.Option(help="HTML, CSV, SVG or PNG, by its ending.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put finished runs side by side: settings, test metrics, paired differences and cost."""
    with errors():
        from ensemble_pipe.comparison import output as outputs
        from ensemble_pipe.comparison.compare import compare as compared
        from ensemble_pipe.comparison.runs import read_run
        from ensemble_pipe.core.output_files import require_output

        found = compared([read_run(run_dir) for run_dir in run_dirs])
        if output is not None:
            require_output(output, outputs.ENDINGS, "comparisons")
            outputs.write_comparison(found, output)
            say(f"the comparison is in {output}; open it in a browser or a spreadsheet")
        give(outputs.comparison_text(found), found.to_dict(), as_json)


def promote(
    run_dir: RunDir,
    name: Annotated[
        str | None,
        typer.Option("--as", metavar="NAME", help="A registered model, if the run names none."),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="RUN_DIR", help="The champion's run, where it lies elsewhere now."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a run's model the champion in MLflow, if it is better than that on the same rows."""
    with errors():
        from ensemble_pipe.comparison.promotion import promote as promoted
        from ensemble_pipe.comparison.promotion import promotion_text

        found = promoted(run_dir, name, against)
        give(promotion_text(found), found.to_dict(), as_json)
        say(f"\nnext:\n  {using_champion(found.name, run_dir)}")


def ui(
    output: Annotated[Path, typer.Option(help="Folder of the run directories.")] = Path("runs"),
    port: Annotated[
        int, typer.Option(min=1, max=65000, help="Port; the next free one is taken.")
    ] = 5000,
    open_: Annotated[
        bool,
        typer.Option("--open/--no-open", help="Open it in the browser, if there is a display."),
    ] = True,
) -> None:
    """Start the MLflow UI on the store of the runs, print its address, and open it."""
    with errors():
        from ensemble_pipe.tracking.ui import serve_ui

        serve_ui(output, port, show, open_)
