"""Turned squares of a picture: their crops, and points and masks put back."""

import cv2
import numpy as np
import pytest

from pipeline.analysis.detectors import regions
from pipeline.analysis.detectors.regions import Box, Region

SIZE = (120, 160)
TURNED = Region(70.0, 55.0, 64.0, 0.4)


def gradient() -> np.ndarray:
    """A picture whose red is its column and whose green is its row."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.stack([columns, rows, np.zeros(SIZE)], -1).astype(np.uint8)


def test_a_crop_shows_what_lies_in_the_square():
    crop = TURNED.crop(gradient(), 32)
    assert crop.shape == (32, 32, 3) and crop.dtype == np.float32
    inside = np.array([[10, 20], [25, 5]])
    places = TURNED.to_picture(inside / 32)
    for (column, row), place in zip(inside, places, strict=True):
        assert crop[row, column, :2] * 255 == pytest.approx(place, abs=1)


def test_the_border_goes_on_or_is_black():
    outside = Region(0.0, 0.0, 40.0)
    white = np.full((*SIZE, 3), 255, np.uint8)
    assert outside.crop(white, 16).min() == 1
    on_black = outside.crop_on_black(white, 16)
    assert on_black[2, 2].tolist() == [-1, -1, -1] and on_black[12, 12].tolist() == [1, 1, 1]


def test_a_quarter_turn_and_depth():
    region = Region(50.0, 50.0, 20.0, np.pi / 2)
    corner = region.to_picture(np.array([[0.0, 0.0, 0.5]]))[0]
    assert corner == pytest.approx([60, 40, 10])


def test_a_mask_comes_back_to_its_place():
    mask = np.zeros((64, 64), np.float32)
    mask[16:48, 16:48] = 1
    back = TURNED.mask_in_picture(mask, SIZE)
    assert back.shape == SIZE and back.sum() == pytest.approx(32 * 32, rel=0.02)
    rows, columns = np.nonzero(back > 0.5)
    assert (columns.mean(), rows.mean()) == pytest.approx((TURNED.x - 0.5, TURNED.y - 0.5), abs=0.3)
    assert back[0, 0] == 0


@pytest.mark.skipif(int(cv2.__version__.split(".")[0]) != 4, reason="OpenCV 4 is the truth here")
def test_crops_are_those_of_opencv_4():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    for region in (TURNED, Region(80.3, 60.1, 90.7, -2.0), Region(80.0, 60.0, 128.0)):
        box = ((region.x, region.y), (region.side, region.side), np.degrees(region.angle))
        targets = np.array([[0, 96], [0, 0], [96, 0], [96, 96]], np.float32)
        matrix = cv2.getPerspectiveTransform(cv2.boxPoints(box), targets)
        truth = cv2.warpPerspective(picture, matrix, (96, 96), borderMode=cv2.BORDER_REPLICATE)
        assert np.array_equal(np.rint(region.crop(picture, 96) * 255), truth)


def test_angles_and_boxes():
    start, above = np.array([10.0, 10.0]), np.array([10.0, 4.0])
    assert regions.angle_between(start, above, regions.UP) == pytest.approx(0)
    assert regions.angle_between(start, above, regions.RIGHT) == pytest.approx(-np.pi / 2)
    assert regions.turn(3 * np.pi) == pytest.approx(-np.pi)
    box = regions.box_through(start, above, regions.UP)
    assert box == Box(10, 10, 12, 12, box.angle)
    assert box.squared(1.5, 0.25) == Region(10, 13, 18, box.angle)
    points = np.array([[2.0, 3.0], [6.0, 11.0]])
    assert regions.box_of(points, 0.1) == Box(4, 7, 4, 8, 0.1)
    assert regions.whole((40, 60)) == Region(30, 20, 60)
