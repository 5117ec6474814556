"""How often a run was sent to MLflow: the cursor and MLflow each have the number.

Where MLflow's is lower, its store was restored from an older copy, or the run was removed from it,
and all is sent anew. Nothing is duplicated: runs are found again by their keys, and a store keeps
one of several metrics that are equal, their times included.
"""

from typing import Any

from ensemble_pipe.tracking.cursor import Cursor

SENDINGS_TAG = "ensemble_pipe.sendings"


def count_sending(client: Any, cursor: Cursor) -> None:
    """Count what was just sent whole, in MLflow and in the cursor."""
    if cursor.parent is not None:
        client.set_tag(cursor.parent, SENDINGS_TAG, str(cursor.sendings + 1))
        cursor.sendings += 1


def has_lost(client: Any, cursor: Cursor) -> bool:
    """Return whether MLflow lacks what the cursor says that it has received."""
    if cursor.parent is None or not cursor.sendings:
        return False
    from mlflow.exceptions import MlflowException

    try:
        tag = client.get_run(cursor.parent).data.tags.get(SENDINGS_TAG, "")
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return True
    return not tag.isdecimal() or int(tag) < cursor.sendings


def cursor_anew(cursor: Cursor) -> Cursor:
    """Return the cursor of a run of which all is to be sent again."""
    return Cursor(uri=cursor.uri, sendings=cursor.sendings, samples=cursor.samples)
