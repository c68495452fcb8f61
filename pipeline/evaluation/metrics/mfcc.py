"""Mel-frequency cepstra as SyncNet hears them.

Bit for bit what `python_speech_features` 0.6 gives with its defaults, whose last release is of
2017: 25 ms without a window function every 10 ms, 512 frequencies, 26 filters, 13 cepstra, the
first of which is the logarithm of the energy. Samples have the scale of 16-bit numbers.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from scipy.fft import dct

SAMPLE_RATE = 16000
HIGHEST_HZ = 8000
FRAME_SAMPLES = 400  # 25 ms
STEP_SAMPLES = 160  # 10 ms
FREQUENCIES = 512
BINS = 257
FILTERS = 26
CEPSTRA = 13
PRE_EMPHASIS = 0.97
LIFTER = 22
HALF_LIFTER = 11.0
LOUDEST = 32768  # of a 16-bit sample
TINY = np.finfo(float).eps  # stands for 0 before a logarithm


def to_16_bit(samples: np.ndarray) -> np.ndarray:
    """Return samples (n,) in [-1, 1] as the 16-bit numbers of a WAV file."""
    scaled = samples.astype(np.float64) * LOUDEST
    rounded = np.rint(scaled)
    clipped = rounded.clip(-LOUDEST, LOUDEST - 1)
    return clipped.astype(np.int16)


def mfcc(samples: np.ndarray) -> np.ndarray:
    """Return cepstra (rows, 13) float64 of 16-bit samples (n,) at 16 kHz, one row each 10 ms."""
    values = samples.astype(np.float64)
    frames = _frames(_emphasized(values))
    spectrum = np.fft.rfft(frames, FREQUENCIES)
    magnitude = np.absolute(spectrum)
    power = np.square(magnitude) / FREQUENCIES
    energy = power.sum(1)
    bands = np.dot(power, filter_bank().T)
    loudness = _log(bands)
    cosines = dct(loudness, type=2, axis=1, norm="ortho")
    cepstra = _lift() * cosines[:, :CEPSTRA]
    cepstra[:, 0] = _log(energy)
    return cepstra


def _log(values: np.ndarray) -> np.ndarray:
    """Return logarithms; that of a tiny number stands for that of 0."""
    is_zero = values == 0
    above_zero = np.where(is_zero, TINY, values)
    return np.log(above_zero)


def _lift() -> np.ndarray:
    """Return the factors (13,) that even out the cepstra."""
    order = np.arange(CEPSTRA)
    phase = np.pi * order / LIFTER
    wave = np.sin(phase)
    return 1 + HALF_LIFTER * wave


def _emphasized(samples: np.ndarray) -> np.ndarray:
    """Return samples with their high frequencies raised."""
    raised = samples.copy()
    raised[1:] -= PRE_EMPHASIS * samples[:-1]
    return raised


def _frames(samples: np.ndarray) -> np.ndarray:
    """Return overlapping frames (rows, 400), the last one filled with zeros; at least one."""
    beyond = max(0, len(samples) - FRAME_SAMPLES)
    steps = math.ceil(beyond / STEP_SAMPLES)
    length = steps * STEP_SAMPLES + FRAME_SAMPLES
    padded = np.zeros(length)
    padded[: len(samples)] = samples
    windows = np.lib.stride_tricks.sliding_window_view(padded, FRAME_SAMPLES)
    return windows[::STEP_SAMPLES]


@cache
def filter_bank() -> np.ndarray:
    """Return triangular filters (26, 257), evenly spaced in mel from 0 to 8 kHz."""
    corners = _corners()
    bank = np.zeros((FILTERS, BINS))
    for row in range(FILTERS):
        left, middle, right = corners[row : row + 3]
        rise = middle - left
        for column in range(left, middle):
            above = column - left
            bank[row, column] = above / rise
        fall = right - middle
        for column in range(middle, right):
            above = right - column
            bank[row, column] = above / fall
    return bank


def _corners() -> np.ndarray:
    """Return the frequencies (28,) at which filters begin, peak and end, by their numbers."""
    ratio = 1 + HIGHEST_HZ / 700.0
    highest_mel = 2595 * np.log10(ratio)
    mels = np.linspace(0, highest_mel, FILTERS + 2)
    ratios = 10 ** (mels / 2595.0)
    hertz = 700 * (ratios - 1)
    numbers = (FREQUENCIES + 1) * hertz / SAMPLE_RATE
    return np.floor(numbers).astype(int)
