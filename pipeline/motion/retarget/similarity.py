"""Driving body -> reference body with one scale: body and head as rigid pieces, or ControlNeXt's
line fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline.motion.curves import bridge
from pipeline.motion.keypoints import CHIN, EYES_NOSE, HEAD_POINTS, HIPS, NECK, NOSE_ROOT
from pipeline.motion.retarget import proportions
from pipeline.motion.retarget.fit import Fit, median_place
from pipeline.values import InputError, Keypoints, Pose

# The published fit leaves elbows and wrists out: arms gesture, the rest tells where the body
# stands.
FIT_POINTS = np.array([0, 1, 2, 5, *range(8, 18)])
# Share of the nose's height over the chin that a head may move: more than that is posture, not
# anatomy.
MAX_HEAD_STEP = 0.5


def transfer(pose: Pose, reference: Pose) -> tuple[Pose, Fit]:
    """Scale the body in pixels by one factor, then give the head the reference's size and height.

    The head is scaled about the neck to the reference's face height and moved to its height over
    the neck.
    """
    no_frames = np.zeros(0, int)
    ratios, _ = proportions.ratios(pose, reference, no_frames)
    scale = proportions.body_scale(ratios)
    anchors = _anchors(pose, reference)
    if scale is None or not anchors:
        return replace(pose, size=reference.size), Fit(1.0, np.zeros(2), ratios)
    gain = scale * (pose.pixel_scale / reference.pixel_scale)
    offsets = [goal - gain * place for place, goal in anchors]
    offset = np.mean(offsets, axis=0)
    body = apply_fit(pose, gain, offset, reference.size)
    head_gain = ratios.get("face", 0) / scale
    fit = Fit(scale, offset * reference.pixel_scale, ratios, anchor="neck and hips")
    return _fit_head(body, reference, head_gain), fit


def published_fit(people: Sequence[Pose], reference: Pose) -> tuple[np.ndarray, np.ndarray]:
    """Fit a (2,) and b (2,) of x' = a x + b for a whole clip, as ControlNeXt-SVD-v2 aligns poses.

    A least-squares line over all frames with exactly one person; x keeps the pixel aspect of y's
    scale.
    """
    present = np.zeros((0, 0), bool)
    if people:
        scored = [pose.body.score > 0 for pose in people]
        present = np.stack([points.any(1) for points in scored])
    frames_with_one = np.flatnonzero(present.sum(0) == 1)
    points = FIT_POINTS[reference.body.visible[0, FIT_POINTS]]
    if not len(frames_with_one) or not len(points):
        raise InputError(
            "the published alignment needs a frame with exactly one person and visible joints in "
            "the reference; use the default alignment"
        )
    rows = []
    for frame in frames_with_one:
        alone = int(np.argmax(present[:, frame]))
        rows.append(people[alone].body.xy[frame, points])
    places = np.stack(rows)
    goals = np.broadcast_to(reference.body.xy[0, points], places.shape)
    x = places[..., 0]
    y = places[..., 1]
    goal_x = goals[..., 0]
    goal_y = goals[..., 1]
    gain_y, offset_y = np.polyfit(y.ravel(), goal_y.ravel(), 1)
    frame_height, frame_width = people[0].size
    height, width = reference.size
    gain_x = gain_y * (frame_width / frame_height) * (height / width)
    offset_x = np.mean(goal_x - gain_x * x)
    return np.array([gain_x, gain_y]), np.array([offset_x, offset_y])


def apply_fit(pose: Pose, a: np.ndarray, b: np.ndarray, size: tuple[int, int]) -> Pose:
    """Map all points to a x + b, in a picture of `size` (H,W)."""
    body = Keypoints(pose.body.xy * a + b, pose.body.score)
    hands = Keypoints(pose.hands.xy * a + b, pose.hands.score)
    face = Keypoints(pose.face.xy * a + b, pose.face.score)
    return replace(pose, size=size, body=body, hands=hands, face=face)


def _anchors(pose: Pose, reference: Pose) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pair driving places (median over time) with reference places to align by.

    Neck and middle of the hips where both people show them, else the neck, else all shared joints,
    else the eyes and the nose.
    """
    shared = pose.body.visible.any(0) & reference.body.visible[0]
    pairs = {}
    for k in np.flatnonzero(shared).tolist():
        pairs[k] = (median_place(pose.body, k), reference.body.xy[0, k])
    if NECK in pairs and set(HIPS) <= set(pairs):
        right, right_goal = pairs[HIPS[0]]
        left, left_goal = pairs[HIPS[1]]
        middle = ((right + left) / 2, (right_goal + left_goal) / 2)
        return [pairs[NECK], middle]
    if NECK in pairs:
        return [pairs[NECK]]
    if pairs:
        return list(pairs.values())
    shared = pose.face.visible.any(0) & reference.face.visible[0]
    points = EYES_NOSE[shared[EYES_NOSE]]
    return [(median_place(pose.face, k), reference.face.xy[0, k]) for k in points.tolist()]


def _fit_head(pose: Pose, reference: Pose, gain: float) -> Pose:
    """Scale the head by `gain` about the neck, then move it to the reference's height over the
    neck."""
    neck_seen = pose.body.visible[:, NECK]
    if not gain or not neck_seen.any():
        return pose
    neck, _ = bridge(pose.body.xy[:, NECK], neck_seen, len(pose))
    neck = neck[:, None]
    body = pose.body.xy.copy()
    body[:, HEAD_POINTS] = neck + gain * (body[:, HEAD_POINTS] - neck)
    face = neck + gain * (pose.face.xy - neck)
    both_seen = neck_seen & pose.face.visible[:, NOSE_ROOT]
    reference_seen = reference.body.visible[0, NECK] and reference.face.visible[0, NOSE_ROOT]
    if both_seen.any() and reference_seen:
        nose_root = reference.face.xy[0, NOSE_ROOT, 1]
        chin = reference.face.xy[0, CHIN, 1]
        goal = nose_root - reference.body.xy[0, NECK, 1]
        rise = face[:, NOSE_ROOT, 1] - neck[:, 0, 1]
        now = np.median(rise[both_seen])
        limit = MAX_HEAD_STEP * abs(chin - nose_root)
        step = np.clip(goal - now, -limit, limit)
        body[:, HEAD_POINTS, 1] += step
        face[..., 1] += step
    return replace(
        pose, body=Keypoints(body, pose.body.score), face=Keypoints(face, pose.face.score)
    )
