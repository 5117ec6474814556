"""Small real data sets bundled with scikit-learn; no download.

They are read from its files without importing it, which would take a second.
"""

import csv
import gzip
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.arrow import arrow_of
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.sources.rows import IMAGE, LABEL, Rows, image_array, rows_of

Name = Literal["digits", "iris", "wine", "breast_cancer", "diabetes"]

_TUMOUR = (
    "radius",
    "texture",
    "perimeter",
    "area",
    "smoothness",
    "compactness",
    "concavity",
    "concave points",
    "symmetry",
    "fractal dimension",
)
_FEATURES = {
    "iris": ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"),
    "wine": (
        "alcohol",
        "malic_acid",
        "ash",
        "alcalinity_of_ash",
        "magnesium",
        "total_phenols",
        "flavanoids",
        "nonflavanoid_phenols",
        "proanthocyanins",
        "color_intensity",
        "hue",
        "od280/od315_of_diluted_wines",
        "proline",
    ),
    "breast_cancer": (
        *(f"mean {name}" for name in _TUMOUR),
        *(f"{name} error" for name in _TUMOUR),
        *(f"worst {name}" for name in _TUMOUR),
    ),
    "diabetes": ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"),
}


def open_bundled(name: Name) -> Rows:
    """Return one of scikit-learn's sets; its classes by name, as the column "label".

    digits: 1,797 images of 8x8 with 17 grey levels (Alpaydin & Kaynak 1998). iris: 150 flowers
    (Fisher 1936). wine: 178 wines (Forina et al. 1991). breast_cancer: 569 tumours (Wolberg et al.
    1995). diabetes: 442 patients, a regression (Efron et al. 2004).

    Raises:
        DataError: scikit-learn is not installed.
    """
    where = f"scikit-learn's {name}"
    if name == "digits":
        values = _numbers("digits.csv.gz", delimiter=",")
        images = image_array(values[:, :-1].reshape(-1, 8, 8).astype(np.uint8))
        labels = arrow_of(values[:, -1].astype(np.int64))
        return rows_of(where, pa.table({IMAGE: images, LABEL: labels}))
    features, target = _patients() if name == "diabetes" else _classes(name)
    columns = {
        feature: arrow_of(values)
        for feature, values in zip(_FEATURES[name], features.T, strict=True)
    }
    return rows_of(where, pa.table({**columns, LABEL: pa.array(target)}))


def _classes(name: str) -> tuple[Floats, list[str]]:
    """Return features (R, D) and the name of each row's class.

    The first line of the file holds the numbers of rows and features, and the names of the classes.
    """
    file = _folder() / ("wine_data.csv" if name == "wine" else f"{name}.csv")
    (_, _, *classes), *rows = csv.reader(file.read_text("utf-8").splitlines())
    features: Floats = np.array([row[:-1] for row in rows], np.float64)
    return features, [classes[int(row[-1])] for row in rows]


def _patients() -> tuple[Floats, Array]:
    """Return features (R, D), each standardised and divided by the root of R, and targets (R,)."""
    features = _numbers("diabetes_data_raw.csv.gz")
    deviations = features.std(axis=0)
    features -= features.mean(axis=0)
    features /= deviations
    return features / len(features) ** 0.5, _numbers("diabetes_target.csv.gz")


def _numbers(name: str, delimiter: str | None = None) -> Floats:
    with gzip.open(_folder() / name, "rt", encoding="utf-8") as file:
        return np.loadtxt(file, delimiter=delimiter)


def _folder() -> Path:
    """Return where scikit-learn keeps its data files."""
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise DataError("data.source: bundled reads files of scikit-learn, which is not installed")
    return Path(package.origin).parent / "datasets" / "data"
