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

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.ndimage import gaussian_filter1d, minimum_filter1d

from pipeline.clips import Keypoints, Motion, Pose

MODES = ("amplify", "gate", "both")
MAX_STRENGTH, MAX_SIZE = 2.0, 0.5
GUIDANCE_STEP, GUIDANCE_RANGE = 0.1, (0.8, 1.2)  # more shifts the mean of the control features (metrics 4.3)
MARGIN = 0.002  # of the frame: points are not pushed closer to its edge than this
EASE_SECONDS, BISECTIONS, ROUNDING = 0.25, 8, 1e-9
FADE_SECONDS = 0.12  # the gain fades to 1 around frames where a joint is missing

NOSE, NECK, R_HIP, L_HIP = 0, 1, 8, 11
HEAD_POINTS = (0, 14, 15, 16, 17)
PALM = 9  # root of the middle finger within a hand's 21 points
TORSO, HEAD = 0, 1  # rows of the table of bones; an arm's bones bear the number of the point they start at
ARMS = {2: slice(21, 42), 5: slice(0, 21)}  # shoulder (and first bone) of the right and left arm: its hand
# name, start and end among the body points (a hand ends at its palm), parent bone; -1 = the picture's upright
BONES = (
    ("torso", -1, NECK, -1),
    ("head", NECK, NOSE, -1),
    ("right upper arm", 2, 3, -1),
    ("right forearm", 3, 4, 2),
    ("right hand", 4, 21 + PALM, 3),
    ("left upper arm", 5, 6, -1),
    ("left forearm", 6, 7, 5),
    ("left hand", 7, PALM, 6),
)


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
    """Pixels of the moving points: body (T,18,2), hands (T,42,2), face (T,68,2) and what is seen of them."""

    body: np.ndarray
    hands: np.ndarray
    face: np.ndarray
    seen: tuple[np.ndarray, np.ndarray, np.ndarray]
    hips: np.ndarray  # (T,2) middle of the seen hips

    @property
    def parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.body, self.hands, self.face

    def rows(self, at: np.ndarray) -> _Skeleton:
        return _Skeleton(*(p[at] for p in self.parts), tuple(s[at] for s in self.seen), self.hips[at])


def _skeleton(pose: Pose) -> _Skeleton:
    scale = np.array([pose.size[1], pose.size[0]], np.float64)
    parts = [
        np.nan_to_num(p.xy, nan=0.0, posinf=0.0, neginf=0.0) * scale
        for p in (pose.body, pose.hands, pose.face)
    ]
    seen = tuple(p.visible & np.isfinite(p.xy).all(2) for p in (pose.body, pose.hands, pose.face))
    weight = seen[0][:, (R_HIP, L_HIP)].astype(float)[..., None]
    hips = (parts[0][:, (R_HIP, L_HIP)] * weight).sum(1) / np.maximum(weight.sum(1), 1)
    return _Skeleton(*parts, seen, hips)


@dataclass(frozen=True)
class _Angles:
    """Per frame and bone (T,8): stroke and posture in radians, `keep` = f of the formula, `seen`."""

    stroke: np.ndarray
    posture: np.ndarray
    keep: np.ndarray
    seen: np.ndarray

    def rows(self, at: np.ndarray) -> _Angles:
        return _Angles(self.stroke[at], self.posture[at], self.keep[at], self.seen[at])


def _amplify(pose: Pose, log_gain: np.ndarray, excitation: np.ndarray, tuning: Tuning) -> Pose:
    """Returns the pose with every bone's deviation scaled by the gain, held inside the frame."""
    skeleton = _skeleton(pose)
    angles = _angles(skeleton, np.maximum(-excitation, 0), pose.fps, tuning)
    logs = np.repeat(log_gain[:, None], len(BONES), 1)
    logs = logs * _guard(skeleton, angles, logs, pose, tuning)
    moved = _turned(skeleton, _rotations(angles, logs, tuning), angles.seen)
    scale = np.array([pose.size[1], pose.size[0]], np.float64)
    kept = []
    for old, before, after, seen in zip(
        (pose.body, pose.hands, pose.face), skeleton.parts, moved, skeleton.seen, strict=True
    ):
        still = ~seen | (after == before).all(2)  # untouched points keep their bits
        kept.append(Keypoints(np.where(still[..., None], old.xy, after / scale), old.score))
    return replace(pose, body=kept[0], hands=kept[1], face=kept[2])


def _wrap(angle: np.ndarray) -> np.ndarray:
    return (angle + np.pi) % (2 * np.pi) - np.pi


def _smoothstep(x: np.ndarray, low: float, high: float) -> np.ndarray:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _angles(skeleton: _Skeleton, quiet: np.ndarray, fps: float, tuning: Tuning) -> _Angles:
    """Splits every bone's local angle into clip rest, slow posture and stroke."""
    bone, seen = _bones(skeleton)
    length = np.linalg.norm(bone, axis=2)
    seen = seen & (length > 1e-6)
    absolute = np.arctan2(bone[..., 1], bone[..., 0])
    parents = np.array([row[3] for row in BONES])
    has = parents >= 0
    local, usable = absolute.copy(), seen.copy()
    local[:, has] -= absolute[:, parents[has]]
    usable[:, has] &= seen[:, parents[has]]
    full = np.array([np.quantile(length[s, j], 0.95) if s.any() else 1.0 for j, s in enumerate(seen.T)])
    keep = _smoothstep(length / full, *tuning.foreshortened)
    keep = np.where(has, np.minimum(keep, keep[:, parents]), keep)
    fade = gaussian_filter1d(usable.astype(float), FADE_SECONDS * fps, axis=0, mode="nearest")
    keep = keep * np.where(usable, _smoothstep(fade, 0.5, 1.0), 0)
    weight = keep + 1e-9
    unit = np.exp(1j * local)
    slow = _lowpass(weight * unit, tuning.posture_seconds * fps)
    clear = np.abs(slow) / np.maximum(_lowpass(weight, tuning.posture_seconds * fps), 1e-12)
    keep = keep * _smoothstep(clear, 0.2, 0.5)  # a bone that spins has no posture to deviate from
    rest = _rest(unit, weight * (0.15 + quiet[:, None]))
    posture = np.angle(slow * np.conj(rest))
    return _Angles(np.angle(unit * np.conj(slow)), posture, keep, usable)


def _lowpass(values: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian over time of real or complex (T, J); the clip's ends are mirrored."""
    if np.iscomplexobj(values):
        return _lowpass(values.real, sigma) + 1j * _lowpass(values.imag, sigma)
    return gaussian_filter1d(values, sigma, axis=0, mode="reflect", truncate=3.0)


def _rest(unit: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(J,) unit numbers, the weighted circular mean; what lies far (60 degrees) from it pulls less."""
    pull = weight
    for _ in range(4):
        mean = (pull * unit).sum(0)
        mean = mean / np.maximum(np.abs(mean), 1e-12)
        away = np.angle(unit * np.conj(mean))
        pull = weight * np.exp(-0.5 * (away / np.radians(60)) ** 2)
    return mean


def _bones(skeleton: _Skeleton) -> tuple[np.ndarray, np.ndarray]:
    """(T,8,2) vectors of the bones in pixels and (T,8) whether both of their ends are seen."""
    body, hands = skeleton.body, skeleton.hands
    body_seen, hands_seen = skeleton.seen[:2]
    vectors, seen = [], []
    for name, start, end, _ in BONES:
        if name == "torso":
            vectors.append(body[:, end] - skeleton.hips)
            seen.append(body_seen[:, end] & body_seen[:, R_HIP] & body_seen[:, L_HIP])
        elif name.endswith("hand"):
            vectors.append(hands[:, end] - body[:, start])
            seen.append(hands_seen[:, end] & body_seen[:, start])
        else:
            vectors.append(body[:, end] - body[:, start])
            seen.append(body_seen[:, end] & body_seen[:, start])
    return np.stack(vectors, 1), np.stack(seen, 1)


def _rotations(angles: _Angles, logs: np.ndarray, tuning: Tuning) -> np.ndarray:
    """(T,8) rotation of every bone against its parent, in radians; exactly 0 where the gain is 1."""
    side = [0, 1, 2, 3, 4, 2, 3, 4]
    exponents, caps = np.array(tuning.exponents)[side], np.radians(np.array(tuning.caps)[side])
    total = np.zeros_like(angles.stroke)
    for part, share in ((angles.stroke, 1.0), (angles.posture, tuning.posture_share)):
        growth = np.expm1(logs * exponents * share) * angles.keep
        total += _capped(part, growth, caps)
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


def _turned(skeleton: _Skeleton, rotation: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, ...]:
    """(body, hands, face) after forward kinematics: a missing bone moves rigidly with its parent."""
    torso, body, face = _trunk(skeleton, rotation, seen)
    hands = np.empty_like(skeleton.hands)
    for first in ARMS:
        body[:, (first + 1, first + 2)], hands[:, ARMS[first]] = _arm(skeleton, torso, rotation, seen, first)
    return body, hands, face


def _trunk(skeleton: _Skeleton, rotation: np.ndarray, seen: np.ndarray) -> tuple:
    """(rigid motion of the torso, body with neck, shoulders and head moved, face moved)."""
    body = skeleton.body.copy()
    still = (np.ones(len(body), complex), skeleton.hips, skeleton.hips)
    torso = _frame(still, skeleton.hips, rotation[:, TORSO], seen[:, TORSO])
    upper = (NECK, *ARMS)
    body[:, upper] = _apply(torso, skeleton.body[:, upper])
    head = _frame(torso, skeleton.body[:, NECK], rotation[:, HEAD], seen[:, HEAD])
    body[:, HEAD_POINTS] = _apply(head, skeleton.body[:, HEAD_POINTS])
    return torso, body, _apply(head, skeleton.face)


def _arm(skeleton: _Skeleton, torso: tuple, rotation: np.ndarray, seen: np.ndarray, first: int) -> tuple:
    """(elbow and wrist (T,2,2), hand (T,21,2)) of the arm whose shoulder is body point and bone `first`."""
    chain, here = [], torso
    for bone in (first, first + 1, first + 2):
        here = _frame(here, skeleton.body[:, bone], rotation[:, bone], seen[:, bone])
        if bone < first + 2:
            chain.append(_apply(here, skeleton.body[:, bone + 1, None]))
    return np.concatenate(chain, 1), _apply(here, skeleton.hands[:, ARMS[first]])


def _frame(parent: tuple, pivot: np.ndarray, angle: np.ndarray, seen: np.ndarray) -> tuple:
    """Rigid motion (unit turn, origin before and after) of a bone that turns about `pivot` on its parent."""
    turn, before, after = parent
    moved = _apply(parent, pivot[:, None])[:, 0]
    choose = seen[:, None]
    own = turn * np.exp(1j * angle)
    return np.where(seen, own, turn), np.where(choose, pivot, before), np.where(choose, moved, after)


def _apply(frame: tuple, points: np.ndarray) -> np.ndarray:
    """Points (T,K,2) carried along by a rigid motion; bit for bit the same where it is the identity."""
    turn, before, after = frame
    x, y = np.moveaxis(points - before[:, None], 2, 0)
    cos, sin = turn.real[:, None], turn.imag[:, None]
    turned = np.stack([cos * x - sin * y, sin * x + cos * y], 2) + after[:, None]
    idle = (turn == 1) & (before == after).all(1)
    return np.where(idle[:, None, None], points, turned)


def _guard(skeleton: _Skeleton, angles: _Angles, logs: np.ndarray, pose: Pose, tuning: Tuning) -> np.ndarray:
    """(T,8) factors in [0,1] on ln g that keep every point that lay in the frame in it.

    The trunk is held first, with still arms, then each arm alone, so one low hand does not calm the other.
    """
    factor = np.zeros((len(logs), len(BONES)))

    def leaves(group: tuple[int, ...], held: np.ndarray, at: np.ndarray) -> np.ndarray:
        part, trial = skeleton.rows(at), factor[at]
        trial[:, group] = held[:, None]
        rotation, seen = _rotations(angles.rows(at), logs[at] * trial, tuning), angles.seen[at]
        if TORSO in group:
            return _outside(part.parts, _turned(part, rotation, seen), part.seen, pose.size)
        first = group[0]
        points, hand = (first + 1, first + 2), ARMS[first]
        before = part.body[:, points], part.hands[:, hand]
        after = _arm(part, _trunk(part, rotation, seen)[0], rotation, seen, first)
        return _outside(before, after, (part.seen[0][:, points], part.seen[1][:, hand]), pose.size)

    for group in ((TORSO, HEAD), (2, 3, 4), (5, 6, 7)):
        factor[:, group] = _held(partial(leaves, group), len(logs), pose.fps)[:, None]
    return factor


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


def _outside(before: Sequence, after: Sequence, seen: Sequence, size: tuple[int, int]) -> np.ndarray:
    """(T,) whether a point that lay in the frame comes nearer its edge than the margin and its old place."""
    scale = np.array([size[1], size[0]], np.float64)
    bad = np.zeros(len(before[0]), bool)
    for old, new, visible in zip(before, after, seen, strict=True):
        old, new = old / scale, new / scale
        inside = visible & ((old >= 0) & (old <= 1)).all(2)
        wrong = (new < np.minimum(old, MARGIN) - ROUNDING) | (new > np.maximum(old, 1 - MARGIN) + ROUNDING)
        bad |= (inside & wrong.any(2)).any(1)
    return bad
