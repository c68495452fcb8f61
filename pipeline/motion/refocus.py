"""Gestures that follow the speech: larger at accents, calmer in pauses (inspired by ApoAvatar's refocusing).

ApoAvatar gates pose embeddings by loudness while it trains; that is `mode="gate"`, a per-frame control
strength. `mode="amplify"` is this project's own geometry. With excitation e (T,) in [-1, 1] and slider s:

    g = LOUD^(s max(e, 0)) QUIET^(s max(-e, 0)) 2^size       bounded, 1 where s and size are 0
    theta = rest + posture + stroke                          local angle of every bone, in pixels
    theta' = theta + L tanh(f ((g^a - 1) stroke + (g^(a h) - 1) posture) / L)

`stroke` is what a circular Gaussian low-pass leaves over, `posture` the low-pass against the quiet rest. L is
the most that a bone may turn away from the driving video. f is 0 where a bone points at the camera (its angle
is noise) and where the joint is missing. No gain moves faster than the gestures it scales: over ordinary
detected motion that changes nothing, on slow smooth motion e is low-passed, or the changes of the gain would
be all the jerk there is. Only rotations are applied, from the hips outwards, so every limb
keeps its length, hips, legs and feet never move, and the head turns rigidly with all its face points.
Constants and the figures behind them are in assets/refocus_calibration.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial

import numpy as np
from scipy.ndimage import gaussian_filter1d, minimum_filter1d

from pipeline.motion.face_mesh import carry
from pipeline.motion.keypoints import HEAD_POINTS, L_HIP, MIDDLE_ROOT, NECK, R_HIP, SHOULDERS
from pipeline.motion.prosody import EXCITATION_SECONDS
from pipeline.values import BODY, FACE, HANDS, InputError, Keypoints, Motion, Pose

MODES = ("amplify", "gate", "both")
MAX_STRENGTH = 2.0
MAX_SIZE = 0.5
# more shifts the mean of the control features (metrics 4.3)
GUIDANCE_STEP = 0.1
GUIDANCE_RANGE = (0.8, 1.2)
MARGIN = 0.002  # of the frame: points are not pushed closer to its edge than this
EASE_SECONDS = 0.12
BISECTIONS = 8
ROUNDING = 1e-7
FADE_SECONDS = 0.5  # sigma of the fade to gain 1 around missing joints; at 0.12 arms sprang back
SLOWEST = 1.0  # seconds, the longest low-pass of e for a slow gesture: beyond it nothing follows the speech

# where parts begin when all points stand in one row
R_HAND = BODY + 21
L_HAND = BODY
FACE_AT = BODY + HANDS
TORSO = 0
HEAD = 1
STILL = 8
# bone: name, start point, end point, parent bone. The torso starts between the hips, a hand ends at its palm.
BONES = (
    ("torso", R_HIP, NECK, STILL),
    ("head", NECK, 0, TORSO),
    ("right upper arm", 2, 3, TORSO),
    ("right forearm", 3, 4, 2),
    ("right hand", 4, R_HAND + MIDDLE_ROOT, 3),
    ("left upper arm", 5, 6, TORSO),
    ("left forearm", 6, 7, 5),
    ("left hand", 7, L_HAND + MIDDLE_ROOT, 6),
)
START, END, PARENT = (np.array([bone[k] for bone in BONES]) for k in (1, 2, 3))
LOCAL = np.array(
    [3, 4, 6, 7]
)  # bones whose angle is taken against the parent; the others against upright
# the bones that move with a bone, itself included
FOLLOWERS = (range(8), (1,), (2, 3, 4), (3, 4), (4,), (5, 6, 7), (6, 7), (7,))


def _carriers() -> np.ndarray:
    """(128,) the bone that carries each point; STILL for hips, legs and feet."""
    carrier = np.full(BODY + HANDS + FACE, STILL)
    carrier[[NECK, *SHOULDERS]] = TORSO
    carrier[list(HEAD_POINTS)] = HEAD
    carrier[FACE_AT:] = HEAD
    carrier[[3, 4, 6, 7]] = 2, 3, 5, 6
    carrier[R_HAND : R_HAND + 21], carrier[L_HAND : L_HAND + 21] = 4, 7
    return carrier


CARRIER = _carriers()


@dataclass(frozen=True)
class Tuning:
    """The constants of the formula above, chosen on real poses (assets/refocus_calibration.md).

    exponents a and limits L (degrees) are those of torso, head, upper arm, forearm, hand. foreshortened:
    projected over full length where f leaves 0 and where it reaches 1. pace: the least sigma of e in units of
    the gesture's own time, which is the cube root of size over third derivative.
    """

    loud: float = 4.0
    quiet: float = 0.2
    exponents: tuple[float, ...] = (0.2, 0.25, 1.1, 1.1, 0.5)
    limits: tuple[float, ...] = (4.0, 10.0, 50.0, 50.0, 25.0)  # a wave stays a wave in a pause
    # h: the slow posture keeps closer to the driving video than the strokes
    posture_share: float = 0.5
    posture_seconds: float = 1.5  # sigma of the low-pass
    foreshortened: tuple[float, float] = (0.15, 0.40)
    pace: float = 1.8


TUNING = Tuning()


@dataclass(frozen=True)
class Regions:
    """Factors on the strength, one for each part of the body that turns; 0 leaves the part as driven."""

    torso: float = 1.0
    head: float = 1.0
    arms: float = 1.0
    hands: float = 1.0

    def per_bone(self) -> tuple[float, ...]:
        return (self.torso, self.head, *(self.arms, self.arms, self.hands) * 2)


EVEN = Regions()
PER_BONE = np.array([0, 1, 2, 3, 4, 2, 3, 4])  # which exponent and limit a bone takes


def refocus(
    motion: Motion,
    strength: float,
    size: float = 0.0,
    mode: str = "amplify",
    tuning: Tuning = TUNING,
    regions: Regions = EVEN,
) -> Motion:
    """Returns `motion` with gestures (`amplify`), control strength (`gate`) or both following the speech.

    strength 0 and size 0 return every array identical to the bit. The control strength holds for a whole
    frame, so `regions` do not change it.
    """
    if mode not in MODES:
        raise InputError(f"refocus mode {mode!r} is not known; choose one of {', '.join(MODES)}")
    for name, value, low, high in (
        ("intensity", strength, 0.0, MAX_STRENGTH),
        ("size", size, -MAX_SIZE, MAX_SIZE),
    ):
        if not (np.isfinite(value) and low <= value <= high):
            raise InputError(f"{name} must lie between {low:g} and {high:g}, got {value}")
    for field in fields(Regions):
        value = getattr(regions, field.name)
        if not (np.isfinite(value) and value >= 0 and strength * value <= MAX_STRENGTH):
            raise InputError(
                f"{field.name} intensity {value:g} times intensity {strength:g} is {strength * value:g}; "
                f"together they must lie between 0 and {MAX_STRENGTH:g}"
            )
    if len(motion.excitation) != len(motion.pose):
        raise InputError(
            f"excitation has {len(motion.excitation)} frames and the pose {len(motion.pose)}; cut both alike"
        )
    if mode != "amplify" and strength:
        gain = np.clip(1 + GUIDANCE_STEP * strength * motion.excitation, *GUIDANCE_RANGE)
        motion = replace(motion, control_strength=motion.control_strength * gain)
    if mode == "gate" or not (strength or size) or not len(motion.pose):
        return motion
    strengths = [strength * share for share in regions.per_bone()]
    pose = _amplify(motion.pose, motion.excitation, strengths, size, tuning)
    mesh = None if motion.mesh is None else carry(motion.mesh, motion.pose.face, pose.face)
    return replace(motion, pose=pose, mesh=mesh)


def _log_gain(
    excitation: np.ndarray, slow: float, strength: float, size: float, tuning: Tuning
) -> np.ndarray:
    """(T,) ln g, low-passed by `slow` frames."""
    up = np.maximum(excitation, 0)
    down = np.maximum(-excitation, 0)
    gain = strength * (up * np.log(tuning.loud) + down * np.log(tuning.quiet))
    return (gaussian_filter1d(gain, slow, mode="reflect") if slow else gain) + size * np.log(2)


def _slowing(pace: float, fps: float, tuning: Tuning) -> float:
    """Sigma in frames of the low-pass that e still needs, so that no gain moves faster than its gesture.

    Jerk falls with the third power of the time in which the gain changes.
    """
    least = min(tuning.pace * pace, SLOWEST * fps)
    return float(np.sqrt(max(least**2 - (EXCITATION_SECONDS * fps) ** 2, 0.0)))


@dataclass(frozen=True)
class _Bone:
    """One bone over time, every field but the last (T,).

    `pivot` in pixels as complex x + iy, `seen` (it may turn), `stroke` and `posture` in radians, `keep` = f.
    `pace`: frames, the gesture's own time.
    """

    pivot: np.ndarray
    seen: np.ndarray
    stroke: np.ndarray
    posture: np.ndarray
    keep: np.ndarray
    pace: float

    def rows(self, at: np.ndarray) -> _Bone:
        per_frame = (self.pivot, self.seen, self.stroke, self.posture, self.keep)
        return _Bone(*(values[at] for values in per_frame), self.pace)


@dataclass(frozen=True)
class _Rigid:
    """A rigid motion per frame, every field (T,) complex: z -> after + turn (z - before)."""

    turn: np.ndarray
    before: np.ndarray
    after: np.ndarray

    def rows(self, at: np.ndarray) -> _Rigid:
        return _Rigid(self.turn[at], self.before[at], self.after[at])

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """(T,K) points moved; bit for bit the same where nothing moves."""
        turn = self.turn[:, None]
        before = self.before[:, None]
        after = self.after[:, None]
        return np.where((turn == 1) & (before == after), points, after + turn * (points - before))


def _amplify(
    pose: Pose, excitation: np.ndarray, strengths: Sequence[float], size: float, tuning: Tuning
) -> Pose:
    """Returns the pose with every bone's deviation scaled by the gain, held inside the frame.

    Bone by bone from the hips outwards, each with what follows it at rest: a low hand calms the bones that
    carry it, not the other arm.
    """
    parts = (pose.body, pose.hands, pose.face)
    xy = np.concatenate([p.xy for p in parts], 1)
    visible = np.concatenate([p.visible for p in parts], 1) & np.isfinite(xy).all(2)
    inside = visible & ((xy >= 0) & (xy <= 1)).all(2)
    points = np.where(visible, xy[..., 0] * pose.size[1] + 1j * (xy[..., 1] * pose.size[0]), 0)
    bones = _bones(points, visible, inside, np.maximum(-excitation, 0), pose.fps, tuning)
    zero = np.zeros(len(points), complex)
    motions = {STILL: _Rigid(zero + 1, zero, zero)}
    moved = points.copy()
    for index, bone in enumerate(bones):
        parent = motions[PARENT[index]]
        which = np.flatnonzero(np.isin(CARRIER, FOLLOWERS[index]))
        which = which[inside[:, which].any(0)]
        leaves = _guard(points[:, which], inside[:, which], pose.size)
        slow = _slowing(bone.pace, pose.fps, tuning)
        swing = partial(
            _swing,
            bone,
            parent,
            _log_gain(excitation, slow, strengths[index], size, tuning),
            index,
            tuning,
        )
        motions[index] = _held(swing, leaves, max(EASE_SECONDS * pose.fps, slow), len(points))
        own = np.flatnonzero(index == CARRIER)
        moved[:, own] = motions[index](points[:, own])
    return _replaced(pose, moved, ~visible | (moved == points))


def _replaced(pose: Pose, points: np.ndarray, kept: np.ndarray) -> Pose:
    """The pose at `points` (T,128) in pixels; where `kept`, a point keeps its bits."""
    height, width = pose.size
    fractions = np.stack([points.real / width, points.imag / height], 2)
    parts = []
    start = 0
    for part in (pose.body, pose.hands, pose.face):
        here = slice(start, start + part.xy.shape[1])
        parts.append(
            Keypoints(np.where(kept[:, here, None], part.xy, fractions[:, here]), part.score)
        )
        start = here.stop
    return replace(pose, body=parts[0], hands=parts[1], face=parts[2])


def _bones(
    points: np.ndarray,
    visible: np.ndarray,
    inside: np.ndarray,
    quiet: np.ndarray,
    fps: float,
    tuning: Tuning,
) -> list[_Bone]:
    """Measures the bones and splits every bone's angle into clip rest, slow posture and stroke."""
    hips = [R_HIP, L_HIP]
    pivot = points[:, START]
    pivot[:, TORSO] = points[:, hips].mean(1)
    bone = points[:, END] - pivot
    length = np.abs(bone)
    seen = visible[:, START] & visible[:, END] & (length > 1e-6)
    seen[:, TORSO] &= inside[:, hips].all(1)  # hips under the picture's edge are guesses
    unit = np.where(seen, bone / np.maximum(length, 1e-6), 1)
    usable = seen.copy()
    usable[:, LOCAL] &= seen[:, PARENT[LOCAL]]
    keep = _keep(length, seen, usable, fps, tuning)
    local = unit.copy()
    local[:, LOCAL] *= np.conj(unit[:, PARENT[LOCAL]])
    weight = keep + 1e-9
    slow = _lowpass(weight * local, tuning.posture_seconds * fps)
    clear = np.abs(slow) / np.maximum(_lowpass(weight, tuning.posture_seconds * fps), 1e-12)
    keep = keep * _smoothstep(clear, 0.2, 0.5)  # a bone that spins has no posture to deviate from
    rest = _rest(local, weight * (0.15 + quiet[:, None]))
    stroke = np.angle(local * np.conj(slow))
    posture = np.angle(slow * np.conj(rest))
    pace = _pace(usable, stroke + posture, stroke + tuning.posture_share * posture)
    return [
        _Bone(*(a[:, k] for a in (pivot, usable, stroke, posture, keep)), float(pace[k]))
        for k in range(len(BONES))
    ]


def _pace(usable: np.ndarray, angle: np.ndarray, scaled: np.ndarray) -> np.ndarray:
    """(8,) frames, the cube root of what the gain scales over the third difference of the angle, both RMS.

    A detector's tremble makes it short, which is right: where there is jerk already, more is not seen.
    """
    run = usable[3:] & usable[2:-1] & usable[1:-2] & usable[:-3]
    third = (np.diff(angle, 3, axis=0) ** 2 * run).sum(0) / np.maximum(run.sum(0), 1)
    size = (scaled**2 * usable).sum(0) / np.maximum(usable.sum(0), 1)
    return np.where(
        run.any(0) & (size > 1e-12), np.cbrt(np.sqrt(size / np.maximum(third, 1e-18))), 0.0
    )


def _keep(
    length: np.ndarray, seen: np.ndarray, usable: np.ndarray, fps: float, tuning: Tuning
) -> np.ndarray:
    """(T,8) share of the gain that a bone takes: less where it is foreshortened or about to go missing."""
    full = np.array(
        [np.quantile(length[s, j], 0.95) if s.any() else 1.0 for j, s in enumerate(seen.T)]
    )
    keep = _smoothstep(length / full, *tuning.foreshortened)
    keep[:, LOCAL] = np.minimum(keep[:, LOCAL], keep[:, PARENT[LOCAL]])
    present = gaussian_filter1d(usable.astype(float), FADE_SECONDS * fps, axis=0, mode="nearest")
    return np.where(usable, keep * _smoothstep(present, 0.5, 1.0), 0)


def _smoothstep(x: np.ndarray, low: float, high: float) -> np.ndarray:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _lowpass(values: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian over time of (T, J), whose ends are mirrored."""
    return gaussian_filter1d(values, sigma, axis=0, mode="reflect", truncate=3.0)


def _rest(unit: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(J,) weighted circular mean of unit numbers; what lies far (60 degrees) from it pulls less."""
    pull = weight
    for _ in range(4):
        mean = (pull * unit).sum(0)
        mean = mean / np.maximum(np.abs(mean), 1e-12)
        pull = weight * np.exp(-0.5 * (np.angle(unit * np.conj(mean)) / np.radians(60)) ** 2)
    return mean


def _swing(
    bone: _Bone,
    parent: _Rigid,
    log_gain: np.ndarray,
    index: int,
    tuning: Tuning,
    held: np.ndarray,
    at: np.ndarray,
) -> _Rigid:
    """Motion, in the frames `at`, of a bone that turns on its parent by its share of `held` times ln g.

    Where the bone may not turn it moves rigidly with its parent.
    """
    bone = bone.rows(at)
    parent = parent.rows(at)
    exponent = tuning.exponents[PER_BONE[index]]
    limit = np.radians(tuning.limits[PER_BONE[index]])
    exponents = log_gain[at] * held * exponent
    stroke = np.expm1(exponents) * bone.stroke
    posture = np.expm1(exponents * tuning.posture_share) * bone.posture
    rotation = limit * np.tanh(bone.keep * (stroke + posture) / limit)
    turn = np.where(bone.seen, parent.turn * np.exp(1j * rotation), parent.turn)
    after = np.where(bone.seen, parent(bone.pivot[:, None])[:, 0], parent.after)
    return _Rigid(turn, np.where(bone.seen, bone.pivot, parent.before), after)


def _held(swing: Callable, leaves: Callable, ease: float, frames: int) -> _Rigid:
    """The motion `swing(held, rows)` with the largest factors in [0,1] on ln g by which no point leaves.

    `leaves(motion, rows)` tells the frames in which one does. The factors ease in and out over `ease` frames.
    """
    held = np.ones(frames)
    rows = np.arange(frames)
    reach = max(1, round(ease))
    for _ in range(3):
        motion = swing(held, rows)
        out = rows[leaves(motion, rows)]
        if not len(out):
            return motion
        low = np.zeros(len(out))
        high = held[out]
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            bad = leaves(swing(middle, out), out)
            low = np.where(bad, low, middle)
            high = np.where(bad, middle, high)
        held[out] = low
        lowest = minimum_filter1d(held, 2 * reach + 1, mode="nearest")
        held = np.minimum(held, gaussian_filter1d(lowest, reach / 2, mode="nearest"))
    held[leaves(swing(held, rows), rows)] = (
        0  # a path that leaves and comes back as the factor falls
    )
    return swing(held, rows)


def _guard(points: np.ndarray, inside: np.ndarray, size: tuple[int, int]) -> Callable:
    """Function (motion, rows) that tells the frames in which a point that lay `inside` leaves.

    It leaves when it comes nearer the frame's edge than both the margin and its old place.
    """
    width = size[1]
    height = size[0]
    edge = MARGIN * (width + 1j * height)
    far = width + 1j * height - edge
    low = np.minimum(points.real, edge.real), np.minimum(points.imag, edge.imag)
    high = np.maximum(points.real, far.real), np.maximum(points.imag, far.imag)

    def leaves(motion: _Rigid, rows: np.ndarray) -> np.ndarray:
        new = motion(points[rows])
        wrong = np.zeros(new.shape, bool)
        for axis, least, most in zip((new.real, new.imag), low, high, strict=True):
            wrong |= (axis < least[rows] - ROUNDING) | (axis > most[rows] + ROUNDING)
        return (wrong & inside[rows]).any(1)

    return leaves
