"""Arms and legs in overlapping layers: no slit opens at any angle, feet end, what is cut goes on."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pipeline.motion.keypoints import ARMS
from pipeline.motion.partial_arms import without_arm
from pipeline.render import warp
from pipeline.render.warp import layers
from pipeline.render.warp.layers import ARM_ROWS, LEG_ROWS
from pipeline.values import Pose
from tests.helpers.clothed_person import (
    BODY,
    SIZE,
    SKIN,
    SLEEVE,
    TROUSERS,
    WALL,
    Clothed,
    clothed,
    person,
    pieces,
    posed,
    without_feet,
)

TURNS_DEG = range(-30, 150, 15)  # outwards: from across the body to above the head
BENDS_DEG = range(-90, 90, 15)
RIGHT_LEG = (8, 9, 10)
BETWEEN_LEGS = slice(60, 69)  # columns around the seam of the trousers
LEAST_CHANGE = 0.12  # of a color by which a limb is told from what is behind it


@pytest.fixture(scope="module")
def one_cloth() -> warp.Plates:
    """The person in long sleeves."""
    return clothed(fore=SLEEVE).layers()


def turned(joints: tuple[int, ...], degrees: float) -> np.ndarray:
    """Return BODY with what follows the first of some joints turned about it."""
    body = np.array(BODY, float)
    cos = np.cos(np.radians(degrees))
    sin = np.sin(np.radians(degrees))
    center = body[joints[0]]
    followers = list(joints[1:])
    body[followers] = center + (body[followers] - center) @ np.array([[cos, sin], [-sin, cos]])
    return body


def shown(plates: warp.Plates, pose: Pose) -> torch.Tensor:
    """(3,H,W) the person in a pose."""
    return warp.warp(plates, warp.Points.of(pose)).image[0, 0]


def unlike(picture: torch.Tensor, color: tuple[float, ...]) -> torch.Tensor:
    """How far a picture (3,H,W) is from a color, (H,W)."""
    return (picture - torch.tensor(color)[:, None, None]).abs().amax(0)


def enclosed(region: np.ndarray) -> int:
    """How many pixels a region (H,W) bool encloses without having them."""
    outside = np.pad(~region, 1, constant_values=True).astype(np.uint8)
    _, labels = cv2.connectedComponents(outside, connectivity=4)
    return int(((labels > 0) & (labels != labels[0, 0])).sum())


# ---- arms


def arm_alone(plates: warp.Plates, pose: Pose, side: str) -> np.ndarray:
    """(H,W) bool: what changes when the arm's points are taken away."""
    change = shown(plates, pose) - shown(plates, without_arm(pose, side))
    return (change.abs().amax(0) > LEAST_CHANGE).numpy()


@pytest.mark.parametrize("degrees", TURNS_DEG)
def test_no_slit_opens_in_an_arm_that_turns(plates: warp.Plates, degrees: float) -> None:
    arm = arm_alone(plates, posed(turned(ARMS["right"].joints, degrees)), "right")
    assert pieces(arm) == 1
    assert enclosed(arm) <= 1
    assert 540 < arm.sum() < 640


@pytest.mark.parametrize("degrees", BENDS_DEG)
def test_no_slit_opens_at_an_elbow_that_bends(plates: warp.Plates, degrees: float) -> None:
    arm = arm_alone(plates, posed(turned(ARMS["left"].joints[1:], degrees)), "left")
    assert pieces(arm) == 1
    assert enclosed(arm) <= 1
    assert 540 < arm.sum() < 640


@pytest.mark.parametrize("degrees", TURNS_DEG)
def test_an_arm_hangs_on_its_shoulder(plates: warp.Plates, degrees: float) -> None:
    assert pieces(person(shown(plates, posed(turned(ARMS["left"].joints, -degrees))))) == 1


@pytest.mark.parametrize("degrees", BENDS_DEG)
def test_an_elbow_in_one_cloth_shows_no_seam(one_cloth: warp.Plates, degrees: float) -> None:
    body = turned(ARMS["left"].joints[1:], degrees)
    shoulder, elbow, wrist = body[list(ARMS["left"].joints)]
    path = np.array([shoulder + 0.4 * (elbow - shoulder), elbow, elbow + 0.5 * (wrist - elbow)])
    inside = np.zeros(SIZE, np.uint8)
    cv2.polylines(inside, [np.round(path).astype(np.int32)], False, 1, 3)
    apart = unlike(shown(one_cloth, posed(body)), SLEEVE)
    assert apart[torch.from_numpy(inside > 0)].max() < 0.1


def test_an_arm_that_moves_away_leaves_no_ghost(drawn: Clothed, plates: warp.Plates) -> None:
    picture = shown(plates, posed(turned(ARMS["right"].joints, 100)))
    old_place = drawn.mask[0, 0, 74:104, :42] > 0.05
    assert unlike(picture, WALL)[74:104, :42][old_place].max() < 0.2
    assert unlike(drawn.image[0], WALL)[74:104, :42][old_place].max() > 0.4


def test_an_arm_over_what_keeps_still_is_shown(plates: warp.Plates) -> None:
    """The reference's own pixels once stayed where nothing but a limb arrived."""
    picture = shown(plates, posed(turned(ARMS["right"].joints, 90)))
    wrist = turned(ARMS["right"].joints, 90)[4]
    x, y = np.round(wrist).astype(int)
    assert unlike(picture, SKIN)[y - 1 : y + 2, x + 4 : x + 8].max() < 0.12


def test_a_hand_without_points_goes_with_its_forearm(drawn: Clothed) -> None:
    """A turned or closed hand that no detector finds was once left out: an arm without a hand."""
    score = drawn.pose.hands.score.copy()
    score[:, ARMS["right"].hand] = 0
    hands = replace(drawn.pose.hands, score=score)
    unseen = replace(drawn.pose, hands=hands)
    plates = replace(drawn, pose=unseen).layers()
    joints = ARMS["right"].joints
    turned_arm = turned(joints, 45)
    picture = shown(plates, replace(posed(turned_arm), hands=hands))
    _, elbow, wrist = turned_arm[list(joints)]
    forward = (wrist - elbow) / np.linalg.norm(wrist - elbow)
    x, y = np.round(wrist + 5 * forward).astype(int)
    assert unlike(picture, SKIN)[y - 1 : y + 2, x - 1 : x + 2].max() < 0.15


def test_a_slim_hand_keeps_its_color() -> None:
    """A pixel of its rim was taken off; of a hand three pixels wide nothing was left but black."""
    plates = clothed(scale=0.35).layers()
    hands = [limb.pieces[-1] for limb in plates.limbs[0] if limb.row in ARM_ROWS]
    assert [hand.bone for hand in hands] == [2, 2]
    for hand in hands:
        alpha = hand.texture[0, 3]
        is_shown = alpha > 0.5
        colors = hand.texture[0, :3, is_shown] / alpha[is_shown]
        assert (colors.mean(1) - torch.tensor(SKIN)).abs().max() < 0.05


def test_either_hand_lies_over_the_other_arm(one_cloth: warp.Plates) -> None:
    """The left arm once was over all of the right one."""
    for side, other in (("right", "left"), ("left", "right")):
        body = np.array(BODY, float)
        _, elbow, wrist = body[list(ARMS[other].joints)]
        place = elbow + 0.4 * (wrist - elbow)
        body[ARMS[side].joints[2]] = place
        x, y = np.round(place).astype(int) + (0, 4)
        picture = shown(one_cloth, posed(body))
        assert unlike(picture, SKIN)[y - 1 : y + 2, x - 1 : x + 2].max() < 0.15


# ---- legs


def test_legs_side_by_side_show_no_light_between_them(plates: warp.Plates) -> None:
    aside = np.array(BODY, float) + (5, 0)
    picture = shown(plates, posed(aside))
    between = unlike(picture, TROUSERS)[106:165, 61 : 68 + 5]
    assert between.max() < 0.1


@pytest.mark.parametrize("degrees", [-30, -20, -10, -5, 5, 10, 20, 30])
def test_legs_that_part_leave_no_slit_at_the_crotch(plates: warp.Plates, degrees: float) -> None:
    picture = shown(plates, posed(turned(RIGHT_LEG, degrees)))
    legs = person(picture)[107:]  # below the hands
    assert pieces(legs) == 1
    assert enclosed(legs) == 0
    assert unlike(picture, TROUSERS)[106:110, BETWEEN_LEGS].max() < 0.25


def test_a_lifted_leg_leaves_the_other_one_whole(plates: warp.Plates) -> None:
    picture = shown(plates, posed(turned(RIGHT_LEG, 30)))
    other = unlike(picture, TROUSERS)[120:170, 67:79]
    assert other.max() < 0.12


def test_a_leg_has_a_shin_only_where_its_foot_is_seen(drawn: Clothed, plates: warp.Plates) -> None:
    cut_off = replace(drawn, pose=without_feet(drawn.pose)).layers()
    for cut, count in ((plates, 2), (cut_off, 1)):
        legs = [limb for limb in cut.limbs[0] if limb.row in LEG_ROWS]
        assert [len(leg.pieces) for leg in legs] == [count, count]


@pytest.mark.parametrize("has_feet", [True, False])
def test_only_a_leg_without_a_foot_goes_on_below_the_picture(has_feet: bool) -> None:
    low = np.array(BODY, float)
    low[[10, 13], 1] = 200 if not has_feet else 180
    below = clothed(low)
    up = posed(low - (0, 16))
    if not has_feet:
        below = replace(below, pose=without_feet(below.pose))
        up = without_feet(up)
    bottom = shown(below.layers(), up)[:, -6:, 58:71]
    assert bottom.shape == (3, 6, 13)
    expected = WALL if has_feet else TROUSERS
    assert unlike(bottom, expected).median() < 0.1
    assert SIZE[0] - 16 < low[10, 1] + 14


def test_a_hand_beside_a_thigh_leaves_neither_skin_nor_its_outline_there() -> None:
    body = np.array(BODY, float)
    body[list(ARMS["right"].joints[1:])] = (44, 82), (47, 108)  # it covers the trousers' edge
    plates = clothed(body).layers()
    leg = next(limb for limb in plates.limbs[0] if limb.row == LEG_ROWS[0])
    thigh = leg.pieces[0]
    alpha = thigh.texture[0, 3]
    is_solid = alpha > 0.9
    color = thigh.texture[0, :3] / alpha.clamp_min(0.1)
    assert unlike(color, SKIN)[is_solid].min() > 0.2
    left = round(thigh.window[1] * SIZE[0])
    top = round(thigh.window[0] * SIZE[0])
    beside = alpha[108 - top : 116 - top, : 45 - left]  # where the hand alone was
    assert beside.max() < 0.5


def test_an_arm_whose_part_is_not_clear_stays_in_the_body(
    drawn: Clothed, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = (2 * SIZE[0], 2 * SIZE[1])  # rows from which on a picture is a photo
    image = F.interpolate(drawn.image, size, mode="bilinear")
    mask = F.interpolate(drawn.mask, size, mode="bilinear")
    unclear_right = np.array([0.2, 0.9, 0.9, 0.9])
    monkeypatch.setattr(layers, "part_stability", lambda *_: unclear_right)
    plates = warp.plates(image, warp.Points.of(drawn.pose), mask)
    assert [limb.row for limb in plates.limbs[0] if limb.row in ARM_ROWS] == [ARM_ROWS[1]]
    still = shown(plates, drawn.pose)
    assert (still - image[0]).abs().max() < 1 / 255
