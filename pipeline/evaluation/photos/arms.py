"""Swing each arm of a photograph about its shoulder and its elbow, and read what is left of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from pipeline.evaluation.photos import folds, limbs, swing
from pipeline.evaluation.photos.subject import Puppet, Subject, moved_back
from pipeline.motion.keypoints import ARMS, complex_pixels
from pipeline.motion.partial_arms import without_arm
from pipeline.render import tensors
from pipeline.values import Pose

LEAST_IN_PICTURE = 0.3  # share of a swung arm that must lie inside the picture
LEAST_ARM_PX = 100  # an arm of less area is not measured
LEAST_PIECE = 0.02  # of the arm's area at rest: what is smaller is no piece
LEFT_PX = 5  # distance from the arm's new place from which its old one counts as left
INSET_PX = 2  # so far inside its old place the arm is not a soft border
LEAST_LEFT = 0.25  # share of the old place that must be left
BORDER_PX = 3  # so far inside a limb folds are counted


@dataclass(frozen=True)
class Angle:
    """One arm at one angle.

    Args:
        degrees: The turn from rest, outwards positive.
        pieces: Connected pieces of the arm.
        area: Its visible area over that of its place at rest turned rigidly.
        overlap: Intersection over union with the latter.
        ghost: Share of the place it left that still shows the photograph; None where too little
            of the place is left.
        flipped: Cells of the map that are turned inside out.
    """

    degrees: int
    pieces: int
    area: float
    overlap: float
    ghost: float | None
    flipped: int


@dataclass(frozen=True)
class Swing:
    """One arm about one joint, at the angles at which enough of it lies inside the picture."""

    side: str
    joint: str
    angles: tuple[Angle, ...]


@dataclass(frozen=True)
class Renderer:
    """One photograph, cut.

    Args:
        photo: (3,H,W) in [0, 1], as it was cut.
        puppet: Shows it in a pose.
        cut_ramp: Cuts a ramp of `folds` (1,3,H,W) by the same points and mask.
    """

    photo: Tensor
    puppet: Puppet
    cut_ramp: Callable[[Tensor], Puppet]


@dataclass(frozen=True)
class _Arm:
    """One arm at rest: its pixels (H,W), its shoulder, elbow and wrist as x + iy in pixels."""

    side: str
    place: np.ndarray
    joints: np.ndarray

    @property
    def area_px(self) -> float:
        return float(self.place.sum())

    def part(self, joint: str) -> np.ndarray:
        """Return the pixels (H,W) of the place that hang on a joint."""
        if joint == "shoulder":
            return self.place
        shoulder, elbow, wrist = self.joints
        bones = ((shoulder, elbow), (elbow, wrist))
        return self.place & limbs.beyond(self.place.shape, bones)

    def turned(self, joint: str, angle_rad: float) -> np.ndarray:
        """Return the place (H,W) with what hangs on a joint turned rigidly about it."""
        part = self.part(joint)
        rest = self.place & ~part
        center = self.joints[swing.JOINTS[joint]]
        return rest | limbs.turned(part, center, angle_rad)


def measure(renderer: Renderer, given: Subject) -> tuple[list[Swing], list[np.ndarray]]:
    """Swing the whole arms about both joints; return figures and the frames (T,H,W,3) of each.

    An arm of which the renderer shows next to nothing is left out.
    """
    swings = []
    films = []
    for side in given.sides:
        # the other arm would hide parts of this one where they cross
        alone = without_arm(given.pose, swing.OTHER_SIDE[side])
        arm = _at_rest(renderer, alone, side)
        if arm.area_px < LEAST_ARM_PX:
            continue
        map_puppet = renderer.cut_ramp(folds.ramp(arm.place))
        for joint in swing.JOINTS:
            measured, film = _swing(renderer, map_puppet, arm, alone, joint)
            swings.append(measured)
            films.append(film)
    return swings, films


def _at_rest(renderer: Renderer, pose: Pose, side: str) -> _Arm:
    """Find an arm's place: what changes without its points, in a person who is moved a little."""
    _, height, width = renderer.photo.shape
    bare_pose = without_arm(pose, side)
    with_arm, _ = moved_back(renderer.puppet, pose, width)
    without, _ = moved_back(renderer.puppet, bare_pose, width)
    changes = limbs.changed(with_arm[None], without[None])
    rows = list(ARMS[side].joints)
    joints = complex_pixels(pose.body.xy[0, rows], (height, width))
    return _Arm(side, changes[0], joints)


def _swing(
    renderer: Renderer, map_puppet: Puppet, arm: _Arm, pose: Pose, joint: str
) -> tuple[Swing, np.ndarray]:
    """Measure an arm about one joint; return the figures and the frames (T,H,W,3)."""
    angles_rad = swing.turns(pose, arm.side, joint)
    target = swing.swung(pose, arm.side, angles_rad, joint)
    shown = renderer.puppet(target).image
    bare_pose = without_arm(pose, arm.side)
    bare = renderer.puppet(bare_pose).image
    seen = limbs.changed(shown, bare)
    maps = map_puppet(target)
    part = arm.part(joint)
    measured = []
    for number, angle_rad in enumerate(angles_rad):
        rigid = arm.turned(joint, angle_rad)
        if rigid.sum() < LEAST_IN_PICTURE * arm.area_px:
            continue
        place = seen[number]
        inside = limbs.grown(place & rigid, -BORDER_PX)
        flipped = folds.flipped(maps.image[number], maps.validity[number], inside)
        angle = Angle(
            degrees=swing.TURNS_DEG[joint][number],
            pieces=_pieces(place, rigid, LEAST_PIECE * arm.area_px),
            area=_ratio(place, rigid),
            overlap=_ratio(place & rigid, place | rigid),
            ghost=_ghost(shown[number], renderer.photo, part, place),
            flipped=flipped,
        )
        measured.append(angle)
    return Swing(arm.side, joint, tuple(measured)), tensors.to_frames(shown)


def _ratio(part: np.ndarray, whole: np.ndarray) -> float:
    """Return the area of one mask over that of another."""
    return float(part.sum()) / float(whole.sum())


def _pieces(seen: np.ndarray, rigid: np.ndarray, least_px: float) -> int:
    """Count the pieces of an arm, without those into which the picture's edge cuts it."""
    whole = limbs.largest(rigid)
    cut_by_edge = limbs.pieces(whole, least_px) - 1
    count = limbs.pieces(seen, least_px)
    return max(0, count - max(0, cut_by_edge))


def _ghost(shown: Tensor, photo: Tensor, part: np.ndarray, seen: np.ndarray) -> float | None:
    """Return the share of the place a part left that still shows the photograph."""
    covered = limbs.grown(seen, LEFT_PX)
    left = limbs.grown(part, -INSET_PX) & ~covered
    if left.sum() < LEAST_LEFT * part.sum():
        return None
    is_own = limbs.own(shown, photo)
    return _ratio(is_own & left, left)
