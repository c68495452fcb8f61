"""The layered warp: identity, following the pose, missing points, mouth, steadiness and sizes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline import warp as w
from pipeline.clips import Keypoints, Pose

SIZE = (192, 128)
BODY = [
    (64, 50), (64, 75), (44, 76), (36, 110), (40, 140), (84, 76), (92, 110), (88, 140), (52, 140), (52, 185),
    (52, 230), (76, 140), (76, 185), (76, 230), (59, 44), (69, 44), (50, 46), (78, 46),
]  # fmt: skip


def face(gap: float = 0.0, middle: tuple[float, float] = (64, 48)) -> np.ndarray:
    """(68,2) pixels of a plain face about 40 pixels high."""
    turn = np.linspace(np.pi, 0, 17)
    jaw = np.stack([-np.cos(turn) * -14, np.sin(turn) * 17], 1) * [1, 1]
    brows = [(x, -9) for x in (-11, -9, -7, -5, -3, 3, 5, 7, 9, 11)]
    nose = [(0, -6), (0, -3), (0, 0), (0, 2), (-3, 4), (-1.5, 4.5), (0, 5), (1.5, 4.5), (3, 4)]
    eye = [(-2.5, 0), (-1, -1.2), (1, -1.2), (2.5, 0), (1, 1.2), (-1, 1.2)]
    eyes = [(x + side, y - 5) for side in (-6, 6) for x, y in eye]
    outer = [(-6, 9), (-4, 8), (-2, 7.5), (0, 7.8), (2, 7.5), (4, 8), (6, 9)]
    outer += [(4, 10.5 + gap), (2, 11.2 + gap), (0, 11.4 + gap), (-2, 11.2 + gap), (-4, 10.5 + gap)]
    inner = [(-5, 9), (-2, 9), (0, 9), (2, 9), (5, 9), (2, 9.2 + gap), (0, 9.2 + gap), (-2, 9.2 + gap)]
    points = np.array([*jaw, *brows, *nose, *eyes, *outer, *inner])
    points[4:13, 1] += 0.6 * gap
    return points + middle


def pose(frames: int = 1, gap: float = 0.0) -> Pose:
    def part(points: np.ndarray) -> Keypoints:
        xy = np.repeat(np.asarray(points, float)[None] / SIZE[::-1], frames, 0)
        return Keypoints(xy, np.ones(xy.shape[:2]))

    fan = [(0, 0)] + [(f * 2 - 4, 3 * (j + 1)) for f in range(5) for j in range(4)]
    hands = np.concatenate([np.array(fan) + BODY[7], np.array(fan) + BODY[4]])
    return Pose(part(BODY), part(hands), part(face(gap)), 25, SIZE)


def picture() -> torch.Tensor:
    """(1,3,192,128) smooth colours with some texture."""
    y, x = torch.meshgrid(torch.linspace(0, 1, SIZE[0]), torch.linspace(0, 1, SIZE[1]), indexing="ij")
    waves = [
        0.5 + 0.3 * torch.sin(a * x + b * y) + 0.1 * torch.sin(40 * x * y + a)
        for a, b in ((9, 4), (5, 8), (7, 7))
    ]
    return torch.stack(waves)[None].clamp(0, 1)


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return -10 * float(torch.log10((a - b).square().mean() + 1e-12))


@pytest.fixture(scope="module")
def plates() -> w.Plates:
    return w.plates(picture(), w.Points.of(pose()))


def moved(shift: tuple[float, float], frames: int = 1) -> w.Points:
    points = w.Points.of(pose(frames))
    step = torch.tensor([*shift, 0.0])
    return w.Points(*(p + step for p in (points.body, points.hands, points.face)))


def test_own_pose_returns_the_reference(plates: w.Plates) -> None:
    out = w.warp(plates, w.Points.of(pose(2)))
    assert out.image.shape == (1, 2, 3, *SIZE) and out.validity.shape == (1, 2, 1, *SIZE)
    assert psnr(out.image[0, 0], picture()[0]) > 45
    assert out.validity.min() > 0.99


def test_a_shifted_pose_carries_the_person(plates: w.Plates) -> None:
    out = w.warp(plates, moved((8 / 128, 0)))
    nose = slice(35, 55), slice(60, 68)
    there = out.image[0, 0, :, nose[0], 68:76]
    assert psnr(there, picture()[0, :, nose[0], nose[1]]) > 35
    assert psnr(picture()[0, :, nose[0], 68:76], picture()[0, :, nose[0], nose[1]]) < 25
    assert out.validity[0, 0, 0, 40:60, 70].min() > 0.9


def test_a_frame_without_points_is_the_reference(plates: w.Plates) -> None:
    out = w.warp(plates, w.Points.of(Pose.empty(1, 25, SIZE)))
    assert torch.equal(out.image[0, 0], picture()[0]) and out.validity.min() == 1


def test_a_wrong_shape_is_named(plates: w.Plates) -> None:
    points = w.Points.of(pose())
    with pytest.raises(ValueError, match="target needs points"):
        w.warp(plates, replace(points, face=points.face[:, :, :60]))
