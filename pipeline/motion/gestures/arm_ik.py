"""The arms of a reference picture as linkages in its plane: how far they may turn, and how a hand gets there.

Only rotations around the reference's own posture are applied, so bones keep their length. Limits, after the
American Academy of Orthopaedic Surgeons' "Joint Motion" (1965), taken in the picture plane:

    joint      movement                                    table      used here
    shoulder   abduction, adduction across the body        180, 50    -30 (across) to 120 degrees from hanging
    elbow      flexion                                     0 to 150   0 to 150, never bent backwards
    wrist      radial and ulnar deviation                  20, 30     20 to either side of the reference's

A forearm that points at the camera has no flexion to be seen; its direction may turn by 25 degrees. A
reference that is already outside a limit is not turned further out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.motion.keypoints import (
    L_ARM,
    LEFT_HAND,
    MIDDLE_ROOT,
    R_ARM,
    RIGHT_HAND,
    complex_pixels,
)
from pipeline.values import Keypoints, Pose

# shoulder, elbow, wrist, first hand point; the person's own sides
RIGHT = (*R_ARM, RIGHT_HAND.start)
LEFT = (*L_ARM, LEFT_HAND.start)
# degrees; the table above
ABDUCTION = (-30.0, 120.0)
FLEXION = 150.0
WRIST = 20.0
# degrees of bend under which the elbow's side is not known: the forearm then bends inwards
STRAIGHT = 8.0
FORESHORTENED = 0.5  # forearm over upper arm: a shorter one points at the camera
POINTING_ELBOW = 25.0  # degrees that such a forearm may turn either way
# see `carry`
HOME = 1.05
CARRY = 0.5
CARRIED = (-0.12, 0.18)
ROOM = 0.008  # of the frame: an elbow stays this far from its edge
LEAST_UNIT = 0.8  # upper arms: the shoulders of a person who is seen from the side look narrow

# weight of a miss to the side against one in height: bones of fixed length cannot do both
SIDEWAYS = 0.45
EFFORT = (0.16, 0.05)  # cost of a turn of shoulder and elbow, in arm lengths a radian
# of the solver
STEPS = 14
LONGEST_STEP = np.radians(12)
START = np.radians(
    (6.0, 14.0)
)  # where it starts: a straight arm cannot tell which way lifts its hand


@dataclass(frozen=True)
class Arm:
    """An arm that may gesture: `points` (24,) in pixels as x + iy: shoulder, elbow, wrist, hand.

    side: 1 where a positive rotation turns it outwards, else -1. bend, rise: the signs of the rotations that
    bend the elbow and that raise the finger tips. low, high: (3,) degrees that shoulder, elbow and wrist may
    turn. unit: the shoulders' width in pixels, at least LEAST_UNIT. hand: share of its points that are seen.
    """

    joints: tuple[int, int, int, int]
    points: np.ndarray
    side: float
    bend: float
    rise: float
    low: np.ndarray
    high: np.ndarray
    unit: float
    hand: float

    @property
    def carry(self) -> float:
        """How far the hand rises to where people gesture, before the belly, in shoulder widths."""
        shoulder, elbow, wrist = self.points[:3]
        home = shoulder.imag + HOME * abs(elbow - shoulder)
        return float(np.clip(CARRY * (wrist.imag - home) / self.unit, *CARRIED))

    def reach(self, targets: np.ndarray) -> np.ndarray:
        """(N,2) degrees of shoulder and elbow that bring the wrist out and up by (N,2) shoulder widths.

        Damped Gauss-Newton steps on the miss and the effort, inside the limits.
        """
        upper, fore = np.diff(self.points[:3])
        goal = (self.side * -targets[:, 0] - 1j * targets[:, 1]) * self.unit + upper + fore
        low = np.radians(self.low[:2])
        high = np.radians(self.high[:2])
        turns = np.tile(np.clip(START * [self.side, self.bend], low, high), (len(targets), 1))
        weight = np.array([SIDEWAYS, 1.0])
        effort = np.array(EFFORT) * (abs(upper) + abs(fore))
        for _ in range(STEPS):
            swung = upper * np.exp(1j * turns[:, 0])
            bent = fore * np.exp(1j * turns.sum(1))
            miss = swung + bent - goal
            slopes = np.stack([1j * (swung + bent), 1j * bent], 1)
            rows = (
                np.stack([slopes.real, slopes.imag], 1) * weight[:, None]
            )  # (N, x y, shoulder elbow)
            errors = np.stack([miss.real, miss.imag], 1) * weight
            a, c = ((rows**2).sum(1) + effort**2).T
            b = rows.prod(2).sum(1)
            f, g = ((rows * errors[..., None]).sum(1) + effort**2 * turns).T
            step = np.stack([c * f - b * g, a * g - b * f], 1) / (a * c - b * b)[:, None]
            turns = np.clip(turns - np.clip(step, -LONGEST_STEP, LONGEST_STEP), low, high)
        return np.degrees(turns)

    def placed(self, shoulder: np.ndarray, degrees: np.ndarray) -> np.ndarray:
        """(T,23) elbow, wrist and hand for shoulders (T,) and turns (T,3)."""
        turn = np.exp(1j * np.radians(np.cumsum(degrees, axis=1)))
        own = self.points
        elbow = shoulder + (own[1] - own[0]) * turn[:, 0]
        wrist = elbow + (own[2] - own[1]) * turn[:, 1]
        hand = wrist[:, None] + (own[3:] - own[2]) * turn[:, 2:]
        return np.concatenate([elbow[:, None], wrist[:, None], hand], 1)


def find(reference: Pose) -> list[Arm]:
    """The arms whose elbow and wrist are in the picture, right first; none without both shoulders."""
    if not reference.body.visible[0, [RIGHT[0], LEFT[0]]].all():
        return []
    return [arm for joints in (RIGHT, LEFT) if (arm := _arm(reference, joints))]


def _arm(reference: Pose, joints: tuple[int, int, int, int]) -> Arm | None:
    body = reference.body[:1]
    hands = reference.hands[:1]
    which = list(joints[:3])
    fingers = slice(joints[3], joints[3] + 21)
    points = complex_pixels(
        np.concatenate([body.xy[0, which], hands.xy[0, fingers]]), reference.size
    )
    shoulders = complex_pixels(body.xy[0, [RIGHT[0], LEFT[0]]], reference.size)
    upper, fore = np.diff(points[:3])
    unit = max(float(abs(shoulders[0] - shoulders[1])), LEAST_UNIT * float(abs(upper)))
    if not _seen(body, which).all() or min(abs(upper), abs(fore), unit) < 1:
        return None
    side = (
        1.0 if points[0].real <= shoulders.real.mean() else -1.0
    )  # clockwise at the picture's left
    angle = float(np.degrees(np.angle(fore * np.conj(upper))))
    bend = float(np.sign(angle)) if abs(angle) > STRAIGHT else -side
    seen = float(_seen(hands, fingers).mean())
    low, high = _limits(upper, fore, side, bend)
    low[0], high[0] = _with_room(points[0], upper, (low[0], high[0]), reference.size)
    rise = _raising(points[3 + MIDDLE_ROOT] - points[2], -side)
    return Arm(joints, points, side, bend, rise, low, high, unit, seen)


def _seen(points: Keypoints, which: list[int] | slice) -> np.ndarray:
    """(n,) bool: found, and inside the picture."""
    xy = points.xy[0, which]
    return points.visible[0, which] & ((xy >= 0) & (xy <= 1)).all(1)


def _raising(vector: complex, otherwise: float) -> float:
    """The sign of the rotation that raises the end of a vector; `otherwise` where it stands upright."""
    level = vector.real / max(abs(vector), 1e-9)
    return otherwise if abs(level) < 0.2 else -float(np.sign(level))


def _limits(
    upper: complex, fore: complex, side: float, bend: float
) -> tuple[np.ndarray, np.ndarray]:
    """(3,) least and most degrees that shoulder, elbow and wrist may turn; 0 always lies between."""
    out = side * np.degrees(np.angle(upper / 1j))
    shoulder = np.sort(side * (np.array(ABDUCTION) - out))
    elbow = np.sort(bend * np.array([0.0, FLEXION]) - np.degrees(np.angle(fore * np.conj(upper))))
    if abs(fore) < FORESHORTENED * abs(upper):
        elbow = np.array([-POINTING_ELBOW, POINTING_ELBOW])
    both = np.stack([shoulder, elbow, [-WRIST, WRIST]], 1)
    return np.minimum(both[0], 0), np.maximum(both[1], 0)


def _with_room(
    shoulder: complex, upper: complex, limits: tuple[float, float], size: tuple[int, int]
) -> tuple[float, float]:
    """The least and most degrees of the shoulder, of `limits`, up to which the elbow stays in the frame."""
    found = []
    for limit in limits:
        degrees = np.arange(0.0, abs(limit), 1.0) * np.sign(limit)
        elbow = shoulder + upper * np.exp(1j * np.radians(degrees))
        edge = np.maximum(np.abs(elbow.real / size[1] - 0.5), np.abs(elbow.imag / size[0] - 0.5))
        out = np.flatnonzero(edge > np.maximum(0.5 - ROOM, edge[:1]))
        found.append(float(degrees[out[0] - 1]) if len(out) else limit)
    return found[0], found[1]
