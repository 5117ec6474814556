"""MLflow's registered models: a version for each model of a run, and the alias `champion`.

The alias is what others load by (`models:/NAME@champion`). It is given to the first version, and
moved to a later one by `comparison.promotion` alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

CHAMPION = "champion"
SUMS_TAG = "ensemble_pipe.sums"
# Of a version: what it was compared with when it became the champion, and the interval.
PROMOTION_TAG = "ensemble_pipe.promotion"
_RUN_DIR_TAG, _KEY_TAG = "ensemble_pipe.run_dir", "ensemble_pipe.key"


@dataclass(frozen=True)
class Version:
    """A version of a registered model.

    Attributes:
        number: of the version.
        sums: of the model's files, as JSON; "" of a model that another program logged.
        run: name of the run directory; None where its run is none of this package's, or deleted.
        run_dir: where it lay when the run began; None likewise.
    """

    number: str
    sums: str
    run: str | None
    run_dir: str | None


def register(client: Any, name: str, model_uri: str, run_id: str, sums: str) -> str:
    """Return the number of a model's version, which is made if need be; the first is the champion.

    Args:
        client: MLflow's.
        name: of the registered model, which is made if need be.
        model_uri, run_id: of the logged model, and what it belongs to.
        sums: of its files, as JSON.
    """
    number = _version_of(client, name, run_id, sums)
    if number is None:
        _make(client, name)
        with _global_store(client.tracking_uri):
            made = client.create_model_version(
                name, model_uri, run_id, {SUMS_TAG: sums},
                model_id=model_uri.removeprefix("models:/"),  # a server refuses it without
            )  # fmt: skip
        number = made.version
    if CHAMPION not in client.get_registered_model(name).aliases:
        client.set_registered_model_alias(name, CHAMPION, str(number))
    return str(number)


def champion(client: Any, name: str) -> Version | None:
    """Return the champion of a registered model; None where there is none."""
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_model_version_by_alias(name, CHAMPION)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
    tags = _tags_of_run(client, found.run_id)
    sums = found.tags.get(SUMS_TAG, "")
    return Version(str(found.version), sums, tags.get(_KEY_TAG), tags.get(_RUN_DIR_TAG))


def promote(client: Any, name: str, number: str, reason: str) -> None:
    """Move the alias to a version, and note in its tag why."""
    client.set_model_version_tag(name, number, PROMOTION_TAG, reason)
    client.set_registered_model_alias(name, CHAMPION, number)


def _version_of(client: Any, name: str, run_id: str, sums: str) -> str | None:
    found = client.search_model_versions(f"run_id='{run_id}'")
    numbers = [one.version for one in found if one.name == name and one.tags.get(SUMS_TAG) == sums]
    return str(max(numbers, key=int)) if numbers else None


def _make(client: Any, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


@contextmanager
def _global_store(uri: str) -> Iterator[None]:
    """Let MLflow's global store be this one: a client looks for the files of a model there."""
    import mlflow

    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)


def _tags_of_run(client: Any, run_id: str | None) -> dict[str, str]:
    """Return the tags of a run; none where there is no such run any more."""
    from mlflow.exceptions import MlflowException

    if not run_id:
        return {}
    try:
        tags: dict[str, str] = client.get_run(run_id).data.tags
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return {}
        raise
    return tags
