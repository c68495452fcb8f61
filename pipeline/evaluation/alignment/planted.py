"""Planted skeletons of known lengths: people, their dances and their poses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.motion.keypoints import (
    BROWS,
    EARS,
    EYE_CORNERS,
    EYES,
    INNER_LIP,
    JAW,
    JAW_ENDS,
    LEFT_EYE,
    LEFT_HAND,
    NECK,
    NOSE,
    NOSE_TIP,
    NOSTRILS,
    OUTER_LIP,
    RIGHT_EYE,
    RIGHT_HAND,
)
from pipeline.values import BODY, FACE, HANDS, Keypoints, Pose

FPS = 25
RADIANS_PER_DEGREE = np.pi / 180
# Lengths in statures, of an adult as anatomy tables give them.
ADULT = {
    "torso": 0.288, "shoulders": 0.21, "hips": 0.12, "upper arms": 0.186, "forearms": 0.146,
    "thighs": 0.245, "shins": 0.246, "neck": 0.10, "face": 0.066, "hand": 0.1,
}  # fmt: skip
# A small child against an adult, rough, for this planted figure only: longer trunk, shorter limbs.
CHILD = ADULT | {
    "torso": 0.30, "shoulders": 0.22, "upper arms": 0.175, "forearms": 0.135, "thighs": 0.21,
    "shins": 0.215, "neck": 0.13, "face": 0.09, "hand": 0.1,
}  # fmt: skip
LONG_LEGS = ADULT | {
    "torso": 0.27, "thighs": 0.26, "shins": 0.28, "upper arms": 0.2, "forearms": 0.16,
}  # fmt: skip
OUTWARD = 0.4  # share of a knee's bend that is seen from the front


@dataclass(frozen=True)
class Side:
    """Joints of one side of the body; `sign` is -1 where the picture's left is."""

    sign: int
    shoulder: int
    elbow: int
    wrist: int
    hip: int
    knee: int
    ankle: int
    hand: slice


# The person's right is on the picture's left.
SIDES = (
    Side(-1, 2, 3, 4, 8, 9, 10, RIGHT_HAND),
    Side(1, 5, 6, 7, 11, 12, 13, LEFT_HAND),
)


@dataclass(frozen=True)
class Person:
    """A planted skeleton.

    Args:
        lengths: Bones in statures.
        stature: Pixels.
        foot: The point (x, y) in pixels between the feet.
        size: Height and width of the picture in pixels.
    """

    lengths: dict[str, float]
    stature: float
    foot: tuple[float, float]
    size: tuple[int, int]

    def full(self, name: str) -> float:
        """Return a bone's true length in pixels."""
        return self.lengths[name] * self.stature


@dataclass(frozen=True)
class Dance:
    """Angles over time in degrees from straight down.

    Args:
        arms: (T, 2) right and left arm: 0 hangs, 90 is sideways, 180 is up.
        elbows: (T, 2) bend of the elbows.
        knees: (T,) both knees bend outward by this much, and the hips come down.
        sway: (T,) of the hips sideways, in statures; the feet stay.
        reach: (T, 2) cosine of the arms' turn to the camera; 1 is in the picture's plane.
    """

    arms: np.ndarray
    elbows: np.ndarray
    knees: np.ndarray
    sway: np.ndarray
    reach: np.ndarray


def dancing(frames: int, rng: np.random.Generator) -> Dance:
    """Make a dance with arms up and out, knee bends and sway, both feet planted."""
    seconds = np.arange(frames)[:, None] / FPS
    phase = rng.uniform(0, 6, (6, 2))
    speed = rng.uniform(2, 5, (6, 2))
    waves = np.sin(seconds[None] * speed[:, None] + phase[:, None])  # (6, T, 2)
    knees = 22 * (1 - np.cos(3 * seconds[:, 0])) / 2
    sway = 0.05 * np.sin(2 * seconds[:, 0])
    return Dance(75 + 60 * waves[0], 40 + 40 * waves[1], knees, sway, 0.75 + 0.25 * waves[4])


def standing(reach: float = 1.0) -> Dance:
    """Make one frame with hanging arms, turned to the camera by the cosine `reach`."""
    one = np.ones((1, 2))
    return Dance(12 * one, 8 * one, np.zeros(1), np.zeros(1), reach * one)


def pose_of(person: Person, dance: Dance) -> Pose:
    """Make the pose of a person in a dance; the planted feet are one hip-width apart."""
    frames = len(dance.knees)
    body = np.zeros((frames, BODY, 2))
    hands = np.zeros((frames, HANDS, 2))
    hips = _place_legs(body, person, dance)
    neck = hips - np.array([0, person.full("torso")])
    body[:, NECK] = neck
    for index, side in enumerate(SIDES):
        _place_arm(body, hands, person, dance, side, index)
    face = _face(person, neck)
    body[:, NOSE] = face[:, NOSE_TIP]
    body[:, EYES] = face[:, EYE_CORNERS]
    body[:, EARS] = face[:, JAW_ENDS]
    height, width = person.size
    pixels = np.array([width, height], float)

    def keypoints(points: np.ndarray) -> Keypoints:
        return Keypoints(points / pixels, np.ones(points.shape[:2]))

    return Pose(keypoints(body), keypoints(hands), keypoints(face), FPS, person.size)


def _place_legs(body: np.ndarray, person: Person, dance: Dance) -> np.ndarray:
    """Place hips, knees and ankles in pixels and return the middle of the hips (T, 2)."""
    bend = dance.knees * RADIANS_PER_DEGREE
    across = dance.sway * person.stature
    hips = np.zeros((len(bend), 2))
    hips[:, 0] = person.foot[0] + across
    for side in SIDES:
        aside = side.sign * person.full("hips") / 2
        body[:, side.ankle] = person.foot + np.array([aside, 0.0])
        body[:, side.hip, 0] = hips[:, 0] + aside
    thigh = person.full("thighs")
    shin = person.full("shins")
    # The knees come forward, so that both bones foreshorten.
    straight = thigh * np.cos(bend) + shin * np.cos(bend)
    drop = np.sqrt(np.maximum(straight**2 - across**2, 1.0))
    hips[:, 1] = person.foot[1] - drop
    share = thigh / (thigh + shin)
    outward = OUTWARD * thigh * np.sin(bend)  # the rest of the bend comes toward the camera
    for side in SIDES:
        body[:, side.hip, 1] = hips[:, 1]
        leg = body[:, side.ankle] - body[:, side.hip]
        body[:, side.knee] = body[:, side.hip] + share * leg
        body[:, side.knee, 0] += side.sign * outward
    return hips


def _place_arm(
    body: np.ndarray,
    hands: np.ndarray,
    person: Person,
    dance: Dance,
    side: Side,
    index: int,
) -> None:
    """Place shoulder, elbow, wrist and hand of one side in pixels."""
    half_width = side.sign * person.full("shoulders") / 2
    body[:, side.shoulder] = body[:, NECK] + np.array([half_width, 0])
    turn = dance.arms[:, index] * RADIANS_PER_DEGREE
    bent = turn + dance.elbows[:, index] * RADIANS_PER_DEGREE
    reach = dance.reach[:, index, None]
    upper = _curve(side.sign * np.sin(turn), np.cos(turn)) * reach
    body[:, side.elbow] = body[:, side.shoulder] + person.full("upper arms") * upper
    fore = _curve(side.sign * np.sin(bent), np.cos(bent)) * reach
    body[:, side.wrist] = body[:, side.elbow] + person.full("forearms") * fore
    forearm = body[:, side.wrist] - body[:, side.elbow]
    steps = np.linspace(0, person.full("hand") / person.full("forearms"), 21)
    palm = steps[None, :, None] * forearm[:, None]
    hands[:, side.hand] = body[:, side.wrist, None] + palm


def _face(person: Person, neck: np.ndarray) -> np.ndarray:
    """Make a plain face (T, 68, 2) that looks ahead, in pixels.

    The root of the nose lies `neck` statures over the neck. Coordinates are in units of the
    distance from there to the chin.
    """
    unit = person.full("face")
    root = neck[:, None] - np.array([0, person.full("neck")])
    points = np.zeros((FACE, 2))
    jaw = np.linspace(np.pi, 0, 17)
    points[JAW] = _curve(0.62 * np.cos(jaw), np.sin(jaw))
    points[BROWS] = _curve(np.linspace(-0.5, 0.5, 10), np.full(10, -0.2))
    points[27:31] = _curve(np.zeros(4), np.linspace(0, 0.4, 4))  # the bridge of the nose
    points[NOSTRILS] = _curve(np.linspace(-0.12, 0.12, 5), np.full(5, 0.46))
    around = np.linspace(np.pi, -np.pi, 7)[:6]
    eye_height = 0.05 * np.sin(around)
    points[RIGHT_EYE] = _curve(-0.28 + 0.12 * np.cos(around), eye_height)
    points[LEFT_EYE] = _curve(0.28 + 0.12 * np.cos(around), eye_height)
    outer = np.linspace(np.pi, -np.pi, 13)[:12]
    points[OUTER_LIP] = _curve(0.22 * np.cos(outer), 0.68 - 0.07 * np.sin(outer))
    inner = outer[:8]
    points[INNER_LIP] = _curve(0.15 * np.cos(inner), 0.68 - 0.02 * np.sin(inner))
    return root + unit * points


def _curve(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Join coordinates (n,) to points (n, 2)."""
    return np.stack([x, y], 1)


def without_joints(pose: Pose, joints: Sequence[int], hands: bool = True) -> Pose:
    """Take joints off a pose, as where the picture ends above them; `hands` keeps the hands."""
    score = pose.body.score.copy()
    score[:, list(joints)] = 0
    kept_hands = pose.hands if hands else Keypoints(pose.hands.xy, np.zeros_like(pose.hands.score))
    return replace(pose, body=Keypoints(pose.body.xy, score), hands=kept_hands)
