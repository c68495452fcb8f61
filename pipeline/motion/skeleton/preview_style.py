"""The "preview" style: fast and exact to fractions of a pixel.

Joints are not drawn, since limbs show them; hands are one line per finger bone; the face is 68
dots, filled lips and outlined eyes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.motion.keypoints import (
    BODY_LIMBS,
    HAND_POINTS,
    INNER_LIP,
    LEFT_EYE,
    OUTER_LIP,
    RIGHT_EYE,
)
from pipeline.motion.skeleton.drawable import drawable
from pipeline.motion.skeleton.published_styles import BODY_COLORS
from pipeline.values import Keypoints, Pose

SHIFT_BITS = 4  # sub-pixel bits of a coordinate
ONE_PIXEL = 1 << SHIFT_BITS
FIRST_HEAD_LIMB = 12  # of BODY_LIMBS; thin head lines leave the face dots readable
EYE_COLOR = (90, 200, 255)
LIP_COLOR = (255, 60, 90)
FINGERS = np.array([[0, *range(4 * finger + 1, 4 * finger + 5)] for finger in range(5)])
FINGER_COLORS = ((255, 90, 90), (255, 220, 60), (80, 255, 120), (70, 200, 255), (220, 110, 255))
# Eye and lip dots closer than two pixels would hide the opening: none in a face 27 pixels high,
# full at 72.
DOTS_FADE_PX = 45.0
DOTS_FADE_START = 0.6  # of DOTS_FADE_PX
FIRST_FADING_DOT = 36  # eyes and lips
FACE_HEIGHTS_PER_RADIUS = 70  # a dot's radius is the face's height over this


@dataclass(frozen=True)
class _Part:
    """Points of one kind: xy (T,K,2) int32 pixels with sub-pixel bits, and which of them to draw
    (T,K)."""

    xy: np.ndarray
    seen: np.ndarray


def frames(people: list[Pose], size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Draw one (H,W,3) uint8 RGB picture a frame, always the same array."""
    canvas = np.empty((*size, 3), np.uint8)
    limb_width = max(2, round(size[0] / 110))
    thin_width = max(1, round(size[0] / 400))
    bodies = [_fixed_point(pose.body, size) for pose in people]
    hands = [_fixed_point(pose.hands, size) for pose in people]
    faces = [_fixed_point(pose.face, size) for pose in people]
    face_heights = [_face_heights(pose.face, size) for pose in people]
    for t in range(len(people[0])):
        canvas[:] = 0
        for body in bodies:
            _draw_body(canvas, body.xy[t].tolist(), body.seen[t].tolist(), limb_width)
        for face, heights in zip(faces, face_heights, strict=True):
            if face.seen[t].any():
                _draw_face(canvas, face.xy[t], face.seen[t], heights[t], thin_width)
        for hand in hands:
            if hand.seen[t].any():
                _draw_hands(canvas, hand.xy[t], hand.seen[t], thin_width)
        yield canvas


def _fixed_point(points: Keypoints, size: tuple[int, int]) -> _Part:
    seen = drawable(points) & points.visible
    height, width = size
    fractions = np.where(seen[..., None], points.xy, 0.0)
    pixels = fractions * (width, height) - 0.5  # a whole number is a pixel's center
    fixed_point = np.rint(pixels * ONE_PIXEL)
    return _Part(fixed_point.astype(np.int32), seen)


def _face_heights(face: Keypoints, size: tuple[int, int]) -> np.ndarray:
    """Measure the box around the visible face points: (T,) pixels, 0 without any."""
    seen = drawable(face) & face.visible
    y = face.xy[..., 1]
    bottom = np.where(seen, y, -np.inf).max(1)
    top = np.where(seen, y, np.inf).min(1)
    height = np.where(seen.any(1), bottom - top, 0.0)
    return height * size[0]


def _draw_body(canvas: np.ndarray, xy: list[list[int]], seen: list[bool], width: int) -> None:
    for k, (i, j) in enumerate(BODY_LIMBS):
        if seen[i] and seen[j]:
            limb_width = width if k < FIRST_HEAD_LIMB else max(1, width // 2)
            cv2.line(canvas, xy[i], xy[j], BODY_COLORS[k], limb_width, cv2.LINE_AA, SHIFT_BITS)


def _draw_hands(canvas: np.ndarray, xy: np.ndarray, seen: np.ndarray, width: int) -> None:
    for finger, color in zip(FINGERS, FINGER_COLORS, strict=True):
        lines = []
        for first in (0, HAND_POINTS):
            points = finger + first
            if seen[points].all():
                lines.append(xy[points])
                continue
            for k in range(4):
                bone = points[k : k + 2]
                if seen[bone].all():
                    lines.append(xy[bone])
        if lines:
            cv2.polylines(canvas, lines, False, color, width, cv2.LINE_AA, SHIFT_BITS)


def _draw_face(
    canvas: np.ndarray, xy: np.ndarray, seen: np.ndarray, height: float, width: int
) -> None:
    """Draw lips as a filled ring, so that the opening is an area, eyes as outlines, then all points
    as dots."""
    if seen[OUTER_LIP].all() and seen[INNER_LIP].all():
        cv2.fillPoly(canvas, [xy[OUTER_LIP]], LIP_COLOR, cv2.LINE_AA, SHIFT_BITS)
        cv2.fillPoly(canvas, [xy[INNER_LIP]], (0, 0, 0), cv2.LINE_AA, SHIFT_BITS)
    eyes = [xy[eye] for eye in (RIGHT_EYE, LEFT_EYE) if seen[eye].all()]
    if eyes:
        cv2.polylines(canvas, eyes, True, EYE_COLOR, width, cv2.LINE_AA, SHIFT_BITS)
    light = np.ones(len(xy))
    light[FIRST_FADING_DOT:] = np.clip(height / DOTS_FADE_PX - DOTS_FADE_START, 0, 1)
    _draw_dots(canvas, xy[seen], light[seen], height / FACE_HEIGHTS_PER_RADIUS)


def _draw_dots(canvas: np.ndarray, xy: np.ndarray, light: np.ndarray, radius: float) -> None:
    """Draw soft white discs at sub-pixel places, all in one vectorized maximum (68 circles cost
    more).

    xy: (K,2) fixed-point places. light: (K,) from 0 to 1. radius: pixels.
    """
    height, width = canvas.shape[:2]
    largest = height / 250 + 0.2
    radius = float(np.clip(radius, 0.6, largest))
    reach = math.ceil(radius + 0.5)
    grid = np.arange(-reach, reach + 1)
    pixel = (xy + ONE_PIXEL // 2) >> SHIFT_BITS
    offset = xy / ONE_PIXEL - pixel
    dx = grid - offset[:, :1]  # (K, 2 * reach + 1)
    dy = grid - offset[:, 1:]
    distance = np.hypot(dx[:, None, :], dy[:, :, None])
    cover = np.clip(radius + 0.5 - distance, 0, 1)
    brightness = cover * light[:, None, None] * 255
    gray = brightness.astype(np.uint8)
    columns = pixel[:, :1] + grid
    columns = np.broadcast_to(columns[:, None, :], gray.shape)
    rows = pixel[:, 1:] + grid
    rows = np.broadcast_to(rows[:, :, None], gray.shape)
    in_rows = (rows >= 0) & (rows < height)
    in_columns = (columns >= 0) & (columns < width)
    drawn = (gray > 0) & in_rows & in_columns
    gray = gray[drawn]
    order = np.argsort(gray, kind="stable")  # a pixel's brightest value is written last
    gray = gray[order]
    rows = rows[drawn][order]
    columns = columns[drawn][order]
    before = canvas[rows, columns]
    canvas[rows, columns] = np.maximum(before, gray[:, None])
