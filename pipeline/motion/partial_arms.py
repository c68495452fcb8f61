"""Arms that the reference image shows only in part: they rest on the torso instead of gesturing.

If an arm's hand or forearm is hidden or out of the frame, only its stump would follow the driver.
`arm_trust` says how far each arm may follow; here it does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipeline.motion import arm_blend
from pipeline.motion.arm_trust import STEADY, Trust, judge, sentences
from pipeline.motion.keypoints import ARMS, CORE_POINTS, ArmRows, complex_pixels
from pipeline.values import Keypoints, Motion, Pose

MIN_SPREAD = 1e-5  # picture heights squared: a torso whose points spread less has no direction


def trusts(motion: Motion, stability: tuple[float, float] = STEADY) -> dict[str, Trust]:
    """Judge the reference's arms, see `arm_trust`; none where it shows no person."""
    reference = motion.reference
    if not (reference.body.visible.any() or reference.face.visible.any()):
        return {}
    return judge(reference, motion.mask, stability)


def notice(motion: Motion, stability: tuple[float, float] = STEADY) -> str | None:
    """Tell the user about arms that `rested` holds back though the motion shows their elbows."""
    shown = {}
    for side, trust in trusts(motion, stability).items():
        _, elbow, _ = ARMS[side].joints
        if motion.pose.body.visible[:, elbow].any():
            shown[side] = trust
    return " ".join(sentences(shown)) or None


def uncut(motion: Motion, stability: tuple[float, float] = STEADY) -> Pose:
    """Drop the resting arms from the reference's pose, so that a warp leaves them on the torso,
    uncut.

    That takes the person's mask: without it an arm's outline is known from its points alone, and
    the reference comes back as it is.
    """
    reference = motion.reference
    sides = [side for side, trust in trusts(motion, stability).items() if trust.share == 0]
    if motion.mask is None or not sides:
        return reference
    for side in sides:
        reference = without_arm(reference, side)
    return reference


def without_arm(pose: Pose, side: str) -> Pose:
    """Return the pose with elbow, wrist and hand of one arm missing; the shoulder stays.

    Missing points lie in the corner: beyond the picture's edge a place counts without a score.
    """
    arm = ARMS[side]
    _, *missing = arm.joints
    body = Keypoints(pose.body.xy.copy(), pose.body.score.copy())
    hands = Keypoints(pose.hands.xy.copy(), pose.hands.score.copy())
    for points, rows in ((body, missing), (hands, arm.hand)):
        points.xy[:, rows] = 0
        points.score[:, rows] = 0
    return replace(pose, body=body, hands=hands)


def rested(motion: Motion, stability: tuple[float, float] = STEADY) -> Motion:
    """Hold every arm back that is not fully trusted: it goes its share of the way from rest.

    At rest elbow, wrist and hand turn, grow and move with the similarity that takes the reference's
    neck, shoulders and hips, as far as both are seen, to the frame's; the frame's shoulder is its
    fixed point. Scores are the reference's; a point that it does not see is missing, and so is the
    arm where the frame does not see the shoulder. An arm between rest and the driver's turns bone
    by bone (`arm_blend`) and has the driver's scores. Where all arms are fully trusted the very
    same motion comes back.

    Both poses are fractions of one picture, the reference image, whatever clip the driver came
    from: pixels of `reference.size` are square for both. An output of another aspect stretches both
    alike.
    """
    held = {side: trust for side, trust in trusts(motion, stability).items() if trust.share < 1}
    if not held:
        return motion
    reference = motion.reference
    pose = motion.pose
    torso = _carry_torso(pose, reference)
    body = Keypoints(pose.body.xy.copy(), pose.body.score.copy())
    hands = Keypoints(pose.hands.xy.copy(), pose.hands.score.copy())
    driven = replace(pose, size=reference.size)
    at_rest = replace(driven, body=body, hands=hands)
    for side, trust in held.items():
        arm = ARMS[side]
        shoulder, *joints = arm.joints
        carry = torso
        if reference.body.visible[0, shoulder]:
            carry = replace(
                torso,
                start=complex_pixels(reference.body.xy[:1, shoulder], reference.size),
                goal=complex_pixels(pose.body.xy[:, shoulder], reference.size),
            )
        shown = pose.body.visible[:, shoulder] & torso.known
        _rest(body, reference.body, joints, carry, shown, reference.size)
        _rest(hands, reference.hands, arm.hand, carry, shown, reference.size)
        if trust.share > 0:
            hand_seen = reference.hands.visible[0, arm.hand]
            _blend(at_rest, driven, arm, trust.share, hand_seen, shown)
    return replace(motion, pose=replace(pose, body=body, hands=hands))


def _blend(
    at_rest: Pose,
    driven: Pose,
    arm: ArmRows,
    share: float,
    hand_seen: np.ndarray,
    shown: np.ndarray,
) -> None:
    """Move a resting arm of `at_rest` its share of the way to the driven one, in place."""
    rest_places = _arm_places(at_rest, arm)
    driven_places = _arm_places(driven, arm)
    places = arm_blend.between(rest_places, driven_places, share, hand_seen)
    joints = list(arm.joints[1:])
    bent = np.concatenate([places.elbow, places.wrist], 1)
    at_rest.body.xy[:, joints] = _fractions(bent, at_rest.size)
    at_rest.hands.xy[:, arm.hand] = _fractions(places.hand, at_rest.size)
    for moved, points, rows in (
        (at_rest.body, driven.body, joints),
        (at_rest.hands, driven.hands, arm.hand),
    ):
        moved.score[:, rows] = shown[:, None] * points.score[:, rows]


def _arm_places(pose: Pose, arm: ArmRows) -> arm_blend.ArmPlaces:
    """Return the pixels of an arm in all frames."""
    joints = complex_pixels(pose.body.xy[:, list(arm.joints)], pose.size)
    shoulder, elbow, wrist = np.split(joints, 3, axis=1)
    hand = complex_pixels(pose.hands.xy[:, arm.hand], pose.size)
    return arm_blend.ArmPlaces(shoulder, elbow, wrist, hand)


@dataclass(frozen=True)
class _Carry:
    """A similarity for each frame, pixels as x + iy: x goes to goal + gain * (x - start); all (T,)
    or (1,).

    known: (T,) bool, whether any point is seen in both the reference and the frame.
    """

    gain: np.ndarray
    start: np.ndarray
    goal: np.ndarray
    known: np.ndarray


def _rest(
    points: Keypoints,
    reference: Keypoints,
    rows: list[int] | slice,
    carry: _Carry,
    shown: np.ndarray,
    size: tuple[int, int],
) -> None:
    """Write the reference's points `rows`, carried, into `points`; missing in frames that are not
    `shown`."""
    away = complex_pixels(reference.xy[:1, rows], size) - carry.start[:, None]
    placed = carry.goal[:, None] + carry.gain[:, None] * away
    score = np.where(reference.visible, reference.score, 0.0)[:1, rows]
    points.xy[:, rows] = _fractions(placed, size)
    points.score[:, rows] = shown[:, None] * score


def _carry_torso(pose: Pose, reference: Pose) -> _Carry:
    """Fit the similarity from the reference's torso to each frame's, about the torso's centers.

    The gain is 1 where less than two points are seen in both. Its size is the ratio of the spreads,
    as in the warp.
    """
    source = complex_pixels(reference.body.xy[:1, CORE_POINTS], reference.size)
    target = complex_pixels(pose.body.xy[:, CORE_POINTS], reference.size)
    both = reference.body.visible[:1, CORE_POINTS] & pose.body.visible[:, CORE_POINTS]
    weight = both / np.maximum(both.sum(1, keepdims=True), 1)
    source_center = (weight * source).sum(1)
    target_center = (weight * target).sum(1)
    a = source - source_center[:, None]
    b = target - target_center[:, None]
    turn = (weight * b * a.conj()).sum(1)
    source_spread = (weight * np.abs(a) ** 2).sum(1)
    target_spread = (weight * np.abs(b) ** 2).sum(1)
    smaller = np.minimum(source_spread, target_spread)
    turns = (smaller > MIN_SPREAD * reference.size[0] ** 2) & (np.abs(turn) > 0)
    size = np.sqrt(target_spread / np.where(turns, source_spread, 1))
    turn = np.where(turns, turn, 1)
    gain = np.where(turns, size * turn / np.abs(turn), 1)
    return _Carry(gain, source_center, target_center, both.any(1))


def _fractions(places: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Turn pixels x + iy into (..., 2) fractions of a picture of `size` (H,W)."""
    return np.stack([places.real / size[1], places.imag / size[0]], -1)
