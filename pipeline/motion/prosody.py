"""Speech to prosodic intensity and signed excitation, the time axis of refocusing (after ApoAvatar).

ApoAvatar weighs every video frame by its loudness. Here loudness is blended with pitch height and spectral
onsets (`mode="full"`); `mode="rms"` keeps loudness alone. All are differences of levels or ratios,
so the recording's gain does not matter, and every filter is zero-phase, so gestures are never pushed late.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import gcd

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import butter, find_peaks, resample_poly, sosfiltfilt

from pipeline.values import Audio, InputError

RATE = 16000  # Hz, analysis rate
HOP = 160  # samples: analysis at 100 Hz
BAND = (100.0, 4000.0)  # Hz, where speech has its energy; hum and hiss lie outside
PITCH = (60.0, 420.0)  # Hz, search range of the fundamental
VOICED = (65.0, 400.0)  # Hz, accepted range: values at the edges of the search are failures
PITCH_FRAME = 1024  # samples: two periods of 60 Hz fit in each half
PITCH_HOP = 320  # samples: pitch moves slowly, 50 Hz halves the cost
MEL_WINDOW = 400
MEL_BANDS = 40
WEIGHTS = {"full": (0.55, 0.25, 0.20), "rms": (1.0, 0.0, 0.0)}  # loudness, pitch, onsets
SMOOTH_SECONDS = 0.06  # of the intensity
EXCITATION_SECONDS = 0.16  # 120 ms nearly doubles the jerk of refocused wrists (metrics 4.2)
MIN_RANGE_DB = 6.0  # a steadier sound than this is a tone, a noise or silence, not speech
MIN_ACTIVE = 0.02  # share of active frames below which there is no speech
MIN_SECONDS = 0.25  # shorter sounds hold no rhythm
FLOOR_DB = 80.0  # digital silence is put this far under the loudest moment
ACCENT_SECONDS = 0.45  # least distance of two accents
ACCENT_PROMINENCE = 0.12  # least rise of the intensity over its surroundings


@dataclass(frozen=True)
class Curve:
    """What editing needs: `intensity` (N,) at 100 Hz, the speaker's `usual` level, the `detected` accents."""

    intensity: np.ndarray
    usual: float
    detected: np.ndarray


@dataclass(frozen=True)
class Prosody:
    """Per video frame: `intensity` (T,) and `speech` (T,) in [0, 1], `excitation` (T,) in [-1, 1].

    `accents` (N, 2) holds the seconds and the strength in [0, 1] of the prominent moments, in order of time.
    Excitation is -1 in pauses, 0 at the speaker's own usual level, 1 at the strongest accents; it is 0
    throughout where the sound holds no speech, because there is then nothing to follow.
    """

    intensity: np.ndarray
    excitation: np.ndarray
    accents: np.ndarray
    speech: np.ndarray
    fps: float
    # absent in a prosody that was not made by `analyse`; it cannot be edited
    curve: Curve | None = None

    def __len__(self) -> int:
        return len(self.intensity)


def analyse(audio: Audio, fps: float, mode: str = "full") -> Prosody:
    """Returns the prosody of `audio` at `fps` frames a second (ApoAvatar's loudness weighting, extended).

    p = gate (0.55 E + 0.25 F + 0.20 X) with loudness E, pitch F and onsets X, smoothed, over its 95th
    percentile; e = (p - m)+ / (1 - m) - (m - p)+ / m with m the median of p while speaking.
    """
    if mode not in WEIGHTS:
        raise InputError(f"prosody mode {mode!r} is not known; choose one of {', '.join(WEIGHTS)}")
    if not (np.isfinite(fps) and fps > 0):
        raise InputError(f"fps must be a positive number, got {fps}")
    if len(audio.samples) == 0 or not np.isfinite(audio.samples).all():
        raise InputError(
            "the speech is empty or holds values that are not finite; give a sound with finite samples"
        )
    frames = audio.frames(fps)
    samples = _normalised(audio)
    level = _level_db(samples) if len(samples) >= MIN_SECONDS * RATE and samples.any() else None
    gate = None if level is None else _gate(level)
    if gate is None:
        still = np.zeros(frames)
        none = np.zeros((0, 2))
        flat = Curve(np.zeros(len(samples) // HOP + 1), 0.0, none)
        return Prosody(still, still.copy(), none, still.copy(), fps, flat)
    intensity, usual = _intensity(samples, level, gate, WEIGHTS[mode])
    curve = Curve(intensity, usual, _accents(intensity))
    excitation = excite(curve.intensity, curve.usual)
    per_frame = [per_frames(values, frames, fps) for values in (intensity, excitation, gate)]
    return Prosody(per_frame[0], per_frame[1], curve.detected, per_frame[2], fps, curve)


def per_frames(values: np.ndarray, frames: int, fps: float) -> np.ndarray:
    """(frames,) values of a 100 Hz curve at the middle of each video frame."""
    times = np.arange(len(values)) * HOP / RATE
    return np.interp((np.arange(frames) + 0.5) / fps, times, values)


def excite(intensity: np.ndarray, usual: float) -> np.ndarray:
    """(N,) smoothed excitation at 100 Hz of an intensity whose usual level while speaking is `usual`."""
    rise = np.maximum(intensity - usual, 0) / (1 - usual)
    fall = np.maximum(usual - intensity, 0)
    excitation = rise - fall / usual if usual else rise
    return gaussian_filter1d(excitation, EXCITATION_SECONDS * RATE / HOP, mode="nearest")


def _normalised(audio: Audio) -> np.ndarray:
    """Samples at 16 kHz as float64 without offset and with peak 1: what follows is then free of the gain."""
    samples = np.asarray(audio.samples, np.float64)
    if audio.rate != RATE:
        common = gcd(int(audio.rate), RATE)
        samples = resample_poly(samples, RATE // common, int(audio.rate) // common)
    samples = samples - samples.mean()
    peak = np.abs(samples).max()
    return (
        samples / peak if peak > 1e-7 else np.zeros_like(samples)
    )  # rounding of a constant is no sound


def _level_db(samples: np.ndarray) -> np.ndarray:
    """(N,) level in dB at 100 Hz: band-pass, square, 40 ms Hann mean, normalised at the clip's ends."""
    sections = butter(4, BAND, "bandpass", fs=RATE, output="sos")
    power = sosfiltfilt(sections, samples) ** 2
    window = np.hanning(int(0.04 * RATE) + 2)[1:-1].reshape(-1)
    half = len(window) // 2
    centres = _frames(np.pad(power, (half, half)), len(window), len(samples))
    inside = _frames(np.pad(np.ones_like(power), (half, half)), len(window), len(samples))
    mean = (centres @ window) / np.maximum(inside @ window, 1e-12)
    decibels = 10 * np.log10(np.maximum(mean, 1e-20))
    return np.maximum(decibels, decibels.max() - FLOOR_DB)


def _frames(padded: np.ndarray, length: int, samples: int) -> np.ndarray:
    """(N, length) view of windows every 10 ms whose centres run from the first to the last sample."""
    count = samples // HOP + 1
    short = (count - 1) * HOP + length - len(padded)
    padded = np.pad(padded, (0, max(short, 0)))
    return np.lib.stride_tricks.sliding_window_view(padded, length)[::HOP][:count]


def _gate(level: np.ndarray) -> np.ndarray | None:
    """(N,) speech activity in [0, 1], or None where the sound is too steady or too sparse to be speech."""
    low, high = np.quantile(level, (0.05, 0.95))
    threshold = max(low + 6.0, high - 30.0)
    if high - low < MIN_RANGE_DB or np.mean(level > threshold) < MIN_ACTIVE:
        return None
    return 1 / (1 + np.exp(-(level - threshold) / 1.5))


def _intensity(samples: np.ndarray, level: np.ndarray, gate: np.ndarray, weights: tuple) -> tuple:
    """(smoothed intensity (N,) at 100 Hz, its median while speaking)."""
    active = gate > 0.5
    low, high = np.quantile(level[active], (0.10, 0.95))
    blend = weights[0] * np.clip((level - low) / max(high - low, 6.0), 0, 1.2)
    if weights[1]:
        blend = blend + weights[1] * _pitch(samples, active)
    if weights[2]:
        blend = blend + weights[2] * _onsets(samples, active)
    rate = RATE / HOP
    smooth = gaussian_filter1d(gate * blend, SMOOTH_SECONDS * rate, mode="nearest")
    p = np.clip(smooth / max(np.quantile(smooth[active], 0.95), 0.15), 0, 1)
    return p, float(np.clip(np.median(p[active]), 0.05, 0.95))


def _pitch(samples: np.ndarray, active: np.ndarray) -> np.ndarray:
    """(N,) height of the fundamental over the speaker's median, 0 to 1, bridged over unvoiced gaps."""
    # two seconds of import that the "rms" mode and the start of the app should not pay
    from librosa import yin

    f0 = yin(
        samples,
        fmin=PITCH[0],
        fmax=PITCH[1],
        sr=RATE,
        frame_length=PITCH_FRAME,
        hop_length=PITCH_HOP,
    )
    semitones = 12 * np.log2(np.maximum(f0, 1.0))
    step = np.abs(np.diff(semitones, prepend=semitones[:1]))
    on = (
        np.interp(
            np.arange(len(f0)) * PITCH_HOP, np.arange(len(active)) * HOP, active.astype(float)
        )
        > 0.5
    )
    voiced = on & (f0 > VOICED[0]) & (f0 < VOICED[1]) & (step < 3.0)
    if voiced.sum() < 3:
        return np.zeros(len(active))
    usual = np.median(semitones[voiced])
    high = np.quantile(semitones[voiced], 0.90)
    height = np.clip((semitones - usual) / max(high - usual, 1.0), 0, 1) * voiced
    sigma = 0.06 * RATE / PITCH_HOP
    near = gaussian_filter1d(voiced.astype(float), sigma)
    bridged = gaussian_filter1d(height, sigma) / np.maximum(near, 1e-3)
    return np.interp(np.arange(len(active)) * HOP, np.arange(len(f0)) * PITCH_HOP, bridged)


@lru_cache(maxsize=1)
def _mel_bank() -> np.ndarray:
    from librosa.filters import mel

    return mel(sr=RATE, n_fft=512, n_mels=MEL_BANDS, fmin=60, fmax=7600).T


def _onsets(samples: np.ndarray, active: np.ndarray) -> np.ndarray:
    """(N,) rising part of the log-mel spectrum over a centred 20 ms, over its active 95th percentile."""
    half = MEL_WINDOW // 2
    windows = _frames(np.pad(samples, (half, half)), MEL_WINDOW, len(samples)) * np.hanning(
        MEL_WINDOW
    )
    power = np.abs(np.fft.rfft(windows.astype(np.float32), 512)) ** 2 @ _mel_bank()
    decibels = 10 * np.log10(np.maximum(power, 1e-12))
    decibels = np.maximum(decibels, decibels.max() - 50.0)
    rise = np.zeros(len(decibels))
    rise[1:-1] = np.maximum(decibels[2:] - decibels[:-2], 0).mean(1)
    rise = gaussian_filter1d(rise, 0.03 * RATE / HOP)
    return np.clip(rise / max(np.quantile(rise[active], 0.95), 1e-9), 0, 1.2)


def _accents(intensity: np.ndarray) -> np.ndarray:
    """(N, 2) seconds and strength of the peaks of the blended intensity, at least 0.45 s apart.

    Strength is the mean of a peak's height and of its rise over the surroundings.
    """
    rate = RATE / HOP
    padded = np.pad(intensity, 1)  # a peak may lie at the first or the last moment
    peaks, found = find_peaks(
        padded,
        height=0.3,
        distance=int(np.ceil(ACCENT_SECONDS * rate)),
        prominence=ACCENT_PROMINENCE,
    )
    strength = np.clip((found["peak_heights"] + found["prominences"]) / 2, 0, 1)
    return np.stack([np.maximum(peaks - 1, 0) / rate, strength], 1)
