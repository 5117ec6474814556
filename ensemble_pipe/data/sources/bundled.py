"""Small real data sets bundled with scikit-learn; no download."""

import gzip
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from ensemble_pipe.data.sources.rows import IMAGE, LABEL, Rows, image_array, rows_of

Name = Literal["digits", "iris", "wine", "breast_cancer", "diabetes"]


def open_bundled(name: Name) -> Rows:
    """Return one of scikit-learn's sets; its classes by name, as the column "label".

    digits: 1,797 images of 8x8 with 17 grey levels (Alpaydin & Kaynak 1998). iris: 150 flowers
    (Fisher 1936). wine: 178 wines (Forina et al. 1991). breast_cancer: 569 tumours (Wolberg et al.
    1995). diabetes: 442 patients, a regression (Efron et al. 2004).
    """
    columns = _digits() if name == "digits" else _table(name)
    return rows_of(f"scikit-learn's {name}", pa.table(columns))


def _digits() -> dict[str, Any]:
    """Read the file of the digits: scikit-learn itself takes over a second to import."""
    package = find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    path = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    with gzip.open(path, "rt", encoding="ascii") as stream:
        values = np.loadtxt(stream, delimiter=",", dtype=np.int64)  # (R, 64 pixels and the digit)
    images = values[:, :-1].reshape(-1, 8, 8).astype(np.uint8)
    return {IMAGE: image_array(images), LABEL: pa.array(values[:, -1])}


def _table(name: Name) -> dict[str, Any]:
    from sklearn import datasets

    data = getattr(datasets, f"load_{name}")()
    columns = {
        str(feature): pa.array(np.ascontiguousarray(values))
        for feature, values in zip(data.feature_names, data.data.T, strict=True)
    }
    classes = data.get("target_names")
    labels = data.target if classes is None else [str(classes[code]) for code in data.target]
    return {**columns, LABEL: pa.array(labels)}
