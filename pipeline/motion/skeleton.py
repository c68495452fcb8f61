"""Pictures of poses: the OpenPose key-point tables and the drawings that denoisers and viewers look at.

Three styles. "controlnext" is the published ControlNeXt-SVD-v2 picture to the pixel: drawn on a canvas whose
short side is 2160, dimmed by score, shrunk, channels reversed. "openpose" is the plain look of OpenPose and
controlnet_aux at native size. "preview" is fast and sub-pixel exact; viewers see it and the embedded denoiser
is conditioned on it.
Points with a score of 0, not finite, or more than `FAR` picture sizes outside the picture are not drawn.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from pipeline.motion.keypoints import (
    BODY_LIMBS,
    HAND_EDGES,
    INNER_LIP,
    LEFT_EYE,
    OUTER_LIP,
    RIGHT_EYE,
)
from pipeline.values import VISIBLE, InputError, Keypoints, Pose

STYLES = ("preview", "controlnext", "openpose")
FAR = 16.0  # picture sizes; 16 * 65536 pixels with 4 sub-pixel bits still fit OpenCV's 32-bit integers

BODY_COLOURS = (
    *(
        (255, 0, 0),
        (255, 85, 0),
        (255, 170, 0),
        (255, 255, 0),
        (170, 255, 0),
        (85, 255, 0),
        (0, 255, 0),
    ),
    *(
        (0, 255, 85),
        (0, 255, 170),
        (0, 255, 255),
        (0, 170, 255),
        (0, 85, 255),
        (0, 0, 255),
        (85, 0, 255),
    ),
    *((170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85)),
)
HAND_COLOURS = tuple(
    colorsys.hsv_to_rgb(k / len(HAND_EDGES), 1.0, 1.0) for k in range(len(HAND_EDGES))
)


PUBLISHED_CANVAS = 2160  # short side of the canvas on which the published code draws
LIMB_DIM = 0.6  # limbs are drawn darker than joints
_DIM = np.array([int(v * LIMB_DIM) for v in range(256)], np.uint8)
_SHIFT = 4  # sub-pixel bits of the preview
DOTS_FADE = (
    45.0  # pixels of face height per unit of brightness of eye and lip dots: none at 27, full at 72
)
EYE_COLOUR, LIP_COLOUR = (90, 200, 255), (255, 60, 90)

# AniPortrait's 114 face edges: colour, then chains of MediaPipe's 468 points in drawing order.
_OVAL = (  # without the forehead
    "21 162 127 234 93 132 58 172 136 150 149 176 148 152 377 400 378 379 365 397 288 361 323 454 356 389 251"
)
_MESH_CHAINS = (
    ((10, 200, 10), _OVAL),
    (
        (180, 200, 10),
        "362 382 381 380 374 373 390 249 263 466 388 387 386 385 384 398 362",
    ),  # left eye
    ((180, 220, 10), "285 295 282 283 276"),  # left brow, lower and upper edge
    ((180, 220, 10), "336 296 334 293 300"),
    ((10, 200, 180), "133 155 154 153 145 144 163 7 33 246 161 160 159 158 157 173 133"),
    ((10, 220, 180), "55 65 52 53 46"),
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
MESH_EDGES = tuple(
    (int(i), int(j), colour)
    for colour, chain in _MESH_CHAINS
    for i, j in zip(chain.split(), chain.split()[1:], strict=False)
)


def draw(poses: Pose | Sequence[Pose], size: tuple[int, int], style: str = "preview") -> np.ndarray:
    """Returns (T,H,W,3) uint8 RGB pictures of one person or several on black; see `stream` for long clips."""
    people = _people(poses, size, style)
    out = np.empty((len(people[0]), *size, 3), np.uint8)
    for t, frame in enumerate(stream(people, size, style)):
        out[t] = frame
    return out


def stream(
    poses: Pose | Sequence[Pose], size: tuple[int, int], style: str = "preview"
) -> Iterator[np.ndarray]:
    """Yields one (H,W,3) uint8 RGB picture per frame, always the same array: copy what is to be kept."""
    people = _people(poses, size, style)
    return {"preview": _preview, "controlnext": _controlnext, "openpose": _openpose}[style](
        people, size
    )


def draw_mesh(mesh: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns (T,H,W,3) uint8 RGB drawings of face meshes (T,468,2), fractions, as AniPortrait draws them."""
    if mesh.ndim != 3 or mesh.shape[1:] != (468, 2):
        raise InputError(f"a face mesh needs shape (T,468,2), got {mesh.shape}; pass fractions")
    out = np.empty((len(mesh), *size, 3), np.uint8)
    canvas = np.empty((512, 512, 3), np.uint8)
    with np.errstate(invalid="ignore"):
        inside = ((mesh >= 0) & (mesh <= 1)).all(2)
        pixels = (
            np.minimum(np.floor(np.nan_to_num(np.clip(mesh, 0, 1)) * 512), 511).astype(int).tolist()
        )
    for t, points in enumerate(pixels):
        canvas[:] = 0
        for i, j, colour in MESH_EDGES:
            if inside[t, i] and inside[t, j]:
                cv2.line(canvas, points[i], points[j], colour, 2)
        # The peer's array becomes a picture as if it were BGR.
        out[t] = cv2.resize(canvas, (size[1], size[0]))[..., ::-1]
    return out


def _people(poses: Pose | Sequence[Pose], size: tuple[int, int], style: str) -> list[Pose]:
    people = [poses] if isinstance(poses, Pose) else list(poses)
    if style not in STYLES:
        raise InputError(f"unknown skeleton style {style!r}; choose one of {', '.join(STYLES)}")
    if min(size) < 1:
        raise InputError(
            f"cannot draw a skeleton at {size[1]}x{size[0]} pixels; give a positive size"
        )
    if not people:
        raise InputError("no pose to draw; pass Pose.empty(frames, fps, size) for black pictures")
    if len({len(pose) for pose in people}) > 1:
        raise InputError(
            f"people drawn together need as many frames each, got {[len(p) for p in people]}"
        )
    return people


def _drawable(points: Keypoints) -> np.ndarray:
    """(T,K) bool: points that can be handed to OpenCV at all."""
    near = np.abs(np.nan_to_num(points.xy, nan=np.inf) - 0.5).max(2) <= FAR
    return near & (points.score > 0)


# ---- published style and the plain OpenPose style


def _controlnext(people: list[Pose], size: tuple[int, int]) -> Iterator[np.ndarray]:
    height, width = size
    scale = PUBLISHED_CANVAS / min(size)
    canvas = np.empty((int(height * scale), int(width * scale), 3), np.uint8)
    small = np.empty((height, width, 3), np.uint8)
    out = np.empty_like(small)
    bodies, faces = (
        [_pixels(p.body, canvas) for p in people],
        [_pixels(p.face, canvas) for p in people],
    )
    hands = [_pixels(p.hands, canvas) for p in people]
    for t in range(len(people[0])):
        canvas[:] = 0
        _limbs(canvas, [(xy[t], score[t], score[t]) for xy, score in bodies])
        cv2.LUT(canvas, _DIM, dst=canvas)
        _joints(canvas, [(xy[t], score[t], score[t]) for xy, score in bodies])
        for side in (
            slice(0, 21),
            slice(21, 42),
        ):  # the left hands of all people, then the right ones
            for xy, score in hands:
                _hand(canvas, xy[t, side], score[t, side])
        for xy, score in faces:
            _face(canvas, xy[t], score[t])
        cv2.resize(canvas, (width, height), dst=small)
        cv2.cvtColor(small, cv2.COLOR_BGR2RGB, dst=out)
        yield out


def _openpose(people: list[Pose], size: tuple[int, int]) -> Iterator[np.ndarray]:
    canvas = np.empty((*size, 3), np.uint8)
    parts = [[_pixels(part, canvas) for part in (p.body, p.hands, p.face)] for p in people]
    for t in range(len(people[0])):
        canvas[:] = 0
        for (body, score), (hands, hands_score), (face, face_score) in parts:
            person = [(body[t], score[t], (score[t] > VISIBLE).astype(float))]
            _limbs(canvas, person, LIMB_DIM)
            _joints(canvas, person)
            for side in (slice(0, 21), slice(21, 42)):
                _hand(canvas, hands[t, side], (hands_score[t, side] > VISIBLE).astype(float))
            _face(canvas, face[t], (face_score[t] > VISIBLE).astype(float))
        yield canvas


def _pixels(points: Keypoints, canvas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Canvas coordinates (T,K,2) float and scores, both 0 where a point cannot be drawn."""
    seen = _drawable(points)
    xy = np.where(seen[..., None], points.xy, 0.0) * (canvas.shape[1], canvas.shape[0])
    return xy, np.where(seen, points.score, 0.0)


def _limbs(
    canvas: np.ndarray, people: list[tuple[np.ndarray, np.ndarray, np.ndarray]], dim: float = 1.0
) -> None:
    """Draws ellipses of half width 4; each person is (xy, score, brightness)."""
    for (i, j), colour in zip(BODY_LIMBS, BODY_COLOURS, strict=False):
        for xy, score, light in people:
            if score[i] < VISIBLE or score[j] < VISIBLE:
                continue
            (x0, y0), (x1, y1) = xy[i], xy[j]
            length = ((y0 - y1) ** 2 + (x0 - x1) ** 2) ** 0.5
            centre = (int((x0 + x1) / 2), int((y0 + y1) / 2))
            angle = int(math.degrees(math.atan2(y0 - y1, x0 - x1)))
            polygon = cv2.ellipse2Poly(centre, (int(length / 2), 4), angle, 0, 360, 1)
            cv2.fillConvexPoly(
                canvas, polygon, [int(c * light[i] * light[j] * dim) for c in colour]
            )


def _joints(canvas: np.ndarray, people: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> None:
    for k, colour in enumerate(BODY_COLOURS):
        for xy, score, light in people:
            if score[k] > VISIBLE:
                cv2.circle(
                    canvas,
                    (int(xy[k, 0]), int(xy[k, 1])),
                    4,
                    [int(c * light[k]) for c in colour],
                    -1,
                )


def _hand(canvas: np.ndarray, xy: np.ndarray, score: np.ndarray) -> None:
    points = xy.astype(int).tolist()
    drawn = [x > 0 and y > 0 and s > 0 for (x, y), s in zip(points, score, strict=True)]
    for (i, j), colour in zip(HAND_EDGES, HAND_COLOURS, strict=True):
        if drawn[i] and drawn[j]:
            light = int(score[i] * score[j] * 255)
            cv2.line(canvas, points[i], points[j], [c * light for c in colour], 2)
    for point, s, seen in zip(points, score, drawn, strict=True):
        if seen:
            cv2.circle(canvas, point, 4, (0, 0, int(s * 255)), -1)


def _face(canvas: np.ndarray, xy: np.ndarray, score: np.ndarray) -> None:
    for (x, y), s in zip(xy.astype(int).tolist(), score, strict=True):
        if x > 0 and y > 0 and s > 0:
            cv2.circle(canvas, (x, y), 3, (int(s * 255),) * 3, -1)


# ---- preview


def _preview(people: list[Pose], size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Joints are not drawn (limbs show them); hands are one line per finger bone; the face is 68 dots."""
    canvas = np.empty((*size, 3), np.uint8)
    limb, thin = max(2, round(size[0] / 110)), max(1, round(size[0] / 400))
    bodies, hands = [_fixed(p.body, size) for p in people], [_fixed(p.hands, size) for p in people]
    faces = [(*_fixed(p.face, size), _face_heights(p.face, size)) for p in people]
    for t in range(len(people[0])):
        canvas[:] = 0
        for xy, seen in bodies:
            _preview_body(canvas, xy[t].tolist(), seen[t].tolist(), limb)
        for xy, seen, heights in faces:
            if seen[t].any():
                _preview_face(canvas, xy[t], seen[t], heights[t], thin)
        for xy, seen in hands:
            if seen[t].any():
                _preview_hands(canvas, xy[t], seen[t], thin)
        yield canvas


def _fixed(points: Keypoints, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Pixel coordinates (T,K,2) int32 with `_SHIFT` sub-pixel bits, and (T,K) bool what to draw."""
    seen = _drawable(points) & points.visible
    pixels = (
        np.where(seen[..., None], points.xy, 0.0) * (size[1], size[0]) - 0.5
    )  # integer = pixel centre
    return np.rint(pixels * (1 << _SHIFT)).astype(np.int32), seen


def _face_heights(face: Keypoints, size: tuple[int, int]) -> np.ndarray:
    """(T,) height in pixels of the box around the visible face points, 0 without any."""
    seen = _drawable(face) & face.visible
    y = face.xy[..., 1]
    span = np.where(seen, y, -np.inf).max(1) - np.where(seen, y, np.inf).min(1)
    return np.where(seen.any(1), span, 0.0) * size[0]


def _preview_body(canvas: np.ndarray, xy: list[list[int]], seen: list[bool], width: int) -> None:
    for k, (i, j) in enumerate(BODY_LIMBS):
        if seen[i] and seen[j]:
            thick = (
                width if k < 12 else max(1, width // 2)
            )  # thin head lines leave the face dots readable
            cv2.line(canvas, xy[i], xy[j], BODY_COLOURS[k], thick, cv2.LINE_AA, _SHIFT)


_FINGERS = np.array([[0, *range(4 * f + 1, 4 * f + 5)] for f in range(5)])
_FINGER_COLOURS = ((255, 90, 90), (255, 220, 60), (80, 255, 120), (70, 200, 255), (220, 110, 255))


def _preview_hands(canvas: np.ndarray, xy: np.ndarray, seen: np.ndarray, width: int) -> None:
    for finger, colour in zip(_FINGERS, _FINGER_COLOURS, strict=True):
        lines = []
        for side in (0, 21):
            ids = finger + side
            if seen[ids].all():
                lines.append(xy[ids])
            else:
                lines += [xy[ids[k : k + 2]] for k in range(4) if seen[ids[k : k + 2]].all()]
        if lines:
            cv2.polylines(canvas, lines, False, colour, width, cv2.LINE_AA, _SHIFT)


def _preview_face(
    canvas: np.ndarray, xy: np.ndarray, seen: np.ndarray, height: float, width: int
) -> None:
    """Lips as a filled ring, so that the opening is an area; eyes as outlines; then all points as dots."""
    lips = [xy[ids] for ids in (OUTER_LIP, INNER_LIP) if seen[ids].all()]
    if len(lips) == 2:
        cv2.fillPoly(canvas, lips[:1], LIP_COLOUR, cv2.LINE_AA, _SHIFT)
        cv2.fillPoly(canvas, lips[1:], (0, 0, 0), cv2.LINE_AA, _SHIFT)
    eyes = [xy[ids] for ids in (RIGHT_EYE, LEFT_EYE) if seen[ids].all()]
    if eyes:
        cv2.polylines(canvas, eyes, True, EYE_COLOUR, width, cv2.LINE_AA, _SHIFT)
    light = np.ones(len(xy))
    light[36:] = np.clip(
        height / DOTS_FADE - 0.6, 0, 1
    )  # closer than two pixels they would hide the opening
    _dots(canvas, xy[seen], light[seen], height / 70)


def _dots(canvas: np.ndarray, xy: np.ndarray, light: np.ndarray, radius: float) -> None:
    """Draws soft white discs at sub-pixel places, all in one vectorised maximum (68 circles cost more)."""
    radius = float(np.clip(radius, 0.6, canvas.shape[0] / 250 + 0.2))
    reach = int(math.ceil(radius + 0.5))
    grid = np.arange(-reach, reach + 1)
    base = (xy + (1 << _SHIFT) // 2) >> _SHIFT
    offset = xy / (1 << _SHIFT) - base
    dx, dy = grid - offset[:, :1], grid - offset[:, 1:]  # (K, 2 * reach + 1)
    cover = np.clip(radius + 0.5 - np.hypot(dx[:, None, :], dy[:, :, None]), 0, 1)
    grey = (cover * light[:, None, None] * 255).astype(np.uint8)
    cols = np.broadcast_to((base[:, :1] + grid)[:, None, :], grey.shape)
    rows = np.broadcast_to((base[:, 1:] + grid)[:, :, None], grey.shape)
    inside = (
        (grey > 0) & (rows >= 0) & (rows < canvas.shape[0]) & (cols >= 0) & (cols < canvas.shape[1])
    )
    rows, cols, grey = rows[inside], cols[inside], grey[inside]
    order = np.argsort(grey, kind="stable")  # the brightest value of a pixel is written last
    rows, cols, grey = rows[order], cols[order], grey[order]
    canvas[rows, cols] = np.maximum(canvas[rows, cols], grey[:, None])
