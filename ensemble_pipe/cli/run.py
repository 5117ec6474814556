"""The commands on pipelines and runs: `run`, `rates`, `resume`, `grow`, `combine` and others."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ensemble_pipe.cli.init import (
    Label,
    Task,
    is_data_folder,
    pipeline_for,
    require_no_data_file,
    require_task,
)
from ensemble_pipe.cli.outcome import show_result, show_search
from ensemble_pipe.cli.overrides import overrides_of, take_time_limit
from ensemble_pipe.cli.support import AsJson, RunDir, errors, give, loading, require_given
from ensemble_pipe.core.errors import ConfigError, EnsemblePipeError
from ensemble_pipe.core.messages import shell_word
from ensemble_pipe.core.terminal import say, show, warn

if TYPE_CHECKING:
    from ensemble_pipe.config.sections import Pipeline

Address = Annotated[
    str | None,
    typer.Option(
        help="local starts a Ray, auto finds one, or HOST:PORT of a cluster; by default the one "
        "that `up` has started, else local."
    ),
]
Inline = Annotated[bool, typer.Option("--inline", help="Train in this process, without Ray.")]
AcceptChanges = Annotated[
    bool,
    typer.Option("--accept-changes", help="Go on though settings, versions or processor differ."),
]
TimeLimit = Annotated[
    str | None,
    typer.Option(
        metavar="DURATION",
        help="Return within this time, such as 90s, 5m or 1h30m, with the ensemble so far.",
    ),
]


def run(
    pipeline: Annotated[
        Path,
        typer.Argument(
            metavar="PIPELINE.yaml|FILE|FOLDER", help="What to run; or data, as `init` takes it."
        ),
    ],
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=VALUE", help="Override one key.")
    ] = None,
    label: Label = None,
    task: Task = None,
    output: Annotated[Path, typer.Option(help="Folder that run directories are made in.")] = Path(
        "runs"
    ),
    address: Address = None,
    inline: Inline = False,
    time_limit: TimeLimit = None,
    as_json: AsJson = False,
) -> None:
    """Run a pipeline: train an ensemble, measure it, and log it to MLflow."""
    with errors():
        require_task(task)
        with loading():
            from ensemble_pipe.core.timeline import Timeline
            from ensemble_pipe.run import pipeline as runs
            from ensemble_pipe.run.display import make_display
            from ensemble_pipe.search.watching import watch

        overrides = overrides_of(set_)
        limit = take_time_limit(overrides, time_limit)
        what: Path | Pipeline = pipeline
        if label is not None or task is not None or is_data_folder(pipeline):
            what, overrides = pipeline_for(str(pipeline), label, task, overrides), {}
        else:
            require_no_data_file(pipeline)
        result = runs.run(
            what,
            output=output,
            address=address,
            inline=inline,
            display=make_display(),
            timeline=Timeline.of_process(),
            time_limit=limit,
            watch=watch,
            **overrides,
        )
        show_result(result, as_json)


def rates(
    pipeline: Annotated[Path, typer.Argument(metavar="PIPELINE.yaml", help="What to try.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=VALUE", help="Override one key.")
    ] = None,
    low: Annotated[float, typer.Option(help="The lowest rate tried.")] = 1e-6,
    high: Annotated[float, typer.Option(help="The highest rate tried.")] = 10.0,
    output: Annotated[Path | None, typer.Option(help="PNG file for the curve.")] = None,
    as_json: AsJson = False,
) -> None:
    """Find useful learning rates: train briefly while the rate rises."""
    with errors():
        from ensemble_pipe.cli.tables import rate_table
        from ensemble_pipe.config.reading import load_pipeline
        from ensemble_pipe.core.compilation import report_compilation
        from ensemble_pipe.core.output_files import require_output
        from ensemble_pipe.report.drawing import draw_rates
        from ensemble_pipe.search.range_test import rate_curve

        if not 0 < low < high < float("inf"):
            raise ConfigError(f"--low {low} --high {high}: must be finite, above 0 and ascending")
        config, plans = load_pipeline(pipeline, overrides_of(set_))
        if output is not None:
            require_output(output, (".png",), "curves")
        with report_compilation(say):
            curve = rate_curve(config, plans, low, high)
        if output is not None:
            draw_rates(curve.rates, curve.losses, curve.suggestion, output)
            say(f"the curve is in {output}; take a rate before it turns up")
        text = (
            f"{rate_table(curve.rates, curve.losses)}\n\nlowest loss at {curve.lowest:.2g}; "
            "a tenth of that is a common choice:\n"
            f"  --set training.optimizer.learning_rate={curve.suggestion:g}"
        )
        give(text, {"lowest": curve.lowest, "suggestion": curve.suggestion}, as_json)


def resume(
    run_dir: RunDir,
    address: Address = None,
    inline: Inline = False,
    accept_changes: AcceptChanges = False,
    finish: Annotated[
        bool, typer.Option("--finish", help="Train no further; combine what there is.")
    ] = False,
    time_limit: TimeLimit = None,
    as_json: AsJson = False,
) -> None:
    """Continue an interrupted run, with bitwise the same result.

    Where its pipeline.yaml, its data, versions or processor were changed since, what differs is
    shown, and it goes on with --accept-changes.
    """
    with errors():
        with loading():
            from ensemble_pipe.core.timeline import Timeline
            from ensemble_pipe.run import pipeline as runs
            from ensemble_pipe.run.display import make_display
            from ensemble_pipe.search import pipeline as searches

        if not accept_changes and sys.stdin.isatty():
            accept_changes = _ask_about(runs.changes_since(run_dir))
        result = searches.resume(
            run_dir,
            address=address,
            inline=inline,
            display=make_display(),
            accept_changes=accept_changes,
            train=not finish,
            timeline=Timeline.of_process(),
            time_limit=time_limit,
        )
        if isinstance(result, searches.SearchResult):
            show_search(result, as_json)
        else:
            show_result(result, as_json)


def grow(
    run_dir: RunDir,
    learners: Annotated[int | None, typer.Option(help="How many to add; required.")] = None,
    address: Address = None,
    inline: Inline = False,
    accept_changes: AcceptChanges = False,
    time_limit: TimeLimit = None,
    as_json: AsJson = False,
) -> None:
    """Add learners to a run, and combine all anew."""
    with errors():
        learners = require_given(learners, "--learners", "4")
        with loading():
            from ensemble_pipe.core.timeline import Timeline
            from ensemble_pipe.run import pipeline as runs
            from ensemble_pipe.run.display import make_display

        result = runs.grow(
            run_dir,
            learners,
            address=address,
            inline=inline,
            display=make_display(),
            accept_changes=accept_changes,
            timeline=Timeline.of_process(),
            time_limit=time_limit,
        )
        show_result(result, as_json)


def combine(
    run_dir: RunDir,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=VALUE", help="Override one key, of ensemble.combine."),
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="What to aim at: sets ensemble.combine.metric.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Folder for the new run directory; that of RUN_DIR by default."
        ),
    ] = None,
    accept_changes: AcceptChanges = False,
    as_json: AsJson = False,
) -> None:
    """Make another ensemble of a finished run's members, without training."""
    with errors():
        with loading():
            from ensemble_pipe.core.timeline import Timeline
            from ensemble_pipe.run.display import make_display
            from ensemble_pipe.search import pipeline as searches

        overrides = overrides_of(set_)
        if metric is not None:
            overrides["ensemble.combine.metric"] = metric
        result = searches.combine(
            run_dir,
            output=output,
            display=make_display(),
            accept_changes=accept_changes,
            timeline=Timeline.of_process(),
            **overrides,
        )
        show_result(result, as_json)


def sync(
    run_dir: RunDir,
    timeout_s: Annotated[
        float, typer.Option(help="Seconds to try for where MLflow does not answer.")
    ] = 60.0,
) -> None:
    """Ship to MLflow what it has not yet received of a run."""
    with errors():
        from ensemble_pipe.core.storage import RunPaths
        from ensemble_pipe.run import pipeline as runs
        from ensemble_pipe.run.display import Lines
        from ensemble_pipe.tracking.lacking import what_mlflow_lacks

        tracker = runs.sync(run_dir, timeout_s, Lines())
        if tracker.problem:
            raise EnsemblePipeError(f"{run_dir}: {what_mlflow_lacks(RunPaths(run_dir), tracker)}")
        status = runs.status_of(run_dir)
        if status != "FINISHED":
            resume = f"`ensemble-pipe resume {shell_word(run_dir)}` finishes it"
            say(f"the run itself is {status}; {resume}")
        but = f", but for what cannot be sent ({tracker.left_out})" if tracker.left_out else ""
        show(f"MLflow run {tracker.mlflow_run_id} is complete{but}")
        say(f"look at it:  ensemble-pipe ui --output {shell_word(run_dir.parent)}")


def schema() -> None:
    """Print the JSON schema of a pipeline file, for editors."""
    from ensemble_pipe.config.sections import json_schema

    show(json.dumps(json_schema(), indent=2))


def _ask_about(changes: list[str]) -> bool:
    if not changes:
        return False
    warn("this run differs from what it began with:")
    for change in changes:
        warn(f"  {change}")
    return typer.confirm("go on all the same?", err=True)
