"""The shapes that parts of a body have before anything is known of the picture, and distances.

All lengths of shapes are head heights, all places are pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from pipeline.motion.keypoints import HAND_EDGES, L_HIP, L_SHOULDER, R_HIP, R_SHOULDER
from pipeline.render.warp.anatomy import Anatomy, Arm, Leg

FIST_LENGTH = 0.42  # head heights of a hand that is guessed at
FOOT_LENGTH = 0.25  # head heights by which a foot goes on from its ankle
CUT_OFF_LENGTH = 2.2  # head heights of a leg that goes on below the picture
SHOULDER_SHARE = 0.15  # of the upper arm that stays with the torso
SHORTEST_PX = 1e-3  # a shorter bone is a point
FARTHEST = 4  # picture sides; OpenCV draws no lines to places far outside


@dataclass(frozen=True)
class Shape:
    """How a kind of limb looks.

    Args:
        radius: usual half width, head heights.
        taper: share by which it is slimmer at its end.
        reach: head heights beyond the shape that the part may own: cloth, shoes.
        seed: half width of its seeds, head heights.
        first: share of the bone from which on there are seeds.
        last: share of the bone up to which there are seeds.
    """

    radius: float
    taper: float
    reach: float
    seed: float
    first: float
    last: float


UPPER_ARM = Shape(radius=0.20, taper=0.0, reach=0.34, seed=0.07, first=0.15, last=0.92)
FOREARM = Shape(radius=0.16, taper=0.0, reach=0.24, seed=0.055, first=0.08, last=0.95)
FIST = Shape(radius=0.15, taper=0.0, reach=0.12, seed=0.05, first=0.3, last=0.8)
THIGH = Shape(radius=0.32, taper=0.35, reach=0.55, seed=0.08, first=0.35, last=0.95)
SHIN = Shape(radius=0.22, taper=0.3, reach=0.5, seed=0.06, first=0.1, last=1.0)
CUT_OFF = Shape(radius=0.22, taper=0.0, reach=0.5, seed=0.06, first=0.05, last=1.0)


@dataclass(frozen=True)
class Bone:
    """A straight piece of a limb: two ends (2,) in pixels, how it looks, whose part it is."""

    start: np.ndarray
    end: np.ndarray
    shape: Shape
    part: int

    @property
    def ends(self) -> np.ndarray:
        """(2,2) start and end."""
        return np.stack([self.start, self.end])

    @property
    def direction(self) -> np.ndarray:
        """(2,) unit vector from start to end."""
        return direction(self.start, self.end)


@dataclass(frozen=True)
class Box:
    """A part of a picture: rows and columns as slices."""

    rows: slice
    columns: slice

    @property
    def places(self) -> np.ndarray:
        """(h,w,2) pixel centers."""
        x = np.arange(self.columns.start, self.columns.stop, dtype=np.float32)
        y = np.arange(self.rows.start, self.rows.stop, dtype=np.float32)
        corners = np.meshgrid(x, y)
        return np.stack(corners, -1) + np.float32(0.5)


def direction(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Unit vector (2,) from one place to another; zero where they are one place."""
    axis = end - start
    length = float(np.hypot(*axis))
    return axis / max(length, SHORTEST_PX)


def bones_of(anatomy: Anatomy) -> Iterator[Bone]:
    """Yield the straight pieces of arms and legs; hands with points are none."""
    for arm in anatomy.arms:
        if arm is not None:
            yield from _arm_bones(arm, anatomy.unit)
    for leg in anatomy.legs:
        if leg is not None:
            yield from _leg_bones(leg, anatomy.unit)


def _arm_bones(arm: Arm, unit: float) -> Iterator[Bone]:
    upper_arm = arm.elbow - arm.shoulder
    begin = arm.shoulder + SHOULDER_SHARE * upper_arm
    yield Bone(begin, arm.elbow, UPPER_ARM, arm.first)
    yield Bone(arm.elbow, arm.hand_root, FOREARM, arm.first + 1)
    if arm.hand is None:  # a fist goes on from its forearm
        length = FIST_LENGTH * unit
        tip = arm.wrist + length * direction(arm.elbow, arm.wrist)
        yield Bone(arm.wrist, tip, FIST, arm.first + 2)


def _leg_bones(leg: Leg, unit: float) -> Iterator[Bone]:
    yield Bone(leg.hip, leg.knee, THIGH, leg.first)
    if leg.ankle is None:  # a shin that the picture cuts off goes with its thigh
        down = np.array([0, CUT_OFF_LENGTH * unit], np.float32)
        yield Bone(leg.knee, leg.knee + down, CUT_OFF, leg.first)
        return
    length = FOOT_LENGTH * unit
    foot = leg.ankle + length * direction(leg.knee, leg.ankle)
    yield Bone(leg.knee, foot, SHIN, leg.first + 1)


def scaled(anatomy: Anatomy, size: tuple[int, int]) -> Anatomy:
    """Return the anatomy in pixels of the same picture at `size` (h,w)."""
    height, width = anatomy.size
    rows, columns = size
    factors = np.array([columns / width, rows / height], np.float32)
    right_arm, left_arm = anatomy.arms
    right_leg, left_leg = anatomy.legs
    return replace(
        anatomy,
        size=size,
        body=anatomy.body * factors,
        face=anatomy.face * factors,
        head=anatomy.head * factors,
        unit=anatomy.unit * rows / height,
        arms=(_scaled_arm(right_arm, factors), _scaled_arm(left_arm, factors)),
        legs=(_scaled_leg(right_leg, factors), _scaled_leg(left_leg, factors)),
    )


def _scaled_arm(arm: Arm | None, factors: np.ndarray) -> Arm | None:
    if arm is None:
        return None
    hand = None if arm.hand is None else arm.hand * factors
    return Arm(
        shoulder=arm.shoulder * factors,
        elbow=arm.elbow * factors,
        wrist=arm.wrist * factors,
        hand=hand,
        first=arm.first,
    )


def _scaled_leg(leg: Leg | None, factors: np.ndarray) -> Leg | None:
    if leg is None:
        return None
    ankle = None if leg.ankle is None else leg.ankle * factors
    return Leg(leg.hip * factors, leg.knee * factors, ankle, leg.first)


def segment_distance(
    places: np.ndarray, start: np.ndarray, end: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Distance of places (...,2) to a segment in pixels, and the share along it from 0 to 1."""
    axis = end - start
    offset = places - start
    square = max(float(axis @ axis), SHORTEST_PX**2)
    share = (offset @ axis / square).clip(0, 1)
    beside = offset - share[..., None] * axis
    return np.hypot(beside[..., 0], beside[..., 1]), share


def polygon_distance(places: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Signed distance of places (...,2) to a polygon (k,2) in pixels, negative inside."""
    nearest = np.full(places.shape[:-1], np.inf, np.float32)
    inside = np.zeros(places.shape[:-1], bool)
    ends = np.roll(corners, -1, 0)
    for start, end in zip(corners, ends, strict=True):
        distance, _ = segment_distance(places, start, end)
        nearest = np.minimum(nearest, distance)
        inside ^= _is_left_of(places, start, end)
    return np.where(inside, -nearest, nearest)


def _is_left_of(places: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Whether the row of each place crosses an edge to the place's right (even-odd rule)."""
    width, height = end - start
    if height == 0:
        return np.zeros(places.shape[:-1], bool)
    x = places[..., 0]
    y = places[..., 1]
    down = (y - start[1]) / height
    crossing = start[0] + down * width
    is_spanned = (y < start[1]) ^ (y < end[1])
    return is_spanned & (x < crossing)


def hand_distance(places: np.ndarray, hand: np.ndarray) -> np.ndarray:
    """Distance of places (...,2) to the bones of a hand (21,2), in pixels."""
    nearest = np.full(places.shape[:-1], np.inf, np.float32)
    for start, end in HAND_EDGES:
        distance, _ = segment_distance(places, hand[start], hand[end])
        nearest = np.minimum(nearest, distance)
    return nearest


def trunk_distance(places: np.ndarray, anatomy: Anatomy) -> np.ndarray:
    """Signed distance of places (...,2) to the polygon of shoulders and hips, head heights."""
    corners = anatomy.body[[R_SHOULDER, L_SHOULDER, L_HIP, R_HIP]]
    return polygon_distance(places, corners) / anatomy.unit


def box_around(points: np.ndarray, margin: float, size: tuple[int, ...]) -> Box | None:
    """Box of points (k,2) with a margin in pixels; None if that lies outside the picture."""
    height, width = size
    limits = np.array([width, height])
    start = np.floor(points.min(0) - margin).clip(0, limits)
    stop = np.ceil(points.max(0) + margin).clip(0, limits)
    if (start >= stop).any():
        return None
    left, top = start.astype(int)
    right, bottom = stop.astype(int)
    return Box(slice(top, bottom), slice(left, right))


def draw_hand(size: tuple[int, ...], hand: np.ndarray, thickness: int) -> np.ndarray:
    """(H,W) uint8, 1 on lines of some pixels along the bones of a hand (21,2)."""
    drawn = np.zeros(size, np.uint8)
    limit = FARTHEST * max(size)
    points = hand.clip(-limit, limit).astype(int).tolist()
    for start, end in HAND_EDGES:
        cv2.line(drawn, points[start], points[end], 1, thickness)
    return drawn
