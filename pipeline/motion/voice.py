"""Tell a voice from music, applause and noise: its pitch glides.

A voice has a pitch that moves all the time, notes of instruments stand still, and noise has no
pitch at all. Whispers have none either, so that a low share does not prove that nobody speaks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import resample_poly

from pipeline.values import Audio

SAMPLE_RATE = 16000  # Hz, of the sound that is looked at
FRAME_SAMPLES = 1024
HOP_SAMPLES = 320  # one pitch every 20 ms
FFT_SAMPLES = 4096
CHUNK_FRAMES = 500  # whose spectra are in memory at a time: 33 MB
TINY = 1e-12
LAGS = slice(36, 260)  # in samples: 62 to 444 Hz
LEAST_CORRELATION = 0.5  # of a frame with itself one period later, from which it has a pitch
LEAST_POWER = 0.02  # of the loud frames' power, below which a frame is a pause
# Of the power of the loudest possible sound: below it nothing is heard
SILENCE = 1e-8
# A greater step of the pitch within 20 ms is an error of the search
LARGEST_STEP_SEMITONES = 1.5
WINDOW_FRAMES = 75
WINDOW_HOP_FRAMES = 37
# What a window of a voice holds: this share of frames with a pitch, which goes on by this much
LEAST_PITCHED = 0.15
LEAST_GLIDE_SEMITONES = 0.1


@dataclass(frozen=True)
class _Pitch:
    """Per frame: the pitch in semitones, the correlation at its period, the power."""

    semitones: np.ndarray
    correlation: np.ndarray
    power: np.ndarray


def voice_share(audio: Audio) -> float:
    """Return the share of moments of 1.5 s in which a voice is heard, 0 to 1.

    Measured: speech 0.85 to 1, shouts and songs with a band 0.4 and more, half a whisper 0.2,
    dance music up to 0.25, applause and noise 0.
    """
    samples = _at_rate(audio)
    if len(samples) < FRAME_SAMPLES + HOP_SAMPLES:
        return 0.0
    pitch = _pitch(samples)
    loud = np.percentile(pitch.power, 95)
    threshold = max(LEAST_POWER * loud, SILENCE)
    is_heard = pitch.power > threshold
    has_pitch = is_heard & (pitch.correlation > LEAST_CORRELATION)
    change = np.diff(pitch.semitones)
    steps = np.abs(change)
    is_step = steps < LARGEST_STEP_SEMITONES
    both = has_pitch[1:] & has_pitch[:-1]
    goes_on = both & is_step
    voiced = []
    last_start = max(1, len(steps) - WINDOW_FRAMES + 1)
    for start in range(0, last_start, WINDOW_HOP_FRAMES):
        stop = start + WINDOW_FRAMES
        is_voice = _glides(steps[start:stop], goes_on[start:stop])
        voiced.append(is_voice)
    return float(np.mean(voiced))


def _glides(steps: np.ndarray, goes_on: np.ndarray) -> bool:
    """Tell whether a window holds enough pitch, and whether that glides."""
    if goes_on.mean() <= LEAST_PITCHED:
        return False
    usual = np.median(steps[goes_on])
    return bool(usual > LEAST_GLIDE_SEMITONES)


def _at_rate(audio: Audio) -> np.ndarray:
    """Return the samples at the rate that is looked at."""
    if audio.rate == SAMPLE_RATE:
        return audio.samples
    return resample_poly(audio.samples, SAMPLE_RATE, audio.rate)


def _pitch(samples: np.ndarray) -> _Pitch:
    """Follow the pitch of (n,) samples, a few frames at a time."""
    every_start = np.lib.stride_tricks.sliding_window_view(samples, FRAME_SAMPLES)
    frames = every_start[::HOP_SAMPLES]
    parts = []
    for start in range(0, len(frames), CHUNK_FRAMES):
        chunk = frames[start : start + CHUNK_FRAMES]
        part = _pitch_of(chunk)
        parts.append(part)
    semitones, correlation, power = np.concatenate(parts, axis=1)
    return _Pitch(semitones, correlation, power)


def _pitch_of(frames: np.ndarray) -> np.ndarray:
    """Return (3, n) semitones, correlation and power of frames (n, samples).

    The pitch is where the autocorrelation is largest. That is divided by the window's own, so that
    low voices do not lose.
    """
    middle = frames.mean(axis=1, keepdims=True)
    frames = frames - middle
    window = np.hanning(FRAME_SAMPLES)
    falling = _autocorrelation(window[None])
    correlation = _autocorrelation(frames * window)
    correlation = correlation / falling
    rows = np.arange(len(frames))
    best = correlation[:, LAGS].argmax(axis=1)
    best = best + LAGS.start
    top = correlation[rows, best]
    before = correlation[rows, best - 1]
    after = correlation[rows, best + 1]
    # The top of the parabola through three points: whole samples are steps of a third of a semitone
    bend = before - 2 * top + after
    bend = np.minimum(bend, -1e-9)
    shift = (before - after) / (2 * bend)
    shift = np.clip(shift, -0.5, 0.5)
    semitones = -12 * np.log2(best + shift)
    power = frames.var(axis=1)
    return np.stack([semitones, top, power])


def _autocorrelation(frames: np.ndarray) -> np.ndarray:
    """Return (n, lags) of frames (n, samples), 1 at lag 0."""
    spectrum = np.fft.rfft(frames, FFT_SAMPLES)
    power = spectrum.real**2
    power += spectrum.imag**2
    values = np.fft.irfft(power)
    values = values[:, : LAGS.stop + 1]
    first = values[:, :1] + TINY
    return values / first
