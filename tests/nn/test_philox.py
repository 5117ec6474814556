"""Philox-4x32-10 against its published vector, against whole-number arithmetic, and as uniform."""

import numpy as np
import pytest
from scipy import stats

from ensemble_pipe.core.arrays import Integers
from ensemble_pipe.nn.kernels.philox import fill_words


def words(keys: list[int], size: int) -> Integers:
    array = np.zeros((len(keys), size), np.uint32)
    fill_words(np.array(keys, np.uint64), array)
    return array


def block(key: int, number: int) -> list[int]:
    """Return the four words of a block, as Salmon et al. 2011, section 3.3 write them."""
    low, (left, right) = 2**32 - 1, (key % 2**32, key >> 32)
    counter = [number, 0, 0, 0]
    for _ in range(10):
        first, second = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [
            (second >> 32) ^ counter[1] ^ left, second & low,
            (first >> 32) ^ counter[3] ^ right, first & low,
        ]  # fmt: skip
        left, right = (left + 0x9E3779B9) & low, (right + 0xBB67AE85) & low
    return counter


def test_the_published_vector() -> None:
    assert words([0], 4)[0].tolist() == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]


@pytest.mark.parametrize("key", [0, 1, 2**32, 2**63 + 12345, 2**64 - 1])
def test_words_are_those_of_whole_number_arithmetic(key: int) -> None:
    expected = np.array([block(key, number) for number in range(9)]).T
    np.testing.assert_array_equal(words([key], 36)[0].reshape(4, 9), expected)


def test_a_key_has_the_same_words_in_any_company() -> None:
    together = words([7, 8, 9], 400)
    for m, key in enumerate([7, 8, 9]):
        assert words([key], 400)[0].tobytes() == together[m].tobytes()


def test_words_are_uniform_and_independent_of_their_neighbours() -> None:
    shares = words([123456789], 400_000)[0] / 2.0**32
    assert stats.kstest(shares, "uniform").pvalue > 0.001
    for lag in (1, 2, 100_000):
        assert abs(np.corrcoef(shares[lag:], shares[:-lag])[0, 1]) < 5 / np.sqrt(300_000)
