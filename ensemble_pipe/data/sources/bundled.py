"""Small real data sets bundled with scikit-learn; no download."""

from typing import Literal

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
    from sklearn import datasets

    data = getattr(datasets, f"load_{name}")()
    if name == "digits":
        images = image_array(data.images.astype(np.uint8))
        columns = {IMAGE: images, LABEL: pa.array(data.target.astype(np.int64))}
    else:
        columns = {
            str(feature): pa.array(np.ascontiguousarray(values))
            for feature, values in zip(data.feature_names, data.data.T, strict=True)
        }
        classes = data.get("target_names")
        labels = data.target if classes is None else [str(classes[code]) for code in data.target]
        columns[LABEL] = pa.array(labels)
    return rows_of(f"scikit-learn's {name}", pa.table(columns))
