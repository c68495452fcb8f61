"""The layered warp: identity, following the pose, missing points, mouth, steadiness and sizes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.render import warp
from pipeline.render.tensors import to_tensor
from pipeline.values import Pose
from tests.helpers.stick_person import WARP_SIZE as SIZE
from tests.helpers.stick_person import figure, small_person


def picture() -> torch.Tensor:
    """(1,3,192,128) smooth colors with some texture."""
    y, x = torch.meshgrid(
        torch.linspace(0, 1, SIZE[0]), torch.linspace(0, 1, SIZE[1]), indexing="ij"
    )
    waves = [
        0.5 + 0.3 * torch.sin(a * x + b * y) + 0.1 * torch.sin(40 * x * y + a)
        for a, b in ((9, 4), (5, 8), (7, 7))
    ]
    return torch.stack(waves)[None].clamp(0, 1)


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return -10 * float(torch.log10((a - b).square().mean() + 1e-12))


@pytest.fixture(scope="module")
def plates() -> warp.Plates:
    return warp.plates(picture(), warp.Points.of(small_person()))


def moved(shift: tuple[float, float], frames: int = 1) -> warp.Points:
    points = warp.Points.of(small_person(frames))
    step = torch.tensor([*shift, 0.0])
    return warp.Points(*(p + step for p in (points.body, points.hands, points.face)))


def test_own_pose_returns_the_reference(plates: warp.Plates) -> None:
    out = warp.warp(plates, warp.Points.of(small_person(2)))
    assert out.image.shape == (1, 2, 3, *SIZE) and out.validity.shape == (1, 2, 1, *SIZE)
    assert psnr(out.image[0, 0], picture()[0]) > 45
    assert out.validity.min() > 0.99


def test_a_shifted_pose_carries_the_person(plates: warp.Plates) -> None:
    out = warp.warp(plates, moved((8 / 128, 0)))
    nose = slice(35, 55), slice(60, 68)
    there = out.image[0, 0, :, nose[0], 68:76]
    assert psnr(there, picture()[0, :, nose[0], nose[1]]) > 35
    assert psnr(picture()[0, :, nose[0], 68:76], picture()[0, :, nose[0], nose[1]]) < 25
    assert out.validity[0, 0, 0, 40:60, 70].min() > 0.9


def test_a_frame_without_points_is_the_reference(plates: warp.Plates) -> None:
    out = warp.warp(plates, warp.Points.of(Pose.empty(1, 25, SIZE)))
    assert torch.equal(out.image[0, 0], picture()[0]) and out.validity.min() == 1


def test_a_wrong_shape_is_named(plates: warp.Plates) -> None:
    points = warp.Points.of(small_person())
    with pytest.raises(ValueError, match="target needs points"):
        warp.warp(plates, replace(points, face=points.face[:, :, :60]))


def test_small_jitter_makes_a_small_change(plates: warp.Plates) -> None:
    rng = np.random.default_rng(3)
    still = warp.warp(plates, moved((0.05, 0.02)))
    points = moved((0.05, 0.02))
    noisy = []
    for part in (points.body, points.hands, points.face):
        noise = torch.from_numpy(rng.normal(0, 2e-4, (*part.shape[:-1], 2))).float()
        noisy.append(torch.cat([part[..., :2] + noise, part[..., 2:]], -1))
    shaken = warp.Points(*noisy)
    change = (warp.warp(plates, shaken).image - still.image).abs()
    assert change.mean() < 0.002 and psnr(warp.warp(plates, shaken).image, still.image) > 38


def test_a_missing_arm_is_left_out_and_a_missing_leg_follows(plates: warp.Plates) -> None:
    points = warp.Points.of(small_person())
    points.body[..., [3, 4], 2] = 0  # right elbow and wrist
    points.hands[:, :, 21:, 2] = 0
    points.body[..., [9, 10, 12, 13], 2] = 0
    out = warp.warp(plates, points)
    assert out.validity[0, 0, 0, 105:135, 37:40].max() < 0.3  # where the right arm hung
    shin = slice(170, 180), slice(50, 54)
    assert psnr(out.image[0, 0, :, shin[0], shin[1]], picture()[0, :, shin[0], shin[1]]) > 35


def test_the_head_goes_with_its_body_points_when_the_face_is_missing(plates: warp.Plates) -> None:
    points = moved((0.0, 0.0))
    points.face[..., 2] = 0
    points.body[:, :, [0, 14, 15, 16, 17], 0] += 6 / 128
    out = warp.warp(plates, points)
    eyes = slice(40, 52)
    assert psnr(out.image[0, 0, :, eyes, 64:76], picture()[0, :, eyes, 58:70]) > 30


def test_an_opened_mouth_is_painted_dark_and_a_shut_one_is_not(plates: warp.Plates) -> None:
    out = warp.warp(plates, warp.Points.of(small_person(gap=5.0)))
    inside = out.image[0, 0, :, 60:62, 63:66].mean()
    assert inside < 0.6 * picture()[0, :, 60:62, 63:66].mean()
    assert out.validity[0, 0, 0, 59:62, 64].max() < 0.3
    shut = warp.warp(plates, warp.Points.of(small_person(gap=0.0)))
    assert shut.validity[0, 0, 0, 55:62, 64].min() > 0.99


def test_an_open_mouth_closes() -> None:
    image = picture() * 0.2 + 0.6
    image[:, :, 57:63, 60:69] = 0.05  # a dark mouth that is open by 5 pixels
    opened = warp.plates(image, warp.Points.of(small_person(gap=5.0)))
    out = warp.warp(opened, warp.Points.of(small_person(gap=0.0)))
    assert (out.image[0, 0, :, 50:66, 58:71].mean(0) < 0.3).sum() < 0.35 * (
        image[0].mean(0) < 0.3
    ).sum()


def test_teeth_leave_no_line_between_closed_lips() -> None:
    image = torch.nn.functional.interpolate(picture() * 0.2 + 0.4, scale_factor=4)
    image[:, :, 229:249, 240:273] = (
        1.0  # a smile's teeth, a little beyond the inner lips that were detected
    )
    smiling = warp.plates(image, warp.Points.of(small_person(gap=4.6)))
    for gap in (-0.2, -0.15, 0.0):  # lips apart by 0, 0.2 and 0.8 of the 768 rows
        out = warp.warp(smiling, warp.Points.of(small_person(gap=gap)))
        white = out.image[0, 0, :, 200:280, 248:264].mean(0) > 0.8
        assert white.sum(0).max() <= (0 if gap < 0 else 1)


def test_frames_and_people_do_not_mix() -> None:
    two = torch.cat([picture(), 1 - picture()])
    first, second = warp.Points.of(small_person(2)), moved((0.06, 0.03), 2)
    both = warp.Points(
        *(torch.cat([getattr(first, n), getattr(second, n)]) for n in ("body", "hands", "face"))
    )
    reference = warp.Points(
        *(torch.cat([getattr(first[:1], n)] * 2)[:, :1] for n in ("body", "hands", "face"))
    )
    out = warp.warp(warp.plates(two, reference), both)
    alone = warp.warp(warp.plates(two[1:], warp.Points.of(small_person())), second)
    assert torch.allclose(out.image[1], alone.image[0], atol=1e-4)
    assert torch.allclose(out.validity[1], alone.validity[0], atol=1e-3)


def test_a_stream_shows_what_the_whole_warp_does(plates: warp.Plates) -> None:
    """Frames are planned and drawn in groups of their own: 40 frames are several of both."""
    target = moved((0.05, 0.02), 40)
    whole = warp.warp(plates, target, (384, 256))
    parts = list(warp.stream(plates, target, (384, 256)))
    assert len(parts) > 3
    for name in ("image", "validity", "still"):
        together = torch.cat([getattr(part, name) for part in parts], 1)
        assert torch.equal(together, getattr(whole, name))


@pytest.mark.parametrize("size", [(96, 64), (288, 192)])
def test_other_sizes_show_the_same_picture(plates: warp.Plates, size: tuple[int, int]) -> None:
    target = moved((0.05, 0.02))
    out = warp.warp(plates, target, size)
    assert out.image.shape == (1, 1, 3, *size)
    whole = torch.nn.functional.interpolate(warp.warp(plates, target).image[0], size, mode="area")
    assert psnr(out.image[0], whole) > 28


def test_a_mask_keeps_the_background_outside_it() -> None:
    mask = torch.zeros(1, 1, *SIZE)
    mask[..., 25:190, 34:94] = 1
    out = warp.warp(warp.plates(picture(), warp.Points.of(small_person()), mask), moved((0.1, 0)))
    assert psnr(out.image[0, 0, :, :, :24], picture()[0, :, :, :24]) > 60
    assert out.validity[0, 0, 0, 100, 36] < 0.2  # uncovered by the person who moved on


def test_fingers_out_of_the_picture_do_not_make_everything_a_hand():
    """Two missing points of a finger lie on each other: such a bone once was near to every
    pixel."""
    points = warp.Points.of(small_person())
    points.hands[:, :, 17:21, 2] = 0
    layers = warp.plates(picture(), points)
    moved = warp.warp(layers, points)
    assert (
        layers.background[:, 3, :8, :8].min() == 1 and (moved.validity > 0.9).float().mean() > 0.7
    )


def test_a_hand_that_leaves_the_picture_partly_stays_where_its_other_points_are():
    """Missing points may lie anywhere, often at 0, 0: they once threw the whole hand across the
    picture."""
    noise = np.random.default_rng(0).integers(0, 256, (128, 96, 3), np.uint8)
    layers = warp.plates(to_tensor(noise, (128, 96)), warp.Points.of(figure(1)))
    whole = warp.Points.of(figure(1))
    hands = whole.hands.clone()
    hands[..., 1] -= 0.25
    part = hands.clone()
    part[:, :, [3, 4, 7, 8, 24, 25, 28, 29]] = 0
    moved, cut = (
        warp.warp(layers, warp.Points(whole.body, h, whole.face)).image for h in (hands, part)
    )
    assert (moved - cut).abs().amax(2).gt(0.1).float().mean() < 0.003
