"""The "aniportrait" style: AniPortrait's picture of a face mesh, to the pixel."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import cv2
import numpy as np

CANVAS_PX = 512  # side of the square canvas on which AniPortrait draws
LINE_WIDTH_PX = 2
_OVAL = (  # without the forehead
    "21 162 127 234 93 132 58 172 136 150 149 176 148 152 377 400 378 379 365 397 288 361 323 454 "
    "356 389 251"
)
_LEFT_EYE = "362 382 381 380 374 373 390 249 263 466 388 387 386 385 384 398 362"
_RIGHT_EYE = "133 155 154 153 145 144 163 7 33 246 161 160 159 158 157 173 133"
# Color, then a chain of MediaPipe's 468 points in drawing order.
_CHAINS = (
    ((10, 200, 10), _OVAL),
    ((180, 200, 10), _LEFT_EYE),
    ((180, 220, 10), "285 295 282 283 276"),  # left brow, lower and upper edge
    ((180, 220, 10), "336 296 334 293 300"),
    ((10, 200, 180), _RIGHT_EYE),
    ((10, 220, 180), "55 65 52 53 46"),  # right brow, lower and upper edge
    ((10, 220, 180), "107 66 105 63 70"),
    ((10, 180, 20), "61 146 91 181 84 17"),  # lips: lower, outside and inside, then upper
    ((20, 10, 180), "17 314 405 321 375 291"),
    ((100, 100, 30), "78 95 88 178 87 14"),
    ((100, 150, 50), "14 317 402 318 324 308"),
    ((20, 80, 100), "61 185 40 39 37 0"),
    ((80, 100, 20), "0 267 269 270 409 291"),
    ((120, 100, 200), "78 191 80 81 82 13"),
    ((150, 120, 100), "13 312 311 310 415 308"),
)


def _edges() -> Iterator[tuple[int, int, tuple[int, int, int]]]:
    for color, chain in _CHAINS:
        points = [int(number) for number in chain.split()]
        for start, stop in pairwise(points):
            yield start, stop, color


EDGES = tuple(_edges())  # AniPortrait's 114 face edges: two points and a color


def frames(mesh: np.ndarray, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Draw face meshes (T,468,2), fractions: one (H,W,3) uint8 RGB a frame, always the same
    array."""
    if mesh.ndim != 3 or mesh.shape[1:] != (468, 2):
        raise ValueError(f"a face mesh needs shape (T,468,2), got {mesh.shape}; pass fractions")
    return _frames(mesh, size)


def _frames(mesh: np.ndarray, size: tuple[int, int]) -> Iterator[np.ndarray]:
    height, width = size
    canvas = np.empty((CANVAS_PX, CANVAS_PX, 3), np.uint8)
    picture = np.empty((height, width, 3), np.uint8)
    with np.errstate(invalid="ignore"):
        inside = np.all((mesh >= 0) & (mesh <= 1), 2)
        fractions = np.nan_to_num(np.clip(mesh, 0, 1))
    pixels = np.minimum(np.floor(fractions * CANVAS_PX), CANVAS_PX - 1).astype(int).tolist()
    for t, points in enumerate(pixels):
        canvas[:] = 0
        for start, stop, color in EDGES:
            if inside[t, start] and inside[t, stop]:
                cv2.line(canvas, points[start], points[stop], color, LINE_WIDTH_PX)
        # The published code reads its RGB array as if it were BGR.
        picture[:] = cv2.resize(canvas, (width, height))[..., ::-1]
        yield picture
