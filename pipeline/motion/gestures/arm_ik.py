"""Turn the arms of a reference person in the picture plane: inverse kinematics with joint limits.

The arms only turn away from the posture of the reference image, so bones keep their length. The
limits follow the American Academy of Orthopaedic Surgeons, "Joint Motion" (1965), taken in the
picture plane:

    joint      movement                                    table      used here
    shoulder   abduction, adduction across the body        180, 50    -30 (across) to 120 degrees
    from hanging elbow      flexion                                     0 to 150   0 to 150, never
    bent backward wrist      radial and ulnar deviation                  20, 30     20 to either
    side of the reference's

A forearm that points at the camera shows no flexion; it may turn by 25 degrees. A joint of the
reference that is already outside a limit is not turned further out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.motion.keypoints import ARMS, MIDDLE_ROOT, SHOULDERS, ArmRows, complex_pixels
from pipeline.values import Keypoints, Pose

# The table above.
ABDUCTION_DEG = (-30.0, 120.0)
FLEXION_DEG = 150.0
WRIST_DEG = 20.0
# With less bend the side of the elbow is not known: the forearm then bends inward.
STRAIGHT_DEG = 8.0
FORESHORTENED = 0.5  # forearm over upper arm: a shorter one points at the camera
POINTING_ELBOW_DEG = 25.0  # such a forearm may turn by this either way
# A hand with less than this share of its direction to the side stands upright.
UPRIGHT = 0.2

# People gesture before the belly: a hand at rest rises by half of its way to there, at most by the
# last number.
HOME_UPPER_ARMS = 1.05  # height of that place, below the shoulder
CARRY_SHARE = 0.5
CARRY_SHOULDER_WIDTHS = (-0.12, 0.18)
# Shares of the frame: an elbow stays this far from the edge.
MARGIN = 0.008
# The shoulders of a person who is seen from the side look narrow: they count as at least this wide.
MIN_WIDTH_UPPER_ARMS = 0.8
MIN_LENGTH_PX = 1

# Weight of a miss to the side against one in height: bones of fixed length cannot do both.
SIDE_WEIGHT = 0.45
# Cost of a turn of shoulder and elbow, in arm lengths per radian.
EFFORT = (0.16, 0.05)
SOLVER_STEPS = 14
LONGEST_STEP = np.radians(12)
# Where the solver starts: a straight arm cannot tell which way lifts its hand.
START = np.radians((6.0, 14.0))


@dataclass(frozen=True)
class Arm:
    """Describe an arm that may gesture.

    rows: the points of the pose that belong to the arm.
    points: (24,) shoulder, elbow, wrist and hand in pixels as x + iy.
    side: 1 where a positive rotation turns the arm outward, else -1.
    bend: the sign of the rotation that bends the elbow.
    rise: the sign of the rotation that raises the finger tips.
    low, high: (3,) degrees that shoulder, elbow and wrist may turn.
    unit: width of the shoulders in pixels.
    hand_share: share of the points of the hand that are seen.
    """

    rows: ArmRows
    points: np.ndarray
    side: float
    bend: float
    rise: float
    low: np.ndarray
    high: np.ndarray
    unit: float
    hand_share: float

    @property
    def carry(self) -> float:
        """Return how far the hand rises to where people gesture, in shoulder widths."""
        shoulder, elbow, wrist = self.points[:3]
        home = shoulder.imag + HOME_UPPER_ARMS * abs(elbow - shoulder)
        rise = CARRY_SHARE * (wrist.imag - home) / self.unit
        return float(np.clip(rise, *CARRY_SHOULDER_WIDTHS))

    def reach(self, targets: np.ndarray) -> np.ndarray:
        """Return (N,2) degrees of shoulder and elbow that bring the wrist to its targets.

        Damped Gauss-Newton steps lower the miss and the effort, inside the limits.

        targets: (N,2) shoulder widths outward and upward from where the wrist is.
        """
        upper, fore = np.diff(self.points[:3])
        outward = self.side * -targets[:, 0]
        goal = (outward - 1j * targets[:, 1]) * self.unit + upper + fore
        low = np.radians(self.low[:2])
        high = np.radians(self.high[:2])
        start = np.clip(START * [self.side, self.bend], low, high)
        turns = np.tile(start, (len(targets), 1))
        for _ in range(SOLVER_STEPS):
            step = _solver_step(upper, fore, turns, goal)
            step = np.clip(step, -LONGEST_STEP, LONGEST_STEP)
            turns = np.clip(turns - step, low, high)
        return np.degrees(turns)

    def place(self, shoulder: np.ndarray, degrees: np.ndarray) -> np.ndarray:
        """Return (T,23) elbow, wrist and hand for shoulders (T,) and turns (T,3), pixels as x +
        iy."""
        angle = np.radians(np.cumsum(degrees, axis=1))
        turn = np.exp(1j * angle)
        upper, fore = np.diff(self.points[:3])
        hand_from_wrist = self.points[3:] - self.points[2]
        elbow = shoulder + upper * turn[:, 0]
        wrist = elbow + fore * turn[:, 1]
        hand = wrist[:, None] + hand_from_wrist * turn[:, 2:]
        return np.concatenate([elbow[:, None], wrist[:, None], hand], 1)


def _solver_step(upper: complex, fore: complex, turns: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Return the Gauss-Newton step (N,2), radians, that is to be subtracted from the turns (N,2).

    It solves (J^T J + effort^2) step = J^T miss + effort^2 turns, with J the derivative of the
    place of the wrist by the turns of shoulder and elbow.
    """
    weight = np.array([SIDE_WEIGHT, 1.0])
    effort = np.array(EFFORT) * (abs(upper) + abs(fore))
    turned_upper = upper * np.exp(1j * turns[:, 0])
    turned_fore = fore * np.exp(1j * turns.sum(1))
    wrist = turned_upper + turned_fore
    miss = wrist - goal
    slopes = np.stack([1j * wrist, 1j * turned_fore], 1)
    # (N, x y, shoulder elbow)
    jacobian = np.stack([slopes.real, slopes.imag], 1) * weight[:, None]
    errors = np.stack([miss.real, miss.imag], 1) * weight
    diagonal = (jacobian**2).sum(1) + effort**2
    a, c = diagonal.T
    b = jacobian.prod(2).sum(1)
    gradient = (jacobian * errors[..., None]).sum(1) + effort**2 * turns
    f, g = gradient.T
    determinant = a * c - b * b
    return np.stack([c * f - b * g, a * g - b * f], 1) / determinant[:, None]


def find_arms(reference: Pose) -> list[Arm]:
    """Return the arms whose elbow and wrist are in the picture, right first; none without both
    shoulders."""
    if not reference.body.visible[0, SHOULDERS].all():
        return []
    arms = [_find_arm(reference, rows) for rows in ARMS.values()]
    return [arm for arm in arms if arm is not None]


def _find_arm(reference: Pose, rows: ArmRows) -> Arm | None:
    body = reference.body[:1]
    hands = reference.hands[:1]
    joints = list(rows.joints)
    xy = np.concatenate([body.xy[0, joints], hands.xy[0, rows.hand]])
    points = complex_pixels(xy, reference.size)
    shoulders = complex_pixels(body.xy[0, SHOULDERS], reference.size)
    upper, fore = np.diff(points[:3])
    width = float(abs(shoulders[0] - shoulders[1]))
    unit = max(width, MIN_WIDTH_UPPER_ARMS * float(abs(upper)))
    too_short = min(abs(upper), abs(fore), unit) < MIN_LENGTH_PX
    if too_short or not _in_picture(body, joints).all():
        return None
    # Clockwise is outward at the left of the picture.
    side = 1.0 if points[0].real <= shoulders.real.mean() else -1.0
    angle = _angle_deg(upper, fore)
    bend = float(np.sign(angle)) if abs(angle) > STRAIGHT_DEG else -side
    low, high = _limits(upper, fore, side, bend)
    low[0] = _limit_in_frame(points[0], upper, low[0], reference.size)
    high[0] = _limit_in_frame(points[0], upper, high[0], reference.size)
    palm = points[3 + MIDDLE_ROOT] - points[2]
    hand_share = _in_picture(hands, rows.hand).mean()
    return Arm(
        rows=rows,
        points=points,
        side=side,
        bend=bend,
        rise=_raising_sign(palm, -side),
        low=low,
        high=high,
        unit=unit,
        hand_share=float(hand_share),
    )


def _angle_deg(first: complex, second: complex) -> float:
    """Return the degrees by which the second vector is turned against the first."""
    return float(np.degrees(np.angle(second * np.conj(first))))


def _in_picture(points: Keypoints, which: list[int] | slice) -> np.ndarray:
    """Return (n,) bool: the points that are visible and inside the picture."""
    xy = points.xy[0, which]
    inside = (xy >= 0) & (xy <= 1)
    return points.visible[0, which] & inside.all(1)


def _raising_sign(vector: complex, upright_sign: float) -> float:
    """Return the sign of the rotation that raises the end of a vector; `upright_sign` where it is
    upright."""
    level = vector.real / max(abs(vector), 1e-9)
    if abs(level) < UPRIGHT:
        return upright_sign
    return -float(np.sign(level))


def _limits(
    upper: complex, fore: complex, side: float, bend: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return (3,) least and most degrees that shoulder, elbow and wrist may turn; 0 always lies
    between."""
    abduction = side * np.degrees(np.angle(upper / 1j))
    shoulder = np.sort(side * (np.array(ABDUCTION_DEG) - abduction))
    flexion = bend * np.array([0.0, FLEXION_DEG])
    elbow = np.sort(flexion - _angle_deg(upper, fore))
    if abs(fore) < FORESHORTENED * abs(upper):
        elbow = np.array([-POINTING_ELBOW_DEG, POINTING_ELBOW_DEG])
    low, high = np.stack([shoulder, elbow, [-WRIST_DEG, WRIST_DEG]], 1)
    return np.minimum(low, 0), np.maximum(high, 0)


def _limit_in_frame(
    shoulder: complex, upper: complex, limit_deg: float, size: tuple[int, int]
) -> float:
    """Return the degrees, up to a limit of the shoulder, at which the elbow is still in the
    frame."""
    height, width = size
    degrees = np.arange(0.0, abs(limit_deg), 1.0) * np.sign(limit_deg)
    elbow = shoulder + upper * np.exp(1j * np.radians(degrees))
    from_center_x = np.abs(elbow.real / width - 0.5)
    from_center_y = np.abs(elbow.imag / height - 0.5)
    from_center = np.maximum(from_center_x, from_center_y)
    farthest = np.maximum(0.5 - MARGIN, from_center[:1])
    outside = np.flatnonzero(from_center > farthest)
    if len(outside) == 0:
        return limit_deg
    return float(degrees[outside[0] - 1])
