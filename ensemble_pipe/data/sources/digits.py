"""scikit-learn's handwritten digits: 1,797 images of 8x8, 17 grey levels; no download."""

from typing import Literal

import numpy as np

from ensemble_pipe.data.sources.raw import Raw
from ensemble_pipe.settings import settings


@settings
class Digits:
    """The optical digits that scikit-learn bundles (Alpaydin & Kaynak 1998, UCI, CC BY 4.0)."""

    source: Literal["digits"] = "digits"

    def read(self) -> tuple[Raw, Raw | None]:
        """Return all rows; the set has no official test part."""
        from sklearn.datasets import load_digits

        data = load_digits()
        images = data.images.astype(np.uint8)[..., None]
        labels = data.target.astype(np.int64)
        return Raw("digits", images, labels, target_name="label"), None
