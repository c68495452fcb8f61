"""The person of one reference image in pixels: what the picture is cut into parts by."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from torch import Tensor

from pipeline.motion.keypoints import L_ARM, LEG_POINTS, R_ARM
from pipeline.render.warp.arm_joints import cut_arms, wrists
from pipeline.render.warp.geometry import Skeleton, has_face


class Part(IntEnum):
    """The parts of a part map, in its order; a limb's parts follow each other from the trunk on."""

    HEAD = 0
    TORSO = 1
    R_UPPER_ARM = 2
    R_FOREARM = 3
    R_HAND = 4
    L_UPPER_ARM = 5
    L_FOREARM = 6
    L_HAND = 7
    R_THIGH = 8
    R_SHIN = 9
    L_THIGH = 10
    L_SHIN = 11


@dataclass(frozen=True)
class Arm:
    """An arm: joints (2,) in pixels; hand (21,2) or None where its points are not seen.

    first: its upper arm's part; forearm and hand follow.
    """

    shoulder: np.ndarray
    elbow: np.ndarray
    wrist: np.ndarray
    hand: np.ndarray | None
    first: Part

    @property
    def hand_root(self) -> np.ndarray:
        """Where the hand begins: its own first point if that is seen, else the body's wrist."""
        return self.wrist if self.hand is None else self.hand[0]


@dataclass(frozen=True)
class Leg:
    """A leg: joints (2,) in pixels; ankle None where it is not seen. first: its thigh's part."""

    hip: np.ndarray
    knee: np.ndarray
    ankle: np.ndarray | None
    first: Part


@dataclass(frozen=True)
class Anatomy:
    """The key points of one person in pixels of a picture.

    Args:
        size: (H, W) of the picture.
        body: (18, 2), missing core joints put where they usually are.
        seen: (18,) bool, what the detector saw.
        face: (68, 2).
        face_seen: whether most face points are seen.
        head: (2,) center of the head.
        up: (2,) unit vector towards the crown.
        unit: head height.
        arms: right and left arm, None where an arm is not cut out.
        legs: right and left leg, None where a leg is not cut out.
    """

    size: tuple[int, int]
    body: np.ndarray
    seen: np.ndarray
    face: np.ndarray
    face_seen: bool
    head: np.ndarray
    up: np.ndarray
    unit: float
    arms: tuple[Arm | None, Arm | None]
    legs: tuple[Leg | None, Leg | None]


def locate(
    pose: Skeleton, unit: Tensor, head: Tensor, up: Tensor, row: int, size: tuple[int, int]
) -> Anatomy:
    """Return the Anatomy of one row of completed metric key points in a picture of `size` (H, W).

    Args:
        pose: B people.
        unit: (B,) head heights.
        head: (B, 2) centers of the heads.
        up: (B, 2) unit vectors towards the crowns.
        row: which person.
        size: (H, W) in pixels.
    """
    height = size[0]
    body = _pixels(pose.body[row], height)
    hands = _pixels(pose.hands[row], height)
    seen = pose.body_seen[row].cpu().numpy()
    left_hand, right_hand = _visible_hands(pose, row, hands)
    right_wrist, left_wrist = _pixels(wrists(pose)[row], height)
    arms = (
        _arm(body, R_ARM, right_wrist, right_hand, Part.R_UPPER_ARM),
        _arm(body, L_ARM, left_wrist, left_hand, Part.L_UPPER_ARM),
    )
    is_cut = cut_arms(pose, unit)[row].tolist()
    right_arm, left_arm = (arm if cut else None for arm, cut in zip(arms, is_cut, strict=True))
    return Anatomy(
        size=size,
        body=body,
        seen=seen,
        face=_pixels(pose.face[row], height),
        face_seen=bool(has_face(pose)[row]),
        head=_pixels(head[row], height),
        up=_pixels(up[row], 1),
        unit=float(unit[row]) * height,
        arms=(right_arm, left_arm),
        legs=(
            _leg(body, seen, LEG_POINTS[:3], Part.R_THIGH),
            _leg(body, seen, LEG_POINTS[3:], Part.L_THIGH),
        ),
    )


def _pixels(places: Tensor, height: int) -> np.ndarray:
    """Turn metric places into pixels of a picture of some height, float32."""
    return places.detach().cpu().float().numpy() * np.float32(height)


def _visible_hands(pose: Skeleton, row: int, hands: np.ndarray) -> list[np.ndarray | None]:
    """Return the left and the right hand (21, 2), None where it is not seen."""
    seen = pose.hands_seen[row].tolist()
    return [hands[side] if seen[side] else None for side in (0, 1)]


def _arm(
    body: np.ndarray,
    joints: tuple[int, int, int],
    wrist: np.ndarray,
    hand: np.ndarray | None,
    first: Part,
) -> Arm:
    """Return an arm of body points (18, 2), its wrist apart."""
    shoulder, elbow, _ = joints
    return Arm(body[shoulder], body[elbow], wrist, hand, first)


def _leg(body: np.ndarray, seen: np.ndarray, joints: tuple[int, ...], first: Part) -> Leg | None:
    """Return a leg, None where hip or knee is not seen; its ankle may be missing."""
    hip, knee, ankle = joints
    if not (seen[hip] and seen[knee]):
        return None
    return Leg(body[hip], body[knee], body[ankle] if seen[ankle] else None, first)
