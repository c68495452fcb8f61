"""An arm part of the way from its rest to the driver's, bone by bone: bones keep their lengths."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.motion.keypoints import MIDDLE_ROOT

LEAST_LENGTH_PX = 1e-6  # a shorter bone has no direction


@dataclass(frozen=True)
class ArmPlaces:
    """Pixels x + iy over time: shoulder, elbow, wrist (T,1); hand (T,21)."""

    shoulder: np.ndarray
    elbow: np.ndarray
    wrist: np.ndarray
    hand: np.ndarray


@dataclass(frozen=True)
class Chain:
    """The parts of an arm, each as seen from the one before: upper_arm, forearm (T,1), hand (T,21).

    The upper arm is in pixels of the picture; the forearm as if the upper arm pointed along x, the
    hand as if the forearm did.
    """

    upper_arm: np.ndarray
    forearm: np.ndarray
    hand: np.ndarray

    @staticmethod
    def of(arm: ArmPlaces) -> Chain:
        upper_arm = arm.elbow - arm.shoulder
        forearm = arm.wrist - arm.elbow
        hand = arm.hand - arm.wrist
        return Chain(
            upper_arm=upper_arm,
            forearm=forearm / direction(upper_arm),
            hand=hand / direction(forearm),
        )


def between(rest: ArmPlaces, driven: ArmPlaces, share: float, hand_seen: np.ndarray) -> ArmPlaces:
    """Turn each bone of the resting arm by a share of the way to the driven arm's.

    The forearm's direction is taken against the upper arm, the hand's against the forearm. The way
    is that of a weighted mean of the two directions: it does not wind or jump where the driver's
    bone passes opposite to the resting one.

    Args:
        rest: the arm at rest, T frames.
        driven: the driver's, with the same shoulders.
        share: in (0, 1), 1 is the driver's.
        hand_seen: (21,) which points of the resting hand are known. Without its middle finger's
            root the driven hand is carried along by the forearm.
    """
    rest_chain = Chain.of(rest)
    driven_chain = Chain.of(driven)
    upper_arm = _mixed(rest_chain.upper_arm, driven_chain.upper_arm, share)
    forearm = _mixed(rest_chain.forearm, driven_chain.forearm, share)
    forearm = forearm * direction(upper_arm)
    hand = driven_chain.hand
    if hand_seen[MIDDLE_ROOT]:
        hand = _mixed_hand(rest_chain.hand, hand, share, hand_seen)
    elbow = driven.shoulder + upper_arm
    wrist = elbow + forearm
    return ArmPlaces(
        shoulder=driven.shoulder,
        elbow=elbow,
        wrist=wrist,
        hand=wrist + hand * direction(forearm),
    )


def _mixed_hand(
    rest: np.ndarray, driven: np.ndarray, share: float, hand_seen: np.ndarray
) -> np.ndarray:
    """Mix the directions and the shapes of two hands (T,21) about their wrists at 0.

    Points that the resting hand lacks are the driven hand's.
    """
    palm = slice(MIDDLE_ROOT, MIDDLE_ROOT + 1)
    rest_palm = rest[:, palm]
    driven_palm = driven[:, palm]
    rest_shape = rest / direction(rest_palm)
    driven_shape = driven / direction(driven_palm)
    shares = np.where(hand_seen, share, 1.0)
    shape = (1 - shares) * rest_shape + shares * driven_shape
    mixed_palm = _mixed(rest_palm, driven_palm, share)
    return shape * direction(mixed_palm)


def _mixed(rest: np.ndarray, driven: np.ndarray, share: float) -> np.ndarray:
    """Mix two bones (T,1): lengths and directions apart."""
    length = (1 - share) * abs(rest) + share * abs(driven)
    mean = (1 - share) * direction(rest) + share * direction(driven)
    return length * direction(mean)


def direction(bone: np.ndarray) -> np.ndarray:
    """Return the unit vectors of bones (T,1); 1 for one without length."""
    length = abs(bone)
    has_length = length > LEAST_LENGTH_PX
    divisor = np.where(has_length, length, 1)
    return np.where(has_length, bone / divisor, 1)
