"""Mel-frequency cepstra as SyncNet hears them.

Bit for bit what `python_speech_features` 0.6 gives with its defaults, whose last release is of
2017: 25 ms without a window function every 10 ms, 512 frequencies, 26 filters, 13 cepstra, the
first of which is the logarithm of the energy. Samples have the scale of 16-bit numbers.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.fft import dct

SAMPLE_RATE = 16000
FRAME_SAMPLES = 400  # 25 ms
STEP_SAMPLES = 160  # 10 ms
FREQUENCIES = 512
FILTERS = 26
CEPSTRA = 13
PRE_EMPHASIS = 0.97
LIFTER = 22
LOUDEST = 32768  # of a 16-bit sample
TINY = np.finfo(float).eps  # stands for 0 before a logarithm


def to_16_bit(samples: np.ndarray) -> np.ndarray:
    """Return samples (n,) in [-1, 1] as the 16-bit numbers of a WAV file."""
    scaled = np.rint(np.asarray(samples, np.float64) * LOUDEST)
    return scaled.clip(-LOUDEST, LOUDEST - 1).astype(np.int16)


def mfcc(samples: np.ndarray) -> np.ndarray:
    """Return cepstra (rows, 13) float64 of 16-bit samples (n,) at 16 kHz, one row each 10 ms."""
    frames = _frames(_emphasized(np.asarray(samples, np.float64)))
    spectrum = np.fft.rfft(frames, FREQUENCIES)
    power = 1.0 / FREQUENCIES * np.square(np.absolute(spectrum))
    energy = np.sum(power, 1)
    energy = np.where(energy == 0, TINY, energy)
    bands = np.dot(power, filter_bank().T)
    bands = np.where(bands == 0, TINY, bands)
    cepstra = dct(np.log(bands), type=2, axis=1, norm="ortho")[:, :CEPSTRA]
    order = np.arange(CEPSTRA)
    lift = 1 + (LIFTER / 2.0) * np.sin(np.pi * order / LIFTER)
    cepstra = lift * cepstra
    cepstra[:, 0] = np.log(energy)
    return cepstra


def _emphasized(samples: np.ndarray) -> np.ndarray:
    """Return samples with their high frequencies raised."""
    if not len(samples):
        return samples
    later = samples[1:] - PRE_EMPHASIS * samples[:-1]
    return np.append(samples[0], later)


def _frames(samples: np.ndarray) -> np.ndarray:
    """Return overlapping frames (rows, 400), the last one filled with zeros; at least one."""
    beyond = max(0, len(samples) - FRAME_SAMPLES)
    rows = 1 + -(-beyond // STEP_SAMPLES)
    length = (rows - 1) * STEP_SAMPLES + FRAME_SAMPLES
    padded = np.pad(samples, (0, length - len(samples)))
    return np.lib.stride_tricks.sliding_window_view(padded, FRAME_SAMPLES)[::STEP_SAMPLES]


@cache
def filter_bank() -> np.ndarray:
    """Return triangular filters (26, 257), evenly spaced in mel from 0 to 8 kHz."""
    highest = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700.0)
    mels = np.linspace(0, highest, FILTERS + 2)
    hertz = 700 * (10 ** (mels / 2595.0) - 1)
    corners = np.floor((FREQUENCIES + 1) * hertz / SAMPLE_RATE).astype(int)
    bank = np.zeros((FILTERS, FREQUENCIES // 2 + 1))
    for row in range(FILTERS):
        left, middle, right = corners[row : row + 3]
        rising = np.arange(left, middle)
        falling = np.arange(middle, right)
        bank[row, rising] = (rising - left) / (middle - left)
        bank[row, falling] = (right - falling) / (right - middle)
    return bank
