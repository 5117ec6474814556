"""The exponential function in float64, branch-free, so that loops of it vectorise.

numba calls the C library once per number, which takes ten times as long.

exp(x) = 2^n exp(r) with n = round(x / ln 2), |r| <= ln 2 / 2 (Cody & Waite 1980, "Software manual
for the elementary functions", chapter 6), and the Taylor series of exp(r).
"""

import numpy as np

from ensemble_pipe.core.compilation import kernel

LOWEST = -708.0  # below it 2^n would be no normal number
_LOG2_E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 6.93145751953125e-1, 1.42860682030941723212e-6
_ROUNDER = 1.5 * 2.0**52  # adding it leaves the nearest integer in the lowest bits
_EXPONENT_BIAS, _MANTISSA_BITS = np.int64(1023), np.int64(52)


@kernel
def exponential(x: float) -> float:
    """Return exp(x) for x up to 0, to 2e-16 of it; 0 below -708. A NaN stays one."""
    held = LOWEST if x < LOWEST else x
    rounded = held * _LOG2_E + _ROUNDER
    n = rounded - _ROUNDER
    r = (held - n * _LN2_HIGH) - n * _LN2_LOW
    series = 1.0 / 6227020800
    series = series * r + 1.0 / 479001600
    series = series * r + 1.0 / 39916800
    series = series * r + 1.0 / 3628800
    series = series * r + 1.0 / 362880
    series = series * r + 1.0 / 40320
    series = series * r + 1.0 / 5040
    series = series * r + 1.0 / 720
    series = series * r + 1.0 / 120
    series = series * r + 1.0 / 24
    series = series * r + 1.0 / 6
    series = series * r + 0.5
    power = np.int64((np.float64(rounded).view(np.int64) + _EXPONENT_BIAS) << _MANTISSA_BITS)
    result = np.int64(power).view(np.float64) * (series * (r * r) + r + 1.0)
    return 0.0 if x < LOWEST else result
