"""Driving body -> reference body, bone by bone: joint angles are the driver's, bone lengths the
reference's.

All in pixels. Every point hangs on the neck through a chain of bones, each scaled by its own ratio;
the head and the hands are scaled as one piece. Then the body is put down: where feet are seen, the
lower foot follows the driver's, scaled by the ratio of leg lengths, onto the reference's ground
line; otherwise the face comes to where the reference has its own. In the reference's framing the
head's size and place are those of the reference's face, whatever it shows of a body.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.motion.curves import bridge
from pipeline.motion.keypoints import (
    CHIN,
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
from pipeline.motion.retarget.fit import Fit, Gains, Parts, Source, pose_of, shifted
from pipeline.motion.retarget.head_room import hold_head, keep_size
from pipeline.motion.retarget.nearness import head_sizes, nearness
from pipeline.motion.retarget.standing import (
    both_stand,
    contained,
    face_offset,
    neck_path,
    offset_to,
    shows_feet,
)
from pipeline.values import BODY, InputError, Pose

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
# Share of the nose's height over the chin: a head further from its place is bowed, not built so.
POSTURE = 0.5
# The same share: a head that stands higher over the ground than the picture's belongs to a driver
# who stands where the reference sits.
RISE = 1.0


def transfer(pose: Pose, reference: Pose, framing: str = "reference") -> tuple[Pose, Fit]:
    """Give the driving pose the reference's bone lengths in the reference's picture.

    framing: "reference" puts the body where the reference stands, "driving" keeps the driver's
    camera.
    """
    if framing not in FRAMINGS:
        raise InputError(f"unknown framing {framing!r}; choose one of {', '.join(FRAMINGS)}")
    alike = proportions.same_frames(pose, reference)
    ratios, corrected = proportions.ratios(pose, reference, alike)
    body_scale = proportions.body_scale(ratios)
    if body_scale is None:
        return replace(pose, size=reference.size), Fit(1.0, np.zeros(2), {})
    bone_gains, limited = proportions.believable(ratios, body_scale)
    gains = Gains(bone_gains, body_scale)
    goal = reference
    goal_frames = alike
    if framing == "driving":
        contain = min(reference.size[0] / pose.size[0], reference.size[1] / pose.size[1])
        gains = gains.at_scale(contain)
        goal = contained(pose, reference.size, contain)
        goal_frames = alike[:0]
    source = _source_of(pose)
    chain = _chain(source, gains)
    root, on_feet = neck_path(source, chain, gains, both_stand(pose, reference))
    zoom = gains.scale / body_scale
    parts = _hang_parts(source, chain, gains, reference, zoom, alike)
    placed = shifted(parts, root)
    unplaced_pose = pose_of(placed, pose, reference.size)
    offset, anchor = offset_to(goal, unplaced_pose, goal_frames, on_feet)
    by_face = face_offset(goal, unplaced_pose, goal_frames)
    if framing == "reference" and by_face is not None:
        rise = by_face[1] - offset[1]
        if not on_feet or rise > RISE * _nose_to_chin(reference):
            offset = by_face
            anchor = "face"
    if not anchor:
        return replace(pose, size=reference.size), Fit(1.0, np.zeros(2), ratios)
    result = pose_of(shifted(placed, offset), pose, reference.size)
    fit = Fit(gains.scale, offset, ratios, corrected, limited, anchor)
    if framing == "driving":
        return result, fit
    grown = np.zeros(len(pose), bool)
    if not shows_feet(reference):
        result, grown = keep_size(result, head_sizes(result, reference))
    result, held = hold_head(result, reference)
    return result, replace(fit, held=held, grown=grown)


# ---- the skeleton in pixels, without gaps


def _source_of(pose: Pose) -> Source:
    body = pose.body.xy * pose.pixel_scale
    mid_hip = body[:, HIPS].mean(1, keepdims=True)
    mid_hip_seen = pose.body.all_seen(HIPS)[:, None]
    body = np.concatenate([body, mid_hip], 1)
    seen = np.concatenate([pose.body.visible, mid_hip_seen], 1)
    shown = np.any(seen, 0)
    interrupted = shown & ~np.all(seen, 0)
    for k in np.flatnonzero(interrupted):
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
    return Source(body, face, pose.hands.xy * pose.pixel_scale, shown, pose)


def _neck_stand_in(pose: Pose, body: np.ndarray, shown: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Find what the body hangs on where no frame shows a neck: shoulders, the face, else any
    joint."""
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


def _chain(source: Source, gains: Gains) -> np.ndarray:
    """Place body and mid-hip (T,19,2) relative to the neck, every bone at its length."""
    chain = np.zeros_like(source.body)
    for parent, child, bone in TREE:
        step = source.body[:, child] - source.body[:, parent]
        chain[:, child] = chain[:, parent] + gains.of(bone) * step
    return chain


def _hang_parts(
    source: Source,
    chain: np.ndarray,
    gains: Gains,
    reference: Pose,
    zoom: float,
    alike: np.ndarray,
) -> Parts:
    """Hang head, face and hands on the chain; all relative to the neck.

    The head gets the size of the reference's face and, but for the driver's posture, its place over
    the neck.
    zoom: how much smaller than in the reference the person shall be. alike: frames where both stand
    alike.
    """
    height_gain = gains.of("face")
    width_gain = gains.bones.get("face width", height_gain)
    gain = np.array([width_gain, height_gain])
    neck = source.body[:, None, NECK]
    head = gain * (source.body[:, HEAD_POINTS] - neck)
    face = gain * (source.face - neck)
    step = _head_step(source.pose, face, reference, zoom, alike)
    head = head + step
    face = face + step
    body = chain[:, :BODY].copy()
    body[:, HEAD_POINTS] = head
    return Parts(body, _hands(source, chain, gains), face)


def _head_step(
    pose: Pose, face: np.ndarray, reference: Pose, zoom: float, alike: np.ndarray
) -> np.ndarray:
    """Measure how far (T,1,2) the head is to move, in pixels, to the reference's place over the
    neck; the way grows with a driver who comes closer."""
    both_seen = pose.body.visible[:, NECK] & pose.face.visible[:, NOSE_ROOT]
    standing_alike = np.isin(np.arange(len(pose)), alike)
    rows = both_seen & standing_alike
    if not rows.any():
        rows = both_seen
    reference_seen = reference.body.visible[0, NECK] and reference.face.visible[0, NOSE_ROOT]
    if not (rows.any() and reference_seen):
        return np.zeros((1, 1, 2))
    size = nearness(pose)[:, None]
    size = size / np.median(size[rows])
    pixels = zoom * reference.pixel_scale
    neck = reference.body.xy[0, NECK] * pixels
    nose_root = reference.face.xy[0, NOSE_ROOT] * pixels
    goal = nose_root - neck
    limit = POSTURE * zoom * _nose_to_chin(reference)
    places = face[:, NOSE_ROOT] / size
    now = np.median(places[rows], axis=0)
    step = size * np.clip(goal - now, -limit, limit)
    return step[:, None]


def _nose_to_chin(reference: Pose) -> float:
    """Measure the nose's root over the chin in the reference picture, in pixels."""
    _, heights = reference.face.xy[0].T
    share = heights[CHIN] - heights[NOSE_ROOT]
    picture_height, _ = reference.size
    return abs(float(share)) * picture_height


def _hands(source: Source, chain: np.ndarray, gains: Gains) -> np.ndarray:
    """Put the hands (T,42,2) on their wrists, sized between the forearm's and the face's gain."""
    gain = gains.scale
    near = [gains.bones[name] for name in ("forearms", "face") if name in gains.bones]
    if near:
        mean_log = np.mean(np.log(near))
        gain = float(np.exp(mean_log))
    hands = np.empty_like(source.hands)
    for side, wrist in enumerate(WRISTS_LEFT_RIGHT):
        rows = slice(HAND_POINTS * side, HAND_POINTS * (side + 1))
        fingers = source.hands[:, rows] - source.body[:, wrist, None]
        hands[:, rows] = chain[:, wrist, None] + gain * fingers
    return hands
