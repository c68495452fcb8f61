"""AKD, MKR and PCK on points with known errors."""

import math

import numpy as np
import pytest

from pipeline.evaluation.metrics.keypoint_error import point_error
from pipeline.values import Keypoints


def points(xy: np.ndarray, score: float = 1.0) -> Keypoints:
    return Keypoints(xy, np.full(xy.shape[:2], score))


def test_a_shift_is_the_distance_in_picture_heights():
    truth = points(np.full((5, 4, 2), 0.5))
    # .03 of the width is .06 heights in a picture twice as wide as high, .08 along y: a 3-4-5 step
    moved = points(truth.xy + (0.03, 0.08))
    error = point_error(truth, moved, aspect=2.0)
    assert error.distance == pytest.approx(0.1)
    assert (error.missing, error.near, error.points, error.frames) == (0, 0, 20, 5)
    near = point_error(truth, points(truth.xy + (0.0, 0.04)), aspect=2.0)
    assert near.distance == pytest.approx(0.04) and near.near == 1


def test_points_that_the_result_lacks_are_missing_and_not_near():
    truth = points(np.full((2, 4, 2), 0.5))
    score = np.ones((2, 4))
    score[0, 0] = 0.3  # of 0.3 and less is missing
    score[1, :2] = 0
    error = point_error(truth, Keypoints(truth.xy, score), aspect=1.0)
    assert error.distance == 0
    assert error.missing == pytest.approx(3 / 8) and error.near == pytest.approx(5 / 8)


def test_points_that_nothing_drives_do_not_count():
    truth = points(np.zeros((3, 4, 2)), score=0.0)
    result = points(np.ones((3, 4, 2)))
    error = point_error(truth, result, aspect=1.0)
    assert math.isnan(error.distance) and math.isnan(error.missing) and error.points == 0
    lost = point_error(result, truth, aspect=1.0)
    assert math.isnan(lost.distance) and lost.missing == 1 and lost.near == 0
