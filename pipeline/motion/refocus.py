"""Scale gestures by the intensity of the speech. The intensity slider acts here.

Gestures become larger at accents and calmer in pauses.

ApoAvatar gates pose embeddings by loudness while it trains; `mode="gate"` is the same as a control
strength per frame. `mode="amplify"` is a geometry of this project. With excitation e (T,)
in [-1, 1] and slider s:

    g = LOUD^(s max(e, 0)) QUIET^(s max(-e, 0)) 2^size       bounded, 1 where s and size are 0
    theta = rest + posture + stroke                          local angle of every bone, in pixels
    theta' = theta + L tanh(f ((g^a - 1) stroke + (g^(a h) - 1) posture) / L)

`posture` is the circular Gaussian low-pass of the angle against its rest in quiet moments, and
`stroke` is what the low-pass leaves over (`bone_angles.py`). L is the most that a bone may turn
away from the driving video. f is 0 where a bone points at the camera, because its angle is noise
then, and where its joint is missing. A gain never changes faster than its gesture; otherwise the
gain itself would cause visible jerk on slow, smooth motion. For such motion e is low-passed.

Only rotations are applied, from the hips outward. So every limb keeps its length, hips, legs and
feet never move, and the head turns rigidly with all points of its face.
assets/refocus_calibration.md holds the figures behind the constants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from pipeline.motion.bone_angles import (
    BONES,
    CARRIER,
    FOLLOWERS,
    PARENT,
    STILL,
    BoneAngles,
    PosePoints,
    measure_bones,
)
from pipeline.motion.face_mesh import carry
from pipeline.motion.frame_limits import FrameGuard, RigidMotion, hold_inside
from pipeline.motion.prosody import EXCITATION_SECONDS
from pipeline.values import InputError, Keypoints, Motion, Pose

MODES = ("amplify", "gate", "both")
MAX_STRENGTH = 2.0
MAX_SIZE = 0.5
# Change of the control strength at strength 1 and excitation 1. More shifts the mean of the control
# features.
GATE_STEP = 0.1
GATE_RANGE = (0.8, 1.2)
# A gesture that is held inside the frame eases in and out over this time.
EASE_SECONDS = 0.12
# The longest low-pass of e for a slow gesture: beyond it nothing follows the speech.
MAX_SLOWING_SECONDS = 1.0


@dataclass(frozen=True)
class Tuning:
    """Hold the constants of the formula above, chosen on real poses
    (assets/refocus_calibration.md).

    loud, quiet: the gains LOUD and QUIET at strength 1.
    exponents: a of torso, head, upper arm, forearm, hand.
    limits: L in degrees of the same bones; with these a wave stays a wave in a pause.
    posture_share: h; the slow posture keeps closer to the driving video than the strokes.
    posture_seconds: sigma of the low-pass that gives the posture.
    foreshortened: projected over full length where f leaves 0 and where it reaches 1.
    pace: the smallest sigma of e, as a multiple of the gesture's duration, which is the cube root
        of its size over its third derivative.
    """

    loud: float = 4.0
    quiet: float = 0.2
    exponents: tuple[float, ...] = (0.2, 0.25, 1.1, 1.1, 0.5)
    limits: tuple[float, ...] = (4.0, 10.0, 50.0, 50.0, 25.0)
    posture_share: float = 0.5
    posture_seconds: float = 1.5
    foreshortened: tuple[float, float] = (0.15, 0.40)
    pace: float = 1.8


TUNING = Tuning()
# Which of the five exponents and limits each bone takes.
PER_BONE = (0, 1, 2, 3, 4, 2, 3, 4)


@dataclass(frozen=True)
class Regions:
    """Scale the strength for each part of the body that turns; 0 leaves the part as in the driving
    video."""

    torso: float = 1.0
    head: float = 1.0
    arms: float = 1.0
    hands: float = 1.0

    def per_bone(self) -> tuple[float, ...]:
        """Return the factor of each of the eight bones."""
        arm = (self.arms, self.arms, self.hands)
        return (self.torso, self.head, *arm, *arm)


EVEN = Regions()


def refocus(
    motion: Motion,
    strength: float,
    size: float = 0.0,
    mode: str = "amplify",
    tuning: Tuning = TUNING,
    regions: Regions = EVEN,
) -> Motion:
    """Return the motion with its gestures, its control strength or both following the speech.

    With strength 0 and size 0 every array stays the same to the bit.

    Args:
        motion: the motion of T frames, with its excitation.
        strength: the intensity slider, 0 to 2; 0 leaves the motion as it is.
        size: -0.5 to 0.5, scales all gestures by 2^size, whatever the speech does.
        mode: "amplify" turns bones, "gate" changes the control strength, "both" does both.
        tuning: the constants of the formula.
        regions: factors on the strength per part of the body. The control strength holds for a
            whole frame, so they do not change it.
    """
    _check_mode(mode)
    _check_range("intensity", strength, 0.0, MAX_STRENGTH)
    _check_range("size", size, -MAX_SIZE, MAX_SIZE)
    _check_regions(regions, strength)
    if len(motion.excitation) != len(motion.pose):
        raise ValueError(
            f"excitation has {len(motion.excitation)} frames and the pose {len(motion.pose)}; "
            "cut both alike"
        )
    if mode != "amplify" and strength:
        gain = np.clip(1 + GATE_STEP * strength * motion.excitation, *GATE_RANGE)
        motion = replace(motion, control_strength=motion.control_strength * gain)
    if mode == "gate" or not (strength or size) or not len(motion.pose):
        return motion
    strengths = [strength * factor for factor in regions.per_bone()]
    pose = _amplify(motion.pose, motion.excitation, strengths, size, tuning)
    mesh = motion.mesh
    if mesh is not None:
        mesh = carry(mesh, motion.pose.face, pose.face)
    return replace(motion, pose=pose, mesh=mesh)


def _check_mode(mode: str) -> None:
    if mode not in MODES:
        modes = ", ".join(MODES)
        raise InputError(f"refocus mode {mode!r} is not known; choose one of {modes}")


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not (np.isfinite(value) and low <= value <= high):
        raise InputError(f"{name} must lie between {low:g} and {high:g}, got {value}")


def _check_regions(regions: Regions, strength: float) -> None:
    for field in fields(Regions):
        factor = getattr(regions, field.name)
        product = strength * factor
        if not (np.isfinite(factor) and factor >= 0 and product <= MAX_STRENGTH):
            raise InputError(
                f"{field.name} intensity {factor:g} times intensity {strength:g} is {product:g}; "
                f"together they must lie between 0 and {MAX_STRENGTH:g}"
            )


def _amplify(
    pose: Pose, excitation: np.ndarray, strengths: Sequence[float], size: float, tuning: Tuning
) -> Pose:
    """Return the pose with the deviation of every bone scaled by its gain, held inside the frame.

    The bones turn one by one from the hips outward, each with what follows it at rest. So a low
    hand calms the bones that carry it, but not the other arm.
    """
    frames = len(pose)
    points = PosePoints.of(pose)
    quiet = np.maximum(-excitation, 0)
    bones = measure_bones(points, quiet, tuning.posture_seconds, tuning.foreshortened)
    paces = _paces(bones, tuning.posture_share)
    motions = {STILL: RigidMotion.still(frames)}
    moved = points.xy.copy()
    for bone in range(len(BONES)):
        slowing = _slowing(float(paces[bone]), pose.fps, tuning.pace)
        swing = _Swing(
            bone=bones.bone(bone),
            parent=motions[PARENT[bone]],
            log_gain=_log_gain(excitation, slowing, strengths[bone], tuning) + size * np.log(2),
            exponent=tuning.exponents[PER_BONE[bone]],
            limit=np.radians(tuning.limits[PER_BONE[bone]]),
            posture_share=tuning.posture_share,
        )
        ease = max(EASE_SECONDS * pose.fps, slowing)
        motions[bone] = hold_inside(swing.motion, _guard(points, bone), ease, frames)
        carried = np.flatnonzero(bone == CARRIER)
        moved[:, carried] = motions[bone].move(points.xy[:, carried])
    unchanged = ~points.visible | (moved == points.xy)
    return _with_points(pose, moved, unchanged)


def _guard(points: PosePoints, bone: int) -> FrameGuard:
    """Guard the points that move with a bone and lie inside the frame at some time."""
    follows = np.isin(CARRIER, FOLLOWERS[bone])
    which = np.flatnonzero(follows & points.inside.any(0))
    return FrameGuard.of(points.xy[:, which], points.inside[:, which], points.size)


def _with_points(pose: Pose, points: np.ndarray, unchanged: np.ndarray) -> Pose:
    """Return the pose at `points` (T,128) in pixels; an unchanged point keeps its bits."""
    height, width = pose.size
    fractions = np.stack([points.real / width, points.imag / height], 2)
    parts = []
    start = 0
    for part in (pose.body, pose.hands, pose.face):
        stop = start + part.xy.shape[1]
        same = unchanged[:, start:stop, None]
        xy = np.where(same, part.xy, fractions[:, start:stop])
        parts.append(Keypoints(xy, part.score))
        start = stop
    body, hands, face = parts
    return replace(pose, body=body, hands=hands, face=face)


def _log_gain(
    excitation: np.ndarray, slowing: float, strength: float, tuning: Tuning
) -> np.ndarray:
    """Return ln g (T,) without the size, low-passed by a sigma of `slowing` frames."""
    loud = np.maximum(excitation, 0)
    quiet = np.maximum(-excitation, 0)
    log_gain = strength * (loud * np.log(tuning.loud) + quiet * np.log(tuning.quiet))
    if not slowing:
        return log_gain
    return gaussian_filter1d(log_gain, slowing, mode="reflect")


def _slowing(gesture_frames: float, fps: float, pace: float) -> float:
    """Return the sigma, in frames, by which e is low-passed so that no gain moves faster than its
    gesture.

    Jerk falls with the third power of the time in which the gain changes. The excitation is smooth
    already, and variances add up.
    """
    least = min(pace * gesture_frames, MAX_SLOWING_SECONDS * fps)
    smooth = EXCITATION_SECONDS * fps
    return float(np.sqrt(max(least**2 - smooth**2, 0.0)))


def _paces(bones: BoneAngles, posture_share: float) -> np.ndarray:
    """Return the own time (8,) of the gestures, in frames.

    It is the cube root of what the gain scales over the third difference of the angle, both RMS.
    The tremble of a detector makes it short, which is right: where there is jerk already, more of
    it is not seen.
    """
    usable = bones.usable
    angle = bones.stroke + bones.posture
    scaled = bones.stroke + posture_share * bones.posture
    run = usable[3:] & usable[2:-1] & usable[1:-2] & usable[:-3]
    third = np.diff(angle, 3, axis=0)
    jerk = (third**2 * run).sum(0) / np.maximum(run.sum(0), 1)
    size = (scaled**2 * usable).sum(0) / np.maximum(usable.sum(0), 1)
    ratio = size / np.maximum(jerk, 1e-18)
    known = run.any(0) & (size > 1e-12)
    return np.where(known, np.cbrt(np.sqrt(ratio)), 0.0)


@dataclass(frozen=True)
class _Swing:
    """Turn one bone on its parent by the formula of this module.

    `log_gain` (T,) is ln g, `exponent` a, `limit` L in radians, `posture_share` h.
    """

    bone: BoneAngles
    parent: RigidMotion
    log_gain: np.ndarray
    exponent: float
    limit: float
    posture_share: float

    def motion(self, share: np.ndarray, rows: np.ndarray) -> RigidMotion:
        """Return the motion, in the frames `rows` (n,), by the share (n,) of ln g.

        Where the bone may not turn it moves rigidly with its parent.
        """
        bone = self.bone.rows(rows)
        parent = self.parent.rows(rows)
        exponents = self.log_gain[rows] * share * self.exponent
        stroke = np.expm1(exponents) * bone.stroke
        posture = np.expm1(exponents * self.posture_share) * bone.posture
        change = bone.keep * (stroke + posture)
        rotation = self.limit * np.tanh(change / self.limit)
        turned = parent.turn * np.exp(1j * rotation)
        pivot = parent.move(bone.pivot[:, None])[:, 0]
        return RigidMotion(
            turn=np.where(bone.usable, turned, parent.turn),
            before=np.where(bone.usable, bone.pivot, parent.before),
            after=np.where(bone.usable, pivot, parent.after),
        )
