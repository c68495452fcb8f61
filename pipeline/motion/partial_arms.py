"""Arms that the reference image shows only in part: they rest on the torso instead of gesturing.

A warp cannot invent what the image does not show. If an arm's hand or forearm is hidden or out of the frame,
only its stump would follow the driver.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.motion.gestures.arm_ik import LEFT, RIGHT, plane
from pipeline.motion.keypoints import CORE_POINTS, head_height
from pipeline.values import Keypoints, Motion, Pose

ARMS = {"right": RIGHT, "left": LEFT}
HAND, HALF_HAND = (
    0.7,
    0.12,
)  # head heights: a hand's length and half its width, where the warp guesses at one
SPREAD = 1e-5  # picture heights squared: a torso whose points spread less has no direction


def whole_arms(reference: Pose) -> tuple[bool, bool]:
    """Whether the reference (one frame) shows the right and the left arm from the shoulder to the hand.

    Shoulder, elbow and wrist are seen and more than half of the hand's points; without those, a hand that
    goes on from the wrist in the forearm's direction would lie inside the picture in all its width.
    """
    return _whole(reference, RIGHT), _whole(reference, LEFT)


def _whole(reference: Pose, arm: tuple[int, int, int, int]) -> bool:
    joints, points = list(arm[:3]), slice(arm[3], arm[3] + 21)
    if not reference.body.visible[0, joints].all():
        return False
    if reference.hands.visible[0, points].mean() > 0.5:
        return True
    _, elbow, wrist = plane(reference.body.xy[0, joints], reference.size)
    fore, unit = wrist - elbow, head_height(reference)[0]
    hand = np.array([wrist, wrist + HAND * unit * fore / max(abs(fore), 1e-9)])
    corners = np.concatenate(
        [hand + HALF_HAND * unit * (1 + 1j), hand - HALF_HAND * unit * (1 + 1j)]
    )
    places = _fractions(corners, reference.size)
    return bool(((places >= 0) & (places <= 1)).all())


def notice(motion: Motion) -> str | None:
    """What to tell the user of arms that `rested` holds still though the motion shows their elbows."""
    sides = [side for side in _partial(motion) if motion.pose.body.visible[:, ARMS[side][1]].any()]
    if len(sides) == 2:
        return (
            "The picture does not show all of both arms: they stay as they are; use a picture with the whole "
            "arms to have them gesture."
        )
    if sides:
        return (
            f"The picture does not show all of the {sides[0]} arm: it stays as it is; use a picture with the "
            "whole arm to have it gesture."
        )
    return None


def _partial(motion: Motion) -> list[str]:
    """The sides of the arms that are not whole; none where the reference shows no person."""
    reference = motion.reference
    if not (reference.body.visible.any() or reference.face.visible.any()):
        return []
    return [side for side, whole in zip(ARMS, whole_arms(reference), strict=True) if not whole]


def uncut(motion: Motion) -> Pose:
    """Returns the reference without the arms that rest, so that a warp leaves them on the torso, uncut.

    That takes the person's mask: without it an arm's outline is known from its points alone, and the
    reference comes back as it is.
    """
    sides, reference = _partial(motion), motion.reference
    if motion.mask is None or not sides:
        return reference
    body, hands = reference.body.score.copy(), reference.hands.score.copy()
    for _, elbow, wrist, first in (ARMS[side] for side in sides):
        body[:, [elbow, wrist]] = hands[:, first : first + 21] = 0
    return replace(
        reference,
        body=Keypoints(reference.body.xy, body),
        hands=Keypoints(reference.hands.xy, hands),
    )


def rested(motion: Motion) -> Motion:
    """Returns the motion with every arm that is not whole as the reference has it, carried by the torso.

    Elbow, wrist and hand turn, grow and move with the similarity that takes the reference's neck, shoulders
    and hips, as far as both are seen, to the frame's; the frame's shoulder is its fixed point. Scores are the
    reference's; a point that it does not see is missing, and so is the arm where the frame does not see the
    shoulder. Where all arms are whole the very same motion comes back.

    Both poses are fractions of one picture, the reference image, whatever clip the driver came from: pixels
    of `reference.size` are square for both. An output of another aspect stretches both alike.
    """
    sides = _partial(motion)
    if not sides:
        return motion
    reference, pose, size = motion.reference, motion.pose, motion.reference.size
    body = Keypoints(pose.body.xy.copy(), pose.body.score.copy())
    hands = Keypoints(pose.hands.xy.copy(), pose.hands.score.copy())
    gain, own_centre, centre, shared = _torso(pose, reference)
    for shoulder, elbow, wrist, first in (ARMS[side] for side in sides):
        start, goal = own_centre, centre
        if reference.body.visible[0, shoulder]:
            start = plane(reference.body.xy[:1, shoulder], size)
            goal = plane(pose.body.xy[:, shoulder], size)
        shown = pose.body.visible[:, shoulder] & shared
        for points, own, which in (
            (body, reference.body, [elbow, wrist]),
            (hands, reference.hands, list(range(first, first + 21))),
        ):
            placed = goal[:, None] + gain[:, None] * (
                plane(own.xy[:1, which], size) - start[:, None]
            )
            points.xy[:, which] = _fractions(placed, size)
            points.score[:, which] = (
                shown[:, None] * np.where(own.visible, own.score, 0.0)[:1, which]
            )
    return replace(motion, pose=replace(pose, body=body, hands=hands))


def _torso(pose: Pose, reference: Pose) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The torso's similarity: x goes to centre + gain * (x - own centre), pixels as x + iy; all (T,).

    gain: 1 where less than two points are seen in both. The size is the ratio of the spreads, as in the warp.
    Last, whether any point is seen in both.
    """
    own, placed = (plane(p.body.xy[:, CORE_POINTS], reference.size) for p in (reference[:1], pose))
    both = reference.body.visible[:1, CORE_POINTS] & pose.body.visible[:, CORE_POINTS]
    weight = both / np.maximum(both.sum(1, keepdims=True), 1)
    centres = [(weight * points).sum(1) for points in (own, placed)]
    a, b = (points - centre[:, None] for points, centre in zip((own, placed), centres, strict=True))
    turn = (weight * b * a.conj()).sum(1)
    spread = [(weight * np.abs(points) ** 2).sum(1) for points in (a, b)]
    known = (np.minimum(*spread) > SPREAD * reference.size[0] ** 2) & (np.abs(turn) > 0)
    size, turn = np.sqrt(spread[1] / np.where(known, spread[0], 1)), np.where(known, turn, 1)
    return np.where(known, size * turn / np.abs(turn), 1), *centres, both.any(1)


def _fractions(places: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(..., 2) fractions of a picture of `size` (H,W) from pixels x + iy."""
    return np.stack([places.real / size[1], places.imag / size[0]], -1)
