"""Arms that the picture's edge cuts: what is known of their joints, and what is shown of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.motion.keypoints import R_ARM, R_ELBOW, R_WRIST
from pipeline.render import warp
from pipeline.render.warp.arm_joints import cut_arms, shown_parts, wrists
from pipeline.render.warp.geometry import Skeleton, complete, head_unit, skeleton
from pipeline.values import Keypoints, Pose
from tests.helpers.clothed_person import BODY, SIZE, SKIN, Clothed, clothed, posed

ALL, NONE = [True, True, True], [False, False, False]
AT_EDGE = np.array(BODY, float) - (34, 0)  # the right arm is at the picture's left edge
BEYOND_PX = (-6, 75)


def unseen(pose: Pose, joint: int, place_px: tuple[float, float] | None = None) -> Pose:
    """Return a pose with a body joint that has no score, at another place if one is given."""
    body = Keypoints(pose.body.xy.copy(), pose.body.score.copy())
    body.score[:, joint] = 0
    if place_px is not None:
        body.xy[:, joint] = np.array(place_px) / SIZE[::-1]
    return replace(pose, body=body)


def without_hands(pose: Pose) -> Pose:
    return replace(pose, hands=Keypoints(pose.hands.xy, np.zeros_like(pose.hands.score)))


def completed(pose: Pose) -> tuple[Skeleton, torch.Tensor]:
    points = warp.Points.of(pose)
    raw = skeleton(points.body[0], points.hands[0], points.face[0], SIZE[1] / SIZE[0])
    unit = head_unit(raw)
    return complete(raw, unit), unit


def shown(pose: Pose) -> list[bool]:
    """Which parts of the right arm a target shows."""
    found, unit = completed(pose)
    return shown_parts(found, 0, unit)[0].tolist()


def test_an_elbow_beyond_the_edge_is_known() -> None:
    pose = unseen(posed(AT_EDGE), R_ELBOW, BEYOND_PX)
    assert cut_arms(*completed(pose)).tolist() == [[True, True]]
    assert shown(pose) == ALL


def test_a_wrist_beyond_the_edge_is_known() -> None:
    pose = unseen(without_hands(posed(AT_EDGE)), R_WRIST, BEYOND_PX)
    assert cut_arms(*completed(pose)).tolist() == [[True, True]]
    assert shown(pose) == ALL


def test_what_a_file_puts_into_the_corner_is_not_known() -> None:
    pose = unseen(without_hands(posed(AT_EDGE)), R_WRIST, (0, 0))
    assert cut_arms(*completed(pose)).tolist() == [[False, True]]
    assert shown(pose) == [True, False, False]


def test_a_place_too_far_away_is_not_believed() -> None:
    pose = unseen(without_hands(posed(AT_EDGE)), R_WRIST, (-90, 60))
    assert cut_arms(*completed(pose)).tolist() == [[False, True]]
    assert shown(pose) == [True, False, False]


def test_a_hidden_elbow_is_guessed_at_in_targets_alone() -> None:
    pose = unseen(posed(AT_EDGE), R_ELBOW)
    assert cut_arms(*completed(pose)).tolist() == [[False, True]]
    assert shown(pose) == ALL


def test_a_hand_needs_no_arm() -> None:
    assert shown(unseen(posed(AT_EDGE), R_ELBOW, (-200, 60))) == [False, False, True]
    assert shown(unseen(without_hands(posed(AT_EDGE)), R_ELBOW, (-200, 60))) == NONE


def test_a_hand_stands_for_its_wrist() -> None:
    pose = unseen(posed(AT_EDGE), R_WRIST, (0, 0))
    found, unit = completed(pose)
    root = found.hands[0, 1, 0]
    assert torch.equal(wrists(found)[0, 0], root)
    assert cut_arms(found, unit).tolist() == [[True, True]]
    assert shown(pose) == ALL


@pytest.mark.parametrize("elbow_x", [-3, 3])
def test_a_hand_stays_when_its_elbow_leaves_the_picture(drawn: Clothed, elbow_x: float) -> None:
    """The whole arm once vanished with a joint."""
    plates = drawn.layers()
    body = np.array(BODY, float)
    body[list(R_ARM[1:])] = [(elbow_x, 60), (20, 70)]
    pose = posed(body)
    if elbow_x < 0:
        pose = unseen(pose, R_ELBOW)
    picture = warp.warp(plates, warp.Points.of(pose)).image[0, 0]
    x, y = 20, 73
    apart = picture[:, y - 1 : y + 2, x - 1 : x + 2] - torch.tensor(SKIN)[:, None, None]
    assert apart.abs().max() < 0.15


def test_an_arm_whose_elbow_the_picture_cuts_off_still_moves() -> None:
    """A reference without an elbow once left the hand on the body, or behind."""
    body = AT_EDGE.copy()
    body[R_ELBOW] = (-2, 72)
    person = clothed(body)
    pose = unseen(person.pose, R_ELBOW)
    limbs = replace(person, pose=pose).layers().limbs[0]
    bones = {limb.row: [piece.bone for piece in limb.pieces] for limb in limbs}
    assert bones[0] == [0, 1, 2]
    lost = unseen(person.pose, R_ELBOW, (0, 0))
    limbs = replace(person, pose=lost).layers().limbs[0]
    assert 0 not in {limb.row for limb in limbs}
