"""Driving body -> reference body, bone by bone: joint angles are the driver's, bone lengths the reference's.

All in pixels. Every point hangs on the neck through a chain of bones, each scaled by its own ratio; the head
and the hands are scaled as one piece. Then the body is put down: where feet are seen, the lower foot follows
the driver's, scaled by the ratio of leg lengths, onto the reference's ground line; otherwise the neck does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipeline.motion.curves import bridge
from pipeline.motion.keypoints import (
    ANKLES,
    CHIN,
    EYES_NOSE,
    HAND_POINTS,
    HEAD_POINTS,
    HIPS,
    L_ANKLE,
    L_ELBOW,
    L_HIP,
    L_KNEE,
    L_SHOULDER,
    L_WRIST,
    NECK,
    NOSE_ROOT,
    R_ANKLE,
    R_ELBOW,
    R_HIP,
    R_KNEE,
    R_SHOULDER,
    R_WRIST,
    SHOULDERS,
    WRISTS_LEFT_RIGHT,
)
from pipeline.motion.retarget import proportions
from pipeline.values import BODY, InputError, Keypoints, Pose

MID_HIP = BODY  # an added point between the hips, behind the 18 of the layout
TREE = (  # parent, child, bone; from the neck outwards
    (NECK, R_SHOULDER, "shoulders"),
    (R_SHOULDER, R_ELBOW, "upper arms"),
    (R_ELBOW, R_WRIST, "forearms"),
    (NECK, L_SHOULDER, "shoulders"),
    (L_SHOULDER, L_ELBOW, "upper arms"),
    (L_ELBOW, L_WRIST, "forearms"),
    (NECK, MID_HIP, "torso"),
    (MID_HIP, R_HIP, "hips"),
    (MID_HIP, L_HIP, "hips"),
    (R_HIP, R_KNEE, "thighs"),
    (R_KNEE, R_ANKLE, "shins"),
    (L_HIP, L_KNEE, "thighs"),
    (L_KNEE, L_ANKLE, "shins"),
)
FRAMINGS = ("reference", "driving")
FEET_SHARE = 0.5  # of the frames that must show a foot for the body to stand on it
# Leg lengths: a foot this much higher than the other carries 1/e of its weight.
SUPPORT_LEGS = 0.03
# Share of the nose's height over the chin: a head further from its place is bowed, not built so.
POSTURE = 0.5


@dataclass(frozen=True)
class Fit:
    """How one body was put on another.

    scale: of the root and of bones without a ratio, in pixels. offset: (2,) pixels. ratios: by bone.
    corrected: the reference's bones that were lengthened. limited: bones whose ratio was not believed.
    anchor: what places the body: "ground", "neck and hips", "neck", "joints", "face" or "" for nothing.
    """

    scale: float
    offset: np.ndarray
    ratios: dict[str, float]
    corrected: tuple[str, ...] = ()
    limited: tuple[str, ...] = ()
    anchor: str = ""


def transfer(pose: Pose, reference: Pose, framing: str = "reference") -> tuple[Pose, Fit]:
    """Give the driving pose the reference's bone lengths in the reference's picture.

    framing: "reference" puts the body where the reference stands, "driving" keeps the driver's camera.
    """
    if framing not in FRAMINGS:
        raise InputError(f"unknown framing {framing!r}; choose one of {', '.join(FRAMINGS)}")
    alike = proportions.same_frames(pose, reference)
    ratios, corrected = proportions.ratios(pose, reference, alike)
    body_scale = proportions.body_scale(ratios)
    if body_scale is None:
        return replace(pose, size=reference.size), Fit(1.0, np.zeros(2), {})
    bone_gains, limited = proportions.believable(ratios, body_scale)
    gains = _Gains(bone_gains, body_scale)
    goal = reference
    goal_frames = alike
    if framing == "driving":
        contain = min(reference.size[0] / pose.size[0], reference.size[1] / pose.size[1])
        gains = gains.at_scale(contain)
        goal = _contained(pose, reference.size, contain)
        goal_frames = alike[:0]
    source = _source_of(pose)
    chain = _chain(source, gains)
    root, on_feet = _root(source, chain, gains, _both_stand(pose, reference))
    zoom = gains.scale / body_scale
    parts = _hang_parts(source, chain, gains, reference, zoom, alike)
    placed = _shifted(parts, root)
    unplaced_pose = _pose_of(placed, pose, reference.size)
    offset, anchor = _offset(unplaced_pose, goal, goal_frames, on_feet)
    if not anchor:
        return replace(pose, size=reference.size), Fit(1.0, np.zeros(2), ratios)
    fit = Fit(gains.scale, offset, ratios, corrected, limited, anchor)
    return _pose_of(_shifted(placed, offset), pose, reference.size), fit


@dataclass(frozen=True)
class _Gains:
    """Factors on the driver's bones, by name; `scale` is that of the root and of all others."""

    bones: dict[str, float]
    scale: float

    def of(self, bone: str) -> float:
        return self.bones.get(bone, self.scale)

    def at_scale(self, scale: float) -> _Gains:
        """Keep the reference's proportions, at another scale."""
        bones = {name: value * scale / self.scale for name, value in self.bones.items()}
        return _Gains(bones, scale)


@dataclass(frozen=True)
class _Parts:
    """Places in pixels: body (T,18,2), hands (T,42,2), face (T,68,2)."""

    body: np.ndarray
    hands: np.ndarray
    face: np.ndarray


# ---- the skeleton in pixels, without gaps


@dataclass(frozen=True)
class _Source:
    """The driver in pixels: body (T,19,2) with gaps closed and the mid-hip last, hands, face.

    shown: (19,) bool, points that the clip shows at all.
    """

    body: np.ndarray
    face: np.ndarray
    hands: np.ndarray
    shown: np.ndarray
    pose: Pose


def _source_of(pose: Pose) -> _Source:
    body = pose.body.xy * pose.pixel_scale
    seen = pose.body.visible
    mid_hip = body[:, HIPS].mean(1, keepdims=True)
    mid_hip_seen = seen[:, HIPS].all(1)
    body = np.concatenate([body, mid_hip], 1)
    seen = np.concatenate([seen, mid_hip_seen[:, None]], 1)
    shown = seen.any(0)
    for k in np.flatnonzero(shown & ~seen.all(0)):
        body[:, k], _ = bridge(body[:, k], seen[:, k], len(pose))
    if not shown[MID_HIP] and shown[list(HIPS)].any():  # one hip alone stands for both
        hip = R_HIP if shown[R_HIP] else L_HIP
        body[:, MID_HIP] = body[:, hip]
        shown[MID_HIP] = True
    face = pose.face.xy * pose.pixel_scale
    if not shown[NECK]:
        body[:, NECK] = _neck_stand_in(pose, body, shown, face)
    for parent, child, _ in TREE:
        if not shown[child]:  # it lies on its parent: a bone of no length
            body[:, child] = body[:, parent]
    return _Source(body, face, pose.hands.xy * pose.pixel_scale, shown, pose)


def _neck_stand_in(pose: Pose, body: np.ndarray, shown: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Find what the body hangs on where no frame shows a neck: shoulders, the face, else any joint."""
    if shown[list(SHOULDERS)].all():
        return body[:, SHOULDERS].mean(1)
    nose_root_seen = pose.face.visible[:, NOSE_ROOT]
    if nose_root_seen.any():
        place, _ = bridge(face[:, NOSE_ROOT], nose_root_seen, len(pose))
        return place
    if shown.any():
        return body[:, np.flatnonzero(shown)].mean(1)
    return np.zeros((len(pose), 2))


# ---- bones


def _chain(source: _Source, gains: _Gains) -> np.ndarray:
    """Place body and mid-hip (T,19,2) relative to the neck, every bone at its length."""
    chain = np.zeros_like(source.body)
    for parent, child, bone in TREE:
        step = source.body[:, child] - source.body[:, parent]
        chain[:, child] = chain[:, parent] + gains.of(bone) * step
    return chain


def _hang_parts(
    source: _Source,
    chain: np.ndarray,
    gains: _Gains,
    reference: Pose,
    zoom: float,
    alike: np.ndarray,
) -> _Parts:
    """Hang head, face and hands on the chain; all relative to the neck.

    The head gets the reference's face size and, but for the driver's posture, its height over the neck.
    zoom: how much smaller than in the reference the person shall be. alike: frames where both stand alike.
    """
    gain = gains.of("face")
    neck = source.body[:, None, NECK]
    head = gain * (source.body[:, HEAD_POINTS] - neck)
    face = gain * (source.face - neck)
    step = _head_step(source.pose, face, reference, zoom, alike)
    if step is not None:
        head = head + (0.0, step)
        face = face + (0.0, step)
    body = chain[:, :BODY].copy()
    body[:, HEAD_POINTS] = head
    return _Parts(body, _hands(source, chain, gains), face)


def _head_step(
    pose: Pose, face: np.ndarray, reference: Pose, zoom: float, alike: np.ndarray
) -> float | None:
    """Measure how far the head is to sink, in pixels, to the reference's height over the neck."""
    both_seen = pose.body.visible[:, NECK] & pose.face.visible[:, NOSE_ROOT]
    both_alike = both_seen & np.isin(np.arange(len(pose)), alike)
    rows = both_alike if both_alike.any() else both_seen
    reference_seen = reference.body.visible[0, NECK] and reference.face.visible[0, NOSE_ROOT]
    if not (rows.any() and reference_seen):
        return None
    height = zoom * reference.size[0]
    nose_root = reference.face.xy[0, NOSE_ROOT, 1]
    goal = (nose_root - reference.body.xy[0, NECK, 1]) * height
    limit = POSTURE * abs(reference.face.xy[0, CHIN, 1] - nose_root) * height
    return np.clip(goal - np.median(face[rows, NOSE_ROOT, 1]), -limit, limit)


def _hands(source: _Source, chain: np.ndarray, gains: _Gains) -> np.ndarray:
    """Put the hands (T,42,2) on their wrists, sized between the forearm's and the face's gain."""
    near = [gains.bones[name] for name in ("forearms", "face") if name in gains.bones]
    gain = float(np.exp(np.mean(np.log(near)))) if near else gains.scale
    hands = np.empty_like(source.hands)
    for side, wrist in enumerate(WRISTS_LEFT_RIGHT):
        rows = slice(HAND_POINTS * side, HAND_POINTS * (side + 1))
        fingers = source.hands[:, rows] - source.body[:, wrist, None]
        hands[:, rows] = chain[:, wrist, None] + gain * fingers
    return hands


# ---- where the body stands


def _both_stand(pose: Pose, reference: Pose) -> bool:
    """Tell whether both people show feet to stand on, in the picture."""
    return _feet_share(pose) >= FEET_SHARE and _feet_share(reference) == 1


def _feet_share(pose: Pose) -> float:
    in_picture = pose.body.xy[:, ANKLES, 1] <= 1 + proportions.INSIDE
    shown = in_picture & pose.body.visible[:, ANKLES]
    return float(shown.any(1).mean())


def _root(
    source: _Source, chain: np.ndarray, gains: _Gains, on_feet: bool
) -> tuple[np.ndarray, bool]:
    """Find the neck's path (T,2) up to a constant, and whether it comes from the feet.

    On feet: the mean of both, weighted to the lower one, moves as the driver's times the leg ratio, so that
    a planted foot stays planted; where all bones have one ratio this is a plain scaling.
    """
    neck = source.body[:, NECK]
    legs = [gains.bones[name] for name in proportions.LEG if name in gains.bones]
    if not on_feet or not legs:
        return gains.scale * neck, False
    gain = float(np.mean(legs))
    ankles = source.body[:, ANKLES]
    seen = source.pose.body.visible[:, ANKLES]
    stand = gain * ankles - chain[:, ANKLES]
    weight = _foot_weights(source, seen)
    excess = (weight[..., None] * stand).sum(1) - gain * neck
    excess, _ = bridge(excess, seen.any(1), len(excess))
    return gain * neck + excess, True


def _foot_weights(source: _Source, seen: np.ndarray) -> np.ndarray:
    """Share the body's weight (T,2) between the ankles that are `seen`: nearly all on the lower one."""
    heights = source.body[:, (NECK, *ANKLES), 1]
    leg = max(float(np.percentile(np.abs(np.ptp(heights, axis=1)), 90)), 1.0)
    low = np.where(seen, source.body[:, ANKLES, 1], -np.inf)
    lowest = low.max(1, keepdims=True, where=seen, initial=-1e9)
    weight = np.exp((low - lowest) / (SUPPORT_LEGS * leg))
    total = weight.sum(1, keepdims=True)
    return np.where(seen, weight, 0.0) / np.maximum(total, 1e-9)


def _offset(moved: Pose, goal: Pose, frames: np.ndarray, on_feet: bool) -> tuple[np.ndarray, str]:
    """Measure how far to move a pose, (2,) pixels, and name what it was anchored on.

    goal: one frame, or as many as `moved`. frames: those of `moved` to measure; none means all.
    """
    rows = moved[frames] if len(frames) else moved

    def seen(k: int) -> bool:
        return bool(rows.body.visible[:, k].any() and goal.body.visible[:, k].any())

    def step(k: int) -> np.ndarray:
        return (median_place(goal.body, k) - median_place(rows.body, k)) * goal.pixel_scale

    if not seen(NECK):
        return _loose_offset(rows, goal)
    if seen(R_HIP) and seen(L_HIP):
        hips = (step(R_HIP) + step(L_HIP)) / 2
        offset = (step(NECK) + hips) / 2
        anchor = "neck and hips"
    else:
        offset = step(NECK)
        anchor = "neck"
    if on_feet:
        offset[1] = (_ground(goal) - _ground(rows)) * goal.pixel_scale[1]
        anchor = "ground"
    return offset, anchor


def _loose_offset(moved: Pose, goal: Pose) -> tuple[np.ndarray, str]:
    """Measure the offset of people without a shared neck: by eyes and nose, else by the shared joints."""
    face_shared = moved.face.visible.any(0) & goal.face.visible.any(0)
    face_points = EYES_NOSE[face_shared[EYES_NOSE]]
    if len(face_points):
        return _mean_step(goal.face, moved.face, face_points, goal.pixel_scale), "face"
    joints = np.flatnonzero(moved.body.visible.any(0) & goal.body.visible.any(0))
    if len(joints):
        return _mean_step(goal.body, moved.body, joints, goal.pixel_scale), "joints"
    return np.zeros(2), ""


def _mean_step(
    goal: Keypoints, moved: Keypoints, points: np.ndarray, pixel_scale: np.ndarray
) -> np.ndarray:
    steps = []
    for k in points.tolist():
        step = median_place(goal, k) - median_place(moved, k)
        steps.append(step * pixel_scale)
    return np.mean(steps, axis=0)


def _ground(pose: Pose) -> float:
    """Measure the ground line as a fraction of the picture: the median over time of the lower foot."""
    seen = pose.body.visible[:, ANKLES]
    height = np.where(seen, pose.body.xy[:, ANKLES, 1], -np.inf)
    lower = height.max(1)
    return float(np.median(lower[seen.any(1)]))


def _contained(pose: Pose, size: tuple[int, int], gain: float) -> Pose:
    """Fit the driving pose with its whole frame into a picture of `size`, centered."""
    picture = np.array([size[1], size[0]], float)
    margin = (picture - gain * pose.pixel_scale) / 2
    body = gain * pose.body.xy * pose.pixel_scale + margin
    hands = gain * pose.hands.xy * pose.pixel_scale + margin
    face = gain * pose.face.xy * pose.pixel_scale + margin
    return _pose_of(_Parts(body, hands, face), pose, size)


def median_place(points: Keypoints, k: int) -> np.ndarray:
    """Find the median place (2,) over time of point k, where it is visible."""
    return np.median(points.xy[points.visible[:, k], k], axis=0)


def _shifted(parts: _Parts, step: np.ndarray) -> _Parts:
    """Move all parts by one step (2,), or by one for each frame (T,2)."""
    if step.ndim == 2:
        step = step[:, None]
    return _Parts(parts.body + step, parts.hands + step, parts.face + step)


def _pose_of(parts: _Parts, pose: Pose, size: tuple[int, int]) -> Pose:
    """Turn pixels back into fractions of a picture of `size`; scores stay those of `pose`."""
    picture = np.array([size[1], size[0]], float)
    return replace(
        pose,
        size=size,
        body=Keypoints(parts.body / picture, pose.body.score),
        hands=Keypoints(parts.hands / picture, pose.hands.score),
        face=Keypoints(parts.face / picture, pose.face.score),
    )
