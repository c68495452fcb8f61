"""The "controlnext" and "openpose" styles: the pictures of the published code, to the pixel."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.motion.keypoints import BODY_LIMBS, HAND_EDGES, LEFT_HAND, RIGHT_HAND
from pipeline.motion.skeleton.drawable import drawable
from pipeline.values import VISIBLE, Keypoints, Pose

BODY_COLORS = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0),
    (0, 255, 0), (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255),
    (0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85),
)  # fmt: skip
HAND_COLORS = tuple(
    colorsys.hsv_to_rgb(k / len(HAND_EDGES), 1.0, 1.0) for k in range(len(HAND_EDGES))
)
CANVAS_PX = 2160  # short side of the canvas on which the published code draws
LIMB_DIM = 0.6  # limbs are drawn darker than joints
_DIM_TABLE = np.array([int(value * LIMB_DIM) for value in range(256)], np.uint8)
LIMB_HALF_WIDTH_PX = 4
JOINT_RADIUS_PX = 4
FACE_RADIUS_PX = 3
FINGER_WIDTH_PX = 2


@dataclass(frozen=True)
class _Part:
    """Points of one kind on the canvas: xy (T,K,2) pixels and score (T,K), both 0 where not
    drawable."""

    xy: np.ndarray
    score: np.ndarray

    def shown(self) -> _Part:
        """Give visible points the full score and the others none."""
        return _Part(self.xy, (self.score > VISIBLE).astype(float))


@dataclass(frozen=True)
class _Body:
    """One body in one frame: xy (18,2), score (18,), and how bright its points are drawn (18,)."""

    xy: np.ndarray
    score: np.ndarray
    light: np.ndarray


def controlnext_frames(people: list[Pose], size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Draw as ControlNeXt-SVD-v2: one (H,W,3) uint8 a frame, always the same array."""
    height, width = size
    scale = CANVAS_PX / min(size)
    canvas = np.empty((int(height * scale), int(width * scale), 3), np.uint8)
    small = np.empty((height, width, 3), np.uint8)
    picture = np.empty_like(small)
    bodies = [_on_canvas(pose.body, canvas) for pose in people]
    hands = [_on_canvas(pose.hands, canvas) for pose in people]
    faces = [_on_canvas(pose.face, canvas) for pose in people]
    for t in range(len(people[0])):
        canvas[:] = 0
        now = [_Body(body.xy[t], body.score[t], body.score[t]) for body in bodies]
        _draw_limbs(canvas, now)
        cv2.LUT(canvas, _DIM_TABLE, dst=canvas)
        _draw_joints(canvas, now)
        for side in (LEFT_HAND, RIGHT_HAND):
            for hand in hands:
                _draw_hand(canvas, hand.xy[t, side], hand.score[t, side])
        for face in faces:
            _draw_face(canvas, face.xy[t], face.score[t])
        cv2.resize(canvas, (width, height), dst=small)
        cv2.cvtColor(small, cv2.COLOR_BGR2RGB, dst=picture)
        yield picture


def openpose_frames(people: list[Pose], size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Draw as OpenPose at native size: one (H,W,3) uint8 a frame, always the same array."""
    canvas = np.empty((*size, 3), np.uint8)
    bodies = [_on_canvas(pose.body, canvas) for pose in people]
    hands = [_on_canvas(pose.hands, canvas).shown() for pose in people]
    faces = [_on_canvas(pose.face, canvas).shown() for pose in people]
    for t in range(len(people[0])):
        canvas[:] = 0
        for body, hand, face in zip(bodies, hands, faces, strict=True):
            light = (body.score[t] > VISIBLE).astype(float)
            person = [_Body(body.xy[t], body.score[t], light)]
            _draw_limbs(canvas, person, LIMB_DIM)
            _draw_joints(canvas, person)
            for side in (LEFT_HAND, RIGHT_HAND):
                _draw_hand(canvas, hand.xy[t, side], hand.score[t, side])
            _draw_face(canvas, face.xy[t], face.score[t])
        yield canvas


def _on_canvas(points: Keypoints, canvas: np.ndarray) -> _Part:
    seen = drawable(points)
    height, width = canvas.shape[:2]
    xy = np.where(seen[..., None], points.xy, 0.0) * (width, height)
    return _Part(xy, np.where(seen, points.score, 0.0))


def _draw_limbs(canvas: np.ndarray, bodies: list[_Body], dim: float = 1.0) -> None:
    """Draw each limb as a filled ellipse, its color multiplied by `dim`."""
    for (i, j), color in zip(BODY_LIMBS, BODY_COLORS, strict=False):
        for body in bodies:
            if body.score[i] < VISIBLE or body.score[j] < VISIBLE:
                continue
            polygon = _limb_ellipse(body.xy[i], body.xy[j])
            light = [int(channel * body.light[i] * body.light[j] * dim) for channel in color]
            cv2.fillConvexPoly(canvas, polygon, light)


def _limb_ellipse(start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Outline the ellipse around a limb from `start` to `stop` (2,), in whole pixels."""
    x0, y0 = start
    x1, y1 = stop
    dx = x0 - x1
    dy = y0 - y1
    length = (dy**2 + dx**2) ** 0.5
    center_x = int((x0 + x1) / 2)
    center_y = int((y0 + y1) / 2)
    axes = (int(length / 2), LIMB_HALF_WIDTH_PX)
    radians = math.atan2(dy, dx)
    angle = int(math.degrees(radians))
    polygon = cv2.ellipse2Poly((center_x, center_y), axes, angle, 0, 360, 1)
    return np.asarray(polygon)


def _draw_joints(canvas: np.ndarray, bodies: list[_Body]) -> None:
    for k, color in enumerate(BODY_COLORS):
        for body in bodies:
            if body.score[k] <= VISIBLE:
                continue
            x, y = body.xy[k]
            light = [int(channel * body.light[k]) for channel in color]
            cv2.circle(canvas, (int(x), int(y)), JOINT_RADIUS_PX, light, -1)


def _draw_hand(canvas: np.ndarray, xy: np.ndarray, score: np.ndarray) -> None:
    """Draw one hand's bones and points (21,2); points at the canvas's left or upper edge are left
    out."""
    points = xy.astype(int).tolist()
    shown = [x > 0 and y > 0 and s > 0 for (x, y), s in zip(points, score, strict=True)]
    for (i, j), color in zip(HAND_EDGES, HAND_COLORS, strict=True):
        if not (shown[i] and shown[j]):
            continue
        light = int(score[i] * score[j] * 255)
        channels = [channel * light for channel in color]
        cv2.line(canvas, points[i], points[j], channels, FINGER_WIDTH_PX)
    for point, s, is_shown in zip(points, score, shown, strict=True):
        if is_shown:
            blue = (0, 0, int(s * 255))
            cv2.circle(canvas, point, JOINT_RADIUS_PX, blue, -1)


def _draw_face(canvas: np.ndarray, xy: np.ndarray, score: np.ndarray) -> None:
    """Draw a white dot for every face point; points at the left or upper edge are left out."""
    for (x, y), s in zip(xy.astype(int).tolist(), score, strict=True):
        if x > 0 and y > 0 and s > 0:
            white = (int(s * 255),) * 3
            cv2.circle(canvas, (x, y), FACE_RADIUS_PX, white, -1)
