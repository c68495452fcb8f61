"""Animate the 68 points of the reference's face from mouth, lid and brow parameters, and turn them
in depth.

The movements are defined in the face's own axes, x along the eyes and y down, so a tilted face
speaks along its own tilt. Lengths are shares of the width of its mouth and of its height. The mouth
starts closed: lips that are apart in the picture (a smile with teeth) are brought together first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.motion.curves import smoothstep
from pipeline.motion.keypoints import BROWS, CHIN, JAW, LEFT_EYE, MOUTH, MOUTH_CORNERS, RIGHT_EYE
from pipeline.values import FACE, InputError, Keypoints

PARAMETERS = (
    "jaw",
    "close",
    "pucker",
    "funnel",
    "stretch",
    "lowerdown",
    "upperup",
    "bite",
    "press",
    "gap",
)
# Distance of the inner lips at gap 1 and amplitude 1, over the width of the mouth at rest.
MAX_GAP = 0.42
# Bounds of that width over the height from eyes to chin: a smile or a half profile is no rest.
REST_WIDTH = (0.38, 0.47)
# Drop of the chin, over the height from the eyes to the chin.
JAW_DROP = 0.13
# The whole mouth gives way to the jaw a little, the corners more. Shares of the drop.
MOUTH_DROP = 0.12
CORNER_DROP = 0.13
# `close` between these shuts the lips: a missed p, b or m is what viewers notice.
GATE = (0.3, 0.6)
# Share of the opening that the upper lip makes, without and with `upperup`.
UPPER_SHARE = 0.18
UPPER_SHARE_RISE = 0.22
# Changes of the width of the mouth.
WIDTHS = {"stretch": 0.16, "pucker": -0.34, "funnel": -0.16}
WIDTH_RANGE = (0.5, 1.3)
# Thickness of the lips: in mouth widths, or in thicknesses for press and bite.
PUCKER_LIPS = 0.05
FUNNEL_LIPS = 0.07
LOWERDOWN_LIP = 0.03
PRESS_LIPS = 0.22
BITE_LOWER_LIP = 0.40  # the lower lip rolls in under the teeth
BITE_UPPER_LIP = 0.02
# A chin follows an opening that is wider than a smile shows; mouth widths.
SMILE_GAP = 0.12
# Shares of the opening of the eye that the lids travel in a blink.
LID_DOWN = 0.75
LID_UP = 0.10
# Rise of the brows in distances between the eyes.
BROW = 0.10

UPPER_OUTER = np.array([49, 50, 51, 52, 53])
LOWER_OUTER = np.array([59, 58, 57, 56, 55])
UPPER_INNER = np.array([61, 62, 63])
LOWER_INNER = np.array([67, 66, 65])
RIGHT_CORNER, LEFT_CORNER = MOUTH_CORNERS
INNER_CORNERS = (60, 64)
MIDDLE_LIP = slice(1, 4)  # of the five outer points of a lip
LIDS = {37: 41, 38: 40, 43: 47, 44: 46}  # upper lid: lower lid
# Depth towards the viewer in distances between the centers of the eyes (about 62 mm), in iBUG's
# order; authored.
_HALF_JAW = [-1.10, -1.08, -1.0, -0.88, -0.68, -0.42, -0.18, 0.0]
_LIPS = [0.08, 0.25, 0.37, 0.40, 0.37, 0.25, 0.08, 0.20, 0.33, 0.36, 0.33, 0.20]
DEPTH = np.array(
    [*_HALF_JAW, 0.06, *_HALF_JAW[::-1]]
    + [-0.15, 0.08, 0.20, 0.27, 0.30, 0.30, 0.27, 0.20, 0.08, -0.15]
    + [0.25, 0.38, 0.52, 0.66, 0.25, 0.36, 0.42, 0.36, 0.25]
    + [-0.12, 0.03, 0.06, 0.0, 0.05, 0.02, 0.0, 0.06, 0.03, -0.12, 0.02, 0.05]
    + [*_LIPS, 0.10, 0.30, 0.34, 0.30, 0.10, 0.28, 0.32, 0.28]
)
# The top of the neck, in the same unit: right, down and towards the viewer from the point between
# the eyes.
PIVOT = (0.0, 1.5, -1.2)
# In profile the eyes nearly meet; the height of the face then still tells its size.
MIN_UNIT_BY_HEIGHT = 0.4


@dataclass(frozen=True)
class Axes:
    """Hold the coordinate system of a face.

    origin: (2,) pixels, between the eyes.
    right, down: (2,) unit vectors.
    unit: pixels, the distance between the eyes.
    size: (H,W) of the picture in pixels.
    """

    origin: np.ndarray
    right: np.ndarray
    down: np.ndarray
    unit: float
    size: tuple[int, int]

    @staticmethod
    def of(face: np.ndarray, size: tuple[int, int]) -> Axes:
        """Measure one face (68,2) in fractions of a picture of `size` (H,W)."""
        if face.shape != (FACE, 2) or not np.isfinite(face).all():
            raise InputError(
                "a face needs 68 finite points (68,2), got shape "
                f"{face.shape}; detect the face anew"
            )
        pixels = face * _picture(size)
        right_eye = pixels[RIGHT_EYE].mean(0)
        left_eye = pixels[LEFT_EYE].mean(0)
        origin = (right_eye + left_eye) / 2
        across = left_eye - right_eye
        distance = float(np.hypot(*across))
        if distance < 1e-6:
            raise InputError(
                "the eyes of the face lie on one point; give a face that is seen from the front"
            )
        right = across / distance
        down = np.array([-right[1], right[0]])
        height = float((pixels[CHIN] - origin) @ down)
        if height <= 0:
            raise InputError("the chin lies above the eyes; turn the picture upright")
        unit = max(distance, MIN_UNIT_BY_HEIGHT * height)
        return Axes(origin, right, down, unit, size)

    def inside(self, points: np.ndarray) -> np.ndarray:
        """Turn fractions of the picture (..., 2) into the face's own coordinates (..., 2) in
        units."""
        away = points * _picture(self.size) - self.origin
        return np.stack([away @ self.right, away @ self.down], -1) / self.unit

    def outside(self, points: np.ndarray) -> np.ndarray:
        """Turn the face's own coordinates (..., 2) into fractions of the picture (..., 2)."""
        away = points[..., :1] * self.right + points[..., 1:] * self.down
        pixels = self.origin + self.unit * away
        return pixels / _picture(self.size)


def _picture(size: tuple[int, int]) -> np.ndarray:
    """Return width and height of a picture of `size` (H,W)."""
    return np.array(size[::-1], float)


def gated_gap(params: np.ndarray) -> np.ndarray:
    """Return the opening (T,) of the lips in [0, 1] after the closure gate: gap (1 -
    smoothstep(close))."""
    gap = params[:, PARAMETERS.index("gap")]
    close = params[:, PARAMETERS.index("close")]
    return gap * (1 - smoothstep(close, *GATE))


def close_lips(face: np.ndarray) -> np.ndarray:
    """Bring the lips of a face (68,2), in its own coordinates, together; they keep their thickness.

    Each lip goes half of the way. The chin follows an opening that is wider than a smile shows.
    """
    closed = face.copy()
    gaps = face[LOWER_INNER, 1] - face[UPPER_INNER, 1]
    closed[UPPER_INNER, 1] += gaps / 2
    closed[LOWER_INNER, 1] -= gaps / 2
    closed[UPPER_OUTER, 1] += 0.5 * _gaps_at(face, UPPER_OUTER, UPPER_INNER, gaps)
    closed[LOWER_OUTER, 1] += -0.5 * _gaps_at(face, LOWER_OUTER, LOWER_INNER, gaps)
    width = np.hypot(*(face[LEFT_CORNER] - face[RIGHT_CORNER]))
    jaw = max(0.0, float(gaps.max()) - SMILE_GAP * width)
    closed[JAW, 1] -= 0.5 * jaw * _jaw_profile()
    return closed


def _gaps_at(
    face: np.ndarray, outer: np.ndarray, inner: np.ndarray, gaps: np.ndarray
) -> np.ndarray:
    """Return the gap (5,) of the inner lips at the outer points of a lip; none at the corners."""
    order = np.argsort(face[inner, 0])
    right = face[RIGHT_CORNER, 0]
    left = face[LEFT_CORNER, 0]
    x = np.concatenate([[right], face[inner, 0][order], [left]])
    gap = np.concatenate([[0.0], gaps[order], [0.0]])
    return np.interp(face[outer, 0], x, np.maximum(gap, 0))


def _jaw_profile() -> np.ndarray:
    """Return (17,) share of the drop of the chin along the jaw line: 0 at the ears, 1 at the
    chin."""
    steps = np.clip(np.arange(17) - 1, 0, 14)
    wave = np.cos(2 * np.pi * steps / 14)
    return (0.5 - 0.5 * wave) ** 0.8


def _opening_profile(x: np.ndarray, center: float, half: float) -> np.ndarray:
    """Return the opening at x over that in the middle: a flat arch between the corners, not a
    wedge."""
    away = np.abs((x - center) / half)
    return np.sqrt(np.clip(1 - away**3, 0.0, 1))


def animate(
    reference_face: np.ndarray,
    size: tuple[int, int],
    params: np.ndarray,
    blink: np.ndarray,
    brow: np.ndarray,
    amplitude: float = 1.0,
) -> Keypoints:
    """Return the key points (T,68,2) of the reference's face, in its own place, while it talks.

    Args:
        reference_face: (68,2), fractions of the picture.
        size: (H,W) of the picture in pixels.
        params: (T,10), one column for each of PARAMETERS.
        blink: (T,) in [0, 1], closes the lids.
        brow: (T,) in [0, 1], raises the brows.
        amplitude: scales the movement of the mouth, not its closures.
    """
    params = np.asarray(params, float)
    if params.ndim != 2 or params.shape[1] != len(PARAMETERS):
        raise ValueError(
            f"mouth parameters need the shape (T,{len(PARAMETERS)}), got {params.shape}"
        )
    if len(blink) != len(params) or len(brow) != len(params):
        raise ValueError(
            f"blink and brow need {len(params)} rows like params, got {len(blink)} and {len(brow)}"
        )
    if not (np.isfinite(amplitude) and amplitude >= 0):
        raise InputError(f"mouth amplitude must be 0 or more, got {amplitude}")
    reference_face = np.asarray(reference_face, float)
    axes = Axes.of(reference_face, size)
    rest = close_lips(axes.inside(reference_face))
    face = np.repeat(rest[None], len(params), axis=0)
    _move_mouth(face, rest, params, amplitude)
    _close_lids(face, rest, np.asarray(blink, float))
    face[:, BROWS, 1] -= BROW * np.asarray(brow, float)[:, None]
    return Keypoints(axes.outside(face), np.ones(face.shape[:2]))


def _close_lids(face: np.ndarray, rest: np.ndarray, blink: np.ndarray) -> None:
    """Close the lids of `face` (T,68,2) in place by `blink` (T,)."""
    closure = blink[:, None]
    for upper, lower in LIDS.items():
        travel = rest[lower] - rest[upper]
        face[:, upper] += LID_DOWN * closure * travel
        face[:, lower] -= LID_UP * closure * travel


def _move_mouth(face: np.ndarray, rest: np.ndarray, params: np.ndarray, amplitude: float) -> None:
    """Move the mouth and jaw of `face` (T,68,2) in place, in the face's own coordinates.

    rest: the face (68,2) with closed lips.
    """
    columns = {name: params[:, k, None] for k, name in enumerate(PARAMETERS)}
    width = np.hypot(*(rest[LEFT_CORNER] - rest[RIGHT_CORNER]))
    height = rest[CHIN, 1]
    low, high = REST_WIDTH
    resting_width = float(np.clip(width, low * height, high * height))
    gap = MAX_GAP * resting_width * amplitude * gated_gap(params)[:, None]
    drop = JAW_DROP * height * amplitude * columns["jaw"]
    corners = [*MOUTH_CORNERS, *INNER_CORNERS]
    face[:, JAW, 1] += drop * _jaw_profile()
    face[:, MOUTH, 1] += MOUTH_DROP * drop
    face[:, corners, 1] += CORNER_DROP * drop
    upper_share = UPPER_SHARE + UPPER_SHARE_RISE * columns["upperup"]
    _open_lip(face, rest, UPPER_INNER, UPPER_OUTER, -1 * upper_share * gap)
    _open_lip(face, rest, LOWER_INNER, LOWER_OUTER, 1 * (1 - upper_share) * gap)
    _shape_lips(face, rest, columns, resting_width, amplitude)
    change = sum(step * columns[name] for name, step in WIDTHS.items())
    scale = np.clip(1 + amplitude * change, *WIDTH_RANGE)
    middle = (face[:, RIGHT_CORNER, 0] + face[:, LEFT_CORNER, 0])[:, None] / 2
    face[:, MOUTH, 0] = middle + (face[:, MOUTH, 0] - middle) * scale


def _open_lip(
    face: np.ndarray, rest: np.ndarray, inner: np.ndarray, outer: np.ndarray, opening: np.ndarray
) -> None:
    """Move a lip down by `opening` (T,1) in its middle, and less towards the corners, in place."""
    right = rest[RIGHT_CORNER, 0]
    left = rest[LEFT_CORNER, 0]
    center = (right + left) / 2
    half = max(abs(left - right) / 2, 1e-6)
    inner_right, inner_left = rest[list(INNER_CORNERS), 0]
    inner_half = max(abs(inner_left - inner_right) / 2, 1e-6)
    face[:, inner, 1] += opening * _opening_profile(rest[inner, 0], center, inner_half)
    face[:, outer, 1] += opening * _opening_profile(rest[outer, 0], center, 1.05 * half)


def _shape_lips(
    face: np.ndarray,
    rest: np.ndarray,
    columns: dict[str, np.ndarray],
    width: float,
    amplitude: float,
) -> None:
    """Thicken, bare, bite and press the lips in place; only the bite touches the inner gap.

    Args:
        face: (T,68,2), in the face's own coordinates.
        rest: (68,2), the face with closed lips.
        columns: (T,1) for each of PARAMETERS.
        width: of the mouth at rest.
        amplitude: scales the movement.
    """
    upper = UPPER_OUTER[MIDDLE_LIP]
    lower = LOWER_OUTER[MIDDLE_LIP]
    rounding = PUCKER_LIPS * columns["pucker"] + FUNNEL_LIPS * columns["funnel"]
    thicker = amplitude * width * rounding
    face[:, upper, 1] -= thicker
    face[:, lower, 1] += thicker
    face[:, LOWER_OUTER, 1] += amplitude * LOWERDOWN_LIP * width * columns["lowerdown"]
    for inner, outer in ((UPPER_INNER, upper), (LOWER_INNER, lower)):
        thickness = rest[outer, 1] - rest[inner, 1]
        face[:, outer, 1] -= PRESS_LIPS * thickness * columns["press"]
    thickness = np.abs(rest[lower, 1] - rest[LOWER_INNER, 1])
    face[:, lower, 1] -= BITE_LOWER_LIP * thickness * columns["bite"]
    face[:, UPPER_INNER, 1] -= BITE_UPPER_LIP * width * columns["bite"]


def rotation(angles: np.ndarray) -> np.ndarray:
    """Return (T,3,3) for (T,3) yaw, pitch, roll in degrees, on (right, down, towards the viewer).

    Positive yaw turns the nose to the picture's right, pitch nods it down, roll tilts the head
    clockwise.
    """
    yaw, pitch, roll = np.radians(np.asarray(angles, float)).T
    zero = np.zeros_like(yaw)
    one = np.ones_like(yaw)
    cos_yaw = np.cos(yaw)
    sin_yaw = np.sin(yaw)
    cos_pitch = np.cos(pitch)
    sin_pitch = np.sin(pitch)
    cos_roll = np.cos(roll)
    sin_roll = np.sin(roll)
    turn = _matrix([[cos_yaw, zero, sin_yaw], [zero, one, zero], [-sin_yaw, zero, cos_yaw]])
    nod = _matrix([[one, zero, zero], [zero, cos_pitch, sin_pitch], [zero, -sin_pitch, cos_pitch]])
    tilt = _matrix([[cos_roll, -sin_roll, zero], [sin_roll, cos_roll, zero], [zero, zero, one]])
    return tilt @ turn @ nod


def _matrix(rows: list[list[np.ndarray]]) -> np.ndarray:
    """Return matrices (T,3,3) from three rows of three entries (T,)."""
    stacked = [np.stack(row, -1) for row in rows]
    return np.stack(stacked, -2)


def turn_points(
    points: np.ndarray, depth: np.ndarray, angles: np.ndarray, axes: Axes
) -> np.ndarray:
    """Turn points of a head about the top of its neck.

    Args:
        points: (T,K,2), fractions of the picture.
        depth: (K,), in the unit of DEPTH.
        angles: (T,3) yaw, pitch, roll in degrees.
        axes: of the face.
    """
    inside = axes.inside(points)
    depths = np.broadcast_to(depth, inside.shape[:2])
    solid = np.concatenate([inside, depths[..., None]], -1) - PIVOT
    turned = np.einsum("tij,tkj->tki", rotation(angles), solid) + PIVOT
    change = turned - solid - PIVOT
    return axes.outside(inside + change[..., :2])


def turn_face(face: np.ndarray, angles: np.ndarray, axes: Axes) -> np.ndarray:
    """Turn a face (T,68,2) by (T,3) yaw, pitch, roll degrees, with an authored depth of the 68
    points."""
    if len(face) != len(angles):
        raise ValueError(
            f"the face has {len(face)} rows but the angles {len(angles)}; give one per frame"
        )
    return turn_points(face, DEPTH, angles, axes)
