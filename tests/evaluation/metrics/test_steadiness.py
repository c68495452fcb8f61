"""Flicker and seams of drawn frames."""

import math

import numpy as np
import pytest

from pipeline.evaluation.metrics import steadiness
from pipeline.values import Pose
from tests.helpers.stick_person import figure

SIZE = (64, 48)


def plain(level: float) -> np.ndarray:
    return np.full((*SIZE, 3), level, np.uint8)


def test_unrest_does_not_see_a_steady_change():
    assert steadiness.unrest(plain(10), plain(20), plain(30)).max() == 0
    assert steadiness.unrest(plain(10), plain(16), plain(10)).min() == 6
    assert steadiness.change(plain(10), plain(16)).mean() == 6


def test_still_pixels_are_those_that_the_truth_does_not_change():
    truth = plain(100)
    moved = truth.copy()
    moved[:, 30:] += 9
    still = steadiness.is_still(truth, moved)
    assert still[:, :26].all() and not still[:, 34:].any()


def test_the_outside_leaves_a_wide_border_around_the_person():
    person = figure(2)
    outside = steadiness.outside_person(person, (128, 96))
    assert not outside[40:100, 20:76].any()
    assert not steadiness.outside_person(Pose.empty(2, 25, SIZE), SIZE).any()
    assert math.isnan(steadiness.mean_inside(np.ones(SIZE), np.zeros(SIZE, bool)))


def test_a_seam_is_measured_beside_its_surroundings():
    changes = np.full(60, 2.0)
    assert steadiness.seam_ratio(changes, [20, 40]) == 1
    changes[19] = 6.0  # the step into frame 20
    changes[39] = 4.0
    assert steadiness.seam_ratio(changes, [20, 40]) == pytest.approx(2.5)
    assert steadiness.seam_ratio(changes, [20, 40, 61]) == pytest.approx(2.5)  # outside the clip
    assert math.isnan(steadiness.seam_ratio(changes, []))
