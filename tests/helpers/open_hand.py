"""A drawn open hand with its 21 points, before a wall with a shelf, or before a shirt."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from pipeline.motion.keypoints import HAND_EDGES
from pipeline.render.warp.anatomy import Anatomy, Arm, Part
from pipeline.render.warp.cutout import Cutout
from tests.helpers.cut_out_person import drawn_person

SIZE = (240, 240)
UNIT = 120.0  # head height in pixels
SKIN = (0.86, 0.66, 0.56)
SLEEVE = (0.15, 0.2, 0.4)
WALL = (0.5, 0.62, 0.6)
SHELF = (0.25, 0.2, 0.12)
SHIRT = (0.2, 0.22, 0.3)
ROOT = np.array((120, 170), np.float32)
ELBOW = np.array((120, 238), np.float32)
FINGER_PX = 12
DEGREES = (-58, -24, -6, 10, 26)  # of the fingers against up, thumb first
KNUCKLES_PX = (22, 46, 48, 46, 42)  # from the root
BONE_PX = (16, 15, 16, 15, 12)


@dataclass(frozen=True)
class DrawnHand:
    """picture (H,W,3) float32, hand (H,W) bool, arm and the Anatomy that holds it alone."""

    picture: np.ndarray
    hand: np.ndarray
    arm: Arm
    anatomy: Anatomy


def drawn_hand(wall: tuple[float, ...] = WALL, shelf: bool = True) -> DrawnHand:
    """A hand with five fingers that stand apart, above a sleeve; a shelf begins at its side."""
    points = hand_points()
    picture = np.empty((*SIZE, 3), np.float32)
    picture[:] = wall
    noise = np.random.default_rng(0).normal(0, 0.015, picture.shape)
    if shelf:
        picture[118:132, 140:] = SHELF
    hand = np.zeros(SIZE, np.uint8)
    pixels = points.round().astype(int)
    cv2.fillPoly(hand, [pixels[[0, 1, 5, 9, 13, 17]]], 1)
    for start, end in HAND_EDGES:
        cv2.line(hand, tuple(pixels[start].tolist()), tuple(pixels[end].tolist()), 1, FINGER_PX)
    sleeve = np.zeros(SIZE, np.uint8)
    below = tuple((ROOT + (0, 10)).astype(int).tolist())
    cv2.line(sleeve, below, tuple(ELBOW.astype(int).tolist()), 1, 30)
    picture[sleeve > 0] = SLEEVE
    picture[hand > 0] = SKIN
    picture = (picture + noise).clip(0, 1).astype(np.float32)
    arm = Arm(ELBOW - (0, 90), ELBOW, ROOT, points, Part.R_UPPER_ARM)
    far = np.full((18, 2), 5000, np.float32)
    anatomy = replace(
        drawn_person().anatomy,
        size=SIZE,
        body=far,
        head=far[0],
        unit=UNIT,
        arms=(arm, None),
        legs=(None, None),
    )
    return DrawnHand(picture, hand > 0, arm, anatomy)


def hand_points() -> np.ndarray:
    """(21,2) float32 pixels."""
    points = [ROOT]
    for degrees, knuckle, bone in zip(DEGREES, KNUCKLES_PX, BONE_PX, strict=True):
        angle = np.radians(degrees)
        way = np.array((np.sin(angle), -np.cos(angle)))
        points += [ROOT + way * (knuckle + bone * joint) for joint in range(4)]
    return np.array(points, np.float32)


def masked(drawn: DrawnHand, mask: np.ndarray, part: Part = Part.R_HAND) -> Cutout:
    """The picture cut out by a mask (H,W) bool that is one part's."""
    shares = np.zeros((len(Part), *SIZE), np.float32)
    shares[part] = 1
    return Cutout(drawn.picture.copy(), mask.astype(np.float32), shares)
