"""Compiled running averages of rows."""

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.compilation import kernel


@kernel
def approach(average: Floats, rows: Floats, shares: Floats) -> None:
    """average (M, P) += share (rows - average), in place.

    shares (M,) is float64. With share 0 a learner is left alone, whatever its row holds, and with
    share 1 its row is copied, whatever the average held.
    """
    real = rows.dtype.type
    for m in range(len(rows)):
        share = real(shares[m])
        if shares[m] == 0.0:
            continue
        if shares[m] == 1.0:
            average[m, :] = rows[m]
            continue
        means, values = average[m], rows[m]
        for p in range(len(means)):
            means[p] += share * (values[p] - means[p])
