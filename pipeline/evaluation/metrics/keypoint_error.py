"""AKD, MKR and PCK: how far the key points of a result lie from those that drove it.

After the evaluation code of the First Order Motion Model's authors, whose AKD is the mean distance
of the points that both show, and whose MKR is the share that the result lacks. Here distances are
shares of the picture's height, so that clips of any size compare. Defined in METRICS.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipeline.values import Keypoints

NEAR = 0.05  # of the picture's height: a point within it counts as found by PCK


@dataclass(frozen=True)
class PointError:
    """The errors of one clip's points of a kind.

    Args:
        distance: AKD, mean distance in picture heights of the points that both show; NaN of none.
        missing: MKR, the share of the driving points that the result does not show.
        near: PCK, the share of the driving points that the result shows within 0.05 heights.
        points: Points that drove it, counted over the frames.
        frames: Frames in which any point drove it.
    """

    distance: float
    missing: float
    near: float
    points: int
    frames: int


def point_error(driving: Keypoints, result: Keypoints, aspect: float) -> PointError:
    """Compare points (T, K) of a result with those that drove it.

    Args:
        driving: What was to be shown.
        result: What a detector finds in the result, with as many frames.
        aspect: The picture's width over its height.
    """
    is_asked = driving.visible
    is_found = is_asked & result.visible
    asked = int(np.count_nonzero(is_asked))
    if asked == 0:
        return PointError(math.nan, math.nan, math.nan, 0, 0)
    heights = (result.xy - driving.xy) * np.array([aspect, 1.0])
    distances = np.linalg.norm(heights, axis=2)
    found = distances[is_found]
    near_points = int(np.count_nonzero(found <= NEAR))
    frames = int(np.count_nonzero(is_asked.any(1)))
    return PointError(
        distance=float(found.mean()) if found.size else math.nan,
        missing=1 - found.size / asked,
        near=near_points / asked,
        points=asked,
        frames=frames,
    )
