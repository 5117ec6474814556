"""Loads scikit-learn estimators from skops files, which execute nothing.

A file that holds a type which no estimator of a member has is refused.
"""

from io import BytesIO
from typing import Any
from zipfile import ZipFile

from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.ensemble.members.tree_validation import (
    require_finite_numbers,
    require_valid_trees,
)

# What fitted trees consist of, beside the types that skops trusts by itself.
TRUSTED = (
    "sklearn.tree._tree.Tree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
)

KINDS = (
    "RandomForestClassifier",
    "RandomForestRegressor",
    "HistGradientBoostingClassifier",
    "HistGradientBoostingRegressor",
    "MultiOutputRegressor",
    "LogisticRegression",
    "Ridge",
    "KNeighborsClassifier",
    "KNeighborsRegressor",
)


def read_estimator(content: bytes, where: str) -> Any:
    """Return the estimator that `fit_estimator` gave.

    Raises:
        CorruptFileError: it holds a type that no such estimator has, or is no skops file.
    """
    from skops import io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        _require_no_bomb(content)
        estimator = io.loads(content, trusted=list(TRUSTED))
        if type(estimator).__name__ not in KINDS:
            raise ValueError(f"it is a {type(estimator).__name__}")
        require_valid_trees(estimator)
        require_finite_numbers(estimator)
    except UntrustedTypesFoundException as error:
        raise CorruptFileError(f"{where}: refused: it is no such estimator ({error})") from None
    except Exception as error:  # what a damaged archive makes zipfile, JSON and skops raise
        told = str(error) or type(error).__name__
        raise CorruptFileError(f"{where}: not an estimator that can be read ({told})") from None
    return estimator


def _require_no_bomb(content: bytes) -> None:
    """Raise ValueError where an archive states to unpack to far more than its bytes.

    Those that `fit_estimator` gives are not compressed.
    """
    with ZipFile(BytesIO(content)) as archive:
        stated = sum(entry.file_size for entry in archive.infolist())
    if stated > 2 * len(content):
        raise ValueError(f"its {len(content)} bytes unpack to {stated}")
