"""`metrics.structure`: equal pictures, planted contrast, and GMSD by its published formula."""

import cv2
import numpy as np
import pytest

from pipeline.evaluation.metrics import structure


def noise(seed: int = 0) -> np.ndarray:
    rough = np.random.default_rng(seed).integers(0, 256, (64, 48, 3)).astype(np.uint8)
    return cv2.GaussianBlur(rough, (0, 0), 2)


def test_equal_pictures_are_alike_everywhere():
    picture = noise()
    assert np.allclose(structure.ssim_map(picture, picture), 1)
    assert np.allclose(structure.gradient_similarity(picture, picture), 1)
    assert structure.ssim_map(picture, noise(1)).mean() < 0.7


def test_gradient_similarity_of_planted_ramps():
    """Ramps of 4 and 12 levels a pixel are ramps of 8 and 24 at half the size."""
    columns = np.arange(20)
    gentle, steep = (
        np.repeat(np.tile(slope * columns, (20, 1))[..., None], 3, 2).astype(np.uint8)
        for slope in (4, 12)
    )
    similarity = structure.gradient_similarity(gentle, steep)
    a, b = 2 * 8.0, 2 * 24.0  # Prewitt's filter spans two pixels
    expected = (2 * a * b + 170) / (a * a + b * b + 170)
    assert similarity.shape == (20, 20)
    assert similarity[4:16, 4:16] == pytest.approx(expected, rel=1e-4)


def test_fine_edges_lose_energy_by_blur_inside_the_region_alone():
    picture = noise()
    region = np.zeros((64, 48), bool)
    region[:32] = True
    half_blurred = picture.copy()
    half_blurred[36:] = cv2.GaussianBlur(picture, (0, 0), 3)[36:]
    energy = structure.edge_energy(picture, region)
    assert structure.edge_energy(half_blurred, region) == pytest.approx(energy)
    assert structure.edge_energy(half_blurred, ~region) < structure.edge_energy(picture, ~region)
