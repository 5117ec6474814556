"""What a person reads of a run, sent at its end: report, description, and a table of test rows."""

from collections.abc import Callable

from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.tracking import prediction_table
from ensemble_pipe.tracking.labels import DESCRIPTION_TAG
from ensemble_pipe.tracking.prediction_table import uncertain_rows
from ensemble_pipe.tracking.refusals import reason_of
from ensemble_pipe.tracking.sending import Sender


def send_documents(
    sender: Sender, run: str, paths: RunPaths, leave_out: Callable[[str, str], None]
) -> None:
    """Send the documents that there are; a damaged file is left out, and holds up nothing."""
    if paths.report.is_file():
        sender.file(run, paths.report)
    if paths.description.is_file():
        sender.tag(run, DESCRIPTION_TAG, paths.description.read_text())
    try:
        rows = uncertain_rows(paths)
    except CorruptFileError as error:
        leave_out(prediction_table.FILE, reason_of(error))
        return
    if rows is not None:
        sender.json_file(run, rows, prediction_table.FILE)
        sender.tag(run, prediction_table.TAG, prediction_table.TABLES)
