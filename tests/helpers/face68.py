"""A plain frontal face of 68 iBUG points for tests: origin between the eyes, unit the eye
distance."""

import numpy as np

_HALF_JAW = [
    (-1.11, 0.12),
    (-1.10, 0.35),
    (-1.08, 0.59),
    (-1.05, 0.85),
    (-0.93, 1.22),
    (-0.77, 1.47),
]
_HALF_JAW += [(-0.56, 1.65), (-0.28, 1.80)]
_HALF_BROW = [(-0.90, -0.20), (-0.80, -0.29), (-0.64, -0.34), (-0.44, -0.34), (-0.20, -0.25)]
_NOSE = [
    (0, 0),
    (0, 0.16),
    (0, 0.39),
    (0, 0.59),
    (-0.26, 0.72),
    (-0.11, 0.75),
    (0, 0.75),
    (0.11, 0.75),
    (0.26, 0.72),
]
_EYE = [(-0.70, 0.0), (-0.60, -0.06), (-0.43, -0.06), (-0.29, 0.0), (-0.42, 0.06), (-0.58, 0.06)]
_OUTER = [
    (-0.39, 1.13),
    (-0.23, 1.01),
    (-0.11, 0.98),
    (0, 0.99),
    (0.11, 0.98),
    (0.23, 1.01),
    (0.39, 1.13),
]
_OUTER += [(0.26, 1.24), (0.12, 1.30), (0, 1.30), (-0.12, 1.30), (-0.26, 1.24)]
_INNER = [
    (-0.34, 1.12),
    (-0.16, 1.12),
    (0, 1.12),
    (0.16, 1.12),
    (0.34, 1.12),
    (0.16, 1.12),
    (0, 1.12),
    (-0.16, 1.12),
]


def template(gap: float = 0.0) -> np.ndarray:
    """(68, 2) in units of the eye distance; `gap` opens the lips by that much, half up and half
    down."""
    right = [(-x, y) for x, y in _HALF_JAW[::-1]], [(-x, y) for x, y in _HALF_BROW[::-1]]
    eyes = np.array(_EYE)
    other = (eyes * [-1, 1])[[3, 2, 1, 0, 5, 4]]
    face = [
        *_HALF_JAW,
        (0.0, 1.85),
        *right[0],
        *_HALF_BROW,
        *right[1],
        *_NOSE,
        *eyes,
        *other,
        *_OUTER,
        *_INNER,
    ]
    out = np.array(face, float)
    out[[49, 50, 51, 52, 53, 61, 62, 63], 1] -= gap / 2
    out[[55, 56, 57, 58, 59, 65, 66, 67], 1] += gap / 2
    return out


def placed(
    size: tuple[int, int], unit: float = 60.0, tilt: float = 0.0, gap: float = 0.0
) -> np.ndarray:
    """The template as fractions of a picture of `size` (H, W): `unit` pixels of eye distance,
    tilted by degrees.
    """
    c, s = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
    pixels = template(gap) * unit @ np.array([[c, s], [-s, c]]) + np.array(
        [size[1] / 2, size[0] / 2.5]
    )
    return pixels / np.array(size[::-1], float)
