"""Lips of key points: their opening, and J of true closures."""

import math
from dataclasses import replace

import numpy as np
import pytest

from pipeline.evaluation.metrics import lips
from pipeline.values import Keypoints
from tests.helpers.stick_person import small_person


def test_the_opening_is_the_gap_over_the_face_and_missing_without_a_face():
    shut = lips.opening(small_person(3))
    opened = lips.opening(small_person(3, gap=4.0))
    assert opened[0] - shut[0] == pytest.approx(4 / 24, abs=0.03)
    person = small_person(10)
    score = person.face.score.copy()
    score[4] = 0
    hidden = replace(person, face=Keypoints(person.face.xy, score))
    curve = lips.opening(hidden)
    assert np.isnan(curve).sum() == 1 and np.isfinite(lips.filled(curve)).all()
    assert lips.filled(np.full(10, np.nan)) is None


def talk(frames: int = 200) -> np.ndarray:
    """A mouth that shuts for three frames every twenty."""
    t = np.arange(frames)
    return np.where(t % 20 < 3, 0.0, 0.5 + 0.4 * np.sin(t / 3) ** 2)


def test_j_is_one_for_the_truth_and_near_none_for_flapping_still_and_open_mouths():
    truth = talk()
    assert lips.closure_j(truth, truth) == 1
    assert lips.closure_j(np.roll(truth, 1), truth) > 0.9
    assert abs(lips.closure_j(np.zeros(200), truth)) < 0.05
    assert abs(lips.closure_j(np.full(200, 0.9), truth)) < 0.05
    flapping = np.where(np.arange(200) % 6 < 3, 0.0, 0.9)
    assert lips.closure_j(flapping, truth) < 0.6
    assert math.isnan(lips.closure_j(truth, np.full(200, 0.5)))  # the truth never shuts
