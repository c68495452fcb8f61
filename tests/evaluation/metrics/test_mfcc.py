"""Cepstra equal to python_speech_features 0.6, recorded and, where it is installed, live."""

import logging

import numpy as np
import pytest

from pipeline.evaluation.metrics.mfcc import filter_bank, mfcc, to_16_bit

LENGTHS = (1, 100, 400, 401, 560, 561, 4000)


def sound(samples: int) -> np.ndarray:
    """16-bit noise with a buzz and a silent stretch, the same on every machine."""
    numbers = np.arange(samples, dtype=np.int64)
    noise = (numbers * 1103515245 + 12345) % 32768 - 16384
    values = noise // 4 + np.abs(numbers * 733 % 16000 - 8000)
    values[1000:2200] = 0
    return values.astype(np.int16)


@pytest.fixture(scope="module")
def recorded(root):
    with np.load(root / "tests" / "data" / "speech_features.npz") as file:
        return dict(file)


@pytest.mark.parametrize("samples", LENGTHS)
def test_cepstra_are_the_recorded_ones(recorded, samples):
    """Rounding differs between processors in the last digits only."""
    made = mfcc(sound(samples))
    wanted = recorded[f"mfcc_{samples}"]
    assert made.shape == wanted.shape
    assert np.abs(made - wanted).max() < 1e-9


@pytest.mark.parametrize("samples", LENGTHS)
def test_cepstra_equal_the_package_bit_for_bit(samples):
    package = pytest.importorskip("python_speech_features")
    logging.disable()
    try:
        assert np.array_equal(mfcc(sound(samples)), package.mfcc(sound(samples), 16000))
    finally:
        logging.disable(logging.NOTSET)


def test_samples_get_the_scale_of_16_bits():
    samples = np.array([-1.0, -2.0, 0.0, 0.5, 1.0, 2.0], np.float32)
    assert to_16_bit(samples).tolist() == [-32768, -32768, 0, 16384, 32767, 32767]


def test_the_filters_cover_the_spectrum():
    bank = filter_bank()
    assert bank.shape == (26, 257)
    assert (bank.max(1) == 1).all() and (bank[:, 0] == 0).all()
