"""The 68 points of an average face in its own axes: flat fits know no depth, this face does."""

from __future__ import annotations

import numpy as np

from pipeline.motion.keypoints import MIRROR_FACE
from pipeline.values import FACE

# Right half and middle of the face: point, then x, y and z in head heights from the middle of the
# head. The eye line is y = 0, z points forward.
HALF_FACE = (
    (0, -0.345, -0.02, -0.2),
    (1, -0.342, 0.07, -0.18),
    (2, -0.33, 0.16, -0.15),
    (3, -0.305, 0.245, -0.1),
    (4, -0.265, 0.325, -0.04),
    (5, -0.21, 0.39, 0.03),
    (6, -0.145, 0.445, 0.09),
    (7, -0.075, 0.485, 0.13),
    (8, 0, 0.5, 0.145),
    (17, -0.275, -0.085, 0.1),
    (18, -0.235, -0.118, 0.155),
    (19, -0.18, -0.13, 0.19),
    (20, -0.125, -0.12, 0.205),
    (21, -0.07, -0.1, 0.215),
    (27, 0, -0.02, 0.23),
    (28, 0, 0.045, 0.26),
    (29, 0, 0.105, 0.295),
    (30, 0, 0.16, 0.32),
    (31, -0.07, 0.2, 0.22),
    (32, -0.037, 0.212, 0.25),
    (33, 0, 0.22, 0.265),
    (36, -0.205, 0.0, 0.13),
    (37, -0.172, -0.028, 0.162),
    (38, -0.115, -0.027, 0.175),
    (39, -0.08, 0.006, 0.165),
    (40, -0.118, 0.023, 0.17),
    (41, -0.17, 0.022, 0.16),
    (48, -0.125, 0.325, 0.16),
    (49, -0.08, 0.3, 0.2),
    (50, -0.03, 0.285, 0.225),
    (51, 0, 0.291, 0.23),
    (55, 0.08, 0.362, 0.195),
    (56, 0.036, 0.379, 0.21),
    (57, 0, 0.382, 0.213),
    (60, -0.105, 0.326, 0.165),
    (61, -0.045, 0.322, 0.205),
    (62, 0, 0.324, 0.21),
    (65, 0.045, 0.331, 0.205),
    (66, 0, 0.332, 0.21),
)


def average_face() -> np.ndarray:
    """Return the 68 points (68, 3) float32 of a plain face at rest in iBUG order."""
    face = np.zeros((FACE, 3), np.float32)
    for point, x, y, z in HALF_FACE:
        other = MIRROR_FACE[point]
        face[other] = (-x, y, z)
        face[point] = (x, y, z)
    return face
