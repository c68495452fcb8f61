"""Mouth, lid and brow parameters -> the 68 points of the reference's own face; turning that face in depth.

The basis works in the face's own axes (x along the eyes, y down), so a tilted reference speaks along its own
tilt. Lengths are shares of the reference's own mouth width and face height. The mouth starts from the
reference's closed state: lips that are apart in the picture (a smile with teeth) are first brought together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.motion.keypoints import LEFT_EYE, MOUTH, RIGHT_EYE
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
MAX_GAP = 0.42  # of the mouth width at rest: inner-lip distance at gap 1 and amplitude 1
# Bounds of that width as shares of the height from eyes to chin: a smile or a half profile is no rest
REST_WIDTH = (0.38, 0.47)
JAW_DROP = 0.13  # of the height from the eyes to the chin
GATE = (0.3, 0.6)  # `close` between these shuts the lips: a missed p, b or m is what viewers notice
WIDTHS = {"stretch": 0.16, "pucker": -0.34, "funnel": -0.16}  # change of the mouth's width
# shares of the eye's opening that the lids travel in a blink
LID_DOWN = 0.75
LID_UP = 0.10
BROW = 0.10  # rise of the brows, of the distance between the eyes

UPPER_OUTER = np.array([49, 50, 51, 52, 53])
LOWER_OUTER = np.array([59, 58, 57, 56, 55])
UPPER_INNER = np.array([61, 62, 63])
LOWER_INNER = np.array([67, 66, 65])
LIDS = {37: 41, 38: 40, 43: 47, 44: 46}  # upper lid: lower lid
# Depth towards the viewer in distances between the eye centres (about 62 mm), iBUG order, authored
_HALF_JAW = [-1.10, -1.08, -1.0, -0.88, -0.68, -0.42, -0.18, 0.0]
_LIPS = [0.08, 0.25, 0.37, 0.40, 0.37, 0.25, 0.08, 0.20, 0.33, 0.36, 0.33, 0.20]
DEPTH = np.array(
    [*_HALF_JAW, 0.06, *_HALF_JAW[::-1]]
    + [-0.15, 0.08, 0.20, 0.27, 0.30, 0.30, 0.27, 0.20, 0.08, -0.15]
    + [0.25, 0.38, 0.52, 0.66, 0.25, 0.36, 0.42, 0.36, 0.25]
    + [-0.12, 0.03, 0.06, 0.0, 0.05, 0.02, 0.0, 0.06, 0.03, -0.12, 0.02, 0.05]
    + [*_LIPS, 0.10, 0.30, 0.34, 0.30, 0.10, 0.28, 0.32, 0.28]
)
# The top of the neck, in the same unit: right, down and towards the viewer from the point between the eyes
PIVOT = (0.0, 1.5, -1.2)


@dataclass(frozen=True)
class Axes:
    """A face's own frame: `origin` (2,) between the eyes and `unit` in pixels, `right` and `down` (2,).

    `size` (H,W) is the picture's, in pixels.
    """

    origin: np.ndarray
    right: np.ndarray
    down: np.ndarray
    unit: float
    size: tuple[int, int]

    @staticmethod
    def of(face: np.ndarray, size: tuple[int, int]) -> Axes:
        """The frame of one face (68,2) in fractions of a picture of `size` (H,W)."""
        if face.shape != (FACE, 2) or not np.isfinite(face).all():
            raise InputError(
                f"a face needs 68 finite points (68,2), got shape {face.shape}; detect the face anew"
            )
        pixels = face * np.array(size[::-1], float)
        eyes = pixels[RIGHT_EYE].mean(0), pixels[LEFT_EYE].mean(0)
        across = eyes[1] - eyes[0]
        unit = float(np.hypot(*across))
        if unit < 1e-6:
            raise InputError(
                "the eyes of the face lie on one point; give a face that is seen from the front"
            )
        right = across / unit
        # In profile the eyes nearly meet: the height of the face then still tells its size
        down = np.array([-right[1], right[0]])
        tall = float((pixels[8] - (eyes[0] + eyes[1]) / 2) @ down)
        if tall <= 0:
            raise InputError("the chin lies above the eyes; turn the picture upright")
        return Axes((eyes[0] + eyes[1]) / 2, right, down, max(unit, 0.4 * tall), size)

    def inside(self, points: np.ndarray) -> np.ndarray:
        """Fractions (..., 2) -> the face's own coordinates (..., 2) in units."""
        away = points * np.array(self.size[::-1], float) - self.origin
        return np.stack([away @ self.right, away @ self.down], -1) / self.unit

    def outside(self, points: np.ndarray) -> np.ndarray:
        """The face's own coordinates (..., 2) -> fractions (..., 2)."""
        pixels = self.origin + self.unit * (
            points[..., :1] * self.right + points[..., 1:] * self.down
        )
        return pixels / np.array(self.size[::-1], float)


def _smoothstep(x: np.ndarray, low: float, high: float) -> np.ndarray:
    share = np.clip((x - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


def gated_gap(params: np.ndarray) -> np.ndarray:
    """(T,) lip opening in [0, 1] after the closure gate: g (1 - smoothstep(close))."""
    gap = params[:, PARAMETERS.index("gap")]
    close = params[:, PARAMETERS.index("close")]
    return gap * (1 - _smoothstep(close, *GATE))


def closed(face: np.ndarray) -> np.ndarray:
    """The face (68,2), in its own coordinates, with the lips brought together; lips keep their thickness.

    Each lip goes half of the way. The chin follows an opening wider than a smile shows: 0.12 of the width.
    """
    out = face.copy()
    gaps = face[LOWER_INNER, 1] - face[UPPER_INNER, 1]
    out[UPPER_INNER, 1] += gaps / 2
    out[LOWER_INNER, 1] -= gaps / 2
    for outer, inner, sign in ((UPPER_OUTER, UPPER_INNER, 0.5), (LOWER_OUTER, LOWER_INNER, -0.5)):
        order = np.argsort(face[inner, 0])
        left = face[48, 0]
        right = face[54, 0]
        knots = np.concatenate([[left], face[inner, 0][order], [right]])
        shift = np.concatenate([[0.0], gaps[order], [0.0]])
        out[outer, 1] += sign * np.interp(face[outer, 0], knots, np.maximum(shift, 0))
    width = np.hypot(*(face[54] - face[48]))
    jaw = max(0.0, float(gaps.max()) - 0.12 * width)
    out[:17, 1] -= 0.5 * jaw * _jaw_profile()
    return out


def _jaw_profile() -> np.ndarray:
    """(17,) share of the chin's drop along the jaw line: 0 at the ears, 1 at the chin."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.clip(np.arange(17) - 1, 0, 14) / 14)) ** 0.8


def _opening_profile(x: np.ndarray, centre: float, half: float) -> np.ndarray:
    """Share of the middle's opening at x: a flat-bottomed arch between the corners, not a wedge."""
    return np.sqrt(np.clip(1 - np.abs((x - centre) / half) ** 3, 0.0, 1))


def animate(
    reference_face: np.ndarray,
    size: tuple[int, int],
    params: np.ndarray,
    blink: np.ndarray,
    brow: np.ndarray,
    amplitude: float = 1.0,
) -> Keypoints:
    """Key points (T,68,2) of the reference's face, in its own place, speaking `params` (T,10).

    blink (T,) and brow (T,) in [0, 1] close the lids and raise the brows. amplitude scales the mouth's
    movement, not its closures.
    """
    params = np.asarray(params, float)
    if params.ndim != 2 or params.shape[1] != len(PARAMETERS):
        raise InputError(
            f"mouth parameters need the shape (T,{len(PARAMETERS)}), got {params.shape}"
        )
    if len(blink) != len(params) or len(brow) != len(params):
        raise InputError(
            f"blink and brow need {len(params)} rows like params, got {len(blink)} and {len(brow)}"
        )
    if not (np.isfinite(amplitude) and amplitude >= 0):
        raise InputError(f"mouth amplitude must be 0 or more, got {amplitude}")
    axes = Axes.of(np.asarray(reference_face, float), size)
    rest = closed(axes.inside(np.asarray(reference_face, float)))
    out = np.repeat(rest[None], len(params), axis=0)
    _move_mouth(out, rest, params, amplitude)
    eyes = np.asarray(blink, float)[:, None]
    for upper, lower in LIDS.items():
        travel = rest[lower] - rest[upper]
        out[:, upper] += LID_DOWN * eyes * travel
        out[:, lower] -= LID_UP * eyes * travel
    out[:, 17:27, 1] -= BROW * np.asarray(brow, float)[:, None]
    return Keypoints(axes.outside(out), np.ones(out.shape[:2]))


def _move_mouth(out: np.ndarray, rest: np.ndarray, params: np.ndarray, amplitude: float) -> None:
    """Adds the mouth's and jaw's displacements to `out` (T,68,2) in place, in the face's coordinates."""
    p = {name: params[:, k, None] for k, name in enumerate(PARAMETERS)}
    width = np.hypot(*(rest[54] - rest[48]))
    tall = rest[8, 1]
    centre = (rest[48, 0] + rest[54, 0]) / 2
    half = max(abs(rest[54, 0] - rest[48, 0]) / 2, 1e-6)
    inner_half = max(abs(rest[64, 0] - rest[60, 0]) / 2, 1e-6)
    resting = float(np.clip(width, REST_WIDTH[0] * tall, REST_WIDTH[1] * tall))
    gap = MAX_GAP * resting * amplitude * gated_gap(params)[:, None]
    drop = JAW_DROP * tall * amplitude * p["jaw"]
    out[:, :17, 1] += drop * _jaw_profile()
    out[:, MOUTH, 1] += 0.12 * drop  # the whole mouth gives way a little; more at the corners
    out[:, [48, 54, 60, 64], 1] += 0.13 * drop
    up = 0.18 + 0.22 * p["upperup"]  # share of the opening that the upper lip makes
    for inner, outer, sign, share in (
        (UPPER_INNER, UPPER_OUTER, -1, up),
        (LOWER_INNER, LOWER_OUTER, 1, 1 - up),
    ):
        out[:, inner, 1] += (
            sign * share * gap * _opening_profile(rest[inner, 0], centre, inner_half)
        )
        out[:, outer, 1] += (
            sign * share * gap * _opening_profile(rest[outer, 0], centre, 1.05 * half)
        )
    _shape_lips(out, rest, p, resting, amplitude)
    scale = 1 + amplitude * sum(change * p[name] for name, change in WIDTHS.items())
    middle = (out[:, 48, 0] + out[:, 54, 0])[:, None] / 2
    out[:, MOUTH, 0] = middle + (out[:, MOUTH, 0] - middle) * np.clip(scale, 0.5, 1.3)


def _shape_lips(
    out: np.ndarray, rest: np.ndarray, p: dict[str, np.ndarray], width: float, amplitude: float
) -> None:
    """Thickens, bares, bites and presses the lips in place; only the bite touches the inner gap."""
    round_ = amplitude * width * (0.05 * p["pucker"] + 0.07 * p["funnel"])
    out[:, UPPER_OUTER[1:4], 1] -= round_
    out[:, LOWER_OUTER[1:4], 1] += round_
    out[:, LOWER_OUTER, 1] += amplitude * 0.03 * width * p["lowerdown"]
    for inner, outer in ((UPPER_INNER, UPPER_OUTER[1:4]), (LOWER_INNER, LOWER_OUTER[1:4])):
        thick = rest[outer, 1] - rest[inner, 1]
        out[:, outer, 1] -= 0.22 * thick * p["press"]
    thick = np.abs(rest[LOWER_OUTER[1:4], 1] - rest[LOWER_INNER, 1])
    out[:, LOWER_OUTER[1:4], 1] -= (
        0.40 * thick * p["bite"]
    )  # the lower lip rolls in under the teeth
    out[:, UPPER_INNER, 1] -= 0.02 * width * p["bite"]


def rotation(angles: np.ndarray) -> np.ndarray:
    """(T,3,3) for (T,3) yaw, pitch, roll in degrees, on (right, down, towards the viewer).

    Positive yaw turns the nose to the picture's right, pitch nods it down, roll tilts the head clockwise.
    """
    yaw, pitch, roll = np.radians(np.asarray(angles, float)).T
    zero = np.zeros_like(yaw)
    one = np.ones_like(yaw)

    def matrix(*rows: tuple) -> np.ndarray:
        return np.stack([np.stack(row, -1) for row in rows], -2)

    turn_ = matrix(
        (np.cos(yaw), zero, np.sin(yaw)), (zero, one, zero), (-np.sin(yaw), zero, np.cos(yaw))
    )
    nod = matrix(
        (one, zero, zero),
        (zero, np.cos(pitch), np.sin(pitch)),
        (zero, -np.sin(pitch), np.cos(pitch)),
    )
    tilt = matrix(
        (np.cos(roll), -np.sin(roll), zero), (np.sin(roll), np.cos(roll), zero), (zero, zero, one)
    )
    return tilt @ turn_ @ nod


def turn_points(
    points: np.ndarray, depth: np.ndarray, angles: np.ndarray, axes: Axes
) -> np.ndarray:
    """Fractions (T,K,2) turned by (T,3) degrees about the top of the neck, `depth` (K,) as in `DEPTH`."""
    inside = axes.inside(points)
    solid = (
        np.concatenate([inside, np.broadcast_to(depth, inside.shape[:2])[..., None]], -1) - PIVOT
    )
    turned = np.einsum("tij,tkj->tki", rotation(angles), solid) + PIVOT
    return axes.outside(inside + (turned - solid - PIVOT)[..., :2])


def turn(
    face: np.ndarray, angles: np.ndarray, size: tuple[int, int], axes: Axes | None = None
) -> np.ndarray:
    """Face points (T,68,2) turned by (T,3) yaw, pitch, roll degrees, from an authored depth of the 68 points.

    axes: the head's frame; by default that of the first row.
    """
    if len(face) != len(angles):
        raise InputError(
            f"the face has {len(face)} rows but the angles {len(angles)}; give one per frame"
        )
    return turn_points(face, DEPTH, angles, axes or Axes.of(face[0], size))
