"""HDR video brought to SDR: PQ and HLG signals to light, brought to sRGB's gamut, white and curve.

PQ is SMPTE ST 2084, HLG is ARIB STD-B67; both as in ITU-R BT.2100. FFmpeg's `zscale`, which would
do the same, is missing in PyAV's builds.
"""

from __future__ import annotations

from functools import lru_cache

import av
import cv2
import numpy as np

# FFmpeg's numbers for colors
PQ = 16
HLG = 18
BT709_PRIMARIES = 1
P3_PRIMARIES = (11, 12)

# Constants of the two curves, by their names in BT.2100
PQ_M1 = 0.1593017578125
PQ_M2 = 78.84375
PQ_C1 = 0.8359375
PQ_C2 = 18.8515625
PQ_C3 = 18.6875
PQ_PEAK_NITS = 10000.0
HLG_A = 0.17883277
HLG_B = 0.28466892
HLG_C = 0.55991073
HLG_GAMMA = 1.2
HLG_PEAK_NITS = 1000.0

TINY = 1e-6
LEVELS = 65536  # of the signal
SHOWN_LEVELS = 16384  # of light, of which sRGB's curve is tabulated
# White of pictures inside HDR: 203 cd/m2 by ITU-R BT.2408, 100 where SDR was carried over as it was
LEAST_WHITE_NITS = 100.0
USUAL_WHITE_NITS = 203.0
BLACK_NITS = 20.0  # a darker first frame does not tell where white is
BRIGHT_PERCENTILE = 99.5
KNEE = 0.75  # of white: brighter light is compressed towards 1
LUMINANCE_2020 = np.array([[0.2627, 0.6780, 0.0593]], np.float32)
TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    np.float32,
)
P3_TO_BT709 = np.array(
    [[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]], np.float32
)


def is_hdr(frame: av.VideoFrame) -> bool:
    """Say whether a frame's colors are HDR signals."""
    return frame.color_trc in (PQ, HLG)


class ToneMapper:
    """Shows the frames of one clip; the first one with light in it tells where white is."""

    def __init__(self) -> None:
        self._white_nits: float | None = None

    def show(self, frame: av.VideoFrame, size: tuple[int, int], method: str) -> np.ndarray:
        """Return (H, W, 3) uint8 sRGB.

        Args:
            frame: an HDR frame.
            size: (width, height) of the result.
            method: how FFmpeg resizes.
        """
        width, height = size
        resized = frame.reformat(width, height, "rgb48le", interpolation=method)
        signal = resized.to_ndarray()
        light = _nits(signal, frame.color_trc)
        light = _in_srgb_gamut(light, frame.color_primaries)
        if self._white_nits is None:
            self._white_nits = _white(light)
        return _shown(light / self._white_nits)


def _white(light: np.ndarray) -> float:
    """Return the light in cd/m2 that is shown as white, from a picture (H, W, 3)."""
    strongest = light.max(axis=2)
    brightest = np.percentile(strongest, BRIGHT_PERCENTILE)
    if brightest < BLACK_NITS:
        return USUAL_WHITE_NITS
    white = np.clip(brightest, LEAST_WHITE_NITS, USUAL_WHITE_NITS)
    return float(white)


def _nits(signal: np.ndarray, transfer: int) -> np.ndarray:
    """Return light in cd/m2, float32, of 16-bit signals (H, W, 3)."""
    if transfer == PQ:
        light_of_level = _pq_nits()
        return light_of_level[signal]
    light_of_level = _hlg_scene()
    scene = light_of_level[signal]
    luminance = cv2.transform(scene, LUMINANCE_2020)
    luminance = np.maximum(luminance, TINY)
    gain = HLG_PEAK_NITS * luminance ** (HLG_GAMMA - 1)
    return scene * gain[..., None]


@lru_cache(maxsize=1)
def _pq_nits() -> np.ndarray:
    """Return (65536,) the light of each PQ level in cd/m2."""
    levels = np.linspace(0, 1, LEVELS)
    levels **= 1 / PQ_M2
    above = levels - PQ_C1
    above = np.maximum(above, 0)
    below = PQ_C2 - PQ_C3 * levels
    nits = above / below
    nits **= 1 / PQ_M1
    nits *= PQ_PEAK_NITS
    return nits.astype(np.float32)


@lru_cache(maxsize=1)
def _hlg_scene() -> np.ndarray:
    """Return (65536,) the light of the scene, 0 to 1, of each HLG level."""
    levels = np.linspace(0, 1, LEVELS)
    low = levels**2 / 3
    exponent = (levels - HLG_C) / HLG_A
    high = np.exp(exponent)
    high += HLG_B
    high /= 12
    scene = np.where(levels <= 0.5, low, high)
    return scene.astype(np.float32)


def _in_srgb_gamut(light: np.ndarray, primaries: int) -> np.ndarray:
    """Return light (H, W, 3) of BT.709's primaries; HDR without a statement has BT.2020's."""
    if primaries == BT709_PRIMARIES:
        return light
    matrix = TO_BT709
    if primaries in P3_PRIMARIES:
        matrix = P3_TO_BT709
    light = cv2.transform(light, matrix)
    return np.maximum(light, 0)


def _shown(light: np.ndarray) -> np.ndarray:
    """Return uint8 sRGB of light (H, W, 3) in shares of white; bright colors keep their hue."""
    brightest = light.max(axis=2)
    below = np.minimum(brightest, KNEE)
    over = brightest - below
    room = 1 - KNEE
    compressed = below + room * over / (over + room)
    gain = compressed / np.maximum(brightest, TINY)
    gain *= SHOWN_LEVELS - 1
    levels = light * gain[..., None]
    levels = levels.round()
    levels = levels.astype(np.uint16)
    curve = _srgb_curve()
    return curve[levels]


@lru_cache(maxsize=1)
def _srgb_curve() -> np.ndarray:
    """Return (16384,) uint8 of each level of light."""
    light = np.linspace(0, 1, SHOWN_LEVELS)
    dark = 12.92 * light
    bright = 1.055 * light ** (1 / 2.4)
    bright -= 0.055
    signal = np.where(light <= 0.0031308, dark, bright)
    levels = 255 * signal
    levels = levels.round()
    return levels.astype(np.uint8)
