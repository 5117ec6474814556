"""Elementary functions for kernels: branch-free in float32, so that loops of them vectorise.

numba calls the C library once per number (40 ns for a tanh in float32; a loop of these needs 1 ns).
In float64, where only gradient checks compute, the library's own functions serve.

exp(x) = 2^n exp(r) with n = round(x / ln 2), |r| <= ln 2 / 2 (Cody & Waite 1980, "Software manual
for the elementary functions", chapter 6; the polynomial is the one of Moshier's Cephes, `expf`).

cos(2 pi t) = sin(2 pi v) with v = 1/4 - |t - round(t)|, at most a quarter of a turn: an odd
polynomial of degree 9, fitted to the least largest error.
"""

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

Number = np.floating[Any]

# Of exponents: products of such powers with small gradients are denormal numbers only rarely, which
# take a hundred times as long. Nothing that is computed here could tell the difference.
_LOWEST, _HIGHEST = np.float32(-60), np.float32(60)
_LOG2_E = np.float32(1.44269504)
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_ROUNDER = np.float32(1.5 * 2**23)  # adding it leaves the nearest integer in the lowest bits
_EXPONENT_BIAS, _MANTISSA_BITS = np.int32(127), np.int32(23)
_P0, _P1 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3)
_P2, _P3 = np.float32(8.3334519073e-3), np.float32(4.1665795894e-2)
_P4, _P5 = np.float32(1.6666665459e-1), np.float32(5.0000001201e-1)
_C0, _C1, _C2 = np.float32(6.28318516), np.float32(-41.341656), np.float32(81.601006)
_C3, _C4 = np.float32(-76.54978), np.float32(39.536705)
_QUARTER = np.float32(0.25)
_ONE, _HALF = np.float32(1), np.float32(0.5)

# Abramowitz & Stegun 1964, 7.1.26: erf(z) = 1 - (a1 t + ... + a5 t^5) exp(-z^2), t = 1 / (1 + p z).
_SCALE = np.float32(0.3275911 / math.sqrt(2))
_A1, _A2, _A3 = np.float32(0.254829592), np.float32(-0.284496736), np.float32(1.421413741)
_A4, _A5 = np.float32(-1.453152027), np.float32(1.061405429)
_ROOT_HALF = math.sqrt(0.5)


@register_jitable  # type: ignore[untyped-decorator]
def _two_to_n_and_rest(x: np.float32) -> tuple[np.float32, np.float32]:
    """Return 2^n and exp(r) - 1; a NaN goes through."""
    x = _LOWEST if x < _LOWEST else x
    x = _HIGHEST if x > _HIGHEST else x
    rounded = x * _LOG2_E + _ROUNDER
    n = rounded - _ROUNDER
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    series = ((((_P0 * r + _P1) * r + _P2) * r + _P3) * r + _P4) * r + _P5
    bits = (np.float32(rounded).view(np.int32) + _EXPONENT_BIAS) << _MANTISSA_BITS
    return np.int32(bits).view(np.float32), series * (r * r) + r


def exponential(x: Number) -> Number:
    """Return exp(x); in float32 to 1 ulp, with x held within -60 and 60."""
    raise NotImplementedError("for kernels")


def exponential_minus_one(x: Number) -> Number:
    """Return exp(x) - 1 without cancellation near 0; in float32 to 1 ulp, as `exponential`."""
    raise NotImplementedError("for kernels")


def cosine_of_turns(t: Number) -> Number:
    """Return cos(2 pi t); in float32 to 2 ulp of 1, for |t| up to 4 million."""
    raise NotImplementedError("for kernels")


def normal_distribution(x: Number, bell: Number) -> Number:
    """Return P(X <= x) of a standard normal X; in float32 to 2e-7.

    Args:
        x: any number.
        bell: exp(-x^2 / 2), which a caller often has.
    """
    raise NotImplementedError("for kernels")


@overload(exponential)  # type: ignore[untyped-decorator]
def _exponential(x: Any) -> Any:
    def single(x: Any) -> Any:
        power, rest = _two_to_n_and_rest(x)
        return power * rest + power

    def double(x: Any) -> Any:
        return math.exp(x)

    return single if x == types.float32 else double


@overload(exponential_minus_one)  # type: ignore[untyped-decorator]
def _exponential_minus_one(x: Any) -> Any:
    def single(x: Any) -> Any:
        power, rest = _two_to_n_and_rest(x)
        return power * rest + (power - _ONE)

    def double(x: Any) -> Any:
        return math.expm1(x)

    return single if x == types.float32 else double


@overload(cosine_of_turns)  # type: ignore[untyped-decorator]
def _cosine_of_turns(t: Any) -> Any:
    def single(t: Any) -> Any:
        whole = (t + _ROUNDER) - _ROUNDER
        distance = abs(t - whole)
        distance = _HALF if distance > _HALF else distance
        v = _QUARTER - distance
        square = v * v
        return v * ((((_C4 * square + _C3) * square + _C2) * square + _C1) * square + _C0)

    def double(t: Any) -> Any:
        return math.cos(2.0 * math.pi * t)

    return single if t == types.float32 else double


@overload(normal_distribution)  # type: ignore[untyped-decorator]
def _normal_distribution(x: Any, bell: Any) -> Any:
    def single(x: Any, bell: Any) -> Any:
        t = _ONE / (_ONE + _SCALE * abs(x))
        tail = _HALF * bell * (((((_A5 * t + _A4) * t + _A3) * t + _A2) * t + _A1) * t)
        return tail if x < 0 else _ONE - tail

    def double(x: Any, bell: Any) -> Any:
        return 0.5 * math.erfc(-x * _ROOT_HALF)

    return single if x == types.float32 else double
