"""The command `init`: a first pipeline for a person's data."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ensemble_pipe.cli.support import errors
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.messages import shell_word
from ensemble_pipe.core.terminal import say, show

if TYPE_CHECKING:
    from ensemble_pipe.config.sections import Pipeline

Label = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="The column to predict; images in folders need none."),
]
Task = Annotated[
    str | None,
    typer.Option(help="classification or regression; by default what the label's values say."),
]


def init(
    data: Annotated[
        str, typer.Argument(metavar="FILE|FOLDER", help="A table, images, or a folder of either.")
    ],
    label: Label = None,
    task: Task = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The YAML file to write.")] = Path(
        "pipeline.yaml"
    ),
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write a first pipeline for your data, chosen by looking at it, with the reasons."""
    with errors():
        from ensemble_pipe.core.output_files import require_output
        from ensemble_pipe.core.storage import atomic_write
        from ensemble_pipe.search.first_pipeline import first_pipeline
        from ensemble_pipe.search.first_pipeline_text import pipeline_text

        require_task(task)
        first = first_pipeline(data, label, task)
        require_output(output, (".yaml", ".yml"), "pipelines")
        if output.exists() and not force:
            raise ConfigError(
                f"{output}: exists already; name another file with -o FILE, or add --force"
            )
        say("\n".join(filter(None, (first.prepared.warning, first.prepared.note))))
        text = pipeline_text(first, output)
        atomic_write(output, text)
        show(text.rstrip("\n"))
        say(f"\nwritten to {output}; it runs:  ensemble-pipe run {shell_word(output)}")


def require_task(task: str | None) -> None:
    """Check that a task is one that there is."""
    if task not in (None, "classification", "regression"):
        raise ConfigError(f"--task {task}: must be classification or regression")


def is_data_folder(path: Path) -> bool:
    """Return whether a path is a folder, and none that this program made."""
    from ensemble_pipe.core.path_kinds import Kind, kind_of

    return kind_of(path) == Kind("a folder")


def require_no_data_file(path: Path) -> None:
    """Check that what stands for a pipeline file is no data file, which needs a label."""
    from ensemble_pipe.core.path_kinds import DATA_FILE, describe_misplaced, kind_of

    kind = kind_of(path)
    if kind is not None and kind.name == DATA_FILE:
        at_once = f"`ensemble-pipe run {shell_word(path)} --label COLUMN` trains on it at once"
        raise ConfigError(f"{describe_misplaced(path, 'a pipeline file')}; {at_once}")


def pipeline_for(
    data: str, label: str | None, task: str | None, overrides: dict[str, Any]
) -> "Pipeline":
    """Return the pipeline that `init` would write for some data, with overrides.

    Where these name a preset, it says which learners there are, not the pool that `init` writes.
    """
    from ensemble_pipe.config.reading import read_pipeline
    from ensemble_pipe.search.first_pipeline import first_pipeline

    first = first_pipeline(data, label, task, command="run")
    section = overrides.get("ensemble")
    document = first.document
    if "ensemble.preset" in overrides or (isinstance(section, dict) and "preset" in section):
        document = replace(document, data=first.chosen)
    return read_pipeline(document.with_overrides(overrides))[0]
