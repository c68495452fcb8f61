"""A person in flat colors whose forearms are short or raised, for the tests of sleeves and arms."""

from __future__ import annotations

import numpy as np
import torch

from pipeline.motion.keypoints import L_WRIST, R_WRIST
from pipeline.render import warp
from pipeline.values import Pose
from tests.helpers.stick_person import WARP_BODY, small_face, stick_person

SIZE = (192, 128)
SLEEVE, CUFF, SKIN, SHIRT, WALL = (
    (0.2, 0.3, 0.6), (0.16, 0.24, 0.5), (0.85, 0.65, 0.55), (0.3, 0.55, 0.3), (0.9, 0.9, 0.88),
)  # fmt: skip


def pose(wrists: tuple[tuple[float, float], tuple[float, float]], shift: float = 0.0) -> Pose:
    """One frame: elbows at (36, 110), (92, 110), wrists and small hands as given, all moved up by
    `shift`."""
    up = np.array((0, shift), float)
    body = np.array(WARP_BODY, float)
    body[R_WRIST], body[L_WRIST] = wrists
    fan = np.array([(0, 0)] + [(f - 2, 1 + j) for f in range(5) for j in range(4)])
    hands = np.concatenate([fan + body[L_WRIST], fan + body[R_WRIST]])
    return stick_person(body - up, hands - up, small_face() - up, SIZE, unit=SIZE[::-1], fps=25)


SHORT, LONG = (
    ((38, 118), (90, 118)),
    ((16, 78), (112, 78)),
)  # wrists towards the camera; forearms raised


def painted(fore: tuple[float, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """(1,3,192,128) a person in flat colors, whose forearms end at SHORT's wrists, and the
    mask."""
    image = torch.tensor(WALL)[:, None, None].repeat(1, *SIZE)
    mask = torch.zeros(SIZE)

    def box(color: tuple[float, ...], rows: tuple[int, int], columns: tuple[int, int]) -> None:
        image[:, slice(*rows), slice(*columns)] = torch.tensor(color)[:, None, None]
        mask[slice(*rows), slice(*columns)] = 1

    box(SHIRT, (68, 192), (46, 82))
    box(SKIN, (28, 68), (48, 80))
    for left, right in ((29, 46), (82, 99)):
        box(SLEEVE, (72, 108), (left, right))
        box(fore, (108, 124), (left, right))
    return image[None], mask[None, None]


def raised(fore: tuple[float, ...]) -> warp.Warped:
    image, mask = painted(fore)
    return warp.warp(
        warp.plates(image, warp.Points.of(pose(SHORT)), mask), warp.Points.of(pose(LONG))
    )


def color_at(out: warp.Warped, x: int, y: int) -> torch.Tensor:
    return out.image[0, 0, :, y - 2 : y + 3, x - 2 : x + 3].mean((1, 2))
