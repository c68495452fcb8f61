"""HKC and HKV on hands that move by known amounts."""

import math
from dataclasses import replace

import numpy as np
import pytest

from pipeline.evaluation.metrics import hands
from pipeline.motion.keypoints import LEFT_HAND, RIGHT_HAND
from pipeline.values import Keypoints, Pose
from tests.helpers.stick_person import figure

FRAMES = 40
WIDTH = 0.28 * 96  # pixels between the shoulders of `figure`


def person(offset: np.ndarray) -> Pose:
    """A figure that stands still but for its hands, moved by pixels (T, 2)."""
    still = figure(1)[np.zeros(len(offset), int)]
    places = still.hands.xy + (offset / still.pixel_scale)[:, None]
    return replace(still, hands=Keypoints(places, still.hands.score))


def wave(pixels: float, frames: int = FRAMES) -> np.ndarray:
    """Jump to and fro along x by so many pixels to both sides: the deviation is as large."""
    offset = np.zeros((frames, 2))
    offset[::2, 0] = pixels
    offset[1::2, 0] = -pixels
    return offset


def test_hkv_is_the_variance_in_shoulder_widths_and_the_deviation_at_512_pixels():
    moved = person(wave(5.0))
    assert hands.hkv_shoulder_widths(moved).value == pytest.approx((5 / WIDTH) ** 2)
    assert hands.hkv_shoulder_widths(moved).coverage == 1
    # deviation 5 along x, 0 along y, frames of 128 pixels
    assert hands.hkv_pixels(moved).value == pytest.approx(5 * 4 / 2)
    assert hands.hkv_shoulder_widths(person(wave(0.0))).value == pytest.approx(0)


def test_hkv_of_chosen_frames_and_a_body_that_walks():
    offset = np.concatenate([wave(6.0), wave(2.0)])
    moved = person(offset)
    is_loud = np.arange(2 * FRAMES) < FRAMES
    loud = hands.hkv_shoulder_widths(moved, is_loud).value
    quiet = hands.hkv_shoulder_widths(moved, ~is_loud).value
    assert loud / quiet == pytest.approx(9)
    walk = np.linspace(0, 0.2, len(moved))[:, None, None] * (1, 0)
    walked = replace(
        moved,
        body=Keypoints(moved.body.xy + walk, moved.body.score),
        hands=Keypoints(moved.hands.xy + walk, moved.hands.score),
    )
    ratio = hands.hkv_shoulder_widths(walked).value / hands.hkv_shoulder_widths(moved).value
    assert ratio == pytest.approx(1)


def test_hkv_without_hands_or_shoulders_is_nothing():
    nobody = Pose.empty(FRAMES, 25, (128, 96))
    assert math.isnan(hands.hkv_shoulder_widths(nobody).value)
    one_hand = person(wave(5.0))
    score = one_hand.hands.score.copy()
    score[:, LEFT_HAND] = 0
    half = replace(one_hand, hands=Keypoints(one_hand.hands.xy, score))
    assert hands.hkv_pixels(half).coverage == pytest.approx(0.5)
    assert hands.hkv_pixels(half).value == pytest.approx(10)


def test_hkc_is_the_mean_score_of_the_hands_that_are_asked_for():
    asked = person(wave(1.0))
    outside = asked.hands.xy.copy()
    outside[:10, RIGHT_HAND] += 1  # the right hand comes into the picture after ten frames
    driving = replace(asked, hands=Keypoints(outside, asked.hands.score))
    shown = hands.shown_hands(driving)
    assert shown[:, 0].all() and not shown[:10, 1].any() and shown[10:, 1].all()
    score = np.full((FRAMES, 42), 0.8)
    score[:10, RIGHT_HAND] = 0.1  # not asked for
    score[20:30] = 0  # the person is missed: both hands count as 0
    result = replace(asked, hands=Keypoints(asked.hands.xy, score))
    confidence = hands.hand_confidence(result, shown)
    assert confidence.score == pytest.approx(0.8 * (70 - 20) / 70)
    assert confidence.coverage == pytest.approx(70 / 80) and confidence.frames == FRAMES
    nothing = hands.hand_confidence(result, np.zeros((FRAMES, 2), bool))
    assert math.isnan(nothing.score) and nothing.coverage == 0
