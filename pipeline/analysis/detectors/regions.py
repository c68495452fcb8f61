"""Turned squares of a picture: where networks look, and where what they see lies in the picture.

The conventions are those of MediaPipe's graphs (Google, Apache-2.0), whose networks were trained on
such squares.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

UP = np.pi / 2  # the direction of a body, radians against the clock from the picture's right
RIGHT = 0.0
DOWN = -np.pi / 2
GRAY_LEVELS = 255


@dataclass(frozen=True)
class Region:
    """A turned square: center and side in pixels, angle in radians with the clock."""

    x: float
    y: float
    side: float
    angle: float = 0.0

    def crop(self, image: np.ndarray, pixels: int) -> np.ndarray:
        """Return the square (pixels,pixels,3) float32 in [0, 1] of a picture (H,W,3) uint8.

        Outside the picture its border goes on.
        """
        part = self._warp(image, pixels, cv2.BORDER_REPLICATE)
        return part.astype(np.float32) / np.float32(GRAY_LEVELS)

    def crop_on_black(self, image: np.ndarray, pixels: int) -> np.ndarray:
        """Return the square (pixels,pixels,3) float32 in [-1, 1]; black outside the picture."""
        part = self._warp(image, pixels, cv2.BORDER_CONSTANT)
        scale = np.float32(2 / GRAY_LEVELS)
        return part.astype(np.float32) * scale - np.float32(1)

    def to_picture(self, points: np.ndarray) -> np.ndarray:
        """Return points (K,2 or 3) in fractions of the square in pixels of the picture."""
        sin = np.sin(self.angle)
        cos = np.cos(self.angle)
        turn_matrix = np.array([[cos, sin], [-sin, cos]])
        from_center = points[:, :2] - 0.5
        moved = points * self.side
        moved[:, :2] = (self.side * from_center) @ turn_matrix
        moved[:, :2] += (self.x, self.y)
        return moved

    def mask_in_picture(self, mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Return a mask (n,n) of the square as one of the picture of `size` (H,W), 0 outside."""
        to_square = self._to_square(len(mask))
        to_picture = np.linalg.inv(to_square)
        return _warp(mask, to_picture, size, cv2.BORDER_CONSTANT)

    def _warp(self, image: np.ndarray, pixels: int, border: int) -> np.ndarray:
        """Return the square (pixels,pixels,3) uint8."""
        return _warp(image, self._to_square(pixels), (pixels, pixels), border)

    def _to_square(self, pixels: int) -> np.ndarray:
        """Return the homography (3,3) from the picture to the square of so many pixels."""
        center = (self.x, self.y)
        sides = (self.side, self.side)
        angle_deg = np.degrees(self.angle)
        corners = cv2.boxPoints((center, sides, angle_deg))  # lower left first, with the clock
        targets = np.array([[0, pixels], [0, 0], [pixels, 0], [pixels, pixels]], np.float32)
        return cv2.getPerspectiveTransform(corners, targets)


def _warp(
    image: np.ndarray, homography: np.ndarray, size: tuple[int, int], border: int
) -> np.ndarray:
    """Warp a picture to one of `size` (H,W) as `warpPerspective` of OpenCV 4 does, bit for bit.

    Places are rounded to 1/32 pixel. The networks' points move by up to 6 px of 512 where OpenCV 5
    does not round: its `warpPerspective` differs by up to 3 gray levels. The map is that of a
    camera without distortion, which both round.
    """
    height, width = size
    camera = np.eye(3)
    distortion = np.zeros(4)
    pixels, fractions = cv2.initUndistortRectifyMap(
        camera, distortion, homography, camera, (width, height), cv2.CV_16SC2
    )
    return cv2.remap(image, pixels, fractions, cv2.INTER_LINEAR, borderMode=border)


@dataclass(frozen=True)
class Box:
    """A turned rectangle: center, width and height in pixels, angle in radians with the clock."""

    x: float
    y: float
    width: float
    height: float
    angle: float = 0.0

    def squared(self, scale: float, down: float = 0.0) -> Region:
        """Return the square as long as the longer side times `scale`.

        Its center is moved along the box's own y by `down` heights first.
        """
        step = down * self.height
        x = self.x - step * np.sin(self.angle)
        y = self.y + step * np.cos(self.angle)
        side = max(self.width, self.height)
        return Region(x, y, scale * side, self.angle)


def whole(size: tuple[int, int]) -> Region:
    """Return the upright square around a picture of `size` (H,W)."""
    height, width = size
    return Region(width / 2, height / 2, max(width, height))


def box_of(points: np.ndarray, angle: float) -> Box:
    """Return the upright box of points (K,2) in pixels, said to be turned by an angle."""
    low = points.min(0)
    high = points.max(0)
    x, y = (low + high) / 2
    width, height = high - low
    return Box(x, y, width, height, angle)


def box_through(center: np.ndarray, rim: np.ndarray, target: float) -> Box:
    """Return the square box about a center, as large as a circle through a point of its rim.

    It is turned so that the rim lies in the direction `target` of the center.
    """
    across, down = rim - center
    side = 2 * float(np.hypot(across, down))
    angle = angle_between(center, rim, target)
    x, y = center
    return Box(x, y, side, side, angle)


def angle_between(start: np.ndarray, end: np.ndarray, target: float) -> float:
    """Return how far a picture is turned in which `end` should lie in direction `target`."""
    across, down = end - start
    direction = np.arctan2(-down, across)
    return turn(target - direction)


def turn(angle: float) -> float:
    """Return an angle in [-pi, pi)."""
    return float((angle + np.pi) % (2 * np.pi) - np.pi)
