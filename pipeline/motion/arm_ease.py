"""An arm that eases from the driver's to its rest and back while the driver is missing.

Every bone turns and grows along the logarithm of its ratio to the resting bone, so that it keeps
its length and never swings through in one frame, however far the way is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.motion.arm_blend import LEAST_LENGTH_PX, ArmPlaces, Chain, direction
from pipeline.motion.gaps import Gaps
from pipeline.motion.keypoints import MIDDLE_ROOT, ArmRows, complex_pixels
from pipeline.values import Keypoints, Pose

PALM = slice(MIDDLE_ROOT, MIDDLE_ROOT + 1)  # of a hand's points: where it points to


@dataclass(frozen=True)
class _Way:
    """What makes the driver's arm from a resting one, bone by bone.

    upper_arm, forearm, palm: (T,1) logarithms of ratios, growth + i turn. shape: (T,21) the
    driver's hand, from the wrist, over its palm.
    """

    upper_arm: np.ndarray
    forearm: np.ndarray
    palm: np.ndarray
    shape: np.ndarray


def ease_arm(
    pose: Pose, driven: Pose, rest: Pose, arm: ArmRows, here: np.ndarray, frames: float
) -> None:
    """Put one arm of `pose` between rest and the driver, in place, on the shoulder that it has.

    It eases from where the driver's arm was seen last, and to where it is seen next. An arm that
    the reference does not show whole stays as it is.

    Args:
        pose: T frames, with shoulders in their places.
        driven: the driver, T frames with gaps.
        rest: the resting reference, T frames.
        arm: which arm.
        here: (T,) bool, the frames that show the driver; they stay as they are.
        frames: within how many frames the arm eases.
    """
    shoulder = arm.joints[0]
    joints = list(arm.joints[1:])
    known = pose.body.visible[:, shoulder] & rest.body.all_seen(arm.joints)
    known &= ~here
    seen = here & driven.body.all_seen(arm.joints)
    place = complex_pixels(pose.body.xy[:, [shoulder]], pose.size)
    hand_seen = rest.hands.visible[:1, arm.hand]
    resting = _places(rest, arm)
    driving = _places(driven, arm)
    way = _way(resting, driving)
    share = np.zeros(len(pose))
    if seen.any():
        gaps = Gaps.of(seen)
        way = _closed(way, gaps)
        share = gaps.weight(frames)
    elbow, wrist, hand = _along(resting, way, share[:, None], place, hand_seen)
    bent = np.concatenate([elbow, wrist], 1)
    write_points(pose.body, joints, fractions(bent, pose.size), known)
    write_points(pose.hands, arm.hand, fractions(hand, pose.size), known)
    hidden = known & ~pose.body.all_seen(arm.joints)
    take_scores(pose.body, rest.body, joints, hidden)
    take_scores(pose.hands, rest.hands, arm.hand, hidden)


def take_scores(
    points: Keypoints, source: Keypoints, columns: list[int] | slice, frames: np.ndarray
) -> None:
    """Take the scores of some points from `source`, in place, in the frames (T,) bool."""
    chosen = frames[:, None]
    taken = np.where(chosen, source.score[:, columns], points.score[:, columns])
    points.score[:, columns] = taken


def fractions(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Turn complex pixels (T,n) into fractions (T,n,2) of a picture of `size` (H,W)."""
    height, width = size
    return np.stack([pixels.real / width, pixels.imag / height], -1)


def write_points(
    points: Keypoints, columns: list[int] | slice, xy: np.ndarray, frames: np.ndarray
) -> None:
    """Write places xy (T,n,2) into some points, in place, in the frames (T,) bool."""
    chosen = frames[:, None, None]
    points.xy[:, columns] = np.where(chosen, xy, points.xy[:, columns])


def _places(pose: Pose, arm: ArmRows) -> ArmPlaces:
    """Return the pixels of an arm in all frames."""
    joints = complex_pixels(pose.body.xy[:, list(arm.joints)], pose.size)
    shoulder, elbow, wrist = np.split(joints, 3, axis=1)
    hand = complex_pixels(pose.hands.xy[:, arm.hand], pose.size)
    return ArmPlaces(
        shoulder=shoulder,
        elbow=elbow,
        wrist=wrist,
        hand=hand,
    )


def _way(rest: ArmPlaces, driven: ArmPlaces) -> _Way:
    """Measure the way from the resting arm to the driver's in every frame."""
    start = Chain.of(rest)
    goal = Chain.of(driven)
    return _Way(
        upper_arm=_log_ratio(start.upper_arm, goal.upper_arm),
        forearm=_log_ratio(start.forearm, goal.forearm),
        palm=_log_ratio(start.hand[:, PALM], goal.hand[:, PALM]),
        shape=_over(goal.hand, goal.hand[:, PALM]),
    )


def _closed(way: _Way, gaps: Gaps) -> _Way:
    """Return the way with the driver's gaps closed."""
    return _Way(
        upper_arm=gaps.turning(way.upper_arm),
        forearm=gaps.turning(way.forearm),
        palm=gaps.turning(way.palm),
        shape=gaps.between(way.shape),
    )


def _along(
    rest: ArmPlaces, way: _Way, share: np.ndarray, shoulder: np.ndarray, hand_seen: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return elbow, wrist (T,1) and hand (T,21) of an arm that went a share (T,1) of its way.

    Args:
        rest: the resting arm.
        way: from there to the driver's.
        share: 1 is the driver's.
        shoulder: (T,1) where it hangs.
        hand_seen: (1,21) bool, the points of the resting hand that are known.
    """
    chain = Chain.of(rest)
    upper_arm = chain.upper_arm * np.exp(share * way.upper_arm)
    forearm = chain.forearm * np.exp(share * way.forearm) * direction(upper_arm)
    resting_palm = chain.hand[:, PALM]
    resting_shape = _over(chain.hand, resting_palm)
    shares = np.where(hand_seen, share, 1.0)
    shape = resting_shape + shares * (way.shape - resting_shape)
    palm = resting_palm * np.exp(share * way.palm)
    elbow = shoulder + upper_arm
    wrist = elbow + forearm
    hand = wrist + shape * palm * direction(forearm)
    return elbow, wrist, hand


def _over(points: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Divide complex points (T,n) by a unit (T,1); 0 where that has no length."""
    has_length = abs(unit) > LEAST_LENGTH_PX
    divisor = np.where(has_length, unit, 1)
    return np.where(has_length, points / divisor, 0)


def _log_ratio(start: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Return the logarithm (T,1) of goal over start, growth + i turn; 0 where one has no length."""
    both = (abs(start) > LEAST_LENGTH_PX) & (abs(goal) > LEAST_LENGTH_PX)
    ratio = np.where(both, goal, 1) / np.where(both, start, 1)
    return np.log(ratio)
