"""Why MLflow has not received something: it cannot be reached, or refuses permanently."""

from dataclasses import dataclass
from socket import gaierror

from ensemble_pipe.core.addresses import mask_secrets, sqlite_path
from ensemble_pipe.core.errors import EnsemblePipeError, InputError
from ensemble_pipe.core.messages import truncate

# MLflow's error codes for requests that it would refuse again.
_FOR_GOOD = {
    "BAD_REQUEST", "ENDPOINT_NOT_FOUND", "FEATURE_DISABLED", "INVALID_PARAMETER_VALUE",
    "INVALID_STATE", "MALFORMED_REQUEST", "NOT_IMPLEMENTED", "RESOURCE_ALREADY_EXISTS",
    "RESOURCE_CONFLICT", "RESOURCE_DOES_NOT_EXIST",
}  # fmt: skip
_UNKNOWN_USER = {"CUSTOMER_UNAUTHORIZED", "PERMISSION_DENIED", "UNAUTHENTICATED"}
_CREDENTIALS = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD and try again"


@dataclass(frozen=True)
class Problem:
    """The reason why a run has not been shipped completely.

    Attributes:
        reason: one line.
        advice: what a user can do about it.
        lasting: whether another attempt would fail too.
    """

    reason: str
    advice: str
    lasting: bool = False

    def __str__(self) -> str:
        return self.reason


def is_refusal(error: BaseException) -> bool:
    """Return whether MLflow would refuse the same again."""
    status = getattr(getattr(error, "response", None), "status_code", 0)
    too_much = 400 <= status < 500 and status not in (401, 403, 408, 429)  # of a file, say
    return too_much or getattr(error, "error_code", None) in _FOR_GOOD


def reason_of(error: BaseException) -> str:
    """Return the first line of an error's message, without secrets."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return truncate(mask_secrets(lines[0] if lines else type(error).__name__), 300)


def _unreachable(error: BaseException, uri: str) -> str | None:
    """Return in plain words that a server cannot be reached, where that is what an error says."""
    first: BaseException | None = error
    while first is not None:
        if isinstance(first, ConnectionError | gaierror) and first.strerror:
            return f"{mask_secrets(uri)} cannot be reached: {first.strerror}"
        first = first.__cause__ or first.__context__
    return None


def problem_of(error: BaseException, uri: str) -> Problem:
    """Return why something could not be shipped to a store or server."""
    reason = reason_of(error)
    if isinstance(error, InputError):
        return Problem(reason, "correct that and try again", lasting=True)
    code = getattr(error, "error_code", None)
    if code in _UNKNOWN_USER:
        return Problem(f"MLflow refuses this user: {reason}", _CREDENTIALS, lasting=True)
    if is_refusal(error):
        advice = "another attempt would fail too: change it in MLflow and try again"
        return Problem(f"MLflow refuses it: {reason}", advice, lasting=True)
    if isinstance(error, LookupError | TypeError | ValueError):
        reason = f"{type(error).__name__}: {reason}; its journal is damaged, or of another version"
        return Problem(reason, "restore it from a copy and try again", lasting=True)
    if isinstance(error, EnsemblePipeError):
        return Problem(reason, "try again")
    path = sqlite_path(uri)
    if path is None:
        return Problem(
            _unreachable(error, uri) or reason, "start the tracking server and try again"
        )
    return Problem(reason, f"see that {path} can be written, and try again")
