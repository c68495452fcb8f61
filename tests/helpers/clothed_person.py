"""A small clothed person before a light wall: picture, mask and pose fit each other at any joints.

Everything of the person is darker than the wall, so that a slit in a moved layer shows as light.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from pipeline.motion.keypoints import ANKLES, ARMS, L_WRIST, R_WRIST
from pipeline.render import warp
from pipeline.values import Pose
from tests.helpers.stick_person import small_face, stick_person, without_points

SIZE = (192, 128)  # height, width
WALL = (0.93, 0.93, 0.9)
SHIRT = (0.2, 0.45, 0.25)
SLEEVE = (0.2, 0.25, 0.55)
TROUSERS = (0.25, 0.22, 0.2)
SKIN = (0.7, 0.5, 0.4)
BODY = [
    (64, 26), (64, 44), (50, 48), (42, 72), (38, 94), (78, 48), (86, 72), (90, 94), (56, 100), (56, 134),
    (56, 168), (72, 100), (72, 134), (72, 168), (60, 22), (68, 22), (55, 24), (73, 24),
]  # fmt: skip
FINGERS = np.array([(0, 0)] + [(f * 1.5 - 3, 2 * (j + 1)) for f in range(5) for j in range(4)])
FINER = 4  # subpixels along each side of a pixel
WEAVE = 0.02  # amplitude of the cloth's waves
CLOSE = 2.0  # a close picture shows the person larger, to the hips
CLOSE_SHIFT = (-64, -22)  # pixels, then
UNLIKE_WALL = 0.25  # of a color: what differs by more is the person


@dataclass(frozen=True)
class Clothed:
    """image (1,3,H,W) in [0, 1], mask (1,1,H,W), pose of one frame."""

    image: Tensor
    mask: Tensor
    pose: Pose

    def layers(self) -> warp.Plates:
        return warp.plates(self.image, warp.Points.of(self.pose), self.mask)


def posed(body: np.ndarray | None = None, scale: float = 1.0) -> Pose:
    """The pose of body points (18,2) in pixels; the hands hang from the wrists."""
    places = np.array(BODY if body is None else body, float)
    fingers = FINGERS * scale
    hands = np.concatenate([fingers + places[L_WRIST], fingers + places[R_WRIST]])
    face = small_face(middle=(0, 0)) * 0.55 * scale + places[0]
    width_first = SIZE[::-1]
    return stick_person(places, hands, face, SIZE, unit=width_first)


def without_feet(pose: Pose) -> Pose:
    """The same pose whose ankles nobody saw."""
    score = without_points(18, ANKLES)[None]
    body = type(pose.body)(pose.body.xy, score)
    return Pose(body, pose.hands, pose.face, pose.fps, pose.size)


def close() -> np.ndarray:
    """Body points (18,2) of a close picture, for `clothed(close(), scale=CLOSE)`."""
    return np.array(BODY, float) * CLOSE + CLOSE_SHIFT


def clothed(
    body: np.ndarray | None = None, fore: tuple[float, ...] = SKIN, scale: float = 1.0
) -> Clothed:
    """The person with body points (18,2) in pixels, forearms of a color and all widths scaled."""
    places = np.array(BODY if body is None else body, float)
    canvas = _Canvas(scale)
    canvas.legs(places)
    canvas.trunk(places)
    for arm in ARMS.values():
        shoulder, elbow, wrist = places[list(arm.joints)]
        canvas.line(SLEEVE, shoulder, elbow, 9)
        canvas.line(fore, elbow, wrist, 8)
        canvas.line(SKIN, wrist, wrist + (0, 7 * scale), 8)
    return canvas.finish(posed(places, scale))


def person(picture: Tensor) -> np.ndarray:
    """(H,W) bool: where a picture (3,H,W) does not show the wall."""
    wall = torch.tensor(WALL)[:, None, None]
    return ((picture - wall).abs().amax(0) > UNLIKE_WALL).numpy()


def pieces(region: np.ndarray, least_px: int = 6) -> int:
    """How many connected pieces of some pixels a region (H,W) bool has."""
    _, _, facts, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8), connectivity=4)
    return int((facts[1:, cv2.CC_STAT_AREA] >= least_px).sum())


class _Canvas:
    """A picture and a mask with FINER subpixels along each side of a pixel."""

    def __init__(self, scale: float) -> None:
        self.scale = scale
        height, width = SIZE
        self.picture = np.empty((height * FINER, width * FINER, 3), np.float32)
        self.picture[:] = WALL
        self.mask = np.zeros(self.picture.shape[:2], np.uint8)

    def trunk(self, places: np.ndarray) -> None:
        """Draw the shirt down to the hips, the neck and the head."""
        right, left = places[2], places[5]
        right_hip, left_hip = places[8], places[11]
        outwards = np.array([(-4, -4), (4, -4), (8, 4), (-8, 4)]) * self.scale
        corners = np.array([right, left, left_hip, right_hip]) + outwards
        area = np.zeros_like(self.mask)
        cv2.fillPoly(area, [np.round(corners * FINER).astype(np.int32)], 1)
        self._paint(SHIRT, area)
        self.line(SKIN, places[1], places[0], 9)
        area = np.zeros_like(self.mask)
        x, y = (int(value) for value in np.round(places[0] * FINER))
        axes = (round(9 * FINER * self.scale), round(13 * FINER * self.scale))
        cv2.ellipse(area, (x, y), axes, 0, 0, 360, 1, -1)
        self._paint(SKIN, area)

    def legs(self, places: np.ndarray) -> None:
        """Draw trousers that touch each other, and shoes."""
        for hip, knee, ankle in ((8, 9, 10), (11, 12, 13)):
            self.line(TROUSERS, places[hip], places[knee], 17)
            self.line(TROUSERS, places[knee], places[ankle], 17)
            self.line(TROUSERS, places[ankle], places[ankle] + (0, 6 * self.scale), 17)

    def line(self, color: tuple[float, ...], start, end, width_px: float) -> None:
        """Draw a round line between two places in pixels, its width before scaling."""
        area = np.zeros_like(self.mask)
        ends = [tuple(int(v) for v in np.round(np.array(p) * FINER)) for p in (start, end)]
        cv2.line(area, *ends, 1, round(width_px * self.scale * FINER))
        self._paint(color, area)

    def finish(self, pose: Pose) -> Clothed:
        """Shrink picture and mask to pixels; cloth gets a weave."""
        size = SIZE[::-1]
        y, x = np.mgrid[: self.mask.shape[0], : self.mask.shape[1]] / FINER
        weave = WEAVE * (np.sin(x * 1.1) + np.sin(y * 0.9))
        woven = self.picture + (weave * self.mask)[..., None].astype(np.float32)
        picture = cv2.resize(woven, size, interpolation=cv2.INTER_AREA)
        mask = cv2.resize(self.mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        image = torch.from_numpy(picture).permute(2, 0, 1)[None].contiguous()
        return Clothed(image, torch.from_numpy(mask)[None, None], pose)

    def _paint(self, color: tuple[float, ...], area: np.ndarray) -> None:
        self.picture[area > 0] = color
        self.mask |= area
