"""A person of flat colors for tests: picture, mask, true parts and the Anatomy that fits them."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from pipeline.render.warp.anatomy import Anatomy, Arm, Leg, Part

SIZE = (240, 160)
UNIT = 40.0
SKIN = (0.85, 0.65, 0.55)
SHIRT = (0.2, 0.3, 0.6)
TROUSERS = (0.25, 0.25, 0.2)
WALL = (0.7, 0.75, 0.7)


@dataclass(frozen=True)
class Drawn:
    """picture (H,W,3) and mask (H,W) float32; parts (H,W) true Part numbers, -1 outside."""

    picture: np.ndarray
    mask: np.ndarray
    parts: np.ndarray
    anatomy: Anatomy


def drawn_person() -> Drawn:
    """Arms hang a little apart from the torso; the right hand has points, the left one is a
    fist."""
    shoulders = ((56, 68), (104, 68))
    elbows = ((44, 104), (116, 104))
    wrists = ((36, 136), (124, 136))
    hips = ((66, 130), (94, 130))
    knees = ((64, 178), (96, 178))
    ankles = ((63, 222), (97, 222))
    picture = np.empty((*SIZE, 3), np.float32)
    picture[:] = WALL
    parts = np.full(SIZE, -1, np.int16)
    trunk = np.array([(52, 60), (108, 60), (100, 138), (60, 138)])
    _paint(picture, parts, SHIRT, Part.TORSO, lambda area: cv2.fillPoly(area, [trunk], 1))
    for side, first in ((0, Part.R_THIGH), (1, Part.L_THIGH)):
        _line(picture, parts, TROUSERS, first, hips[side], knees[side], 22)
        _line(picture, parts, SKIN, first + 1, knees[side], ankles[side], 14)
    for side, first in ((0, Part.R_UPPER_ARM), (1, Part.L_UPPER_ARM)):
        _line(picture, parts, SHIRT, first, shoulders[side], elbows[side], 15)
        _line(picture, parts, SKIN, first + 1, elbows[side], wrists[side], 11)
        tip = tuple(2 * b - a for a, b in zip(elbows[side], wrists[side], strict=True))
        end = tuple((a + b) // 2 for a, b in zip(wrists[side], tip, strict=True))
        _line(picture, parts, SKIN, first + 2, wrists[side], end, 11)
    _paint(
        picture,
        parts,
        SKIN,
        Part.HEAD,
        lambda area: cv2.ellipse(area, (80, 38), (15, 21), 0, 0, 360, 1, -1),
    )
    joints = [np.array(points, np.float32) for points in (shoulders, elbows, wrists)]
    steps = [np.array(points, np.float32) for points in (hips, knees, ankles)]
    body = np.zeros((18, 2), np.float32)
    body[1] = (80, 66)
    body[[2, 3, 4]] = [points[0] for points in joints]
    body[[5, 6, 7]] = [points[1] for points in joints]
    body[[8, 9, 10]] = [points[0] for points in steps]
    body[[11, 12, 13]] = [points[1] for points in steps]
    hand = _hand(joints[1][0], joints[2][0])
    anatomy = Anatomy(
        size=SIZE,
        body=body,
        seen=np.ones(18, bool),
        face=np.zeros((68, 2), np.float32),
        face_seen=False,
        head=np.array((80, 38), np.float32),
        up=np.array((0, -1), np.float32),
        unit=UNIT,
        arms=(
            Arm(joints[0][0], joints[1][0], joints[2][0], hand, Part.R_UPPER_ARM),
            Arm(joints[0][1], joints[1][1], joints[2][1], None, Part.L_UPPER_ARM),
        ),
        legs=(
            Leg(steps[0][0], steps[1][0], steps[2][0], Part.R_THIGH),
            Leg(steps[0][1], steps[1][1], steps[2][1], Part.L_THIGH),
        ),
    )
    return Drawn(picture, (parts >= 0).astype(np.float32), parts, anatomy)


def moved(anatomy: Anatomy, offset: tuple[float, float], factor: float = 1.0) -> Anatomy:
    """Return the anatomy with every point times a factor plus an offset in pixels."""

    def place(points: np.ndarray | None) -> np.ndarray | None:
        return None if points is None else points * np.float32(factor) + np.float32(offset)

    arms = [
        Arm(place(a.shoulder), place(a.elbow), place(a.wrist), place(a.hand), a.first)
        for a in anatomy.arms
    ]
    legs = [Leg(place(a.hip), place(a.knee), place(a.ankle), a.first) for a in anatomy.legs]
    return replace(
        anatomy,
        body=place(anatomy.body),
        head=place(anatomy.head),
        unit=anatomy.unit * factor,
        arms=tuple(arms),
        legs=tuple(legs),
    )


def _hand(elbow: np.ndarray, wrist: np.ndarray) -> np.ndarray:
    """(21,2) points of a hand that goes on from its forearm."""
    way = (wrist - elbow) / np.linalg.norm(wrist - elbow)
    side = np.array([-way[1], way[0]])
    fingers = [
        wrist + way * 4 * (joint + 1) + side * 1.5 * (finger - 2)
        for finger in range(5)
        for joint in range(4)
    ]
    return np.array([wrist, *fingers], np.float32)


def _line(picture, parts, color, part, start, end, width) -> None:
    _paint(picture, parts, color, part, lambda area: cv2.line(area, start, end, 1, width))


def _paint(picture, parts, color, part, draw) -> None:
    area = np.zeros(parts.shape, np.uint8)
    draw(area)
    picture[area > 0] = color
    parts[area > 0] = part
