"""Arm joints that a picture does not show: which of them are known all the same.

Detectors carry an arm on beyond the picture's edge, and guess at an elbow that something hides;
such points come without a score. They count where the bones that they make are no longer than an
arm's. A hand whose own points are seen needs no arm. N = frames; right arm before left arm.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.motion.arm_trust import BONE_LENGTH
from pipeline.motion.keypoints import L_ARM, R_ARM
from pipeline.render.warp.geometry import Skeleton

ARMS = (R_ARM, L_ARM)
HANDS = (1, 0)  # the rows of the hands of right and left arm: the left hand comes first
LONGEST = BONE_LENGTH[1]  # head heights of a bone that is believed


@dataclass(frozen=True)
class _Joints:
    """What is known of one arm's joints, all (N,) bool.

    Args:
        shoulder: it is seen, or lies beyond the picture's edge.
        shoulder_seen: it is seen.
        elbow: it is seen, or lies beyond the picture's edge.
        end: wrist or hand is seen, or the wrist lies beyond the picture's edge.
        root_seen: where the hand begins is seen.
        short: neither bone is longer than an arm's.
    """

    shoulder: Tensor
    shoulder_seen: Tensor
    elbow: Tensor
    end: Tensor
    root_seen: Tensor
    short: Tensor


def cut_arms(pose: Skeleton, unit: Tensor) -> Tensor:
    """Return (N,2) bool: which arms of a reference have all their joints.

    Elbow and wrist may lie beyond the picture's edge; a wrist may be known by its hand alone.

    Args:
        pose: N completed references.
        unit: (N,) head heights, metric.
    """
    arms = []
    for arm in range(len(ARMS)):
        joints = _joints(pose, arm, unit)
        cut = joints.shoulder_seen & joints.elbow
        arms.append(cut & joints.end)
    return torch.stack(arms, 1)


def shown_parts(pose: Skeleton, arm: int, unit: Tensor) -> Tensor:
    """Return (N,3) bool: whether a target shows where upper arm, forearm and hand of an arm are.

    Args:
        pose: N targets as they were detected.
        arm: 0 right, 1 left.
        unit: (N,) head heights of the targets, metric.
    """
    joints = _joints(pose, arm, unit)
    ends = joints.shoulder & joints.end
    guessed = ends & joints.short
    elbow = joints.elbow | guessed
    upper = joints.shoulder & elbow
    fore = elbow & joints.end
    hand = fore | joints.root_seen
    return torch.stack([upper, fore, hand], -1)


def wrists(pose: Skeleton) -> Tensor:
    """Return (N,2,2) the wrists of right and left arm; where only a hand is seen, its root."""
    places = []
    for arm in range(len(ARMS)):
        places.append(_end(pose, arm))
    return torch.stack(places, 1)


def _joints(pose: Skeleton, arm: int, unit: Tensor) -> _Joints:
    shoulder, elbow, wrist = ARMS[arm]
    upper = pose.body[:, elbow] - pose.body[:, shoulder]
    fore = _end(pose, arm) - pose.body[:, elbow]
    longest = LONGEST * unit
    short_upper = upper.norm(dim=-1) < longest
    short_fore = fore.norm(dim=-1) < longest
    short = short_upper & short_fore
    root_seen = _root_seen(pose, arm)
    seen = pose.body_seen
    beyond = pose.body_beyond
    end_seen = seen[:, wrist] | root_seen
    end_beyond = beyond[:, wrist] & short_fore
    elbow_beyond = beyond[:, elbow] & short
    shoulder_beyond = beyond[:, shoulder] & short_upper
    return _Joints(
        shoulder=seen[:, shoulder] | shoulder_beyond,
        shoulder_seen=seen[:, shoulder],
        elbow=seen[:, elbow] | elbow_beyond,
        end=end_seen | end_beyond,
        root_seen=root_seen,
        short=short,
    )


def _end(pose: Skeleton, arm: int) -> Tensor:
    """(N,2) an arm's wrist; where only its hand is seen, the hand's root."""
    _, _, wrist = ARMS[arm]
    by_hand = _root_seen(pose, arm) & ~pose.body_seen[:, wrist]
    root = pose.hands[:, HANDS[arm], 0]
    return torch.where(by_hand[:, None], root, pose.body[:, wrist])


def _root_seen(pose: Skeleton, arm: int) -> Tensor:
    """(N,) bool: where an arm's hand begins is seen."""
    hand = HANDS[arm]
    return pose.hands_seen[:, hand] & pose.hand_points_seen[:, hand, 0]
