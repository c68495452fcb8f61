"""A moved hand takes its own pixels along and leaves what surrounded it where it was."""

import numpy as np
import pytest
import torch

from pipeline.motion.keypoints import HAND_EDGES
from pipeline.render import warp
from pipeline.render.warp import hands
from pipeline.render.warp.layers import ABOVE
from pipeline.values import Pose
from tests.helpers.stick_person import stick_person

SIZE = (256, 256)
SKIN, SHIRT, WALL = (0.85, 0.62, 0.5), (0.2, 0.45, 0.3), (0.35, 0.4, 0.75)
OVER_TORSO, BESIDE = np.array((120, 160)), np.array((52, 160))  # wrists, 0.27 of the height apart
UNIT = 50  # pixels of the head


def fan(wrist: np.ndarray) -> np.ndarray:
    """(21,2) pixels of a hand with spread fingers that points upwards."""
    turns = np.linspace(-0.9, 0.7, 5)
    ways = np.stack([np.sin(turns), -np.cos(turns)], 1)
    lengths = np.array([0.35, 0.5, 0.65, 0.8]) * UNIT * 0.75
    return np.concatenate([[wrist], *(wrist + way * lengths[:, None] for way in ways)])


def pose(wrist: np.ndarray) -> Pose:
    body = np.zeros((18, 2))
    body[[1, 2, 5, 8, 11]] = (128, 90), (88, 92), (168, 92), (100, 200), (156, 200)
    body[[0, 14, 15, 16, 17]] = (128, 55), (120, 50), (136, 50), (108, 54), (148, 54)
    hands = np.concatenate([np.zeros((21, 2)), fan(wrist)])
    return stick_person(
        body,
        hands,
        np.zeros((68, 2)),
        SIZE,
        unit=SIZE,
        fps=25,
        body_score=body.any(1),
        hands_score=hands.any(1),
        face_score=0.0,
    )


def shape(wrist: np.ndarray) -> torch.Tensor:
    """(256,256) bool: the hand's own pixels, thinner than half of the band that the layers cut
    out."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    points, least = fan(wrist), np.full(SIZE, np.inf)
    for a, b in HAND_EDGES:
        axis = points[b] - points[a]
        along = np.clip(
            ((x - points[a][0]) * axis[0] + (y - points[a][1]) * axis[1]) / (axis @ axis), 0, 1
        )
        gap = np.hypot(x - points[a][0] - along * axis[0], y - points[a][1] - along * axis[1])
        least = np.minimum(least, gap)
    return torch.from_numpy(least < 0.05 * UNIT)


def picture(wrist: np.ndarray, skin: tuple[float, ...] = SKIN) -> torch.Tensor:
    """(1,3,256,256): wall, shirt, head and one hand, with a little noise."""
    image = torch.tensor(WALL)[:, None, None].repeat(1, *SIZE)
    image[:, 80:, 80:176] = torch.tensor(SHIRT)[:, None, None]
    image[:, 30:80, 108:148] = torch.tensor(SKIN)[:, None, None]
    image = torch.where(shape(wrist), torch.tensor(skin)[:, None, None], image)
    return (image + 0.02 * torch.randn(image.shape, generator=torch.Generator().manual_seed(5)))[
        None
    ]


def person(wrist: np.ndarray, loose: int = 3) -> torch.Tensor:
    """(1,1,256,256) mask of the person, too large by some pixels around the hand."""
    mask = torch.zeros(1, 1, *SIZE)
    mask[..., 80:, 80:176] = mask[..., 30:80, 108:148] = 1
    hand = torch.nn.functional.max_pool2d(shape(wrist)[None, None].float(), 2 * loose + 1, 1, loose)
    return torch.maximum(mask, hand)


def moved(
    start: np.ndarray, end: np.ndarray, skin: tuple[float, ...] = SKIN, masked: bool = True
) -> warp.Warped:
    points = warp.Points.of(pose(start))
    plates = warp.plates(picture(start, skin), points, person(start) if masked else None)
    return warp.warp(plates, warp.Points.of(pose(end)))


def like(image: torch.Tensor, colour: tuple[float, ...], near: float = 0.2) -> torch.Tensor:
    return (image - torch.tensor(colour)[:, None, None]).norm(dim=0) < near


def rim(out: warp.Warped, end: np.ndarray, colour: tuple[float, ...]) -> float:
    """What has the surroundings' colour around the hand where it is now, as a share of the hand's
    area."""
    around = torch.nn.functional.max_pool2d(shape(end)[None, None].float(), 17, 1, 8)[0, 0] > 0
    return float((like(out.image[0, 0], colour) & around).sum() / shape(end).sum())


def kept(out: warp.Warped, end: np.ndarray, colour: tuple[float, ...]) -> float:
    return float(like(out.image[0, 0], colour)[shape(end)].float().mean())


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize(
    "start, end, colour", [(OVER_TORSO, BESIDE, SHIRT), (BESIDE, OVER_TORSO, WALL)]
)
def test_a_hand_leaves_its_surroundings_behind(
    start: np.ndarray, end: np.ndarray, colour: tuple[float, ...], masked: bool
) -> None:
    out = moved(start, end, masked=masked)
    assert rim(out, end, colour) < 0.1
    assert kept(out, end, SKIN) > 0.9


def test_without_the_matte_the_rim_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hands, "hand_matte", lambda image, *rest: torch.ones_like(image[:, :2]))
    assert rim(moved(OVER_TORSO, BESIDE), BESIDE, SHIRT) > 0.3


@pytest.mark.parametrize("skin", [SHIRT, (0.22, 0.47, 0.31)])
def test_a_hand_of_its_surroundings_colour_is_kept(skin: tuple[float, ...]) -> None:
    out = moved(OVER_TORSO, BESIDE, skin)
    assert kept(out, BESIDE, skin) > 0.9
    assert rim(out, BESIDE, SHIRT) < 2.5  # a tight band, not a blob


def test_own_pose_is_exact_with_a_matte() -> None:
    out = moved(OVER_TORSO, OVER_TORSO)
    error = (out.image[0, 0] - picture(OVER_TORSO)[0].clamp(0, 1)).square().mean()
    assert error < 10**-4.5 and out.validity.min() > 0.99


def test_what_the_hand_does_not_take_stays_in_the_body() -> None:
    start = warp.Points.of(pose(OVER_TORSO))
    plates = warp.plates(picture(OVER_TORSO), start, person(OVER_TORSO))
    ring = torch.nn.functional.max_pool2d(shape(OVER_TORSO)[None, None].float(), 13, 1, 6)
    ring = (ring - torch.nn.functional.max_pool2d(shape(OVER_TORSO)[None, None].float(), 7, 1, 3))[
        0, 0
    ] > 0
    inside = slice(round(ABOVE * 256), round(ABOVE * 256) + 256)
    known, hand = plates.body[0, 4, inside], plates.arms[0, 4, 3, inside]
    assert known[ring].mean() > 0.9  # the shirt's own pixels
    assert hand[ring].mean() < 0.05 and hand[shape(OVER_TORSO)].mean() > 0.9
