"""Whether MLflow cannot be reached or refuses, by what it raises."""

import pytest
import requests
from mlflow import MlflowException

from ensemble_pipe.core.errors import EnsemblePipeError, InputError, ModelLoggingError
from ensemble_pipe.tracking.refusals import is_refusal, problem_of

SERVER, FILE = "http://host:5000", "sqlite:////x/100%25/mlflow.db"


def mlflow_error(code: str) -> MlflowException:
    from mlflow.protos import databricks_pb2

    return MlflowException("because", error_code=getattr(databricks_pb2, code))


def http_error(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError("because", response=response)


@pytest.mark.parametrize(("error", "uri", "advice", "lasting"), [
    (mlflow_error("INVALID_PARAMETER_VALUE"), SERVER, "would fail too", True),
    (mlflow_error("RESOURCE_DOES_NOT_EXIST"), FILE, "would fail too", True),
    (ModelLoggingError("no", "INVALID_PARAMETER_VALUE"), FILE, "would fail too", True),
    (http_error(413), SERVER, "would fail too", True),
    (mlflow_error("UNAUTHENTICATED"), SERVER, "set MLFLOW_TRACKING_USERNAME", True),
    (mlflow_error("PERMISSION_DENIED"), SERVER, "set MLFLOW_TRACKING_USERNAME", True),
    (mlflow_error("INTERNAL_ERROR"), SERVER, "start the tracking server", False),
    (mlflow_error("TEMPORARILY_UNAVAILABLE"), SERVER, "start the tracking server", False),
    (http_error(503), SERVER, "start the tracking server", False),
    (requests.ConnectionError("because"), SERVER, "start the tracking server", False),
    (OSError("because"), FILE, "see that /x/100%/mlflow.db can be written", False),
    (ModelLoggingError("no"), FILE, "try again", False),
    (EnsemblePipeError("no"), SERVER, "try again", False),
    (InputError("no"), SERVER, "correct that", True),
    (KeyError("cost"), SERVER, "restore it from a copy", True),
], ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None)  # fmt: skip
def test_each_error_has_its_advice(error: Exception, uri: str, advice: str, lasting: bool) -> None:
    found = problem_of(error, uri)
    assert advice in found.advice
    assert found.lasting is lasting
    assert is_refusal(error) is ("would fail too" in advice)


def test_a_server_that_is_not_there_is_said_in_plain_words() -> None:
    uri = "http://ann:SECRET@127.0.0.1:9"  # a port that nothing listens on
    with pytest.raises(requests.ConnectionError) as caught:
        requests.get(uri, timeout=5)
    error = MlflowException("API request failed")
    error.__cause__ = caught.value
    reason = str(problem_of(error, uri))
    assert reason == "http://ann:***@127.0.0.1:9 cannot be reached: Connection refused"


def test_reasons_are_one_line_without_secrets() -> None:
    error = MlflowException("API request to http://ann:SECRET@host failed\nand more")
    assert str(problem_of(error, SERVER)) == "API request to http://ann:***@host failed"
