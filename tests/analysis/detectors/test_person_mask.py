"""A segmenter's coarse mask ends where the picture's own edges are."""

import cv2
import numpy as np
import pytest

from pipeline.analysis.detectors.person_mask import to_edges

SIZE = (400, 300)


def scene() -> tuple[np.ndarray, np.ndarray]:
    """(400,300,3) uint8 of a grainy disc with a spike on a grainy wall, and where disc and spike
    are."""
    truth = np.zeros(SIZE, np.uint8)
    cv2.circle(truth, (150, 210), 90, 1, -1)
    cv2.fillPoly(truth, [np.array([(120, 130), (150, 40), (180, 130)])], 1)
    picture = np.where(truth[..., None], (60, 90, 150), (190, 180, 160)).astype(float)
    picture += np.random.default_rng(0).normal(0, 6, picture.shape)
    return picture.clip(0, 255).astype(np.uint8), truth.astype(bool)


def coarse(truth: np.ndarray, blur: float = 5.0) -> np.ndarray:
    """The mask as a segmenter of 256 x 256 gives it: blurred, with a veil beside the disc."""
    mask = cv2.GaussianBlur(truth.astype(np.float32), (0, 0), blur)
    mask[180:240, 250:290] += 0.25
    return cv2.resize(mask.clip(0, 1), (256, 256), interpolation=cv2.INTER_AREA)


def error(mask: np.ndarray, truth: np.ndarray) -> float:
    return float(np.abs(mask.astype(float) - truth).mean())


def test_a_blurred_mask_ends_at_the_edge() -> None:
    picture, truth = scene()
    plain = cv2.resize(coarse(truth), SIZE[::-1], interpolation=cv2.INTER_LINEAR)
    found = to_edges(picture, coarse(truth))
    assert (
        found.shape == SIZE and found.dtype == np.float32 and found.min() >= 0 and found.max() <= 1
    )
    assert error(found, truth) < 0.25 * error(plain, truth)
    band = cv2.dilate(truth.astype(np.uint8), np.ones((5, 5))) - cv2.erode(
        truth.astype(np.uint8), np.ones((5, 5))
    )
    assert np.abs(found - truth)[band == 0].mean() < 0.01


def test_a_veil_is_no_person() -> None:
    picture, truth = scene()
    assert coarse(truth)[115:150, 220:240].mean() > 0.15
    assert to_edges(picture, coarse(truth))[190:230, 255:285].max() < 0.02


def test_an_edge_that_the_picture_lacks_stays_where_the_mask_has_it() -> None:
    _, truth = scene()
    grey = np.full((*SIZE, 3), 128, np.uint8)
    found = to_edges(grey, coarse(truth, 2.0))
    assert error(found > 0.5, truth) < 0.02


@pytest.mark.parametrize("size", [(1600, 1200), (40, 30), (1, 1)])
def test_any_size(size: tuple[int, int]) -> None:
    picture = cv2.resize(scene()[0], size[::-1], interpolation=cv2.INTER_AREA)
    found = to_edges(picture, coarse(scene()[1]))
    assert found.shape == size and np.isfinite(found).all()
    if min(size) > 1000:
        truth = cv2.resize(scene()[1].astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST)
        assert error(found, truth) < 0.02
