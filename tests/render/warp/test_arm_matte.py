"""Whose pixel is it around an arm: cloth stays, badges go along, elbows show themselves."""

import numpy as np
import pytest
import torch

from pipeline.render import warp
from pipeline.render.warp.maps import crisp
from pipeline.values import Pose
from tests.helpers.sleeves import (
    CUFF,
    LONG,
    SHIRT,
    SHORT,
    SIZE,
    SKIN,
    SLEEVE,
    colour_at,
    painted,
    pose,
)

DOWN, RAISED = ((36, 146), (90, 118)), ((16, 78), (90, 118))  # the right wrist hangs; is raised
HAIR = (0.2, 0.12, 0.08)


def replaced(given: Pose, image: torch.Tensor) -> warp.Points:
    """The points of a pose in pixels of SIZE, as fractions of another picture's height."""
    points = warp.Points.of(given)
    for part in (points.body, points.hands, points.face):
        part[..., 1] *= SIZE[0] / image.shape[2]
    return points


def like(out: warp.Warped, colour: tuple[float, ...]) -> torch.Tensor:
    """(H,W) bool."""
    return (out.image[0, 0] - torch.tensor(colour)[:, None, None]).abs().amax(0) < 0.1


def hanging(arm: tuple[float, ...], beside: tuple[float, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """A slim right arm that hangs in front of cloth of another colour, inside the arm's capsule."""
    image, mask = painted(arm)
    for colour, columns in ((beside, (28, 46)), (arm, (33, 39))):
        image[:, :, 108:150, slice(*columns)] = torch.tensor(colour)[:, None, None]
    mask[:, :, 108:150, 28:46] = 1
    return image, mask


def test_a_slim_arm_leaves_the_cloth_behind_it() -> None:
    image, mask = hanging(SKIN, SHIRT)
    out = warp.warp(
        warp.plates(image, warp.Points.of(pose(DOWN)), mask), warp.Points.of(pose(RAISED))
    )
    raised = slice(78, 104), slice(8, 30)
    assert like(out, SKIN)[raised].sum() > 60
    assert like(out, SHIRT)[raised].sum() < 12  # of about 300 pixels that the capsule holds
    assert (colour_at(out, 43, 130) - torch.tensor(SHIRT)).abs().max() < 0.1  # it still hangs there


def test_a_badge_goes_along_with_its_sleeve() -> None:
    image, mask = painted(SLEEVE)
    badge = (0.9, 0.85, 0.2)
    image[:, :, 84:92, 30:35] = torch.tensor(badge)[:, None, None]
    layers = warp.plates(image, warp.Points.of(pose(LONG)), mask)
    body = pose(LONG)
    body.body.xy[0, 3] = (14 / SIZE[1], 84 / SIZE[0])  # the elbow is lifted to the side
    out = warp.warp(layers, warp.Points.of(body))
    assert like(out, badge)[84:92, 30:35].sum() < 10 < 15 < like(out, badge).sum()


@pytest.mark.parametrize("part", [0, 2])
def test_an_elbow_is_known_in_both_parts_of_its_arm(part: int) -> None:
    image, mask = painted(SKIN)
    image[:, :, 72:108, 29:46] = torch.tensor(SKIN)[:, None, None]
    image[:, :, 108:150, 29:46], mask[:, :, 108:150, 29:46] = torch.tensor(SKIN)[:, None, None], 1
    layers = warp.plates(image, warp.Points.of(pose(DOWN)), mask)
    top = round(layers.room[0] * SIZE[0])
    elbow = layers.arms[0, part, :, top + 108 : top + 113, 34:39].mean((1, 2))
    assert elbow[3] > 0.9 and elbow[4] > 0.9
    assert (elbow[:3] / elbow[3] - torch.tensor(SKIN)).abs().max() < 0.05


def test_an_upper_arm_is_stretched_over_what_a_short_forearm_hides_of_it() -> None:
    image, mask = painted(CUFF)
    layers = warp.plates(image, warp.Points.of(pose(SHORT)), mask)
    lifted = pose(LONG)
    lifted.body.xy[0, [3, 4]] = np.array([(8, 100), (30, 66)]) / SIZE[::-1]
    out = warp.warp(layers, warp.Points.of(lifted))
    assert out.validity[0, 0, 0, 92, 19] > 0.9 and like(out, SLEEVE)[92, 19]


def test_forehead_at_the_edge_is_covered_with_the_hair_beside_it() -> None:
    image, mask = painted(CUFF)
    image[:, :, 28:68, 48:54] = image[:, :, 28:68, 74:80] = torch.tensor(HAIR)[:, None, None]
    image = torch.cat([image[:, :, 34:], image[:, :, -1:].expand(-1, -1, 34, -1)], 2)
    mask = torch.cat([mask[:, :, 34:], mask[:, :, -1:].expand(-1, -1, 34, -1)], 2)
    layers = warp.plates(image, warp.Points.of(pose(SHORT, shift=34)), mask)
    out = warp.warp(layers, warp.Points.of(pose(SHORT, shift=4)))
    assert (colour_at(out, 64, 22) - torch.tensor(HAIR)).abs().max() < 0.1
    assert (colour_at(out, 64, 38) - torch.tensor(SKIN)).abs().max() < 0.1
    assert out.validity[0, 0, 0, 22, 64] < 0.1  # it is a guess


def test_a_bald_or_unseen_face_is_not_covered() -> None:
    """Without a face's points nothing says what is skin: the colours at the edge go on as they
    are."""
    image, mask = painted(CUFF)
    image[:, :, 28:68, 48:54] = image[:, :, 28:68, 74:80] = torch.tensor(HAIR)[:, None, None]
    image, mask = image[:, :, 34:], mask[:, :, 34:]
    start, end = pose(SHORT, shift=34), pose(SHORT, shift=4)
    start.face.score[:] = end.face.score[:] = 0
    layers = warp.plates(image, replaced(start, image), mask)
    top = round(layers.room[0] * image.shape[2])
    above = layers.body[0, :, top - 2]
    assert above[3, 64] > 0.9
    assert (above[:3, 64] - torch.tensor(SKIN)).abs().max() < 0.05


def test_a_raised_arm_does_not_widen_a_head_that_is_cut_off() -> None:
    image, mask = painted(CUFF)
    up = pose(((36, 30), (90, 118)), shift=34)
    image[:, :, 28:108, 32:42], mask[:, :, 28:108, 32:42] = torch.tensor(SLEEVE)[:, None, None], 1
    alone, raised = (
        warp.plates(image[:, :, 34:], replaced(p, image[:, :, 34:]), mask[:, :, 34:])
        for p in (pose(SHORT, shift=34), up)
    )
    top = round(raised.room[0] * 158)
    assert raised.body[0, 3, : top - 1, 28:44].max() < 0.1
    assert raised.body[0, 3, top - 2, 56:72].min() > 0.9


def test_the_layers_of_one_person_do_not_depend_on_who_else_is_there() -> None:
    image, mask = hanging(SKIN, SHIRT)
    image = image + 0.02 * torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    without, crossing = (
        pose(DOWN),
        pose((DOWN[0], (34, 130))),
    )  # the other one's left forearm lies over there
    without.body.score[0, [6, 7]] = without.hands.score[0, :21] = 0
    one, other = warp.Points.of(without), warp.Points.of(crossing)
    both = warp.Points(
        *(torch.cat([getattr(p, n) for p in (one, other)]) for n in ("body", "hands", "face"))
    )
    alone = warp.plates(image, one, mask)
    together = warp.plates(image.repeat(2, 1, 1, 1), both, mask.repeat(2, 1, 1, 1))
    assert torch.allclose(together.arms[0], alone.arms[0], atol=1e-5)


def test_without_a_mask_the_wall_beside_a_slim_arm_is_not_the_body() -> None:
    """Inside the arm's capsule, which is all that is known of the outline, but not of its
    colours."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    wall = torch.tensor(
        np.stack([0.9 - 0.25 * y / 192, 0.9 - 0.2 * x / 128, 0.88 - 0.2 * y / 192])
    ).float()
    image, mask = painted(SKIN)
    mask[:, :, 72:124, 29:46] = 0
    image = torch.where(mask > 0, image, wall)
    shoulder, elbow, wrist = (pose(DOWN).body.xy[0] * SIZE[::-1])[2:5]
    for start, end in ((shoulder, elbow), (elbow, wrist)):
        axis = end - start
        along = np.clip(((x - start[0]) * axis[0] + (y - start[1]) * axis[1]) / (axis @ axis), 0, 1)
        gap = np.hypot(x - start[0] - along * axis[0], y - start[1] - along * axis[1])
        image = torch.where(torch.from_numpy(gap < 4.5), torch.tensor(SKIN)[:, None, None], image)
    layers = warp.plates(image, warp.Points.of(pose(DOWN)))
    top = round(layers.room[0] * SIZE[0])
    assert layers.body[0, 3, top + 82 : top + 150, 28:37].max() < 0.5


def test_an_outline_is_two_pixels_wide_however_soft_its_shares_are() -> None:
    soft = torch.linspace(0, 1, 800).expand(1, 1, 40, -1)
    sharp = crisp(soft, 0.45, 800)
    assert ((sharp > 0) & (sharp < 1)).sum(3).max() <= 2
    assert torch.equal(sharp > 0.5, soft > 0.45)
