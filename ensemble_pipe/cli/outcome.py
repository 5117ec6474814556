"""What a command says at its end: metrics, where everything is, and what to do next."""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ensemble_pipe.core.messages import shell_word
from ensemble_pipe.core.terminal import say, show, warn

if TYPE_CHECKING:
    from ensemble_pipe.run.pipeline import RunResult
    from ensemble_pipe.search.pipeline import SearchResult


def show_search(result: "SearchResult", as_json: bool) -> None:
    """Show the best trials of a search, and the ensemble that was made of them."""
    from ensemble_pipe.search.results import trials_table

    tell = say if as_json else show
    say("")
    tell(trials_table(result.metric, result.trials))
    further: dict[str, Any] = {
        "metric": result.metric,
        "trials": [asdict(trial) for trial in result.trials],
    }
    if result.nested is not None:
        from ensemble_pipe.cli.tables import nested_table

        tell(nested_table(result.nested))
        further["nested"] = result.nested.to_dict()
    refine = [] if result.run.left_undone else [f"refine {result.run.run_dir}"]
    show_result(result.run, as_json, further, refine)


def show_result(
    result: "RunResult",
    as_json: bool,
    further: Mapping[str, Any] | None = None,
    next_steps: Sequence[str] = (),
) -> None:
    """Show the measures of a run, where everything is, and what to do next.

    Args:
        result: of the run.
        as_json: show it as one JSON object; all else goes to standard error.
        further: what the object has beside the result.
        next_steps: commands that a user may give next, beside those for every run.
    """
    from ensemble_pipe.cli.tables import baseline_line
    from ensemble_pipe.core.storage import RunPaths
    from ensemble_pipe.run.result_table import result_table
    from ensemble_pipe.tracking.cursor import Cursor

    tell = say if as_json else show
    say("")
    tell(result_table(result.metrics, result.members))
    tell(baseline_line(result.metrics))
    for learner, reason in result.failed.items():
        warn(f"learner {learner} failed and yields no member: {reason}")
    if result.left_undone:
        warn(f"\n{result.left_undone}\n  {command_name()} resume {shell_word(result.run_dir)}")
    say(f"\n{result.seconds:.0f} s, everything is in {result.run_dir}\n\nnext:")
    say(f"  open {report_path(result.run_dir)} in a browser: the report")
    say(f"  {command_name()} ui --output {shell_word(Path(result.run_dir).parent)}")
    for step in next_steps:
        say(f"  {command_name()} {step}")
    asked = "".join(f" --with {name}=FILE" for name in result.given)
    model = shell_word(result.run_dir)
    say(f"  {command_name()} predict {model} INPUT{asked} --output predictions.csv")
    if result.model_uri is not None:
        store = Cursor.load(RunPaths(Path(result.run_dir)).cursor).uri
        serve = f"mlflow models serve -m {result.model_uri} --env-manager local"
        say(f"  {_path_setting()}MLFLOW_TRACKING_URI={shell_word(str(store))} {serve}")
        if _is_registered(result.run_dir):
            say(f"  {command_name()} promote {model}")
    if as_json:
        show(json.dumps({**vars(result), **(further or {})}))
    if result.mlflow_lacks:
        warn(f"\n{result.mlflow_lacks}")  # the last line, which stays in view


def using_champion(name: str, run_dir: Path) -> str:
    """Return the command that predicts with the champion of a registered model of a run's store."""
    from ensemble_pipe.core.storage import RunPaths
    from ensemble_pipe.tracking.cursor import Cursor

    store = shell_word(str(Cursor.load(RunPaths(run_dir).cursor).uri))
    model = shell_word(f"models:/{name}@champion")
    predict = f"{command_name()} predict {model} INPUT --output predictions.csv"
    return f"MLFLOW_TRACKING_URI={store} {predict}"


def _is_registered(run_dir: str) -> bool:
    """Return whether a run's model is a version of a registered model."""
    from ensemble_pipe.core.storage import RunPaths
    from ensemble_pipe.tracking.journal import read_entries
    from ensemble_pipe.tracking.run_summary import pipeline_of

    pipeline = pipeline_of(read_entries(RunPaths(Path(run_dir)).journal, unread=("epoch",)))
    return bool(pipeline["tracking"].get("register_as"))


def report_path(run_dir: str) -> Path:
    """Return where the report of a run is."""
    from ensemble_pipe.core.storage import RunPaths

    return RunPaths(Path(run_dir)).report


def _path_setting() -> str:
    """Return a PATH on which mlflow and its server are found, where the shell has none."""
    if shutil.which("mlflow"):
        return ""
    return f"PATH={shell_word(Path(sys.executable).parent)}:$PATH "


def command_name() -> str:
    """Return the command that calls this program, as the user did where it is not on the path."""
    called = Path(sys.argv[0])
    on_path = shutil.which("ensemble-pipe") == str(called)
    return str(called) if called.name == "ensemble-pipe" and not on_path else "ensemble-pipe"
