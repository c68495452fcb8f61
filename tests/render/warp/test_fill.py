"""Filling holes with texture: sharp, from known places only, steady, never worse than nothing to
copy."""

import numpy as np
import pytest
import torch

from pipeline.render import warp
from pipeline.render.draft import layers
from pipeline.render.warp.maps import push_pull
from tests.helpers.processor_time import units
from tests.helpers.stick_person import figure
from tests.helpers.tiny import motion, portrait


def bricks(height: int = 160, width: int = 128) -> torch.Tensor:
    """A wall with a slow change of light."""
    y, x = np.mgrid[:height, :width]
    row = y // 10
    joint = (y % 10 < 2) | ((x + 8 * (row % 2)) % 16 < 2)
    wall = np.where(joint, 0.25, 0.7)[None] * np.array([1.0, 0.8, 0.6])[:, None, None]
    return torch.tensor(wall * (0.9 + 0.1 * x / width), dtype=torch.float32)


def hole(height: int = 160, width: int = 128, box=(50, 110, 40, 90)) -> torch.Tensor:
    known = torch.ones(height, width, dtype=torch.bool)
    known[box[0] : box[1], box[2] : box[3]] = False
    return known


def smooth_of(picture: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    return push_pull(picture[None], known[None, None].float())[0]


def filled(
    picture: torch.Tensor, known: torch.Tensor, needed: torch.Tensor | None = None
) -> torch.Tensor:
    needed = torch.ones_like(known) if needed is None else needed
    return warp.textured(picture, known, needed, smooth_of(picture, known))


@pytest.mark.parametrize(
    "box", [(50, 110, 40, 90), (100, 160, 40, 90), (0, 60, 0, 50)], ids=["inside", "edge", "corner"]
)
def test_a_wall_goes_on_behind_the_hole(box) -> None:
    wall, known = bricks(), hole(box=box)
    # what is in the hole must not matter
    holed = torch.where(known, wall, torch.tensor([1.0, 0.0, 1.0])[:, None, None])
    found, smooth = filled(holed, known), smooth_of(holed, known)
    inside = ~known
    assert torch.equal(found[:, known], wall[:, known])
    spread = [float(p[:, inside].std()) for p in (wall, smooth, found)]
    assert spread[1] < 0.6 * spread[0] < 0.9 * spread[0] < spread[2]
    colors = wall.flatten(1).T
    apart = torch.cdist(found[:, inside].T, colors).amin(1)
    assert apart.max() < 0.15, "a color that the wall does not have"
    dark = (found.mean(0) < 0.35).float()
    share = dark[inside].mean() / (wall.mean(0) < 0.35).float()[inside].mean()
    assert 0.7 < share < 1.3, "joints are missing or too many"


def speckled(height: int = 192, width: int = 160) -> torch.Tensor:
    """A wall in the light of a lamp below its middle, with fine grain."""
    y, x = np.mgrid[:height, :width]
    light = 0.9 - 0.7 * np.hypot(y / height - 0.6, x / height - 0.4)
    grain = np.random.default_rng(5).normal(0, 0.005, (3, height, width))
    return torch.tensor(light + grain, dtype=torch.float32)


def disc(height: int, width: int, radius: int) -> torch.Tensor:
    """Known but for a disc in the middle."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return (y - height / 2) ** 2 + (x - width / 2) ** 2 > radius**2


def jump(picture: torch.Tensor, known: torch.Tensor) -> float:
    """Mean absolute difference of neighbours of whom one is known and the other is not."""
    down = (picture[:, 1:] - picture[:, :-1]).abs()[:, known[1:] != known[:-1]]
    right = (picture[:, :, 1:] - picture[:, :, :-1]).abs()[:, known[:, 1:] != known[:, :-1]]
    return float(torch.cat([down, right], 1).mean())


def test_no_step_shows_at_the_border_of_a_hole_in_changing_light() -> None:
    picture = speckled()
    known = disc(192, 160, 45)
    found = filled(picture, known)
    assert jump(found, known) < 1.1 * jump(picture, known)
    assert (found - picture).abs()[:, ~known].mean() < 0.06, "the light does not go on"
    grain = [float((p[:, 1:] - p[:, :-1]).abs()[:, ~known[1:]].mean()) for p in (picture, found)]
    assert grain[1] > 0.5 * grain[0], "the grain is gone"


@pytest.mark.parametrize("upright", [True, False])
def test_a_beam_goes_on_through_a_hole_without_steps(upright: bool) -> None:
    picture = torch.full((3, 192, 160), 0.8)
    picture[:, :, 66:94] = torch.tensor([0.3, 0.2, 0.1])[:, None, None]
    known = disc(192, 160, 40)
    picture, known = (
        (picture, known) if upright else (picture.mT.contiguous(), known.mT.contiguous())
    )
    apart = (filled(picture, known) - picture).abs().amax(0)
    assert (apart[~known] > 0.1).float().mean() < 0.005


def test_the_same_picture_gives_the_same_fill() -> None:
    assert torch.equal(filled(bricks(), hole()), filled(bricks(), hole()))


def test_nothing_is_copied_where_nothing_is_needed_or_too_little_is_known() -> None:
    wall, known = bricks(), hole()
    smooth = smooth_of(wall, known)
    nothing = torch.zeros_like(known)
    assert torch.equal(filled(wall, known, nothing)[:, ~known], smooth[:, ~known])
    few = torch.zeros_like(known)
    few[80:84] = True  # no whole patch is known
    assert torch.equal(filled(wall, few)[:, ~few], smooth_of(wall, few)[:, ~few])
    assert torch.isfinite(filled(wall, torch.zeros_like(known))).all()
    assert torch.equal(filled(wall, torch.ones_like(known)), wall)


def test_tiny_pictures_stay_smooth() -> None:
    wall, known = bricks()[:, :20, :20], hole(20, 20, (8, 12, 8, 12))
    assert torch.equal(filled(wall, known)[:, ~known], smooth_of(wall, known)[:, ~known])


def test_a_face_is_never_copied_into_the_body() -> None:
    asked = []

    def listening(color, known, needed, smooth):
        asked.append((color, known, needed))
        return smooth

    # a picture whose red and green are the pixels' own columns and rows
    columns = torch.arange(192).float().expand(256, 192) / 255
    rows = torch.arange(256).float()[:, None].expand(256, 192) / 255
    tiles = ((255 * (columns + rows)) % 8 < 4).float()  # no plain wall
    picture = torch.stack([columns, rows, tiles])[None]
    warp.plates(picture, warp.Points.of(figure(1, size=(256, 192))), None, listening)

    def inside(color, top, bottom, left, right):
        x, y = (255 * color[:2]).round()
        return (y >= top) & (y < bottom) & (x >= left) & (x < right)

    color, background, _ = asked[0]
    assert not background[inside(color, 60, 74, 86, 100)].any()
    assert not background[inside(color, 120, 180, 80, 112)].any()
    assert background[inside(color, 0, 256, 0, 20)].float().mean() > 0.9
    color, body, needed = asked[1]
    face = inside(color, 60, 74, 86, 100)
    assert not body[face].any() and not needed[face].any()
    assert body[inside(color, 120, 180, 80, 112)].float().mean() > 0.9


def test_layers_are_built_once_for_one_picture_pose_and_size() -> None:
    picture, scene = portrait(), motion(2)
    first = layers(picture, scene, (128, 96))
    assert layers(picture.copy(), motion(2), (128, 96)) is first
    assert layers(picture, scene, (64, 48)) is not first
    changed = picture.copy()
    changed[0, 0] += 1
    assert layers(changed, scene, (128, 96)) is not first


def test_a_picture_is_filled_in_about_a_second_of_a_quiet_core() -> None:
    wall = torch.nn.functional.interpolate(bricks()[None], (768, 512))[0]
    known = hole(768, 512, (200, 768, 120, 400))
    smooth = smooth_of(wall, known)
    everywhere = torch.ones_like(known)
    assert (
        units(lambda: warp.textured(wall, known, everywhere, smooth), rounds=1) < 130
    )  # 51 measured


def test_a_long_picture_takes_no_more_than_its_pixels_do() -> None:
    """2048x128: its search's grid is bounded by area, else comparing all patches takes many times
    as long."""
    generator = torch.Generator().manual_seed(3)
    small = torch.rand(1, 3, 128, 8, generator=generator)
    wall = torch.nn.functional.interpolate(small, (2048, 128), mode="bilinear")[0]
    known = hole(2048, 128, (300, 1700, 40, 90))
    smooth = smooth_of(wall, known)
    everywhere = torch.ones_like(known)
    assert (
        units(lambda: warp.textured(wall, known, everywhere, smooth), rounds=1) < 120
    )  # 47 measured
