"""Compiled sums over the bins of calibration errors."""

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.compilation import kernel


@kernel
def add_to_bins(
    places: Integers, rows: Integers, stated: Floats, true: Integers, sums: Floats
) -> None:
    """sums (3, B) float64 += rows, stated and true (T,) of the runs that lie in each bin."""
    for t in range(len(places)):
        place = places[t]
        sums[0, place] += rows[t]
        sums[1, place] += stated[t]
        sums[2, place] += true[t]
