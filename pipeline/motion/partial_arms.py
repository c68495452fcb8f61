"""Arms that the reference image shows only in part: they rest on the torso instead of gesturing.

A warp cannot invent what the image does not show. If an arm's hand or forearm is hidden or out of
the frame, only its stump would follow the driver.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipeline.motion.keypoints import ARMS, CORE_POINTS, ArmRows, complex_pixels, head_height
from pipeline.values import Keypoints, Motion, Pose

# Head heights: a hand's length and half its width, as the warp guesses at a hand that is not seen.
HAND_LENGTH = 0.7
HAND_HALF_WIDTH = 0.12
MIN_SPREAD = 1e-5  # picture heights squared: a torso whose points spread less has no direction


def whole_arms(reference: Pose) -> tuple[bool, bool]:
    """Tell whether the reference (one frame) shows the right and the left arm down to the hand.

    Shoulder, elbow and wrist are seen and more than half of the hand's points; without those, a
    hand that goes on from the wrist in the forearm's direction would lie inside the picture in all
    its width.
    """
    return _is_whole(reference, ARMS["right"]), _is_whole(reference, ARMS["left"])


def _is_whole(reference: Pose, arm: ArmRows) -> bool:
    if not reference.body.visible[0, arm.joints].all():
        return False
    if reference.hands.visible[0, arm.hand].mean() > 0.5:
        return True
    _, elbow, wrist = complex_pixels(reference.body.xy[0, arm.joints], reference.size)
    unit = head_height(reference)[0]
    forearm = wrist - elbow
    fingertips = wrist + HAND_LENGTH * unit * forearm / max(abs(forearm), 1e-9)
    hand = np.array([wrist, fingertips])
    margin = HAND_HALF_WIDTH * unit * (1 + 1j)
    corners = np.concatenate([hand + margin, hand - margin])
    fractions = _fractions(corners, reference.size)
    inside = (fractions >= 0) & (fractions <= 1)
    return bool(inside.all())


def notice(motion: Motion) -> str | None:
    """Tell the user about arms that `rested` holds still though the motion shows their elbows."""
    sides = []
    for side in _partial_sides(motion):
        _, elbow, _ = ARMS[side].joints
        if motion.pose.body.visible[:, elbow].any():
            sides.append(side)
    if len(sides) == 2:
        return (
            "The picture does not show all of both arms: they stay as they are; use a picture "
            "with the whole arms to have them gesture."
        )
    if sides:
        return (
            f"The picture does not show all of the {sides[0]} arm: it stays as it is; use a "
            "picture with the whole arm to have it gesture."
        )
    return None


def _partial_sides(motion: Motion) -> list[str]:
    """List the sides of the arms that are not whole; none where the reference shows no person."""
    reference = motion.reference
    if not (reference.body.visible.any() or reference.face.visible.any()):
        return []
    return [side for side, whole in zip(ARMS, whole_arms(reference), strict=True) if not whole]


def uncut(motion: Motion) -> Pose:
    """Drop the resting arms from the reference's pose, so that a warp leaves them on the torso,
    uncut.

    That takes the person's mask: without it an arm's outline is known from its points alone, and
    the reference comes back as it is.
    """
    reference = motion.reference
    sides = _partial_sides(motion)
    if motion.mask is None or not sides:
        return reference
    body = reference.body.score.copy()
    hands = reference.hands.score.copy()
    for side in sides:
        _, elbow, wrist = ARMS[side].joints
        body[:, [elbow, wrist]] = 0
        hands[:, ARMS[side].hand] = 0
    return replace(
        reference,
        body=Keypoints(reference.body.xy, body),
        hands=Keypoints(reference.hands.xy, hands),
    )


def rested(motion: Motion) -> Motion:
    """Hold every arm that is not whole as the reference has it, carried by the torso.

    Elbow, wrist and hand turn, grow and move with the similarity that takes the reference's neck,
    shoulders and hips, as far as both are seen, to the frame's; the frame's shoulder is its fixed
    point. Scores are the reference's; a point that it does not see is missing, and so is the arm
    where the frame does not see the shoulder. Where all arms are whole the very same motion comes
    back.

    Both poses are fractions of one picture, the reference image, whatever clip the driver came
    from: pixels of `reference.size` are square for both. An output of another aspect stretches both
    alike.
    """
    sides = _partial_sides(motion)
    if not sides:
        return motion
    reference = motion.reference
    pose = motion.pose
    torso = _carry_torso(pose, reference)
    body = Keypoints(pose.body.xy.copy(), pose.body.score.copy())
    hands = Keypoints(pose.hands.xy.copy(), pose.hands.score.copy())
    for side in sides:
        shoulder, elbow, wrist = ARMS[side].joints
        carry = torso
        if reference.body.visible[0, shoulder]:
            carry = replace(
                torso,
                start=complex_pixels(reference.body.xy[:1, shoulder], reference.size),
                goal=complex_pixels(pose.body.xy[:, shoulder], reference.size),
            )
        shown = pose.body.visible[:, shoulder] & torso.known
        joints = [elbow, wrist]
        _rest(body, reference.body, joints, carry, shown, reference.size)
        _rest(hands, reference.hands, ARMS[side].hand, carry, shown, reference.size)
    return replace(motion, pose=replace(pose, body=body, hands=hands))


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
