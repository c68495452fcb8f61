"""Mouths under masks, scarfs and hands are told; bare ones are not."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from pipeline.analysis import covered_mouth
from pipeline.values import HANDS, Keypoints, Pose
from tests.helpers.face68 import placed

SIZE = (240, 200)
SKINS = {"light": (225, 180, 160), "brown": (150, 100, 75), "dark": (80, 55, 45)}
CLOTHS = {
    "blue": (150, 190, 225),
    "white": (240, 240, 240),
    "black": (25, 25, 25),
    "red": (180, 30, 40),
}


def person(hand_at: tuple[float, float] | None = None, eye_distance: float = 50.0) -> Pose:
    """Return a face in the middle of the picture, with a hand around a place or without."""
    pose = Pose.empty(1, 25.0, SIZE)
    face = Keypoints(placed(SIZE, eye_distance)[None], np.ones((1, 68)))
    if hand_at is None:
        return replace(pose, face=face)
    spread = np.random.default_rng(0).normal(0, 0.04, (1, HANDS, 2))
    return replace(pose, face=face, hands=Keypoints(spread + hand_at, np.ones((1, HANDS))))


def painted(pose: Pose, skin, cloth=None, gray: bool = False) -> np.ndarray:
    """Paint a face with lips, and cloth from the nose down, with noise and a shadow."""
    height, width = SIZE
    points = np.round(pose.face.xy[0] * (width, height)).astype(np.int32)
    picture = np.full((height, width, 3), (90, 110, 90), np.uint8)
    outline = np.concatenate([points[:17], points[26:16:-1] - [0, 25]])
    cv2.fillPoly(picture, [outline], skin)
    lips = np.clip(np.array(skin) + (15, -35, -25), 0, 255).tolist()
    cv2.fillPoly(picture, [points[48:60]], lips)
    if cloth is not None:
        cv2.fillPoly(picture, [np.concatenate([points[2:15], points[28:29]])], cloth)
    light = np.linspace(1.0, 0.8, width)[None, :, None]
    noise = np.random.default_rng(0).normal(0, 4, picture.shape)
    picture = np.clip(picture * light + noise, 0, 255).astype(np.uint8)
    return np.repeat(picture.mean(2, keepdims=True).astype(np.uint8), 3, 2) if gray else picture


@pytest.mark.parametrize("skin", SKINS.values(), ids=SKINS)
def test_a_bare_mouth_is_not_mentioned(skin) -> None:
    pose = person()
    assert covered_mouth.find_cover(painted(pose, skin), pose) == covered_mouth.Cover()
    assert covered_mouth.find_cover(painted(pose, skin, gray=True), pose) == covered_mouth.Cover()


@pytest.mark.parametrize("skin", SKINS.values(), ids=SKINS)
@pytest.mark.parametrize("cloth", CLOTHS.values(), ids=CLOTHS)
def test_cloth_over_the_mouth_is_told(skin, cloth) -> None:
    if np.abs(np.subtract(skin, cloth)).max() < 60:
        pytest.skip("dark cloth on dark skin has its color")
    pose = person()
    assert covered_mouth.find_cover(painted(pose, skin, cloth), pose) == covered_mouth.Cover(
        (covered_mouth.CLOTH,), is_cloth=True
    )


def test_a_hand_over_the_mouth_is_told_and_one_beside_is_not() -> None:
    face = person().face.xy[0]
    over = person(tuple(face[48:60].mean(0)))
    beside = person((0.1, 0.9))
    picture = painted(over, SKINS["light"])
    assert covered_mouth.find_cover(picture, over) == covered_mouth.Cover((covered_mouth.HAND,))
    assert covered_mouth.find_cover(picture, beside) == covered_mouth.Cover()


def test_a_tiny_face_or_one_that_is_not_seen_is_left() -> None:
    tiny = person(eye_distance=8.0)
    assert (
        covered_mouth.find_cover(painted(tiny, SKINS["light"], CLOTHS["blue"]), tiny)
        == covered_mouth.Cover()
    )
    hidden = replace(person(), face=Keypoints.missing(1, 68))
    assert (
        covered_mouth.find_cover(painted(person(), SKINS["light"]), hidden) == covered_mouth.Cover()
    )


def test_a_mouth_under_cloth_moves_with_the_jaw_and_does_not_open() -> None:
    reference = person()
    frames = 20
    speech = np.sin(np.arange(frames))[:, None] + 1
    xy = reference.face.xy.repeat(frames, 0)
    xy[:, 55:60, 1] += 0.01 * speech
    xy[:, 65:68, 1] += 0.01 * speech
    xy[:, 5:12, 1] += 0.02 * speech
    xy[:, 37, 1] += 0.01  # a lid
    talking = Keypoints(xy, np.ones((frames, 68)))
    covered = covered_mouth.under_cloth(talking, reference)
    rest = reference.face.xy
    assert np.allclose(np.diff(covered.xy[:, 48:], axis=1), np.diff(rest[:, 48:], axis=1))
    chin = covered.xy[:, 8, 1] - rest[:, 8, 1]
    assert np.allclose(chin, covered_mouth.CLOTH_JAW * 0.02 * speech[:, 0])
    assert 0 < np.ptp(covered.xy[:, 57, 1]) < np.ptp(chin)
    assert np.array_equal(covered.xy[:, 17:48], talking.xy[:, 17:48])


def test_cloth_with_lips_painted_on_it_is_told_and_not_held() -> None:
    pose = person()
    picture = painted(pose, SKINS["light"], CLOTHS["blue"])
    height, width = SIZE
    line = np.round(pose.face.xy[0, 60:65] * (width, height)).astype(np.int32)
    cv2.polylines(picture, [line], False, (60, 90, 120), 4)
    cover = covered_mouth.find_cover(picture, pose)
    assert not cover.is_cloth


@pytest.mark.parametrize("skin", [SKINS["light"], SKINS["brown"]], ids=["light", "brown"])
@pytest.mark.parametrize("color", [(25, 25, 28), (40, 120, 60)], ids=["black", "green"])
def test_a_microphone_before_the_mouth_is_told_and_one_below_the_chin_is_not(skin, color) -> None:
    pose = person()
    height, width = SIZE
    points = pose.face.xy[0] * (width, height)
    for place, cover in (
        (57, covered_mouth.Cover((covered_mouth.THING,))),
        (8, covered_mouth.Cover()),
    ):
        picture = painted(pose, skin)
        x, y = np.round(points[place]).astype(int).tolist()
        cv2.circle(picture, (x, y + (12 if place == 8 else 0)), 12 if place == 8 else 22, color, -1)
        assert covered_mouth.find_cover(picture, pose) == cover
