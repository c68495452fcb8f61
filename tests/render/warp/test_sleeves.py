"""Arms of a reference that shows little of them: beyond its edge, foreshortened, beside cloth."""

import pytest
import torch

from pipeline.motion.keypoints import ANKLES
from pipeline.render import warp
from pipeline.values import Pose
from tests.helpers.sleeves import (
    CUFF,
    LONG,
    SHIRT,
    SHORT,
    SKIN,
    SLEEVE,
    WALL,
    color_at,
    painted,
    pose,
    raised,
)


def without_feet(person: Pose) -> warp.Points:
    points = warp.Points.of(person)
    points.body[:, :, list(ANKLES), 2] = 0
    return points


@pytest.mark.parametrize(("x", "y"), [(26, 94), (102, 94)])
def test_a_sleeve_that_points_at_the_camera_is_lent_by_the_upper_arm(x: int, y: int) -> None:
    out = raised(CUFF)
    assert (color_at(out, x, y) - torch.tensor(SLEEVE)).abs().max() < 0.05
    assert out.validity[0, 0, 0, y, x] > 0.9  # the denoiser is to keep it


def test_a_bare_forearm_is_not_given_a_sleeve() -> None:
    found = color_at(raised(SKIN), 26, 94)
    assert (
        (found - torch.tensor(SKIN)).abs().max()
        < 0.3
        < 0.35
        < (found - torch.tensor(SLEEVE)).abs().max()
    )


def test_a_forearm_that_is_seen_at_length_keeps_its_own_pixels() -> None:
    image, mask = painted(CUFF)
    image[:, :, 110:150, 30:46] = torch.tensor(CUFF)[:, None, None]
    mask[:, :, 110:150, 30:46] = 1
    long = ((38, 146), (90, 118))
    out = warp.warp(
        warp.plates(image, warp.Points.of(pose(long)), mask),
        warp.Points.of(pose((LONG[0], SHORT[1]))),
    )
    assert (color_at(out, 24, 90) - torch.tensor(CUFF)).abs().max() < 0.06
    assert out.validity[0, 0, 0, 90, 24] > 0.5


def test_who_is_cut_off_by_the_lower_edge_goes_on_below_it() -> None:
    image, mask = painted(CUFF)
    layers = warp.plates(image, without_feet(pose(SHORT)), mask)
    out = warp.warp(layers, without_feet(pose(SHORT, shift=30)))
    assert (color_at(out, 64, 186) - torch.tensor(SHIRT)).abs().max() < 0.05
    assert (color_at(out, 10, 186) - torch.tensor(WALL)).abs().max() < 0.05
    assert (
        out.validity[0, 0, 0, 170:, 60:68].max()
        < 0.1
        < 0.9
        < out.validity[0, 0, 0, 120:150, 60:68].min()
    )


def test_what_ends_above_the_lower_edge_does_not_go_on() -> None:
    image, mask = painted(CUFF)
    image[:, :, 170:], mask[:, :, 170:] = torch.tensor(WALL)[:, None, None], 0
    out = warp.warp(
        warp.plates(image, warp.Points.of(pose(SHORT)), mask), warp.Points.of(pose(SHORT, shift=30))
    )
    assert (color_at(out, 64, 186) - torch.tensor(WALL)).abs().max() < 0.05


def test_a_head_that_is_cut_off_goes_on_as_far_as_a_head_does() -> None:
    image, mask = painted(CUFF)
    image = torch.cat(
        [image[:, :, 34:], image[:, :, -1:].expand(-1, -1, 34, -1)], 2
    )  # the crown is outside
    mask = torch.cat([mask[:, :, 34:], mask[:, :, -1:].expand(-1, -1, 34, -1)], 2)
    layers = warp.plates(image, warp.Points.of(pose(SHORT, shift=34)), mask)
    out = warp.warp(layers, warp.Points.of(pose(SHORT, shift=4)))
    assert (color_at(out, 64, 26) - torch.tensor(SKIN)).abs().max() < 0.05
    assert (color_at(out, 64, 6) - torch.tensor(WALL)).abs().max() < 0.05


def test_an_arm_takes_no_skirt_along() -> None:
    """A skirt behind a hanging forearm is the trunk's, whatever is nearer to it."""
    image, mask = painted(SKIN)
    hanging = ((36, 146), (90, 118))
    image[:, :, 118:170, 34:94] = torch.tensor(SHIRT)[:, None, None]
    mask[:, :, 118:170, 34:94] = 1
    image[:, :, 76:148, 30:42] = torch.tensor(SKIN)[:, None, None]
    mask[:, :, 76:148, 30:42] = 1
    layers = warp.plates(image, warp.Points.of(pose(hanging)), mask)
    out = warp.warp(layers, warp.Points.of(pose(((16, 78), (90, 118)))))
    apart = (out.image[0, 0] - torch.tensor(SHIRT)[:, None, None]).abs().amax(0)
    assert (apart[70:112, :40] < 0.1).sum() < 24
    assert (color_at(out, 47, 160) - torch.tensor(SHIRT)).abs().max() < 0.05


def test_what_a_forearm_hides_of_the_upper_arm_joins_it_without_a_gap() -> None:
    image, mask = painted(CUFF)
    short = warp.Points.of(pose(((38, 104), (90, 104))))  # the forearms lie over the elbows
    layers = warp.plates(image, short, mask)
    upper = next(limb for limb in layers.limbs[0] if limb.row == 0).pieces[0]
    top, left, *_ = [round(side * image.shape[2]) for side in upper.window]
    alpha = upper.texture[0, 3]
    column = alpha[84 - top : 108 - top, 37 - left]
    assert column.min() > 0.9
