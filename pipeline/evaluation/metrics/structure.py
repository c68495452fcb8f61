"""Compare the structure of pictures (h, w, 3) uint8: SSIM, gradients, fine edges.

Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004.
Xue et al., "Gradient magnitude similarity deviation", 2014.
"""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.values import InputError

LEAST_PIXELS = 16  # a smaller region is not measured
LEAST_ERROR = 1e-10  # squared error of equal pictures: a PSNR of 100 dB
# Of gray pictures in [0, 255], as published.
GRADIENT_FLOOR = 170.0
PREWITT = np.array([[1, 0, -1], [1, 0, -1], [1, 0, -1]], np.float32) / 3


def ssim_map(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the structural similarity (h, w) of the gray pictures in Gaussian windows.

    Raises InputError where scikit-image is not installed.
    """
    try:
        from skimage.metrics import structural_similarity
    except ImportError:
        raise InputError(
            "SSIM needs scikit-image; install it with `pip install -r requirements-eval.txt`"
        ) from None
    _, similarity = structural_similarity(
        gray(one),
        gray(other),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        full=True,
    )
    return similarity


def gradient_similarity(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the similarity (h/2, w/2) of gradients, enlarged to (h, w).

    The deviation of its values is the GMSD. As published, both pictures are first averaged over
    2 x 2 pixels.
    """
    first = gradient(halved(one))
    second = gradient(halved(other))
    similarity = (2 * first * second + GRADIENT_FLOOR) / (first**2 + second**2 + GRADIENT_FLOOR)
    height, width = one.shape[:2]
    return cv2.resize(similarity, (width, height), interpolation=cv2.INTER_NEAREST)


def gray(picture: np.ndarray) -> np.ndarray:
    """Return the gray picture (h, w) float32 in [0, 255]."""
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)


def halved(picture: np.ndarray) -> np.ndarray:
    """Return the gray picture at half the size, averaged over 2 x 2 pixels."""
    height, width = picture.shape[:2]
    return cv2.resize(gray(picture), (width // 2, height // 2), interpolation=cv2.INTER_AREA)


def gradient(levels: np.ndarray) -> np.ndarray:
    """Return the gradient's magnitude (h, w) of a gray picture, by Prewitt's filter."""
    border = cv2.BORDER_REPLICATE
    across = cv2.filter2D(levels, -1, PREWITT, borderType=border)
    down = cv2.filter2D(levels, -1, PREWITT.T, borderType=border)
    return np.hypot(across, down)


def edge_energy(picture: np.ndarray, region: np.ndarray) -> float:
    """Return the variance of the gray picture's Laplacian inside a region (h, w) bool."""
    edges = cv2.Laplacian(gray(picture), cv2.CV_32F)
    return float(edges[region].var())
