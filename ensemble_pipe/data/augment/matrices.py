"""Matrices of affine maps: from where in an image each pixel of the new one comes.

Each is (R, 2, 3) float64, [A t]: the pixel at the offset p = (dy, dx) from the middle of the new
image comes from the offset A p + t in the old one.
"""

import numpy as np

from ensemble_pipe.core.arrays import Floats


def rotation(angles: Floats) -> Floats:
    """Turn by angles (R,), in radians, anticlockwise."""
    found = np.zeros((len(angles), 2, 3))
    found[:, 0, 0] = found[:, 1, 1] = np.cos(angles)
    found[:, 0, 1] = np.sin(angles)
    found[:, 1, 0] = -found[:, 0, 1]
    return found


def zoom(down: Floats, right: Floats) -> Floats:
    """Make everything `down` (R,) times as high and `right` (R,) times as wide."""
    found = np.zeros((len(down), 2, 3))
    found[:, 0, 0], found[:, 1, 1] = 1 / down, 1 / right
    return found


def shear(along_rows: Floats, along_columns: Floats) -> Floats:
    """Move rows by their height times a slope (R,), after columns by their offset times another."""
    found = np.zeros((len(along_rows), 2, 3))
    found[:, 0, 0] = 1 + along_rows * along_columns
    found[:, 0, 1] = -along_columns
    found[:, 1, 0] = -along_rows
    found[:, 1, 1] = 1
    return found


def translation(down: Floats, right: Floats) -> Floats:
    """Move by down (R,) and right (R,) pixels."""
    found = zoom(np.ones(len(down)), np.ones(len(down)))
    found[:, 0, 2], found[:, 1, 2] = -down, -right
    return found
