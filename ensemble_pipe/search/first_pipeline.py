"""A first pipeline for a person's data: chosen by looking at it, with the reasons as comments."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ensemble_pipe.config.conversion import validate
from ensemble_pipe.config.file_names import name_of
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.config.yaml_documents import Document
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import quote, shell_word
from ensemble_pipe.data.inspection.advice import pipeline_of
from ensemble_pipe.data.inspection.inspect import Report, candidates_of, inspect
from ensemble_pipe.data.inspection.side_roles import SideRoles, side_roles
from ensemble_pipe.data.sources.kinds import open_parts
from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.data.tables.decisions import list_families
from ensemble_pipe.ensemble.strategies import EnsembleSettings
from ensemble_pipe.run.preparation import Prepared, prepare

# Of fewer rows, boosted trees have too few in a leaf to gain by.
LEAST_POOLED = 100
# Of more rows, fewer epochs than the default are as many steps.
MOST_ROWS_BY_DEFAULT, FEWEST_EPOCHS = 200_000, 5
# Images with shorter sides are left to dense layers; each block of a CNN halves them.
LEAST_SIDE, LEAST_BLOCK_SIDE = 16, 8
FILTERS = (16, 32, 64, 128)
MOST_SHOWN = 40


@dataclass(frozen=True)
class FirstPipeline:
    """A pipeline for some data.

    Attributes:
        values: the keys of the pipeline file.
        chosen: those of them that do not follow from the others by default, with the preset that
            the ensemble among them stands for.
        report: on the data.
        sides: columns that are not learned from.
        prepared: the data as a run of it has it.
    """

    values: dict[str, Any]
    chosen: dict[str, Any]
    report: Report
    sides: SideRoles
    prepared: Prepared

    @property
    def document(self) -> Document:
        """The values as a document, whose messages name the data file."""
        return Document(self.report.where, self.values)


def first_pipeline(
    location: str, label: str | None = None, task: str | None = None, *, command: str = "init"
) -> FirstPipeline:
    """Look at a file or folder, and choose a pipeline that runs on it as it is.

    Args:
        location: a table, images, or a folder of either.
        label: the column to predict; None where the rows are images with labels.
        task: classification or regression; None for the one that follows from the label.
        command: that is called, for messages.

    Raises:
        DataError: the label is not named, or a run of the data would be refused.
        ConfigError: likewise, for the task.
    """
    rows, test = open_parts(location)
    report = inspect(rows, label, test_rows=None if test is None else test.count)
    _require_label(report, label, f"{command} {shell_word(location)}")
    sides = side_roles(rows, report)
    values = pipeline_of(report, _anywhere(location), sides, task)
    assert values is not None
    values = {"name": name_of(location), "seed": 1, **values, **_of_images(report)}
    if report.image_shape is None and rows.count >= LEAST_POOLED:
        values["ensemble"] = {"preset": "best"}
    prepared = prepare(validate(Document(report.where, values)))
    settled = values | _settled(prepared.config, rows)
    return FirstPipeline(settled, values, report, sides, prepared)


def _require_label(report: Report, label: str | None, command: str) -> None:
    """Check that the label is named: none is guessed, but that of images with labels.

    Raises:
        DataError: lists the columns that may be it, and the command to give.
    """
    if label is not None or (report.label is not None and report.image_shape is not None):
        return
    if report.label is None and not report.candidates:
        raise DataError(
            f"{report.where}: no column holds labels, so there is nothing to train on; images need "
            "a folder for each class"
        )
    columns = candidates_of(report.columns)
    names = [quote(name) for name in list_families(columns)]
    shown = names[:MOST_SHOWN] + ([f"... ({len(columns)})"] if len(names) > MOST_SHOWN else [])
    raise DataError(
        f"{report.where}: which column is to be predicted? name it: ensemble-pipe {command} "
        f"--label COLUMN, where COLUMN is one of {', '.join(shown)}"
    )


def _anywhere(location: str) -> str:
    """Return a location that is the same from any folder."""
    return location if "://" in location else str(Path(location).absolute())


def _of_images(report: Report) -> dict[str, Any]:
    """Return augmentation and network for images: as many blocks as their sides can be halved."""
    if report.image_shape is None:
        return {}
    side = min(report.image_shape[:2])
    found: dict[str, Any] = {"augment": [{"name": "shift_crop", "pixels": max(1, side // 16)}]}
    blocks = [filters for place, filters in enumerate(FILTERS) if side >> place >= LEAST_BLOCK_SIDE]
    if side >= LEAST_SIDE:
        found["network"] = {"name": "cnn", "filters": blocks, "hidden": [64]}
    return found


def _settled(config: Pipeline, rows: Rows) -> dict[str, Any]:
    """Return the defaults that follow from the data as values of the file, to see and change."""
    training, splits = config.training, config.splits
    found: dict[str, Any] = {
        "splits": {"test": splits.test}
        | (
            {"folds": splits.folds}
            if splits.folds
            else {"validation": splits.validation, "stop": splits.stop}
        ),
        "scale": brief(config.scale),
        "network": brief(config.network),
        "training": {
            "epochs": training.epochs,
            "batch_size": training.batch_size,
            "optimizer": {
                "name": training.optimizer.name,
                "learning_rate": training.optimizer.learning_rate,
                **brief(training.optimizer),
            },
            "schedule": brief(training.schedule),
            "loss": brief(training.loss),
        },
    }
    if training.early_stopping is not None:
        found["training"]["early_stopping"] = {"patience": training.early_stopping.patience}
    if rows.count > MOST_ROWS_BY_DEFAULT and training.epochs is not None:
        epochs = max(FEWEST_EPOCHS, training.epochs * MOST_ROWS_BY_DEFAULT // rows.count)
        found["training"] |= {"epochs": epochs, "early_stopping": {"patience": max(2, epochs // 4)}}
    found["ensemble"] = _ensemble(config.ensemble)
    return found


def _ensemble(ensemble: EnsembleSettings) -> dict[str, Any]:
    """Return the learners of a preset; where a network is named, it does not choose them."""
    if ensemble.pool is None:
        return {"learners": ensemble.learners}
    pool = [
        {"strategy": group.strategy, "learners": group.learners, **_changed(group)}
        for group in ensemble.pool
    ]
    return {"combine": {"method": ensemble.combine.method}, "pool": pool}


def brief(component: Any) -> dict[str, Any]:
    """Return the settings of a component as plain values, without its defaults.

    >>> from ensemble_pipe.optim import Adam
    >>> brief(Adam(learning_rate=0.5))
    {'name': 'adam', 'learning_rate': 0.5}
    """
    return {"name": component.name, **_changed(component)}


def _changed(settings: Any) -> dict[str, Any]:
    """Return the settings that differ from their defaults, as plain values."""
    values = {field.name: (getattr(settings, field.name), field.default)
              for field in fields(settings)}  # fmt: skip
    given = {name: value for name, (value, default) in values.items() if value != default}
    return {name: _plain(value) for name, value in given.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return brief(value) if hasattr(value, "name") else value
