"""Gestures that follow the speech: larger at accents, calmer in pauses (inspired by ApoAvatar's refocusing).

ApoAvatar gates pose embeddings by loudness while it trains; that is `mode="gate"`, a per-frame control
strength. `mode="amplify"` is this project's own geometry. With excitation e (T,) in [-1, 1] and slider s:

    g = LOUD^(s max(e, 0)) QUIET^(s max(-e, 0)) 2^size              bounded, 1 where s and size are 0
    theta = rest + posture + stroke                                 local angle of every bone, in pixels
    theta' = theta + f ((g^a - 1) stroke + (g^(a h) - 1) posture)   each part capped by a soft knee

`stroke` is what a circular Gaussian low-pass leaves over, `posture` the low-pass against the quiet rest.
f is 0 where a bone points at the camera (its angle is noise) and where the joint is missing. Only rotations
are applied, from the hips outwards, so every limb keeps its length, hips, legs and feet never move, and the
head turns rigidly with all its face points. Constants and the figures behind them are in
assets/refocus_calibration.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d, minimum_filter1d

from pipeline.clips import BODY, FACE, HANDS, Keypoints, Motion, Pose

MODES = ("amplify", "gate", "both")
MAX_STRENGTH, MAX_SIZE = 2.0, 0.5
GUIDANCE_STEP, GUIDANCE_RANGE = 0.1, (0.8, 1.2)  # more shifts the mean of the control features (metrics 4.3)
MARGIN = 0.002  # of the frame: points are not pushed closer to its edge than this
EASE_SECONDS, BISECTIONS, ROUNDING = 0.25, 8, 1e-9
FADE_SECONDS = 0.12  # the gain fades to 1 around frames where a joint is missing

NECK, R_HIP, L_HIP = 1, 8, 11
R_HAND, L_HAND, FACE_AT = BODY + 21, BODY, BODY + HANDS  # where parts begin when all points stand in one row
PALM = 9  # root of the middle finger within a hand's 21 points
TORSO, HEAD, STILL = 0, 1, 8
# bone: name, start point, end point, parent bone. The torso starts between the hips, a hand ends at its palm.
BONES = (
    ("torso", R_HIP, NECK, STILL),
    ("head", NECK, 0, TORSO),
    ("right upper arm", 2, 3, TORSO),
    ("right forearm", 3, 4, 2),
    ("right hand", 4, R_HAND + PALM, 3),
    ("left upper arm", 5, 6, TORSO),
    ("left forearm", 6, 7, 5),
    ("left hand", 7, L_HAND + PALM, 6),
)
START, END, PARENT = (np.array([bone[k] for bone in BONES]) for k in (1, 2, 3))
LOCAL = np.array([3, 4, 6, 7])  # bones whose angle is taken against the parent; the others against upright
GROUPS = ((TORSO,), (HEAD,), (2, 3, 4), (5, 6, 7))  # what the frame guard holds together, from the hips out


def _carriers() -> np.ndarray:
    """(128,) the bone that carries each point; STILL for hips, legs and feet."""
    carrier = np.full(BODY + HANDS + FACE, STILL)
    carrier[[NECK, 2, 5]] = TORSO
    carrier[[0, 14, 15, 16, 17]] = HEAD
    carrier[FACE_AT:] = HEAD
    carrier[[3, 4, 6, 7]] = 2, 3, 5, 6
    carrier[R_HAND : R_HAND + 21], carrier[L_HAND : L_HAND + 21] = 4, 7
    return carrier


CARRIER = _carriers()


@dataclass(frozen=True)
class Tuning:
    """The constants of the formula above; angles in degrees, per bone in the order torso, head, arm x3."""

    loud: float = 3.0
    quiet: float = 0.25
    exponents: tuple[float, ...] = (0.20, 0.25, 1.0, 1.0, 1.0)
    caps: tuple[float, ...] = (12.0, 20.0, 75.0, 90.0, 60.0)
    posture_share: float = 0.3
    posture_seconds: float = 1.0
    foreshortened: tuple[float, float] = (0.15, 0.40)


TUNING = Tuning()
PER_BONE = np.array([0, 1, 2, 3, 4, 2, 3, 4])  # which exponent and cap a bone takes


def refocus(
    motion: Motion, strength: float, size: float = 0.0, mode: str = "amplify", tuning: Tuning = TUNING
) -> Motion:
    """Returns `motion` with gestures (`amplify`), control strength (`gate`) or both following the speech.

    strength 0 and size 0 return every array identical to the bit.
    """
    if mode not in MODES:
        raise ValueError(f"refocus mode {mode!r} is not known; choose one of {', '.join(MODES)}")
    for name, value, low, high in (
        ("intensity", strength, 0.0, MAX_STRENGTH),
        ("size", size, -MAX_SIZE, MAX_SIZE),
    ):
        if not (np.isfinite(value) and low <= value <= high):
            raise ValueError(f"{name} must lie between {low:g} and {high:g}, got {value}")
    if len(motion.excitation) != len(motion.pose):
        raise ValueError(
            f"excitation has {len(motion.excitation)} frames and the pose {len(motion.pose)}; cut both alike"
        )
    if mode != "amplify" and strength:
        gain = np.clip(1 + GUIDANCE_STEP * strength * motion.excitation, *GUIDANCE_RANGE)
        motion = replace(motion, guidance=motion.guidance * gain)
    if mode == "gate" or not (strength or size) or not len(motion.pose):
        return motion
    log_gain = _log_gain(motion.excitation, strength, size, tuning)
    return replace(motion, pose=_amplify(motion.pose, log_gain, motion.excitation, tuning))


def _log_gain(excitation: np.ndarray, strength: float, size: float, tuning: Tuning) -> np.ndarray:
    """(T,) ln g."""
    up, down = np.maximum(excitation, 0), np.maximum(-excitation, 0)
    return strength * (up * np.log(tuning.loud) + down * np.log(tuning.quiet)) + size * np.log(2)


@dataclass(frozen=True)
class _Skeleton:
    """All 128 points in pixels as complex x + iy (T,128), what is seen of them, and the bones' pivots.

    Per bone (T,8): `pivot`, `seen` (the bone may turn), `stroke` and `posture` in radians, `keep` = f above.
    """

    points: np.ndarray
    visible: np.ndarray
    pivot: np.ndarray
    seen: np.ndarray
    stroke: np.ndarray
    posture: np.ndarray
    keep: np.ndarray

    def rows(self, at: np.ndarray) -> _Skeleton:
        return _Skeleton(*(getattr(self, field.name)[at] for field in fields(self)))


def _amplify(pose: Pose, log_gain: np.ndarray, excitation: np.ndarray, tuning: Tuning) -> Pose:
    """Returns the pose with every bone's deviation scaled by the gain, held inside the frame."""
    skeleton = _skeleton(pose, np.maximum(-excitation, 0), tuning)
    logs = log_gain[:, None] * _guard(skeleton, log_gain, pose, tuning)
    moved = _carried(skeleton, _rotations(skeleton, logs, tuning), np.arange(len(CARRIER)))
    kept = ~skeleton.visible | (moved == skeleton.points)  # untouched points keep their bits
    height, width = pose.size
    fractions = np.stack([moved.real / width, moved.imag / height], 2)
    parts, start = [], 0
    for part in (pose.body, pose.hands, pose.face):
        here = slice(start, start + part.xy.shape[1])
        parts.append(Keypoints(np.where(kept[:, here, None], part.xy, fractions[:, here]), part.score))
        start = here.stop
    return replace(pose, body=parts[0], hands=parts[1], face=parts[2])


def _skeleton(pose: Pose, quiet: np.ndarray, tuning: Tuning) -> _Skeleton:
    """Measures the bones and splits every bone's angle into clip rest, slow posture and stroke."""
    parts = (pose.body, pose.hands, pose.face)
    xy = np.concatenate([p.xy for p in parts], 1)
    visible = np.concatenate([p.visible for p in parts], 1) & np.isfinite(xy).all(2)
    points = np.where(visible, xy[..., 0] * pose.size[1] + 1j * (xy[..., 1] * pose.size[0]), 0)
    hips = [R_HIP, L_HIP]
    pivot = points[:, START]
    pivot[:, TORSO] = points[:, hips].mean(1)
    bone = points[:, END] - pivot
    length = np.abs(bone)
    seen = visible[:, START] & visible[:, END] & (length > 1e-6)
    seen[:, TORSO] &= (visible & _in_frame(xy))[:, hips].all(1)  # hips under the picture's edge are guesses
    unit = np.where(seen, bone / np.maximum(length, 1e-6), 1)
    usable = seen.copy()
    usable[:, LOCAL] &= seen[:, PARENT[LOCAL]]
    keep = _keep(length, seen, usable, pose.fps, tuning)
    local = unit.copy()
    local[:, LOCAL] *= np.conj(unit[:, PARENT[LOCAL]])
    weight = keep + 1e-9
    slow = _lowpass(weight * local, tuning.posture_seconds * pose.fps)
    clear = np.abs(slow) / np.maximum(_lowpass(weight, tuning.posture_seconds * pose.fps), 1e-12)
    keep = keep * _smoothstep(clear, 0.2, 0.5)  # a bone that spins has no posture to deviate from
    rest = _rest(local, weight * (0.15 + quiet[:, None]))
    stroke, posture = np.angle(local * np.conj(slow)), np.angle(slow * np.conj(rest))
    return _Skeleton(points, visible, pivot, usable, stroke, posture, keep)


def _in_frame(xy: np.ndarray) -> np.ndarray:
    return ((xy >= 0) & (xy <= 1)).all(-1)


def _keep(length: np.ndarray, seen: np.ndarray, usable: np.ndarray, fps: float, tuning: Tuning) -> np.ndarray:
    """(T,8) share of the gain that a bone takes: less where it is foreshortened or about to go missing."""
    full = np.array([np.quantile(length[s, j], 0.95) if s.any() else 1.0 for j, s in enumerate(seen.T)])
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


def _rotations(skeleton: _Skeleton, logs: np.ndarray, tuning: Tuning) -> np.ndarray:
    """(T,8) rotation of every bone against its parent, in radians; exactly 0 where the gain is 1."""
    exponents, caps = np.array(tuning.exponents)[PER_BONE], np.radians(np.array(tuning.caps)[PER_BONE])
    total = np.zeros_like(skeleton.stroke)
    for part, share in ((skeleton.stroke, 1.0), (skeleton.posture, tuning.posture_share)):
        total += _capped(part, np.expm1(logs * exponents * share) * skeleton.keep, caps)
    return total


def _capped(part: np.ndarray, growth: np.ndarray, caps: np.ndarray) -> np.ndarray:
    """Change of an angle that grows by 1 + growth, under a soft knee from 70 % of the cap."""
    before = np.abs(part)
    cap = np.maximum(before, caps)
    knee = np.maximum(before, 0.7 * cap)
    room = np.maximum(cap - knee, 1e-9)
    wanted = before * (1 + growth)
    after = np.where(wanted > knee, knee + room * np.tanh((wanted - knee) / room), wanted)
    return np.where(growth == 0, 0.0, np.sign(part) * (after - before))


def _carried(skeleton: _Skeleton, rotation: np.ndarray, which: np.ndarray) -> np.ndarray:
    """(T,len(which)) points after forward kinematics; a bone that may not turn moves with its parent."""
    frames = len(rotation)
    turn = np.ones((frames, STILL + 1), complex)
    before, after = np.zeros_like(turn), np.zeros_like(turn)
    for bone, parent in enumerate(PARENT):
        pivot, seen = skeleton.pivot[:, bone], skeleton.seen[:, bone]
        moved = _rigid(pivot, turn[:, parent], before[:, parent], after[:, parent])
        own = turn[:, parent] * np.exp(1j * rotation[:, bone])
        turn[:, bone] = np.where(seen, own, turn[:, parent])
        before[:, bone] = np.where(seen, pivot, before[:, parent])
        after[:, bone] = np.where(seen, moved, after[:, parent])
    bone = CARRIER[which]
    return _rigid(skeleton.points[:, which], turn[:, bone], before[:, bone], after[:, bone])


def _rigid(points: np.ndarray, turn: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Points turned and shifted; bit for bit the same where nothing moves."""
    return np.where((turn == 1) & (before == after), points, after + turn * (points - before))


def _guard(skeleton: _Skeleton, log_gain: np.ndarray, pose: Pose, tuning: Tuning) -> np.ndarray:
    """(T,8) factors in [0,1] on ln g that keep every point that lay in the frame in it.

    From the hips outwards, each group with what follows it at rest: one low hand does not calm the other.
    """
    factor = np.zeros((len(log_gain), len(BONES)))
    for group in GROUPS:
        if not skeleton.seen[:, group].any():
            continue
        which = np.flatnonzero(np.isin(CARRIER, range(STILL) if TORSO in group else group))

        def leaves(held: np.ndarray, at: np.ndarray, group=group, which=which) -> np.ndarray:
            part, trial = skeleton.rows(at), factor[at]
            trial[:, group] = held[:, None]
            moved = _carried(part, _rotations(part, log_gain[at, None] * trial, tuning), which)
            return _leave(part.points[:, which], moved, part.visible[:, which], pose.size)

        factor[:, group] = _held(leaves, len(log_gain), pose.fps)[:, None]
    return factor


def _leave(before: np.ndarray, after: np.ndarray, visible: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(T,) whether a point that lay in the frame comes nearer its edge than the margin and its old place."""
    bad = np.zeros(len(before), bool)
    inside = visible & _in_frame(np.stack([before.real / size[1], before.imag / size[0]], -1))
    for old, new, side in ((before.real, after.real, size[1]), (before.imag, after.imag, size[0])):
        edge, slack = MARGIN * side, ROUNDING * side
        wrong = (new < np.minimum(old, edge) - slack) | (new > np.maximum(old, side - edge) + slack)
        bad |= (inside & wrong).any(1)
    return bad


def _held(leaves: Callable, frames: int, fps: float) -> np.ndarray:
    """(T,) the largest factors that `leaves(factors, rows)` allows, eased in and out over time."""
    held, rows = np.ones(frames), np.arange(frames)
    reach = max(1, round(EASE_SECONDS * fps))
    for _ in range(3):
        out = rows[leaves(held, rows)]
        if not len(out):
            return held
        low, high = np.zeros(len(out)), held[out]
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            bad = leaves(middle, out)
            low, high = np.where(bad, low, middle), np.where(bad, middle, high)
        held[out] = low
        lowest = minimum_filter1d(held, 2 * reach + 1, mode="nearest")
        held = np.minimum(held, gaussian_filter1d(lowest, reach / 2, mode="nearest"))
    held[leaves(held, rows)] = 0  # a path that leaves and comes back as the factor falls
    return held
