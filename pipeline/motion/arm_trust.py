"""How far each arm of the reference image may follow the driver: a share in [0, 1] with a reason.

A warp cannot invent what the image does not show. Each check looks at one way in which an arm's
picture is incomplete or its points are wrong. The worst check decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.motion.curves import smoothstep
from pipeline.motion.keypoints import (
    ARMS,
    HEAD_WIDTHS,
    L_HIP,
    L_SHOULDER,
    R_HIP,
    R_SHOULDER,
    ArmRows,
    complex_pixels,
    head_height,
)
from pipeline.values import VISIBLE, Pose

# ---- from which value on a check lets the arm rest, and at which it lets it move fully

JOINT_SCORE = (VISIBLE, 0.5)
# Longest bone in head heights. Real arms keep below 1.5. A face that looks down seems smaller by up
# to a third; so the shoulders, the torso and the other arm may make the head larger, by their usual
# measures in head heights.
BONE_LENGTH = (2.6, 2.0)
SHOULDER_HEADS, TORSO_HEADS, BONE_HEADS = HEAD_WIDTHS, 2.2, 1.4
# Share of a bone that lies on the person or nearer to it than BESIDE_HEADS: bones found at the edge
# of a slim arm are in place.
BESIDE_HEADS = 0.1
BONE_ON_PERSON = (0.3, 0.6)
# Share of a hand's points on the person: masks often lose fingers, which the points bring back.
HAND_ON_PERSON = (0.0, 0.4)
# Head heights between the body's wrist and the hand's own; up to 0.22 in good detections.
HAND_GAP = (0.7, 0.35)
# Share of a hand's points nearer than TOUCH_HEADS to a point of the other hand, or than
# GUESSED_TOUCH_HEADS to the middle line of one that is not seen. Fingertips that meet have a half.
HANDS_TOUCH = (0.9, 0.5)
TOUCH_HEADS, GUESSED_TOUCH_HEADS = 0.08, 0.2
# How far from their nearest end two forearms cross, as a share of the forearm.
CROSSING = (0.2, 0.08)
# Share of background on a circle about the end of an arm whose hand is not seen. A raised fist has
# .8 and more, a hand that hangs beside the thigh .5 to .65, a hand in a pocket .2 to .45.
BACKGROUND = (0.55, 0.75)
# Head heights of a forearm that is long enough to tell where a hand without points lies.
FOREARM_LENGTH = (0.2, 0.4)
# What the renderer measures: how much of an arm's part map stays under jitter of points and mask.
STABILITY = (0.4, 0.7)

# ---- sizes

# Head heights: a hand's length and half its width, as the warp guesses at a hand that is not seen.
HAND_LENGTH = 0.7
HAND_HALF_WIDTH = 0.12
FIST_SHARE = 0.3  # of a hand's length from the wrist to the middle of a fist
CIRCLE_HEADS = 0.4  # radius of the circle about a fist: outside of its fingers
CIRCLE_POINTS = 48
BONE_POINTS = 30
GUESSED_POINTS = 8
HAND_SEEN = 0.5  # share of a hand's points that are seen
OPAQUE = 0.5  # of the mask

STEADY = (1.0, 1.0)


class Fault(NamedTuple):
    """Why an arm is not trusted, and what helps, with words of ONE_ARM or BOTH_ARMS."""

    why: str
    help: str


CUT_OFF = Fault(
    "the picture does not show all of {it}", "use a picture that shows the whole arm{s}"
)
HIDDEN_HAND = Fault("the picture does not show {its} hand{s}", "use a picture with the hand{s}")
ODD_BONES = Fault("{its} bones were found longer than an arm's", "use a clearer picture")
BESIDE = Fault("{its} points were found beside the person", "use a clearer picture")
LOOSE_HAND = Fault("{its} hand{s} {were} found apart from the wrist{s}", "use a clearer picture")
TOUCHING_HANDS = Fault("one hand hides the other", "use a picture with the hands apart")
CROSSED = Fault("one forearm hides the other", "use a picture in which the arms do not cross")
UNSTABLE = Fault(
    "{its} outline{s} {are} not clear",
    "use a picture whose background differs from the clothes, with nothing before the arm{s}",
)

# The words of a sentence for one arm and for both.
ONE_ARM = {"are": "is", "were": "was", "they": "it", "it": "it", "its": "its", "s": "", "acts": "s"}
BOTH_ARMS = {
    "are": "are",
    "were": "were",
    "they": "they",
    "it": "them",
    "its": "their",
    "s": "s",
    "acts": "",
}
RESTS = "stay{acts} as {they} {are}"
MOVES_LESS = "move{acts} only {percent} % of the way"


@dataclass(frozen=True)
class Trust:
    """share: 0 the arm rests, 1 it moves fully; fault: why not fully, None at 1."""

    share: float
    fault: Fault | None = None


def judge(
    reference: Pose, mask: np.ndarray | None = None, stability: tuple[float, float] = STEADY
) -> dict[str, Trust]:
    """Judge the arms of the first frame by their sides, "right" and "left".

    Args:
        reference: the reference image's pose.
        mask: (H,W) in [0, 1] of the person, or None: then a hand without points counts as free
            where it would lie inside the picture.
        stability: of the right and the left arm's part map, in [0, 1], see `combine`.
    """
    unit = float(head_height(reference)[0])
    canvas = _Canvas(reference.size, mask, unit, _largest_unit(reference, unit))
    right, left = (_arm(reference, rows, unit) for rows in ARMS.values())
    right_steady, left_steady = stability
    return {
        "right": combine(_worst(canvas, right, left), right_steady),
        "left": combine(_worst(canvas, left, right), left_steady),
    }


def combine(trust: Trust, stability: float) -> Trust:
    """Lower the trust in an arm whose part map is not stable.

    Args:
        trust: what points and mask say.
        stability: in [0, 1], 1 where jitter of points and mask leaves the arm's part as it is.
    """
    share = _ramp(stability, STABILITY)
    return trust if share >= trust.share else Trust(share, UNSTABLE)


def rests(stability: float) -> bool:
    """Tell whether an arm whose part map has this stability is not to move at all."""
    return _ramp(stability, STABILITY) == 0


def sentences(trusts: dict[str, Trust]) -> list[str]:
    """Say which arms rest or move less, why, and what helps; one sentence per reason."""
    groups: dict[tuple[Fault, int], list[str]] = {}
    for side, trust in trusts.items():
        percent = round(100 * trust.share)
        if trust.fault is not None and percent < 100:
            group = groups.setdefault((trust.fault, percent), [])
            group.append(side)
    return [_sentence(sides, *group) for group, sides in groups.items()]


def _sentence(sides: list[str], fault: Fault, percent: int) -> str:
    """Write the sentence of one fault of one arm or of both."""
    subject = f"The {sides[0]} arm"
    words = ONE_ARM
    if len(sides) == 2:
        subject = "Both arms"
        words = BOTH_ARMS
    what = MOVES_LESS if percent else RESTS
    sentence = f"{{subject}} {what} because {fault.why}; {fault.help}."
    return sentence.format(subject=subject, percent=percent, **words)


# ---- the facts


@dataclass(frozen=True)
class _Arm:
    """One arm in pixels x + iy; `hand` (21,), or (GUESSED_POINTS,) from wrist to fingertips
    where it is guessed.

    score: the least of shoulder, elbow and wrist; an elbow beyond the picture's edge does not count
    where the hand is seen.
    """

    shoulder: complex
    elbow: complex
    wrist: complex
    hand: np.ndarray
    hand_seen: bool
    score: float

    @property
    def is_seen(self) -> bool:
        return self.score > VISIBLE

    @property
    def longest_bone(self) -> float:
        upper_arm = abs(self.elbow - self.shoulder)
        forearm = abs(self.wrist - self.elbow)
        return max(upper_arm, forearm)


@dataclass(frozen=True)
class _Canvas:
    """The picture: `size` (H,W) and the person's mask (H,W) or None.

    unit: the head's height in pixels; largest_unit: as the torso has it, if that is more.
    """

    size: tuple[int, int]
    mask: np.ndarray | None
    unit: float
    largest_unit: float

    def inside(self, places: np.ndarray) -> np.ndarray:
        """Tell which places (k,) lie inside the picture."""
        height, width = self.size
        beyond_left = places.real < 0
        beyond_right = places.real > width
        above = places.imag < 0
        below = places.imag > height
        return ~(beyond_left | beyond_right | above | below)

    def on_person(self, places: np.ndarray) -> np.ndarray:
        """Tell which places (k,) lie on the person's mask; none of those outside the picture."""
        if self.mask is None:
            raise ValueError("no mask of the person is known")
        rows, columns = self.mask.shape
        height, width = self.size
        row = (places.imag * rows / height).astype(int)
        column = (places.real * columns / width).astype(int)
        row = row.clip(0, rows - 1)
        column = column.clip(0, columns - 1)
        return self.inside(places) & (self.mask[row, column] > OPAQUE)

    def near_person(self, places: np.ndarray) -> float:
        """Return the share of places (k,) on the person's mask or right beside it."""
        offsets = BESIDE_HEADS * self.unit * np.array([[0], [1], [1j], [-1], [-1j]])
        near = self.on_person(places + offsets).any(0)
        return float(near.mean())


def _largest_unit(reference: Pose, unit: float) -> float:
    """Return the largest of the head's height and of what shoulders and torso say of it."""
    body = complex_pixels(reference.body.xy[0], reference.size)
    seen = reference.body.visible[0]
    for start, end, heads in (
        (R_SHOULDER, L_SHOULDER, SHOULDER_HEADS),
        (R_SHOULDER, R_HIP, TORSO_HEADS),
        (L_SHOULDER, L_HIP, TORSO_HEADS),
    ):
        if seen[start] and seen[end]:
            distance = abs(body[end] - body[start])
            unit = max(unit, distance / heads)
    return unit


def _arm(reference: Pose, rows: ArmRows, unit: float) -> _Arm:
    """Collect one arm of the first frame; a hand that is not seen goes on from the forearm."""
    joints = list(rows.joints)
    body = complex_pixels(reference.body.xy[0, joints], reference.size)
    hand = complex_pixels(reference.hands.xy[0, rows.hand], reference.size)
    seen = reference.hands.visible[0, rows.hand]
    hand_seen = bool(seen.mean() > HAND_SEEN)
    shoulder, elbow, wrist = body
    if hand_seen:
        hand = np.where(seen, hand, hand[seen].mean())
    else:
        forearm = wrist - elbow
        direction = forearm / max(abs(forearm), 1e-9)
        along = np.linspace(0, HAND_LENGTH * unit, GUESSED_POINTS)
        hand = wrist + along * direction
    elbow_score = reference.body.score[0, joints[1]]
    if hand_seen and _is_beyond(elbow, reference.size):
        elbow_score = 1.0
    ends_score = reference.body.score[0, joints[::2]].min()
    score = float(min(ends_score, elbow_score))
    return _Arm(shoulder, elbow, wrist, hand, hand_seen, score)


def _is_beyond(place: complex, size: tuple[int, int]) -> bool:
    """Tell whether a place in pixels lies outside a picture of `size` (H,W)."""
    height, width = size
    inside_width = 0 <= place.real <= width
    inside_height = 0 <= place.imag <= height
    return not (inside_width and inside_height)


def _worst(canvas: _Canvas, arm: _Arm, other: _Arm) -> Trust:
    """Return the least trusting check of one arm, the first of equals."""
    joints = Trust(_ramp(arm.score, JOINT_SCORE), CUT_OFF)
    if joints.share == 0:
        return joints  # without its joints nothing else can be measured
    checks = [joints, *_checks(canvas, arm, other)]
    worst = min(checks, key=lambda trust: trust.share)
    return worst if worst.share < 1 else Trust(1.0)


def _checks(canvas: _Canvas, arm: _Arm, other: _Arm) -> Iterator[Trust]:
    """Run all checks of an arm whose joints are seen."""
    yield Trust(_plausible_bones(canvas, arm, other), ODD_BONES)
    yield Trust(_on_person(canvas, arm), BESIDE)
    if arm.hand_seen:
        gap = abs(arm.hand[0] - arm.wrist)
        yield Trust(_ramp(gap / canvas.unit, HAND_GAP), LOOSE_HAND)
    else:
        yield Trust(_free_end(canvas, arm), HIDDEN_HAND)
    if other.is_seen:
        yield Trust(_apart(canvas, arm, other), TOUCHING_HANDS)
        yield Trust(_ramp(_crossing(arm, other), CROSSING), CROSSED)


def _plausible_bones(canvas: _Canvas, arm: _Arm, other: _Arm) -> float:
    """Compare the longest bone with the head and with the other arm; short bones point at us."""
    scale = canvas.largest_unit
    if other.is_seen:
        scale = max(scale, other.longest_bone / BONE_HEADS)
    return _ramp(arm.longest_bone / scale, BONE_LENGTH)


def _on_person(canvas: _Canvas, arm: _Arm) -> float:
    """Measure how far upper arm, forearm and hand lie on the person's mask."""
    if canvas.mask is None:
        return 1.0
    along = np.linspace(0, 1, BONE_POINTS)
    upper_arm = arm.shoulder + along * (arm.elbow - arm.shoulder)
    forearm = arm.elbow + along * (arm.wrist - arm.elbow)
    shares = []
    for bone in (upper_arm, forearm):
        inside = bone[canvas.inside(bone)]
        if len(inside):
            shares.append(canvas.near_person(inside))
    least = min(shares, default=0.0)
    share = _ramp(least, BONE_ON_PERSON)
    if arm.hand_seen:
        hand = canvas.near_person(arm.hand)
        share = min(share, _ramp(hand, HAND_ON_PERSON))
    return share


def _free_end(canvas: _Canvas, arm: _Arm) -> float:
    """Tell whether a hand without points stands alone before the background, as a fist does."""
    margin = HAND_HALF_WIDTH * canvas.unit * (1 + 1j)
    corners = np.concatenate([arm.hand - margin, arm.hand + margin])
    if not canvas.inside(corners).all():
        return 0.0
    if canvas.mask is None:
        return 1.0
    fist = arm.wrist + FIST_SHARE * (arm.hand[-1] - arm.wrist)
    if not canvas.on_person(np.array([fist])).all():
        return 0.0
    turn = np.linspace(0, 2 * np.pi, CIRCLE_POINTS, endpoint=False)
    radius = CIRCLE_HEADS * canvas.unit
    circle = fist + radius * np.exp(1j * turn)
    background = canvas.inside(circle) & ~canvas.on_person(circle)
    forearm = abs(arm.wrist - arm.elbow) / canvas.unit
    return _ramp(background.mean(), BACKGROUND) * _ramp(forearm, FOREARM_LENGTH)


def _apart(canvas: _Canvas, arm: _Arm, other: _Arm) -> float:
    """Tell whether a seen hand is apart from the other one; folded hands hide each other."""
    if not arm.hand_seen:
        return 1.0
    distances = abs(arm.hand[:, None] - other.hand).min(1)
    reach = TOUCH_HEADS if other.hand_seen else GUESSED_TOUCH_HEADS
    touching = distances < reach * canvas.unit
    return _ramp(touching.mean(), HANDS_TOUCH)


def _crossing(arm: _Arm, other: _Arm) -> float:
    """Measure where two forearms cross: 0 at an end of one or not at all, .5 in the middle."""
    forearm = arm.wrist - arm.elbow
    other_forearm = other.wrist - other.elbow
    area = _cross(forearm, other_forearm)
    if area == 0:
        return 0.0
    between = other.elbow - arm.elbow
    at = _cross(between, other_forearm) / area
    at_other = _cross(between, forearm) / area
    nearest_end = min(at, 1 - at, at_other, 1 - at_other)
    return max(0.0, nearest_end)


def _cross(one: complex, two: complex) -> float:
    """Return the cross product of two vectors x + iy."""
    return (one.conjugate() * two).imag


def _ramp(value: float, ends: tuple[float, float]) -> float:
    """Return 0 at the first end and before it, 1 at the second and beyond, smoothly between."""
    return float(smoothstep(np.asarray(value), *ends))
