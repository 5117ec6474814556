"""The tree of errors.

    EnsemblePipeError
    ├── InputError              the user's input is wrong; exit status 2
    │   ├── ConfigError         a pipeline file or an override
    │   ├── DataError           a data file or its contents
    │   ├── RunDirectoryError   a folder that is no run directory, or one in use
    │   └── CorruptFileError    a file that does not match its recorded sum
    │       └── LaterVersionError   a file of a format that only a later version reads
    ├── ModelLoggingError       MLflow did not take the model; exit status 1
    ├── TrainingError           training cannot go on; exit status 1
    ├── StorageError            a disk takes no more; exit status 1
    └── ClusterError            Ray cannot host the work, or lost it too often; exit status 1

Every message names what was wrong, where, and what would be right, without the passwords and tokens
of addresses. The command line prints the message alone, never a traceback, for every error of this
tree.
"""

from collections.abc import Iterable

from ensemble_pipe.core.addresses import mask_secrets

__all__ = [
    "ClusterError",
    "ConfigError",
    "CorruptFileError",
    "DataError",
    "EnsemblePipeError",
    "InputError",
    "LaterVersionError",
    "ModelLoggingError",
    "RunDirectoryError",
    "StorageError",
    "TrainingError",
]


class EnsemblePipeError(Exception):
    """Base of all errors that ensemble_pipe raises on purpose."""

    def __init__(self, message: str = "") -> None:
        super().__init__(mask_secrets(str(message)))


class InputError(EnsemblePipeError):
    """The user's input is invalid; nothing was started."""


class ConfigError(InputError):
    """A pipeline file or an override is invalid; the message lists every mistake found.

    Attributes:
        mistakes: for those in a pipeline, the description, and the place as " (where)".
    """

    def __init__(self, message: str = "", *, mistakes: Iterable[tuple[str, str]] = ()) -> None:
        self.mistakes = tuple(dict.fromkeys(mistakes))  # learners may share theirs
        super().__init__(message or "\n".join(text + where for text, where in self.mistakes))


class DataError(InputError):
    """A data file is missing, unreadable, or has values that cannot be trained on.

    Attributes:
        at_prediction: the message for a trained model, whose column rules can no longer change.
    """

    def __init__(self, message: str, at_prediction: str | None = None) -> None:
        super().__init__(message)
        self.at_prediction = mask_secrets(at_prediction or message)


class RunDirectoryError(InputError):
    """A folder is no run directory, or another process is using it."""


class CorruptFileError(InputError):
    """A file does not match the sum that its manifest records."""


class LaterVersionError(CorruptFileError):
    """A file has a format that only a later version of ensemble_pipe reads."""


class ModelLoggingError(EnsemblePipeError):
    """MLflow did not take a run's model.

    Attributes:
        error_code: MLflow's, such as INVALID_PARAMETER_VALUE; None where it gave none.
    """

    def __init__(self, message: str, error_code: str | None = None) -> None:
        super().__init__(message)
        self.error_code = error_code


class TrainingError(EnsemblePipeError):
    """Training cannot go on."""


class StorageError(EnsemblePipeError):
    """A file cannot be written, since its disk is full, or takes nothing more."""


class ClusterError(EnsemblePipeError):
    """Ray cannot host the work, or trainers died more often than is allowed."""
